package protocol

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

//go:embed problems.json
var problemTable []byte

// Code is the stable name of something that went wrong.
type Code string

// Language of the texts for people.
type Language string

// The languages.
const (
	English            Language = "en"
	TraditionalChinese Language = "zh-TW"
)

// Words are what a person is told of a problem.
type Words struct {
	Title  string `json:"title"`
	Cause  string `json:"cause"`
	Remedy string `json:"remedy"`
}

// ProblemEntry is one row of problems.json, the table of everything that can
// go wrong, shared with the web client.
type ProblemEntry struct {
	Status int                `json:"status"` // HTTP status, 0 where it never crosses HTTP
	Words  map[Language]Words `json:"words"`
}

// Problems is the table.
var Problems = func() map[Code]ProblemEntry {
	var t map[Code]ProblemEntry
	if err := json.Unmarshal(problemTable, &t); err != nil {
		panic("protocol: problems.json: " + err.Error())
	}
	return t
}()

// Problem is an error that a person may see: a code, its cause, what to do.
// On HTTP it is an application/problem+json body (RFC 9457).
type Problem struct {
	Type   string `json:"type,omitempty"` // about:blank
	Title  string `json:"title"`
	Status int    `json:"status,omitempty"`
	Detail string `json:"detail,omitempty"` // what exactly, this time
	Code   Code   `json:"code"`
	Cause  string `json:"cause"`
	Remedy string `json:"remedy"`

	err error // what it wraps
}

// NewProblem makes the problem with the given code in English. detail says
// what exactly happened; it may be "".
func NewProblem(code Code, detail string) *Problem {
	e, ok := Problems[code]
	if !ok {
		panic("protocol: no such problem: " + string(code))
	}
	w := e.Words[English]
	return &Problem{Title: w.Title, Status: e.Status, Detail: detail, Code: code, Cause: w.Cause, Remedy: w.Remedy}
}

// Wrap makes the problem with the given code of an error.
func Wrap(code Code, err error) *Problem {
	p := NewProblem(code, err.Error())
	p.err = err
	return p
}

// ProblemOf finds the problem in err's chain; any other error becomes code
// "internal", its text withheld.
func ProblemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	p = NewProblem(ProblemInternal, "")
	p.err = err
	return p
}

// Error gives title and detail.
func (p *Problem) Error() string {
	if p.Detail != "" {
		return fmt.Sprintf("%s (%s)", strings.TrimSuffix(p.Title, "."), p.Detail)
	}
	return p.Title
}

// Unwrap returns the error that the problem was made of.
func (p *Problem) Unwrap() error { return p.err }

// Is makes problems of one code equal to errors.Is.
func (p *Problem) Is(target error) bool {
	t, ok := target.(*Problem)
	return ok && t.Code == p.Code
}

// WriteProblem answers a request with a problem. One that has no place in HTTP,
// such as a word of another server that is not known here, is an internal one.
func WriteProblem(w http.ResponseWriter, p *Problem) {
	if p.Status < 400 || p.Status > 599 {
		p = Wrap(ProblemInternal, p)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

// The codes. Their words are in problems.json.
const (
	ProblemInternal         Code = "internal"
	ProblemBadRequest       Code = "bad_request"
	ProblemNotFound         Code = "not_found"
	ProblemMethodNotAllowed Code = "method_not_allowed"
	ProblemUnauthorized     Code = "unauthorized"
	ProblemForbidden        Code = "forbidden"
	ProblemRateLimited      Code = "rate_limited"
	ProblemTooLarge         Code = "too_large"
	ProblemMeetingNotFound  Code = "meeting_not_found"
	ProblemMeetingEnded     Code = "meeting_ended"
	ProblemWrongPasscode    Code = "wrong_passcode"
	ProblemBadInvitation    Code = "bad_invitation"
	ProblemEnrolment        Code = "enrolment_refused"
	ProblemEnrolled         Code = "already_enrolled"
	ProblemTokenInvalid     Code = "token_invalid"
	ProblemTokenExpired     Code = "token_expired"
	ProblemNoZone           Code = "no_zone"
	ProblemZoneFull         Code = "zone_full"
	ProblemServerSilent     Code = "server_silent"
	ProblemMMRUnavailable   Code = "mmr_unavailable"
	ProblemBadOffer         Code = "bad_offer"
	ProblemSessionUnknown   Code = "session_unknown"
	ProblemNotHost          Code = "not_host"
	ProblemViewOnly         Code = "view_only"
	ProblemBadLink          Code = "bad_link"
	ProblemWebUnreachable   Code = "web_unreachable"
	ProblemCertificate      Code = "certificate_untrusted"
	ProblemZonesUnreachable Code = "zones_unreachable"
	ProblemControlFailed    Code = "control_failed"
	ProblemMediaFailed      Code = "media_failed"
	ProblemProxyAuthNeeded  Code = "proxy_auth_required"
	ProblemProxyAuthFailed  Code = "proxy_auth_failed"
	ProblemProxyRefused     Code = "proxy_refused"
	ProblemProxyUnreachable Code = "proxy_unreachable"
	ProblemPACFailed        Code = "pac_failed"
	ProblemProxySettings    Code = "proxy_settings_invalid"
	ProblemTunnelRefused    Code = "tunnel_refused"
	ProblemTunnelFull       Code = "tunnel_full"
	ProblemGatewayFailed    Code = "gateway_failed"
	ProblemRemoved          Code = "removed"
	ProblemConnectionLost   Code = "connection_lost"
	ProblemSourceUnreadable Code = "source_unreadable"
	ProblemRecordingFailed  Code = "recording_failed"
	ProblemDeviceDenied     Code = "device_denied"
	ProblemDeviceMissing    Code = "device_missing"
	ProblemBrowserTooOld    Code = "browser_too_old"
	ProblemInsecurePage     Code = "insecure_page"
)

package protocol

import (
	"crypto/tls"
	"encoding/hex"
	"time"
)

// Paths of phase 1 and of the meetings API, on web.
const (
	PathMeetings = "/api/v1/meetings"
	PathReports  = "/api/v1/reports"
	PathConfig   = "/api/v1/config"
	// LookupPath is PathMeetings + "/{number}/lookup".
)

// HeaderTLSMark is a header of web's answer at PathConfig: the TLSMark of the
// connection as web sees it. A client that sees another connection knows that
// TLS is opened on the way. It is absent where web sees no TLS, or a proxy of
// its operator's.
const HeaderTLSMark = "Causeway-TLS-Mark"

// TLSMark names a TLS connection alike at both of its ends (RFC 5705); "" if
// it cannot be named.
func TLSMark(c *tls.ConnectionState) string {
	if c == nil || !c.HandshakeComplete {
		return ""
	}
	mark, err := c.ExportKeyingMaterial("EXPORTER-causeway-mark", nil, 16)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(mark)
}

// LookupRequest asks for the package of one meeting (phase 1).
// POST /api/v1/meetings/{number}/lookup.
type LookupRequest struct {
	Passcode string `json:"passcode,omitempty" maxLength:"64" doc:"The meeting's passcode"`
	// Invitation is the secret of a host link or, of a webinar, a panellist
	// link; it makes the participant a host or a panellist.
	Invitation string `json:"invitation,omitempty" maxLength:"128" doc:"The secret of a host or panellist link"`
	Name       string `json:"name" minLength:"1" maxLength:"64" doc:"The name that others see"`
	// Token is an earlier join token of the same participant for the same
	// meeting: the answer keeps its participant id and role. It may have
	// expired up to a day ago.
	Token  string     `json:"token,omitempty" maxLength:"4096" doc:"An earlier join token, to come back as the same participant"`
	Client ClientInfo `json:"client,omitempty"`
}

// ClientInfo says what kind of client is joining.
type ClientInfo struct {
	Kind    string `json:"kind,omitempty" enum:"native,web" doc:"native or web"`
	Version string `json:"version,omitempty" maxLength:"64"`
	OS      string `json:"os,omitempty" maxLength:"64"`
}

// Package is what web prepares for one client: everything it needs to enter
// the meeting. Zones are ordered best first.
type Package struct {
	Meeting     MeetingInfo `json:"meeting"`
	Participant Identity    `json:"participant"`
	// Token is the signed join token (EdDSA JWT, see JoinClaims).
	Token          string    `json:"token"`
	TokenExpiresAt time.Time `json:"token_expires_at"`
	Zones          []Zone    `json:"zones"`
	Tunnels        []Tunnel  `json:"tunnels"`
	// Gateway is the path of web's own gateway, for browsers that reach no
	// controller: PathGateway, or "" if there is none.
	Gateway string `json:"gateway,omitempty"`
	// WebClient is the address at which a browser joins this meeting.
	WebClient string `json:"web_client"`
	// Seen is how web saw the request arrive.
	Seen Seen `json:"seen"`
}

// MeetingInfo is what a participant may know of a meeting before joining.
type MeetingInfo struct {
	ID          string     `json:"id"`
	Number      string     `json:"number"`
	Topic       string     `json:"topic"`
	ScheduledAt *time.Time `json:"scheduled_at,omitempty"`
	// Kind is KindWebinar or "", which is KindMeeting.
	Kind MeetingKind `json:"kind,omitempty"`
}

// MeetingKind says what attendees may do in a meeting.
type MeetingKind string

// The kinds of meetings. In a webinar hosts and panellists are seen and heard;
// everybody else is an Attendee until a host brings them up.
const (
	KindMeeting MeetingKind = "meeting"
	KindWebinar MeetingKind = "webinar"
)

// Role is a participant's role in a meeting.
type Role string

// The roles.
const (
	Host  Role = "host"
	Guest Role = "participant" // in a webinar: a panellist
	// Attendee watches a webinar. What an attendee sends is not forwarded,
	// and others but hosts do not see one on the roster.
	Attendee Role = "attendee"
)

// Identity is who the participant is in this meeting.
type Identity struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role Role   `json:"role"`
}

// Zone is a meeting zone on offer.
type Zone struct {
	ID          string       `json:"id"`
	Name        string       `json:"name"`
	OnPremises  bool         `json:"on_premises,omitempty"`
	Own         bool         `json:"own,omitempty"` // on premises, and the client is in its networks: clients prefer it by 20 ms
	Weight      float64      `json:"weight"`        // operator's preference; milliseconds added to the zone's measured round trip, 0 by default
	Load        float64      `json:"load"`          // 0 idle … 1 full
	DistanceKM  float64      `json:"distance_km"`   // from where web believes the client is; -1 unknown
	Controllers []Controller `json:"controllers"`
}

// Controller is one zone controller. URL is its base, https://host[:port].
type Controller struct {
	ID  string `json:"id"`
	URL string `json:"url"`
}

// Tunnel is one HTTP tunnel.
type Tunnel struct {
	ID  string `json:"id"`
	URL string `json:"url"`
}

// Seen is how the lookup request arrived at web.
type Seen struct {
	Address   string   `json:"address"`             // IP address without port
	Forwarded []string `json:"forwarded,omitempty"` // Via, Forwarded and X-Forwarded-For headers, as "Name: value"
}

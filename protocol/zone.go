package protocol

import "time"

// Paths of phases 2 and 3, on zone controllers, and of the control channel,
// on multimedia routers.
const (
	PathProbe   = "/zone/v1/probe"
	PathJoin    = "/zone/v1/join"
	PathControl = "/mmr/v1/control"
)

// ProbeAnswer answers GET /zone/v1/probe (phase 2).
type ProbeAnswer struct {
	Zone       string     `json:"zone"`
	Controller string     `json:"controller"`
	State      ZoneStatus `json:"state"`
	Load       float64    `json:"load"`   // 0 idle … 1 full
	Weight     float64    `json:"weight"` // see Zone.Weight
}

// ZoneStatus says whether a zone takes new participants.
type ZoneStatus string

// The states of a zone.
const (
	ZoneOpen     ZoneStatus = "open"
	ZoneFull     ZoneStatus = "full"     // no router has room
	ZoneDraining ZoneStatus = "draining" // takes nobody new
	ZoneEmpty    ZoneStatus = "empty"    // no healthy router
)

// JoinRequest is the body of POST /zone/v1/join (phase 3). The join token is
// in the Authorization header, "Bearer TOKEN", or in the body: a page that sends
// no such header, and its body as text/plain, need not ask for permission to
// call another origin first, which would cost a round trip.
type JoinRequest struct {
	Token  string     `json:"token,omitempty"`
	Offers Offers     `json:"offers"`
	Client ClientInfo `json:"client,omitempty"`
	// Resume is set by who was in the meeting before: another router is
	// wanted, or the same one anew.
	Resume *Resume `json:"resume,omitempty"`
	// Standby asks for a session ahead, for somebody in the lobby: media
	// connections and control channel come up, and Enter leads into the
	// meeting.
	Standby bool `json:"standby,omitempty"`
}

// Resume tells which session a join continues. The participant is the same
// by its token.
type Resume struct {
	Session string       `json:"session"`
	Zone    string       `json:"zone,omitempty"`
	MMR     string       `json:"mmr"` // avoided if any other router has room
	Reason  ResumeReason `json:"reason"`
	// Admitted is that of the session's JoinAnswer. It puts a participant's
	// sessions in order where routers' clocks differ.
	Admitted int64 `json:"admitted,omitempty"`
	// JoinedAt and HandRaisedAt are the participant's own, as the roster said.
	// They are taken where nobody is left who knows better: the only router
	// that carried the meeting has died.
	JoinedAt     time.Time `json:"joined_at,omitzero"`
	HandRaisedAt time.Time `json:"hand_raised_at,omitzero"`
}

// ResumeReason says why a participant left its router.
type ResumeReason string

// The reasons.
const (
	ResumeDead  ResumeReason = "dead"  // nothing was heard of the router any more
	ResumeDrain ResumeReason = "drain" // it asked its participants to move
	ResumeMedia ResumeReason = "media" // its media could not be connected
)

// JoinAnswer is where the participant has been admitted.
type JoinAnswer struct {
	Zone       string `json:"zone"`
	Controller string `json:"controller"`
	MMR        string `json:"mmr"`
	// Session names this admission; it is presented on the control channel,
	// which must be opened within 30 s. It is a secret of the participant.
	Session string `json:"session"`
	// Admitted is when that was, in Unix milliseconds; see Resume.Admitted.
	Admitted int64 `json:"admitted,omitempty"`
	// Standby says that the session is on standby, as was asked for.
	Standby bool `json:"standby,omitempty"`
	// ControlURL is the address of the control channel, wss://host[:port]/mmr/v1/control.
	ControlURL string `json:"control_url"`
	// Answers are SDP answers to the offers, with the router's candidates.
	Answers Offers `json:"answers"`
	// MediaTCP and MediaTLS are where the router takes media over streams: TCP
	// addresses (ip:port), and host:port of its TLS port, to be spoken to with
	// the ALPN of media.
	MediaTCP []string `json:"media_tcp,omitempty"`
	MediaTLS string   `json:"media_tls,omitempty"`
	// TURN is for browsers, which have no other way over TLS.
	TURN []TURNServer `json:"turn,omitempty"`
}

// ALPNMedia is the ALPN protocol (RFC 7301) of media over TLS: RFC 4571 frames
// of STUN, DTLS and SRTP.
const ALPNMedia = "causeway-media/1"

// TURNServer is a TURN server with short-lived credentials (RFC 8656), in the
// form of RTCIceServer.
type TURNServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username"`
	Credential string   `json:"credential"`
}

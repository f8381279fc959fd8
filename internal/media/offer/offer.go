// Package offer turns the SDP of a media connection (RFC 8866, JSEP RFC 8829)
// into plain values and back, and makes the two descriptions that Causeway
// itself writes: the router's answer to a participant's offer, and the native
// client's offer.
//
// It is called once per media connection, when a participant is admitted
// (router) or joins (client). It knows only what Causeway uses: one BUNDLEd,
// rtcp-muxed transport per description (RFC 8843), audio and video lines,
// simulcast by rid (RFC 8853), RTX (RFC 4588), redundant sound (RFC 2198). Everything else in a
// description is ignored. It owns no goroutine, keeps no state and bounds
// whatever it reads from a description by the limits below.
package offer

import (
	"errors"
	"net/netip"
)

// Limits of what Parse accepts.
const (
	MaxSize       = 256 << 10 // bytes of a description
	MaxLines      = 64        // m-lines
	MaxCodecs     = 64        // codecs of a line, RTX and RED included
	MaxExtensions = 32        // header extensions of a line
	MaxSSRCs      = 32        // SSRCs of a line
	MaxRIDs       = 8         // simulcast layers of a line
	MaxFeedback   = 16        // feedback messages of a codec
	MaxCandidates = 64        // candidates of a description
	MaxToken      = 256       // bytes of a mid, rid, ufrag, password, stream name, URI …
	MaxFmtp       = 1024      // bytes of a codec's parameters
)

// ErrInvalid is wrapped by every error of Parse and Answer: the description
// breaks a rule of SDP or a limit of this package.
var ErrInvalid = errors.New("invalid session description")

// Kind is the medium of a line.
type Kind string

// The kinds of line. A line of any other kind is kept as its place in the
// description, since an answer must mirror it, but is always rejected.
const (
	Audio Kind = "audio"
	Video Kind = "video"
)

// Direction is the direction of a line, seen from who wrote the description.
type Direction string

// The directions (RFC 8866 §6.7).
const (
	SendRecv Direction = "sendrecv"
	SendOnly Direction = "sendonly"
	RecvOnly Direction = "recvonly"
	Inactive Direction = "inactive"
)

// Sends reports whether who wrote the description sends on the line.
func (d Direction) Sends() bool { return d == SendOnly || d == SendRecv }

// Receives reports whether who wrote the description receives on the line.
func (d Direction) Receives() bool { return d == RecvOnly || d == SendRecv }

// Setup is the DTLS role (RFC 5763 §5, RFC 8842).
type Setup string

// The DTLS roles.
const (
	ActPass Setup = "actpass"
	Active  Setup = "active"
	Passive Setup = "passive"
)

// Header extensions that Causeway knows.
const (
	URIAudioLevel  = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"                               // RFC 6464
	URIMID         = "urn:ietf:params:rtp-hdrext:sdes:mid"                                       // RFC 8843 §15
	URIRID         = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"                             // RFC 8852
	URIRepairedRID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"                    // RFC 8852
	URITransportCC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01" //
	URIAbsSendTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"                //
	// URIDependencyDescriptor tells AV1's layers (AV1 RTP specification, appendix A).
	URIDependencyDescriptor = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
)

// Names of the codecs that Causeway forwards, as they stand in rtpmap.
const (
	Opus = "opus"
	VP8  = "VP8"
	H264 = "H264"
	VP9  = "VP9"
	AV1  = "AV1"
)

// Description is one side's description of a media connection.
type Description struct {
	Ufrag       string // ICE user name fragment (RFC 8839 §5.4)
	Pwd         string // ICE password
	Fingerprint string // "sha-256 AA:BB:…" (RFC 8122)
	Setup       Setup
	Lite        bool // a=ice-lite (RFC 8839 §5.3)
	// Mixed allows header extensions of both forms in one stream (RFC 8285 §6),
	// without which none is longer than 16 bytes.
	Mixed      bool
	Candidates []Candidate
	Lines      []Line
}

// Candidate is a host candidate (RFC 8839 §5.1). Other types, other
// components and candidates that name no address are not kept.
type Candidate struct {
	Protocol string         // "udp" or "tcp"
	Addr     netip.AddrPort //
	Priority uint32         //
	TCPType  string         // "passive", "active" or "so"; "" for UDP (RFC 6544 §4.5)
}

// Line is one m-line: at most one stream in each direction.
type Line struct {
	MID       string
	Kind      Kind
	Direction Direction
	// Rejected says that the line carries nothing: its port is 0 and it is
	// not bundle-only, it is outside of the BUNDLE group, or its kind,
	// protocol and codecs hold nothing of ours. Only MID, Kind and Format are
	// kept of it.
	Rejected bool
	// Format is a rejected line's protocol and formats, to be mirrored.
	Format string
	// ReducedSize allows RTCP packets that are not compound (RFC 5506).
	ReducedSize bool
	// Codecs are in order of preference. RTX and RED are not listed as codecs
	// of their own but in Codec.RTX and Codec.RED.
	Codecs     []Codec
	Extensions []Extension
	// SSRCs are the streams announced by who sends, without retransmission
	// streams: those are in RTXOf, primary → RTX (a=ssrc-group:FID, RFC 5576).
	SSRCs []uint32
	RTXOf map[uint32]uint32
	CName string
	// RIDs are the simulcast layers (RFC 8853), in the order of a=simulcast:
	// those sent in an offer's sending line, those received in an answer.
	RIDs []string
	// Stream and Track are the two parts of a=msid (RFC 8830).
	Stream string
	Track  string
}

// Codec is one payload type of a line.
type Codec struct {
	PayloadType uint8
	Name        string // as in rtpmap; compare with EqualFold
	ClockRate   uint32
	Channels    int    // 0 for video
	Fmtp        string // parameters, "a=1;b=2"
	Feedback    []string
	RTX         uint8 // payload type of its retransmissions (RFC 4588), 0 if none
	RED         uint8 // payload type of its redundant form (RFC 2198), 0 if none
}

// Extension is an RTP header extension (RFC 8285).
type Extension struct {
	ID  uint8
	URI string
}

// ExtensionID returns the id under which the line carries a header extension,
// 0 if it does not.
func (l *Line) ExtensionID(uri string) uint8 {
	for _, e := range l.Extensions {
		if e.URI == uri {
			return e.ID
		}
	}
	return 0
}

// HasFeedback reports whether the codec has a feedback message, for instance
// "nack pli".
func (c *Codec) HasFeedback(feedback string) bool {
	for _, f := range c.Feedback {
		if f == feedback {
			return true
		}
	}
	return false
}

// Publishing returns the indices of the lines on which who wrote the offer
// publishes a kind.
func (d *Description) Publishing(kind Kind) []int {
	var lines []int
	for i := range d.Lines {
		l := &d.Lines[i]
		if l.Kind == kind && !l.Rejected && l.Direction.Sends() {
			lines = append(lines, i)
		}
	}
	return lines
}

// Receiving returns the indices of the lines on which who wrote the offer
// receives a kind: its slots, in their order.
func (d *Description) Receiving(kind Kind) []int {
	var lines []int
	for i := range d.Lines {
		l := &d.Lines[i]
		if l.Kind == kind && !l.Rejected && l.Direction.Receives() {
			lines = append(lines, i)
		}
	}
	return lines
}

package offer

import (
	"slices"
	"strings"
)

// Slot is a stream that the router sends on a line on which the participant
// receives.
type Slot struct {
	ID   string // the slot's id, "v3"; it becomes msid
	SSRC uint32
	RTX  uint32 // SSRC of retransmissions, 0 for none
	// CName is the canonical name (RFC 3550 §6.5.1), "" for the slot's id.
	CName string
}

// AnswerParams is the router's side of a connection.
type AnswerParams struct {
	Ufrag, Pwd, Fingerprint string
	Candidates              []Candidate
	// Codecs are the supported ones by kind; a kind that is not in it has
	// ForwardedCodecs.
	Codecs map[Kind][]Codec
	// Extensions are the supported header extensions; nil is DefaultExtensions.
	Extensions []string
	// Sources is how many sending lines of a kind are received; 0 is one.
	Sources int
	// Slots holds, by index into the offer's lines, what is sent on receiving
	// lines. A receiving line without slot is answered as not used.
	Slots map[int]Slot
}

// DefaultExtensions returns the header extensions that an answer accepts
// unless told otherwise.
func DefaultExtensions() []string {
	return []string{URIAudioLevel, URIMID, URIRID, URIRepairedRID, URITransportCC, URIDependencyDescriptor}
}

// Answer makes the router's answer (RFC 3264 §6, RFC 8829 §5.3) to an offer:
// ICE-lite, DTLS server unless the offerer insists on that role. Lines mirror
// the offer's; the first sending lines of each kind are received, receiving
// lines carry their slots, anything else is inactive; a line without a common
// codec is rejected. AV1 needs the dependency descriptor, in a short id. Error: ErrInvalid when the offer lacks credentials or
// both sides would be lite.
func Answer(offer Description, p AnswerParams) (Description, error) {
	switch {
	case offer.Ufrag == "" || offer.Pwd == "":
		return Description{}, invalid("offer without ICE credentials")
	case offer.Fingerprint == "":
		return Description{}, invalid("offer without SHA-256 fingerprint")
	case offer.Lite:
		return Description{}, invalid("both sides are ICE-lite") // RFC 8445 §6.1.1 would need a role switch
	}
	if p.Extensions == nil {
		p.Extensions = DefaultExtensions()
	}
	a := Description{
		Ufrag: p.Ufrag, Pwd: p.Pwd, Fingerprint: p.Fingerprint,
		Setup: Passive, Lite: true, Mixed: offer.Mixed, Candidates: slices.Clone(p.Candidates),
	}
	if offer.Setup == Passive {
		a.Setup = Active
	}
	for i := range offer.Lines {
		l := &offer.Lines[i]
		sending := offer.Publishing(l.Kind)
		publishing := slices.Contains(sending[:min(len(sending), max(1, p.Sources))], i)
		a.Lines = append(a.Lines, p.line(l, i, publishing, offer.Mixed))
	}
	return a, nil
}

// line answers one line.
func (p *AnswerParams) line(o *Line, index int, publishing, mixed bool) Line {
	supported, ok := p.Codecs[o.Kind]
	if !ok {
		supported = ForwardedCodecs(o.Kind)
	}
	codecs := Match(o.Codecs, supported)
	if id := o.ExtensionID(URIDependencyDescriptor); id == 0 || id > maxShortID || !mixed {
		codecs = slices.DeleteFunc(codecs, isAV1) // nothing would be known of its layers
	}
	if o.Rejected || len(codecs) == 0 {
		return rejected(o)
	}
	l := Line{MID: o.MID, Kind: o.Kind, Direction: Inactive, Codecs: codecs, ReducedSize: o.ReducedSize}
	for _, e := range o.Extensions {
		if slices.Contains(p.Extensions, e.URI) {
			l.Extensions = append(l.Extensions, e)
		}
	}
	l.Narrow(codecs)
	slot, filled := p.Slots[index]
	filled = filled && o.Direction.Receives()
	switch {
	case publishing && filled:
		l.Direction = SendRecv
	case publishing:
		l.Direction = RecvOnly
		l.RIDs = slices.Clone(o.RIDs)
	case filled:
		l.Direction = SendOnly
	}
	if filled {
		l.carry(slot)
	}
	return l
}

// maxShortID is the highest id of a header extension in the one-byte form (RFC
// 8285 §4.2), in which most packets are.
const maxShortID = 14

func isAV1(c Codec) bool { return strings.EqualFold(c.Name, AV1) }

// Narrow leaves the line no codecs but these. Only with AV1 are layers told by
// the dependency descriptor: others are not to be burdened with it.
func (l *Line) Narrow(codecs []Codec) {
	l.Codecs = codecs
	if !slices.ContainsFunc(codecs, isAV1) {
		l.Extensions = slices.DeleteFunc(l.Extensions, func(e Extension) bool { return e.URI == URIDependencyDescriptor })
	}
}

// carry announces the slot's stream on the line.
func (l *Line) carry(s Slot) {
	l.SSRCs, l.Stream, l.Track, l.CName = []uint32{s.SSRC}, s.ID, s.ID, s.ID
	if s.CName != "" {
		l.CName = s.CName
	}
	if s.RTX != 0 && l.hasRTX() {
		l.RTXOf = map[uint32]uint32{s.SSRC: s.RTX}
	}
}

func (l *Line) hasRTX() bool {
	return slices.ContainsFunc(l.Codecs, func(c Codec) bool { return c.RTX != 0 })
}

// rejected mirrors a line that is not taken (RFC 3264 §6: port 0, at least one
// format).
func rejected(o *Line) Line {
	l := Line{MID: o.MID, Kind: o.Kind, Direction: Inactive, Rejected: true, Format: o.Format}
	if !o.Rejected {
		l.Format = "UDP/TLS/RTP/SAVPF" + o.formats()
	}
	return l
}

package offer

import (
	"slices"
	"strconv"
)

// Params is the native client's side of a connection.
type Params struct {
	Ufrag, Pwd, Fingerprint string
	Lines                   []LineParams
}

// LineParams is one line of the native client's offer.
type LineParams struct {
	Kind      Kind
	Direction Direction // SendOnly or RecvOnly
	// Codecs, best first; nil is DefaultCodecs.
	Codecs []Codec
	// What follows is for sending lines. SSRC and RTX announce a single
	// stream; RIDs the layers of a simulcast, whose SSRCs packets tell.
	SSRC, RTX uint32
	RIDs      []string
	Stream    string // msid and cname
}

// New makes the native client's offer. It is the DTLS client: its first flight
// goes with the first connectivity check.
func New(p Params) Description {
	d := Description{Ufrag: p.Ufrag, Pwd: p.Pwd, Fingerprint: p.Fingerprint, Setup: Active}
	for i := range p.Lines {
		d.Lines = append(d.Lines, p.Lines[i].line(strconv.Itoa(i)))
	}
	return d
}

func (p *LineParams) line(mid string) Line {
	l := Line{MID: mid, Kind: p.Kind, Direction: p.Direction, Codecs: p.Codecs, ReducedSize: true}
	if l.Codecs == nil {
		l.Codecs = DefaultCodecs(p.Kind)
	}
	if p.Kind == Audio {
		l.Extensions = append(l.Extensions, Extension{1, URIAudioLevel})
	}
	l.Extensions = append(l.Extensions, Extension{4, URITransportCC}, Extension{9, URIMID})
	if !p.Direction.Sends() {
		return l
	}
	l.Stream, l.Track = p.Stream, p.Stream
	if len(p.RIDs) > 0 {
		l.RIDs = slices.Clone(p.RIDs)
		l.Extensions = append(l.Extensions, Extension{10, URIRID}, Extension{11, URIRepairedRID})
		return l
	}
	if p.SSRC != 0 {
		l.SSRCs, l.CName = []uint32{p.SSRC}, p.Stream
		if p.RTX != 0 && l.hasRTX() {
			l.RTXOf = map[uint32]uint32{p.SSRC: p.RTX}
		}
	}
	return l
}

// ForwardedCodecs returns the codecs of a kind that a router forwards: those
// that everybody has, and scalable ones; sound with redundancy, too.
func ForwardedCodecs(kind Kind) []Codec {
	list := DefaultCodecs(kind)
	switch kind {
	case Audio:
		list[0].RED = 63
	case Video:
		vp9, av1 := list[0], list[0]
		vp9.Name, vp9.Fmtp = VP9, "profile-id=0"
		vp9.PayloadType, vp9.RTX = 98, 99
		av1.Name, av1.Fmtp = AV1, "profile=0"
		av1.PayloadType, av1.RTX = 45, 46
		list = append(list, vp9, av1)
	}
	return list
}

// DefaultCodecs returns the codecs of a kind that every client has, with the
// payload types of the native client's offers.
func DefaultCodecs(kind Kind) []Codec {
	video := []string{"nack", "nack pli", "ccm fir", "transport-cc"}
	switch kind {
	case Audio:
		return []Codec{{
			PayloadType: 111, Name: Opus, ClockRate: 48000, Channels: 2,
			Fmtp: "minptime=10;useinbandfec=1;usedtx=1", Feedback: []string{"nack", "transport-cc"},
		}}
	case Video:
		return []Codec{
			{PayloadType: 96, Name: VP8, ClockRate: 90000, Feedback: slices.Clone(video), RTX: 97},
			{
				PayloadType: 102, Name: H264, ClockRate: 90000, Feedback: slices.Clone(video), RTX: 103,
				Fmtp: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
			},
		}
	}
	return nil
}

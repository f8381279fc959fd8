// Package rewrite turns the packets of changing sources into the one
// continuous stream of a slot: the receiver sees one SSRC whose sequence
// numbers, timestamps and numbers of pictures go on whatever the slot carries, so
// that nothing is ever renegotiated.
//
// The router keeps a Stream per slot and calls Switch, then Rewrite for every
// packet that the slot takes, on a copy of the packet. It works in place and
// allocates nothing. A Stream is not safe for concurrent use.
//
// Limits: packets that the source sent before the switch are dropped even if
// they come later; retransmissions reach back over the last few switches only.
package rewrite

import (
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/keyframe"
	"causeway/internal/media/red"
	"causeway/internal/media/seqmap"
	"causeway/internal/media/seqnum"
	"causeway/internal/prefetch"
)

// maxJump is how far a source's sequence numbers may jump either way before it
// is taken as begun anew.
const maxJump = 3000

// Config describes the outgoing stream.
type Config struct {
	SSRC      uint32
	ClockRate uint32 // Hz
	// Frame is by how much the timestamp advances at least when sources are
	// switched; 0 is 20 ms for sound and 1/30 s for pictures (90 kHz).
	Frame uint32
	// Sequence and Timestamp are the first that go out; random by RFC 3550
	// §5.1.
	Sequence  uint16
	Timestamp uint32
	// Verbatim leaves the source's timestamps, picture ids and padding as they
	// are: for another router, to which the source may come by several ways.
	Verbatim bool
}

// Source describes what the stream carries.
type Source struct {
	Token       seqmap.Token   // names the source to the caller
	PayloadType uint8          // as the receiver knows it
	Codec       keyframe.Codec // its pictures' ids are rewritten
	// Layered says that pictures are of several frames, the last of which may
	// be left out: then the one before ends the picture (RFC 9628 §4.1).
	Layered bool
	// Redundant is the payload type of the source's packets with redundant sound
	// (RFC 2198), 0 for none, and RedundantTo the receiver's: one without it gets
	// of them the newest block alone.
	Redundant, RedundantTo uint8
	// Descriptor is the source's id of the dependency descriptor, which numbers
	// AV1's frames; 0 for none.
	Descriptor uint8
	// Extensions are the header extensions that go on, with the receiver's
	// ids; the others are stripped. The slice is not copied.
	Extensions []header.IDMap
}

// Stream is the outgoing stream of one slot. Make it with New.
type Stream struct {
	// What is touched for each packet lies side by side, at the beginning of
	// epochs and seqs, too.
	config  Config
	pending bool                     // the next packet begins a new epoch
	sent    bool                     // a packet has gone out
	lastTS  uint32                   // highest timestamp that went out
	lastAt  time.Time                // when its first packet did
	newest  seqnum.Unwrapper[uint16] // source's sequence numbers
	ids     pictureIDs               // highest that went out
	frames  frameNumber              // of AV1, likewise
	n       int                      // epochs in use
	epochs  [maxEpochs]epoch         // newest first
	seqs    seqmap.Map
	source  Source // of the epoch that begins, if one is pending
}

// New makes a stream that carries nothing yet.
func New(c Config) Stream {
	if c.ClockRate == 0 {
		c.ClockRate = 90000
	}
	if c.Frame == 0 {
		c.Frame = c.ClockRate / 50
		if c.ClockRate == 90000 {
			c.Frame = c.ClockRate / 30
		}
	}
	s := Stream{config: c}
	s.seqs.Start(c.Sequence)
	return s
}

// Prefetch brings what Rewrite needs into the processor's cache, but for the
// beginning of the stream.
func (s *Stream) Prefetch() { prefetch.First(&s.seqs, 128) }

// Switch makes source the one that the stream carries, from the next packet
// on: for pictures call it when the first packet of a key frame is there, and
// rewrite that packet next. Call it too, with the same source, when a pause
// ends in which its packets were not given to the stream.
func (s *Stream) Switch(source Source) {
	s.source = source
	s.pending = true
}

// Rewrite makes the current source's packet the stream's next one, in place.
// The packet returned may begin later in the same buffer. It reports false
// for a packet that must not go out: one from before the switch, padding, or
// malformed. The caller has looked that the packet is of the current source.
func (s *Stream) Rewrite(packet []byte, now time.Time) ([]byte, bool) {
	h, ok := header.Parse(packet)
	if !ok || s.n == 0 && !s.pending {
		return packet, false
	}
	empty := h.PayloadAt == h.PayloadEnd
	if s.jumped(h.Sequence) {
		s.source, s.pending = s.epochs[0].source, true
	}
	if s.pending {
		if empty {
			return packet, false
		}
		s.begin(&h, packet, now)
	}
	first := s.epochs[0].fresh
	if empty && !s.config.Verbatim && s.seqs.Drop(h.Sequence, 0) {
		s.newest.Unwrap(h.Sequence)
		return packet, false
	}
	seq, ok := s.seqs.Map(h.Sequence)
	if !ok {
		return packet, false
	}
	s.newest.Unwrap(h.Sequence)
	e := &s.epochs[0]
	if e.source.Descriptor != 0 {
		if n, ok := e.number(&h, packet); ok {
			s.frames.advance(n)
		}
	} else if ids, ok := e.apply(&h, packet, s.leftOut(e, seq)); ok {
		s.ids.advance(ids)
	}
	e.fresh = false
	ts := h.Timestamp + e.timestamp
	if first || seqnum.Less(s.lastTS, ts) {
		s.sent, s.lastTS, s.lastAt = true, ts, now
	}
	return s.finish(&h, packet, e, seq, first), true
}

// Skip leaves a packet of the current source out, as of a layer that is not
// forwarded, so that sequence numbers close up. pictures is 1 for the first
// packet of a picture that is left out altogether: so do a VP8 stream's picture
// ids. Where it is too late to close up, since a packet before is missing, it
// reports true: then what it returns goes out instead, an empty packet that
// keeps the number.
func (s *Stream) Skip(packet []byte, pictures uint16) ([]byte, bool) {
	h, ok := header.Parse(packet)
	if !ok || s.n == 0 || s.pending || s.jumped(h.Sequence) {
		return packet, false
	}
	if s.seqs.Drop(h.Sequence, pictures) {
		s.newest.Unwrap(h.Sequence)
		return packet, false
	}
	seq, ok := s.seqs.Map(h.Sequence)
	if !ok {
		return packet, false
	}
	s.newest.Unwrap(h.Sequence)
	s.seqs.Skip(h.Sequence, pictures)
	e := &s.epochs[0]
	e.fresh = false
	const version2 = 2 << 6
	packet = packet[:header.Size]
	packet[0] = version2
	header.SetMarker(packet, false)
	s.address(&h, packet, e, seq, e.source.PayloadType)
	return packet, true
}

// Lookup returns which packet went out under a sequence number, so that the
// caller can find it in the source's cache and Restore it. It reports false
// if it is not remembered.
func (s *Stream) Lookup(out uint16) (source seqmap.Token, seq uint16, ok bool) {
	if e, _ := s.epoch(out); e == nil {
		return 0, 0, false
	}
	return s.seqs.Reverse(out)
}

// Restore rewrites a packet of the source's cache in place to what went out
// under the sequence number out, for retransmission. The packet returned may
// begin later in the same buffer. It reports false if it is not remembered or
// malformed.
func (s *Stream) Restore(packet []byte, out uint16) ([]byte, bool) {
	e, first := s.epoch(out)
	h, ok := header.Parse(packet)
	if e == nil || !ok {
		return packet, false
	}
	if e.source.Descriptor != 0 {
		e.number(&h, packet)
	} else {
		e.apply(&h, packet, s.leftOut(e, out))
	}
	if e.source.Layered && s.seqs.Hole(out) {
		header.SetMarker(packet, true)
	}
	return s.finish(&h, packet, e, out, first), true
}

// finish writes the header.
func (s *Stream) finish(h *header.Header, packet []byte, e *epoch, seq uint16, first bool) []byte {
	if first && e.source.Codec == keyframe.Other {
		header.SetMarker(packet, true) // RFC 3551 §4.1: a talkspurt begins
	}
	packet, pt := e.source.redundancy(h, packet)
	s.address(h, packet, e, seq, pt)
	return h.Remap(packet, e.source.Extensions)
}

// redundancy makes of a packet with redundant sound what the receiver takes, and
// returns the payload type of that; other packets stay as they are.
func (c *Source) redundancy(h *header.Header, packet []byte) ([]byte, uint8) {
	if c.Redundant == 0 || h.PayloadType != c.Redundant {
		return packet, c.PayloadType
	}
	payload := h.Payload(packet)
	if c.RedundantTo != 0 {
		red.SetType(payload, c.PayloadType)
		return packet, c.RedundantTo
	}
	p, _ := red.Parse(payload) // who took it has looked
	return h.Cut(packet, p.NewestAt), c.PayloadType
}

// address writes what makes it a packet of the stream.
func (s *Stream) address(h *header.Header, packet []byte, e *epoch, seq uint16, pt uint8) {
	header.SetPayloadType(packet, pt)
	header.SetSequence(packet, seq)
	header.SetTimestamp(packet, h.Timestamp+e.timestamp)
	header.SetSSRC(packet, s.config.SSRC)
}

// jumped reports whether the source's sequence numbers leap, as those of a
// sender that began anew do.
func (s *Stream) jumped(seq uint16) bool {
	highest, ok := s.newest.Highest()
	d := seqnum.Diff(seq, uint16(highest))
	return ok && !s.pending && (d > maxJump || d < -maxJump)
}

// Source returns the source that the stream carries, or will with the next
// packet; false if there is none.
func (s *Stream) Source() (Source, bool) {
	switch {
	case s.pending:
		return s.source, true
	case s.n > 0:
		return s.epochs[0].source, true
	}
	return Source{}, false
}

// Timestamp returns the stream's timestamp for one of the current source's,
// as for the sender reports of the slot. It reports false until the source's
// first packet has gone out.
func (s *Stream) Timestamp(source uint32) (uint32, bool) {
	if s.n == 0 || s.pending {
		return 0, false
	}
	return source + s.epochs[0].timestamp, true
}

// Last returns the highest timestamp that went out and when it did; false
// before the first packet.
func (s *Stream) Last() (timestamp uint32, at time.Time, ok bool) {
	return s.lastTS, s.lastAt, s.sent
}

package rewrite

import (
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/keyframe"
	"causeway/internal/media/vp8"
	"causeway/internal/media/vp9"
)

// maxEpochs is how many switches retransmissions reach back over.
const maxEpochs = 4

// epoch is the time from one switch to the next: what is added to the source's
// numbers to make the stream's.
type epoch struct {
	source    Source
	first     uint64 // outgoing sequence number, extended
	fresh     bool   // no packet yet
	timestamp uint32
	ids       pictureIDs
	frame     uint16 // of AV1
}

// pictureIDs are the numbers of a VP8 payload descriptor (RFC 7741 §4.2), or VP9's, or
// differences of such.
type pictureIDs struct {
	picture uint16 // 15 bits
	tl0     uint8
	key     uint8  // 5 bits
	mask    uint16 // of picture: 0x7fff, or 0x7f in the short form
	set     bool
}

// begin starts a new epoch with the packet.
func (s *Stream) begin(h *header.Header, packet []byte, now time.Time) {
	s.pending = false
	s.newest.Reset()
	s.seqs.Switch(s.source.Token, h.Sequence)
	if s.n == 0 || !s.epochs[0].fresh {
		copy(s.epochs[1:], s.epochs[:])
		s.n = min(s.n+1, maxEpochs)
	}
	next := s.config.Timestamp
	if s.sent {
		next = s.lastTS + s.elapsed(now)
	}
	if s.config.Verbatim {
		next = h.Timestamp
	}
	s.epochs[0] = epoch{source: s.source, first: s.seqs.Next(), fresh: true, timestamp: next - h.Timestamp}
	if s.source.Descriptor != 0 && !s.config.Verbatim {
		s.epochs[0].follow(s.frames, h, packet)
		return
	}
	if s.source.Codec == keyframe.VP9 && !s.config.Verbatim {
		if d, ok := vp9.Parse(h.Payload(packet)); ok && s.ids.set {
			s.epochs[0].ids = pictureIDs{picture: s.ids.picture + 1 - d.PictureID, tl0: s.ids.tl0 + 1 - d.TL0PICIDX}
		}
		return
	}
	if s.source.Codec != keyframe.VP8 || s.config.Verbatim {
		return
	}
	if d, ok := vp8.Parse(h.Payload(packet)); ok && s.ids.set {
		s.epochs[0].ids = pictureIDs{
			picture: s.ids.picture + 1 - d.PictureID,
			tl0:     s.ids.tl0 + 1 - d.TL0PICIDX,
			key:     s.ids.key + 1 - d.KeyIdx,
		}
	}
}

// elapsed is the time since the last frame in timestamp units, at least one
// frame.
func (s *Stream) elapsed(now time.Time) uint32 {
	d := now.Sub(s.lastAt)
	if d < 0 {
		return s.config.Frame
	}
	// A pause of hours keeps its modulus; in floating point it would not fit.
	rate := uint64(s.config.ClockRate)
	ticks := uint64(d/time.Second)*rate + uint64(d%time.Second)*rate/uint64(time.Second)
	return uint32(max(ticks, uint64(s.config.Frame)))
}

// leftOut is by how much picture ids close up: by the pictures that were left
// out of an epoch before a packet.
func (s *Stream) leftOut(e *epoch, out uint16) uint16 {
	if e.source.Codec != keyframe.VP8 {
		return 0
	}
	return s.seqs.LeftOut(out)
}

// apply rewrites the ids in a VP8 payload and returns them; left is how many
// pictures were left out before.
func (e *epoch) apply(h *header.Header, packet []byte, left uint16) (pictureIDs, bool) {
	payload := h.Payload(packet)
	switch e.source.Codec {
	case keyframe.VP8:
	case keyframe.VP9:
		return e.applyVP9(payload)
	default:
		return pictureIDs{}, false
	}
	d, ok := vp8.Parse(payload)
	if !ok {
		return pictureIDs{}, false
	}
	ids := pictureIDs{
		tl0:  d.TL0PICIDX + e.ids.tl0,
		key:  (d.KeyIdx + e.ids.key) & 0x1f,
		mask: 0x7f,
		set:  d.HasPictureID() || d.HasTL0PICIDX() || d.HasKeyIdx,
	}
	if d.Long() {
		ids.mask = 0x7fff
	}
	ids.picture = (d.PictureID + e.ids.picture - left) & ids.mask
	d.SetPictureID(payload, ids.picture)
	d.SetTL0PICIDX(payload, ids.tl0)
	d.SetKeyIdx(payload, ids.key)
	return ids, ids.set
}

// applyVP9 does the same for VP9 (RFC 9628 §4.2). Its pictures refer to each
// other by differences of ids: those that are left out leave gaps.
func (e *epoch) applyVP9(payload []byte) (pictureIDs, bool) {
	d, ok := vp9.Parse(payload)
	if !ok || !d.HasPictureID() {
		return pictureIDs{}, false
	}
	ids := pictureIDs{tl0: d.TL0PICIDX + e.ids.tl0, mask: 0x7f, set: true}
	if d.Long() {
		ids.mask = 0x7fff
	}
	ids.picture = (d.PictureID + e.ids.picture) & ids.mask
	d.SetPictureID(payload, ids.picture)
	d.SetTL0PICIDX(payload, ids.tl0)
	return ids, true
}

// advance keeps the higher of each id.
func (p *pictureIDs) advance(q pictureIDs) {
	if !p.set || p.mask != q.mask {
		*p = q
		return
	}
	if (q.picture-p.picture)&q.mask <= q.mask/2 {
		p.picture = q.picture
	}
	if int8(q.tl0-p.tl0) > 0 {
		p.tl0 = q.tl0
	}
	if (q.key-p.key)&0x1f < 0x10 {
		p.key = q.key
	}
}

// epoch returns the epoch in which an outgoing number was used, and whether it
// was the first one; nil if it is not remembered.
func (s *Stream) epoch(out uint16) (e *epoch, first bool) {
	o, ok := s.seqs.Extend(out)
	for i := 0; ok && i < s.n; i++ {
		if e := &s.epochs[i]; o >= e.first {
			return e, o == e.first
		}
	}
	return nil, false
}

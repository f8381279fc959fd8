package forward

import (
	"encoding/binary"
	"time"

	"causeway/internal/media/header"
)

const (
	// padMemory is how many packets back a link takes what it pads with.
	padMemory = 64
	// maxPadding is what one packet can carry of it (RFC 3550 section 5.1).
	maxPadding = 255
	maxPads    = 256 // packets at once
)

// pad sends some bytes more than there are to send, to find out whether the
// network takes them: what was sent lately once more, as a repair, which may
// even be of use, else nothing but padding on a stream of repairs. Receivers
// without one get none. The shard is held.
func (l *Link) pad(bytes int, now time.Time) {
	for back := uint16(0); back < padMemory && bytes > 0; back++ {
		sent := false
		for _, s := range l.slots {
			if !s.pads() || s.current == nil || bytes <= 0 {
				continue
			}
			out, ok := s.restore(l.shard, s.sent.newest-back)
			if ok {
				out, ok = s.wrap(out)
			}
			if ok {
				sent = true
				bytes -= s.padWith(out, now)
			}
		}
		if !sent {
			break
		}
	}
	for _, s := range l.slots {
		if s.pads() {
			for n := 0; n < maxPads && bytes > 0; n++ {
				bytes -= s.padWith(s.padding(l.shard), now)
			}
			return
		}
	}
}

// pads reports whether a slot can carry padding.
func (s *Slot) pads() bool {
	return s.cc != 0 && s.rtx != 0 && s.sent != nil && s.codec != nil && s.codec.RTX != 0
}

func (s *Slot) padWith(out []byte, now time.Time) int {
	n := len(out) + wireOverhead
	s.link.shard.count(padding, 1)
	s.transmit(s.link.shard, out, now)
	return n
}

// padding makes a packet of nothing but padding, in the shard's scratch.
func (s *Slot) padding(sh *shard) []byte {
	out := sh.scratch[room:][:header.Size+maxPadding]
	clear(out)
	out[0] = 2<<6 | 0x20 // version, padding
	out[1] = s.codec.RTX
	binary.BigEndian.PutUint16(out[2:], s.sent.rtxSeq)
	binary.BigEndian.PutUint32(out[8:], s.rtx)
	out[len(out)-1] = maxPadding
	s.sent.rtxSeq++
	return out
}

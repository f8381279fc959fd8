package forward

import (
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/nack"
	"causeway/internal/media/opus"
	"causeway/internal/media/red"
)

// Redundant sound (RFC 2198). Whoever publishes sound may send with each packet
// what earlier ones carried once more, and begin and end that with any packet.
// Receivers and routers that take it get it as it is, under a payload type of
// its own; others get the packet's own sound (package rewrite). Here it is of
// use already: what the publisher's network has lost is had from the packet
// behind it, without asking, and goes on as if it had come.

// pauseMemory is for how long after a pause packets go without redundancy: it
// may be of that time. It reaches back over a third of a second; what was lost
// is asked for during one.
const pauseMemory = 2 * time.Second

// unfold takes a packet with redundant sound apart; it reports false if it is
// malformed. The shard is held.
func (t *track) unfold(sh *shard, p *packet, now time.Time) bool {
	if p.PayloadAt == p.PayloadEnd {
		return true // padding, over which slots close up their numbers
	}
	r, ok := red.Parse(p.Payload(p.raw))
	if !ok || r.Type != t.plain {
		return false
	}
	if !t.source.cfg.Far {
		t.recoverLost(sh, p, r.Older, now)
	}
	if now.Sub(t.opened) < pauseMemory {
		p.raw = p.Cut(p.raw, r.NewestAt)
		p.PayloadType = t.plain
		header.SetPayloadType(p.raw, t.plain)
	}
	return true
}

// recoverLost forwards the packet before p, if that is missing and among the older
// blocks: as the one whose sound ends where that of p begins. The publisher's
// own router alone does it, so that a packet is the same wherever it is sent
// again from.
func (t *track) recoverLost(sh *shard, p *packet, older red.Blocks, now time.Time) {
	for {
		offset, block, ok := older.Next()
		if !ok {
			return
		}
		sound, ok := opus.Parse(block)
		if !ok || sound.Samples() != offset || t.missing.Receive(p.Sequence-1, now) != nack.Late {
			continue
		}
		buf := sh.router.free.copyOf(p.raw[:p.PayloadAt], 1)
		buf.n += copy(buf.data[buf.n:], block)
		raw := buf.data[:buf.n]
		raw[0] &^= 0x20 // no padding
		header.SetMarker(raw, false)
		header.SetPayloadType(raw, t.plain)
		header.SetSequence(raw, p.Sequence-1)
		header.SetTimestamp(raw, p.Timestamp-offset)
		q := *p
		q.Header, _ = header.Parse(raw)
		q.raw, q.key = raw, true
		t.keep(&q, now)
		sh.receive(&q, now)
		sh.made = append(sh.made, buf)
		sh.count(recovered, 1)
		return
	}
}

// weigh tells the budget when the slot's sound begins to go with redundancy, or
// ends to: it takes more of it.
func (s *Slot) weigh(out []byte) {
	if redundant := s.codec.RED != 0 && out[1]&0x7F == s.codec.RED; redundant != s.redundant {
		s.redundant = redundant
		s.link.path.weigh(s)
	}
}

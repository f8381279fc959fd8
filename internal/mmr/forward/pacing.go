package forward

import (
	"time"

	"causeway/internal/media/pace"
)

// How pictures are spread: a key frame leaves at five quarters of what the
// network takes, or faster if that would take longer than a third of a second.
var pacing = pace.Config{Burst: 5 * time.Millisecond, MaxWait: 350 * time.Millisecond, Packets: 512}

// lent is how much of what the network takes leaves ahead of that for somebody's
// first picture, which they wait for: no more than any queue on the way has room
// for.
const lent = 25 * time.Millisecond

// paced is a packet that waits: it is taken from the source's cache once more
// when its time has come.
type paced struct {
	slot *Slot
	seq  uint16
}

// pass reports whether a packet of a picture may leave at once; else it is
// queued. What there is no room for leaves at once, too. The shard is held.
func (l *Link) pass(s *Slot, seq uint16, size int, now time.Time) bool {
	if !l.paces(now) {
		return true
	}
	if l.queue.Pass(size, now) || !l.queue.Push(paced{s, seq}, size, now) {
		return true
	}
	l.patient = false
	return false
}

// hasten has what is sent next leave faster. The shard is held.
func (l *Link) hasten(now time.Time) {
	if l.paces(now) {
		l.queue.Lend(lent, now)
	}
}

// paces reports whether pictures are spread, by a queue that knows the rate.
func (l *Link) paces(now time.Time) bool {
	p := &l.path
	if !p.heard || p.deaf {
		return false
	}
	if l.queue == nil {
		l.queue = pace.New[paced](pacing)
	}
	l.queue.SetRate(p.rate+p.rate/4, now)
	return true
}

// unqueue sends the packets that have waited long enough. The shard is held.
func (l *Link) unqueue(now time.Time) {
	if l.queue == nil {
		return
	}
	for {
		it, ok := l.queue.Pop(now)
		if !ok {
			return
		}
		if out, ok := it.slot.restore(l.shard, it.seq); ok {
			it.slot.transmit(l.shard, out, now)
		}
	}
}

package forward

import (
	"time"

	"causeway/internal/media/pace"
)

// How pictures are spread: a key frame leaves at five quarters of what the
// network takes, or faster if that would take longer than a third of a second.
var pacing = pace.Config{Burst: 5 * time.Millisecond, MaxWait: 350 * time.Millisecond, Packets: 512}

// paced is a packet that waits: it is taken from the source's cache once more
// when its time has come.
type paced struct {
	slot *Slot
	seq  uint16
}

// pass reports whether a packet of a picture may leave at once; else it is
// queued. What there is no room for leaves at once, too. The shard is held.
func (l *Link) pass(s *Slot, seq uint16, size int, now time.Time) bool {
	p := &l.path
	if !p.heard || p.deaf {
		return true
	}
	if l.queue == nil {
		l.queue = pace.New[paced](pacing)
	}
	l.queue.SetRate(p.rate+p.rate/4, now)
	if l.queue.Pass(size, now) || !l.queue.Push(paced{s, seq}, size, now) {
		return true
	}
	l.patient = false
	return false
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

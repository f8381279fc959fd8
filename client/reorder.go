package client

import (
	"time"

	"github.com/pion/rtp"

	"causeway/internal/media/seqnum"
)

const (
	maxReorder = 1024 // packets waiting behind a gap
	// stuckFor is how long a gap holds up what follows; missing packets are
	// asked for again and again for a second.
	stuckFor = 1100 * time.Millisecond
)

// A reorder puts packets back in order: it waits at a gap until that is
// filled or given up. Pure; the zero value is ready.
type reorder struct {
	started bool
	next    uint16
	waiting map[uint16]*rtp.Packet
	since   time.Time // when the gap in front was found
	skipped int       // numbers given up right before next
}

// push takes a packet.
func (r *reorder) push(p *rtp.Packet, now time.Time) {
	if r.waiting == nil {
		r.waiting = map[uint16]*rtp.Packet{}
	}
	if !r.started {
		r.started, r.next = true, p.SequenceNumber
	}
	if seqnum.Less(p.SequenceNumber, r.next) {
		return // given up already
	}
	if len(r.waiting) == 0 {
		r.since = now
	}
	r.waiting[p.SequenceNumber] = p
	if len(r.waiting) > maxReorder {
		r.skip()
	}
}

// pop returns the next packet in order, and how many before it were given up;
// nil if it has not come.
func (r *reorder) pop() (p *rtp.Packet, missing int) {
	p = r.waiting[r.next]
	if p == nil {
		return nil, 0
	}
	delete(r.waiting, r.next)
	r.next++
	missing, r.skipped = r.skipped, 0
	return p, missing
}

// stuck reports whether the gap in front should be given up: because it has
// been there for too long, or, if hopeless, because nobody waits for it.
func (r *reorder) stuck(now time.Time, hopeless bool) bool {
	return len(r.waiting) > 0 && (hopeless || now.Sub(r.since) >= stuckFor)
}

// skip gives up the gap in front.
func (r *reorder) skip() {
	first, found := uint16(0), false
	for sequence := range r.waiting {
		if !found || seqnum.Less(sequence, first) {
			first, found = sequence, true
		}
	}
	if found {
		r.skipped += int(first - r.next)
		r.next = first
	}
}

// reset forgets everything: the stream begins anew.
func (r *reorder) reset() { *r = reorder{} }

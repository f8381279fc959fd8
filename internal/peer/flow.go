package peer

import "time"

// busyInterval is the mean interval of packets below which a flow counts as
// busy. One person's speech has one of 20 ms.
const busyInterval = 100 * time.Millisecond

// A flow tells whether packets come so often that their absence means
// something. Time without packets does not change it.
type flow struct {
	seen uint64
	last time.Time
	mean time.Duration
}

// count takes the number of packets received so far.
func (f *flow) count(packets uint64, now time.Time) {
	if packets == f.seen {
		return
	}
	if !f.last.IsZero() {
		interval := now.Sub(f.last) / time.Duration(packets-f.seen)
		if f.mean == 0 {
			f.mean = max(interval, busyInterval)
		}
		f.mean += (interval - f.mean) / 8
	}
	f.seen, f.last = packets, now
}

func (f *flow) busy() bool { return f.mean > 0 && f.mean < busyInterval }

// A lull tells for how long nothing has been sent, either way. The zero value
// is ready.
type lull struct {
	packets uint64
	since   time.Time
}

// count takes the number of packets sent and received so far, and tells
// whether there have been none for idleFlow.
func (l *lull) count(packets uint64, now time.Time) bool {
	if packets != l.packets || l.since.IsZero() {
		l.packets, l.since = packets, now
	}
	return now.Sub(l.since) >= idleFlow
}

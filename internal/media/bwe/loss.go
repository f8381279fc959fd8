package bwe

import (
	"math"
	"slices"
	"time"
)

const (
	lossSpan    = 400 * time.Millisecond
	lossPackets = 25
	lossKept    = 6 // windows
	// maxInherent is the most loss that is taken for the path's own.
	maxInherent = 0.15
	// lossMargin is what must be lost beyond the path's own to count.
	lossMargin = 0.02
	lossMemory = 0.05 // weight of a window in the long run
)

// losses tells congestion's losses from the path's own: the latter are there
// whatever the rate, so they are in every window of time, or, if they come in
// bursts, in the long run.
type losses struct {
	since      time.Duration
	sent, lost int // in the current window
	runs       int // of losses in a row
	losing     bool
	shares     [lossKept]float64
	n          int // windows in all
	latest     float64
	mean       float64 // in the long run
	burst      float64 // losses in a row, in the long run
}

// note takes an outcome.
func (l *losses) note(lost, late bool) {
	switch {
	case late:
		l.lost = max(0, l.lost-1)
		return
	case lost:
		l.lost++
		if !l.losing {
			l.runs++
		}
	}
	l.sent++
	l.losing = lost
}

// inherent is the share of packets that the path loses at any rate.
func (l *losses) inherent() float64 {
	least := 0.0
	if l.n >= lossKept {
		least = slices.Min(l.shares[:])
	}
	return min(maxInherent, max(least, 0.8*l.mean))
}

// close ends the window when it is due. It returns the share that was lost,
// and whether that is congestion.
func (l *losses) close(now time.Duration) (share float64, congested, done bool) {
	if now-l.since < lossSpan || l.sent < lossPackets {
		return 0, false, false
	}
	n := float64(l.sent)
	share = float64(l.lost) / n
	if l.n > 0 {
		p := l.inherent()
		// So many are lost by chance, if it strikes several at once.
		chance := 2 * math.Sqrt(n*p*(1-p)*(2*max(1, l.burst)-1))
		congested = float64(l.lost) > n*(p+lossMargin)+chance+1
	} else {
		congested = share > maxInherent
	}
	l.remember(share, congested)
	l.since, l.sent, l.lost, l.runs = now, 0, 0, 0
	return share, congested, true
}

// remember takes a window's share. What may be congestion is not soon taken for
// the path's own.
func (l *losses) remember(share float64, congested bool) {
	l.shares[l.n%lossKept] = share
	l.n++
	l.latest = share
	weight := lossMemory
	if !congested {
		weight = max(weight, 1/float64(l.n))
	}
	l.mean += weight * (share - l.mean)
	if l.runs > 0 {
		l.burst += 4 * lossMemory * (float64(l.lost)/float64(l.runs) - l.burst)
	}
}

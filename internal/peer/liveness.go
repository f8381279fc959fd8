package peer

import "time"

const (
	silentAfter = 2 * time.Second
	lostAfter   = 10 * time.Second
	// longestCheckInterval is the longest interval of checks that is taken
	// for a habit of the remote rather than for an outage. Browsers check
	// every 2.5 s (Chromium) or 5 s ± 20 % (Firefox, RFC 7675) when idle.
	longestCheckInterval = 6500 * time.Millisecond
)

// liveness tells from when a remote was heard whether its path still works.
//
// A remote that habitually checks less often than every 2 s must not be
// called silent between two checks, so the threshold follows the longest of
// its recent intervals.
type liveness struct {
	heard     time.Time
	checked   time.Time
	intervals [4]time.Duration
	at        uint8
	state     PathState
}

// hear notes an authentic packet; it tells whether the state changed.
func (l *liveness) hear(now time.Time) bool {
	l.heard = now
	if l.state == PathActive {
		return false
	}
	l.state = PathActive
	return true
}

// check notes an authentic connectivity check by the remote.
func (l *liveness) check(now time.Time) {
	if interval := now.Sub(l.checked); !l.checked.IsZero() && interval <= longestCheckInterval {
		l.intervals[l.at%4] = interval
		l.at++
	}
	l.checked = now
}

// expect says at which interval the remote is to be heard, as who checks it
// knows.
func (l *liveness) expect(interval time.Duration) {
	for i := range l.intervals {
		l.intervals[i] = interval
	}
}

// advance lets time pass; it tells whether the state changed.
func (l *liveness) advance(now time.Time) bool {
	state := PathActive
	switch quiet := now.Sub(l.heard); {
	case quiet > lostAfter:
		state = PathLost
	case quiet > l.threshold():
		state = PathSilent
	}
	if state <= l.state { // only hear makes it better
		return false
	}
	l.state = state
	return true
}

func (l *liveness) threshold() time.Duration {
	longest := time.Duration(0)
	for _, i := range l.intervals {
		longest = max(longest, i)
	}
	return max(silentAfter, longest*3/2)
}

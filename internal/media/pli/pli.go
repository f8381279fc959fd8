// Package pli merges and limits the requests for key frames of one video
// source (PLI, RFC 4585 §6.3.1; FIR, RFC 5104 §4.3.1): many takers may wish
// for one at the same time, and a key frame is ten times the size of others.
//
// The router keeps a Limiter per layer that it receives, the native client one
// per video slot. It is pure state; the caller sends what is due.
package pli

import "time"

// The delays.
const (
	// spacing is the least time between a key frame asked for and the next
	// request, so that a source that loses much is not kept busy with them.
	spacing = 500 * time.Millisecond
	// firstSpacing is that time for a taker that has no picture at all yet, as
	// who joins just behind a key frame; firstBurst requests so soon may be
	// made in firstWindow, lest takers that come and go make it the rule.
	firstSpacing = 200 * time.Millisecond
	firstBurst   = 3
	firstWindow  = 3 * time.Second
	// firstRetry is when a request is repeated that brought no key frame, or
	// later with a longer round trip; each repetition doubles it up to
	// lastRetry.
	firstRetry = 250 * time.Millisecond
	lastRetry  = 2 * time.Second
)

// Limiter merges the wishes for key frames of one source. The zero value is
// ready.
type Limiter struct {
	wanted  bool
	first   bool                  // by somebody who has no picture yet
	early   [firstBurst]time.Time // of requests that only that allowed
	next    uint8                 // in early
	sent    time.Time             // last request
	arrived time.Time             // last key frame
	tries   int                   // requests since the last key frame
	count   uint64
}

// Want notes that somebody needs a key frame.
func (l *Limiter) Want() { l.wanted = true }

// WantFirst notes that somebody needs a key frame who has no picture yet.
func (l *Limiter) WantFirst() { l.wanted, l.first = true, true }

// Wanted reports whether somebody waits for a key frame.
func (l *Limiter) Wanted() bool { return l.wanted }

// Cancel takes the wishes back, as when the last taker has left.
func (l *Limiter) Cancel() { l.wanted, l.first = false, false }

// Arrived notes that a key frame has begun; all wishes are met.
func (l *Limiter) Arrived(now time.Time) {
	l.wanted, l.first = false, false
	l.tries = 0
	l.arrived = now
}

// Due reports whether to send a request now, and if so notes that it was sent.
// rtt is the round trip to the source, 0 if not known.
func (l *Limiter) Due(now time.Time, rtt time.Duration) bool {
	if !l.wanted {
		return false
	}
	if since := now.Sub(l.sent); !l.sent.IsZero() && since < l.wait(rtt) && !l.mayEarly(since, now) {
		return false
	}
	l.sent = now
	l.tries++
	l.count++
	return true
}

// mayEarly reports whether somebody's first picture allows a request before
// its time, and if so notes that.
func (l *Limiter) mayEarly(since time.Duration, now time.Time) bool {
	if !l.first || l.tries > 0 || since < firstSpacing || now.Sub(l.early[l.next]) < firstWindow {
		return false
	}
	l.early[l.next] = now
	l.next = (l.next + 1) % firstBurst
	return true
}

// wait is how long after the last request the next one may go.
func (l *Limiter) wait(rtt time.Duration) time.Duration {
	if l.tries == 0 { // that one was answered
		return spacing
	}
	retry := max(firstRetry, rtt+rtt/2)
	for i := 1; i < l.tries && retry < lastRetry; i++ {
		retry *= 2
	}
	return min(retry, max(lastRetry, rtt))
}

// Sent returns how many requests were sent.
func (l *Limiter) Sent() uint64 { return l.count }

// LastKeyFrame returns when the last key frame began; zero before the first.
func (l *Limiter) LastKeyFrame() time.Time { return l.arrived }

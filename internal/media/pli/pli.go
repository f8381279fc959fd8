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
	sent    time.Time // last request
	arrived time.Time // last key frame
	tries   int       // requests since the last key frame
	count   uint64
}

// Want notes that somebody needs a key frame.
func (l *Limiter) Want() { l.wanted = true }

// Wanted reports whether somebody waits for a key frame.
func (l *Limiter) Wanted() bool { return l.wanted }

// Cancel takes the wishes back, as when the last taker has left.
func (l *Limiter) Cancel() { l.wanted = false }

// Arrived notes that a key frame has begun; all wishes are met.
func (l *Limiter) Arrived(now time.Time) {
	l.wanted = false
	l.tries = 0
	l.arrived = now
}

// Due reports whether to send a request now, and if so notes that it was sent.
// rtt is the round trip to the source, 0 if not known.
func (l *Limiter) Due(now time.Time, rtt time.Duration) bool {
	if !l.wanted || !l.sent.IsZero() && now.Sub(l.sent) < l.wait(rtt) {
		return false
	}
	l.sent = now
	l.tries++
	l.count++
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

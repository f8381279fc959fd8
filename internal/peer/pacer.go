package peer

import (
	"sync/atomic"
	"time"
)

const (
	firstFlightInterval = 250 * time.Millisecond
	lastFlightInterval  = time.Second
	burst               = 50 * time.Millisecond
)

// A pacer thins out the retransmissions of a flight: the DTLS layer offers
// them every 250 ms, and they pass after 250 ms, 500 ms and then each second.
// (Its own backoff starts at the same interval, but doubles up to a minute,
// which on a lossy path outlives any person's patience; RFC 6347 section
// 4.2.4.1 lets us choose.) Hearing from the remote starts anew.
type pacer struct {
	heard    atomic.Bool
	last     time.Time // of the flight's latest transmission
	interval time.Duration
	bursts   int // transmissions so far
}

// allow tells whether a datagram of the current flight may be sent.
func (p *pacer) allow(now time.Time) bool {
	switch {
	case p.heard.Swap(false) || p.last.IsZero():
		p.interval = firstFlightInterval
	case now.Sub(p.last) < burst: // the same transmission
		return true
	case now.Sub(p.last) < p.interval-burst:
		return false
	default:
		p.interval = min(2*p.interval, lastFlightInterval)
	}
	p.last = now
	p.bursts++
	return true
}

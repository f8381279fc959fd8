package peer

import (
	"sync/atomic"
	"time"
)

const (
	firstFlightInterval = 250 * time.Millisecond
	lastFlightInterval  = time.Second
	// burst is longer than the datagrams of one transmission can be apart,
	// and shorter than the interval at which transmissions are offered.
	burst = 200 * time.Millisecond
)

// A pacer thins out the retransmissions of a flight: the DTLS layer offers
// them every 250 ms, and they pass after 250 ms, 500 ms and then each second.
// (Its own backoff starts at the same interval, but doubles up to a minute,
// which on a lossy path outlives any person's patience; RFC 6347 section
// 4.2.4.1 lets us choose.) Hearing from the remote starts anew.
type pacer struct {
	heard    atomic.Bool
	offered  time.Time // the latest datagram
	last     time.Time // the flight's latest transmission that passed
	interval time.Duration
	passing  bool // the current transmission
	bursts   int  // transmissions that passed so far
}

// allow tells whether a datagram of the current flight may be sent.
func (p *pacer) allow(now time.Time) bool {
	same := now.Sub(p.offered) < burst
	p.offered = now
	switch {
	case p.heard.Swap(false) || p.bursts == 0:
		p.interval = firstFlightInterval
	case same:
		return p.passing
	case now.Sub(p.last) < p.interval-firstFlightInterval/2: // timers are not exact
		p.passing = false
		return false
	default:
		p.interval = min(2*p.interval, lastFlightInterval)
	}
	p.last, p.passing = now, true
	p.bursts++
	return true
}

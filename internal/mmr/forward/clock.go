package forward

import "time"

// ntpEpoch is Unix time zero in NTP seconds (RFC 5905 section 6).
const ntpEpoch = 2208988800

// ntp reads the router's clock as an NTP timestamp: seconds since 1900 in
// the upper, their fraction in the lower 32 bits.
func (r *Router) ntp(now time.Time) uint64 { return ntpOf(r.Milliseconds(now)) }

func ntpOf(milliseconds float64) uint64 {
	seconds := uint64(milliseconds / 1000)
	rest := milliseconds/1000 - float64(seconds)
	return (seconds+ntpEpoch)<<32 | uint64(rest*(1<<32))
}

// Clock maps one participant's sources to the router's clock.
type Clock struct{}

// NewClock makes a participant's clock.
func (r *Router) NewClock() *Clock { return &Clock{} }

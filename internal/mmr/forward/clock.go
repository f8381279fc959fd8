package forward

import "time"

// Clock maps one participant's sources to the router's clock.
type Clock struct{}

// NewClock makes a participant's clock.
func (r *Router) NewClock() *Clock { return &Clock{} }

// wall is the time on the router's clock: that of the epoch plus what has
// gone by since, so that it never steps.
func (r *Router) wall(now time.Time) time.Time { return r.epoch.Add(now.Sub(r.epoch)) }

// Milliseconds reads the router's clock: milliseconds of Unix time that only
// ever go forward. All of a router's sender reports and Sync messages are on
// this clock.
func (r *Router) Milliseconds(now time.Time) float64 {
	return r.epochMS + float64(now.Sub(r.epoch))/float64(time.Millisecond)
}

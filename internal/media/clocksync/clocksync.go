// Package clocksync maps the RTP times of a participant's sources to the
// router's clock, so that its sound and picture, which travel on different
// connections, can be played together.
//
// Sender reports (RFC 3550 §6.4.1) tie each source's RTP time to the
// participant's own clock. One Clock per participant finds how far that clock
// is from the router's: the least of what the reports of all its sources
// needed to arrive. Since all sources use the same offset, the error in it,
// one way's shortest delay, is the same for sound and picture. Before its
// first report a source is mapped by when its packets came.
//
// A Source is not safe for concurrent use; a Clock is, as a participant's
// connections may live on different shards. It is locked for a few
// instructions, once a second and source.
package clocksync

import (
	"sync"
	"time"

	"causeway/internal/media/rtcpstat"
	"causeway/internal/media/seqnum"
)

const (
	// buckets times span is for how long the least offset is believed: long
	// enough to find it on a busy path, short enough for clocks that drift by
	// 100 parts in a million (6 ms in that time).
	buckets = 6
	span    = 10 * time.Second
	// step is a difference that is no delay but a clock that was set, if it
	// shows in steps reports one after the other.
	step  = 2 * time.Second
	steps = 3
)

// reading is one moment on both clocks. Differences of readings are small even
// where the clocks are years apart.
type reading struct {
	remote uint64 // NTP
	local  time.Time
}

// later is by how much the reading is later than another on the router's
// clock than on the participant's.
func (r reading) later(o reading) time.Duration {
	return r.local.Sub(o.local) - rtcpstat.Since(o.remote, r.remote)
}

// Clock is the clock of one participant. The zero value is ready.
type Clock struct {
	mu    sync.Mutex
	least [buckets]reading // of each span; zero local is none
	at    int              // bucket in use
	begin time.Time        // of that bucket
	far   int              // reports in a row that are late by a step
}

// Report notes a sender report of any of the participant's sources. A report
// without a clock reading (NTP time 0, RFC 3550 §6.4.1) is ignored.
func (c *Clock) Report(ntp uint64, now time.Time) {
	if ntp == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := reading{ntp, now}
	best, ok := c.best()
	switch {
	case !ok || r.later(best) < -step:
		c.restart(r)
		return
	case r.later(best) < step:
		c.far = 0
	default:
		if c.far++; c.far >= steps {
			c.restart(r)
		}
		return
	}
	for n := 0; now.Sub(c.begin) >= span; n++ {
		if n == buckets {
			c.begin = now
			break
		}
		c.begin = c.begin.Add(span)
		c.at = (c.at + 1) % buckets
		c.least[c.at] = reading{}
	}
	if b := &c.least[c.at]; b.local.IsZero() || r.later(*b) < 0 {
		*b = r
	}
}

// restart forgets all readings but one.
func (c *Clock) restart(r reading) {
	c.least = [buckets]reading{r}
	c.at, c.begin, c.far = 0, r.local, 0
}

// best returns the reading that came with the least delay.
func (c *Clock) best() (best reading, ok bool) {
	for _, r := range c.least {
		if !r.local.IsZero() && (!ok || r.later(best) < 0) {
			best, ok = r, true
		}
	}
	return best, ok
}

// At returns a time of the participant's clock on the router's; false before
// the first report.
func (c *Clock) At(ntp uint64) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	best, ok := c.best()
	if !ok {
		return time.Time{}, false
	}
	return best.local.Add(rtcpstat.Since(best.remote, ntp)), true
}

// Source maps the RTP times of one source. Make it with NewSource.
type Source struct {
	clock *Clock
	rate  uint32

	ntp      uint64 // of the last report
	rtp      uint32
	reported bool

	arrived   bool // the earliest arrival is set
	arrival   time.Time
	arrivalTS uint32
}

// NewSource makes the map of a source of the participant whose clock is given.
func NewSource(clock *Clock, clockRate uint32) *Source {
	return &Source{clock: clock, rate: max(clockRate, 1)}
}

// Packet notes when a packet came. It counts only before the first report;
// the packet that came with the least delay is kept.
func (s *Source) Packet(rtp uint32, now time.Time) {
	if s.reported {
		return
	}
	if s.arrived {
		if expected := s.arrival.Add(s.duration(rtp - s.arrivalTS)); !now.Before(expected) {
			return
		}
	}
	s.arrived, s.arrival, s.arrivalTS = true, now, rtp
}

// Report notes a sender report of the source. Only the newest counts.
func (s *Source) Report(ntp uint64, rtp uint32, now time.Time) {
	if ntp == 0 || s.reported && int64(ntp-s.ntp) <= 0 && int64(s.ntp-ntp) < int64(step/time.Second)<<32 {
		return
	}
	s.ntp, s.rtp, s.reported = ntp, rtp, true
	s.clock.Report(ntp, now)
}

// Synchronized reports whether the map comes from reports rather than from
// arrivals.
func (s *Source) Synchronized() bool { return s.reported }

// At returns when the sample with the given RTP time was captured, by the
// router's clock and up to the participant's shortest way to it; false if
// nothing is known of the source yet.
func (s *Source) At(rtp uint32) (time.Time, bool) {
	if s.reported {
		t, ok := s.clock.At(s.ntp)
		return t.Add(s.duration(rtp - s.rtp)), ok
	}
	return s.arrival.Add(s.duration(rtp - s.arrivalTS)), s.arrived
}

// RTP returns the RTP time that the source has at a moment of the router's
// clock: the inverse of At.
func (s *Source) RTP(at time.Time) (uint32, bool) {
	base, rtp, ok := s.arrival, s.arrivalTS, s.arrived
	if s.reported {
		base, ok = s.clock.At(s.ntp)
		rtp = s.rtp
	}
	d := at.Sub(base)
	ticks := int64(d/time.Second)*int64(s.rate) + int64(d%time.Second)*int64(s.rate)/int64(time.Second)
	return rtp + uint32(ticks), ok
}

// duration converts a difference of RTP times, less than half a cycle either
// way.
func (s *Source) duration(ticks uint32) time.Duration {
	return time.Duration(int64(seqnum.Diff(ticks, 0)) * int64(time.Second) / int64(s.rate))
}

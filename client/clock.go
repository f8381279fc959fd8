package client

import (
	"time"

	"causeway/protocol"
)

// A slotClock turns a slot's RTP times into times of this machine's clock, by
// what the router says in Sync messages. Pure.
type slotClock struct {
	rate   uint32 // Hz
	known  bool
	rtp    uint32    // is captured at
	at     time.Time // this
	source bool      // the mapping is of the source that the slot now carries, or as good as it gets
}

// A routerClock moves times of the router's clock to this machine's. The
// offset is set once per admission, from the welcome: it is the same for all
// streams, so it cannot put them apart.
type routerClock struct {
	ms   float64
	here time.Time
}

func (r routerClock) local(ms float64) time.Time {
	return r.here.Add(time.Duration((ms - r.ms) * float64(time.Millisecond)))
}

// sync takes what the router says.
func (c *slotClock) sync(s protocol.SlotSync, router routerClock) {
	if s.ClockRate == 0 || s.ClockRate != c.rate {
		return
	}
	c.rtp, c.at, c.known, c.source = s.RTP, router.local(s.AtMS), true, true
}

// guess takes the time of arrival, until the router has said better.
func (c *slotClock) guess(rtp uint32, now time.Time) {
	if !c.known {
		c.rtp, c.at, c.known = rtp, now, true
	}
}

// switched says that the slot carries another source, whose mapping is still
// to come. Until then the old one is about right.
func (c *slotClock) switched() { c.source = false }

// captured is when the sample with an RTP time was captured.
func (c *slotClock) captured(rtp uint32) time.Time {
	ticks := int64(int32(rtp - c.rtp))
	return c.at.Add(time.Duration(ticks * int64(time.Second) / int64(c.rate)))
}

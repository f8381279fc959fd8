package forward

import (
	"slices"
	"time"

	"causeway/internal/media/clocksync"
	"causeway/protocol"
)

// Clock maps one participant's sources to the router's clock. Its zero value
// is not ready; see NewClock.
type Clock struct{ clock clocksync.Clock }

// NewClock makes a participant's clock.
func (r *Router) NewClock() *Clock { return new(Clock) }

// wall is the time on the router's clock: that of the epoch plus what has
// gone by since, so that it never steps.
func (r *Router) wall(now time.Time) time.Time { return r.epoch.Add(now.Sub(r.epoch)) }

// Milliseconds reads the router's clock: milliseconds of Unix time that only
// ever go forward. All of a router's sender reports and Sync messages are on
// this clock.
func (r *Router) Milliseconds(now time.Time) float64 {
	return r.epochMS + float64(now.Sub(r.epoch))/float64(time.Millisecond)
}

// mapping ties an RTP time of a track to the router's clock. It does not
// change once it is made.
type mapping struct {
	rtp          uint32
	at           time.Time
	synchronized bool          // by sender reports, not only by arrival
	late         time.Duration // by which repaired packets of the track come
}

// rtpAt returns the track's RTP time at a moment.
func (m *mapping) rtpAt(now time.Time, rate uint32) uint32 {
	d := now.Sub(m.at)
	ticks := int64(d/time.Second)*int64(rate) + int64(d%time.Second)*int64(rate)/int64(time.Second)
	return m.rtp + uint32(ticks)
}

// senderReport takes the publisher's report of the track. Its shard is held.
func (t *track) senderReport(ntp uint64, rtp uint32, now time.Time) {
	t.stats.SenderReport(ntp, now)
	t.clock.Report(ntp, rtp, now)
	t.remap(now)
}

// remap makes the track's mapping anew, for the takers of all shards.
func (t *track) remap(now time.Time) {
	t.mappedAt = now
	if at, ok := t.clock.At(t.lastRTP); ok {
		t.mapping.Store(&mapping{rtp: t.lastRTP, at: at, synchronized: t.clock.Synchronized(), late: t.missing.Lateness(now)})
	}
}

// mapped returns the mapping of the track that the slot sends, nil while it is
// not known. The shard is held.
func (s *Slot) mapped() *mapping {
	if s.current == nil {
		return nil
	}
	return s.current.mapping.Load()
}

// rtpAt returns the slot's RTP time at a moment; false while it is not known.
// The shard is held.
func (s *Slot) rtpAt(now time.Time) (uint32, bool) {
	m := s.mapped()
	if m == nil {
		return 0, false
	}
	return s.sent.stream.Timestamp(m.rtpAt(now, s.codec.ClockRate))
}

// Sync returns, for each slot, how its RTP time maps to the router's clock;
// where that is not known, the clock rate is 0. No shard may be held.
func (r *Router) Sync(slots []*Slot, now time.Time) []protocol.SlotSync {
	out := make([]protocol.SlotSync, len(slots))
	for _, sh := range r.all() {
		if !slices.ContainsFunc(slots, func(s *Slot) bool { return s.shard.Load() == sh }) {
			continue
		}
		sh.runner.Run(func() {
			for i, s := range slots {
				if s.shard.Load() != sh {
					continue
				}
				if rtp, ok := s.rtpAt(now); ok {
					out[i] = protocol.SlotSync{
						Slot: s.id, RTP: rtp, ClockRate: s.codec.ClockRate, AtMS: r.Milliseconds(now),
						RepairMS: int(s.mapped().late.Milliseconds()),
					}
				}
			}
		})
	}
	return out
}

package relay

import (
	"sync/atomic"
	"time"

	"causeway/internal/mmr/forward"
)

const (
	// A router of which nothing has come for quietAfter is asked whether it is
	// there, every askEvery, or as often as its connections tick: that is every
	// 100 ms where no media flow. If it has not answered for maybeDead, and a
	// round trip, it is asked over the bus, too; after dead it is given up. On a
	// network that loses a tenth of all packets, one question in five comes to
	// nothing, so several must.
	quietAfter = 250 * time.Millisecond
	askEvery   = 40 * time.Millisecond
	maybeDead  = 400 * time.Millisecond
	dead       = 600 * time.Millisecond
	leastAsked = 5
	askFirst   = time.Second // until it has ever answered
	// yield is how long a connection leaves the next question to another one, as
	// it may be the connection alone that is broken.
	yield = 20 * time.Millisecond
	// grain is how exactly it is known when a router was heard.
	grain = 10 * time.Millisecond
)

// Life is how likely it is that another router lives, as its media tell.
type Life int32

// What media tell of a router.
const (
	Unknown  Life = iota // there is no connection with it
	Alive                // heard lately
	Doubtful             // it does not answer any more
	Dead                 // it has not answered for so long that nobody should wait
)

// vital is the life of another router: one for all meetings and kinds of
// media, so that it costs little to watch. Whatever comes from there is a sign
// of it; where nothing does, it is asked. A pause of our own is not taken for
// the other's silence, as it is the questions that count.
type vital struct {
	changed func() // must not block; called with a shard held

	heard atomic.Int64               // when, Unix nanoseconds
	asked atomic.Int64               // when last
	asker atomic.Pointer[connection] // which connection did
	open  atomic.Int32               // questions since it was heard
	rtt   atomic.Int64               // the latest
	is    atomic.Int32               // Life
}

// hear notes that something authentic has come.
func (v *vital) hear(now time.Time) {
	if n := now.UnixNano(); n-v.heard.Load() >= int64(grain) {
		v.heard.Store(n)
	}
	if v.open.Load() != 0 {
		v.open.Store(0)
		v.turn(Alive)
	}
}

// life is what is known.
func (v *vital) life() Life { return max(Alive, Life(v.is.Load())) }

func (v *vital) turn(to Life) {
	if was := Life(v.is.Swap(int32(to))); was != to && max(was, to) > Alive {
		v.changed()
	}
}

// due reports whether a connection is to ask now.
func (v *vital) due(c *connection, now time.Time) bool {
	asked, since := v.asked.Load(), now.UnixNano()-v.heard.Load()
	rested := now.UnixNano() - asked
	switch {
	case v.rtt.Load() == 0 && rested >= int64(askFirst): // does it know these questions at all?
	case since < int64(quietAfter), rested < int64(askEvery), rested < int64(askEvery+yield) && v.asker.Load() == c:
		return false
	}
	if !v.asked.CompareAndSwap(asked, now.UnixNano()) {
		return false
	}
	v.asker.Store(c)
	open := v.open.Add(1) - 1 // this one cannot have been answered
	switch rtt := v.rtt.Load(); {
	case rtt == 0:
	case since >= int64(dead)+rtt && open >= leastAsked:
		v.turn(Dead)
	case since >= int64(maybeDead)+rtt && open >= leastAsked/2 && v.life() == Alive:
		v.turn(Doubtful)
	}
	return true
}

var _ forward.Pulse = (*connection)(nil)

// Ask implements forward.Pulse.
func (c *connection) Ask(now time.Time) (question uint32, due bool) {
	return stamp(now), c.vital.due(c, now)
}

// Answered implements forward.Pulse.
func (c *connection) Answered(question uint32, now time.Time) {
	took := time.Duration(stamp(now)-question) * time.Microsecond
	c.vital.rtt.Store(int64(min(max(1, took), time.Second)))
}

// stamp is a time in a question.
func stamp(now time.Time) uint32 { return uint32(now.UnixMicro()) }

package relay

import (
	"time"

	"causeway/internal/mmr/forward"
)

const (
	// forgetAfter is how long another router is remembered with which no meeting
	// is shared any more: what the path to it takes is worth knowing for a while.
	forgetAfter = 10 * time.Minute
	// heldUpAfter is how long another router is not to be had until that is told:
	// one that is about to hear of a meeting is not for a moment.
	heldUpAfter = time.Second
)

// A router is another router, for all meetings: what the path to it takes, and
// whether it lives. It is guarded by Relays.mu.
type router struct {
	budget *forward.Budget
	vital  *vital
	legs   int       // of meetings that know it
	parted time.Time // when the last of them was over
	heldUp int       // legs of which it was told that they are not reached
	most   int       // of these, since the first
	since  time.Time // when that was
}

// meet is called for each leg that a router has of a meeting; part when it is
// over. Routers that nobody has met for long are forgotten.
func (r *Relays) meet(n name, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for other, o := range r.routers {
		if o.legs == 0 && now.Sub(o.parted) >= forgetAfter {
			delete(r.routers, other)
		}
	}
	o := r.routers[n]
	if o == nil {
		o = &router{budget: r.cfg.Router.NewTrunkBudget(), vital: &vital{changed: r.wake}}
		r.routers[n] = o
	}
	o.legs++
}

func (r *Relays) part(n name, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.routers[n]
	o.legs--
	o.parted = now
}

// budget is what the path to a router takes that was met.
func (r *Relays) budget(to name) *forward.Budget {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.routers[to].budget
}

// vital is the life of a router that was met.
func (r *Relays) vital(of name) *vital {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.routers[of].vital
}

// notReached notes that a leg is not reached. It is told of the first of a
// router's; when the last is reached, how many there were.
func (r *Relays) notReached(n name, meeting string, err error, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.routers[n]
	if o.heldUp++; o.heldUp == 1 {
		o.most, o.since = 0, now
		r.cfg.Log.Warn("another router is not reached; it is tried again", "meeting", meeting, "to_zone", n.Zone, "to_mmr", n.MMR, "err", err)
	}
	o.most = max(o.most, o.heldUp)
}

// settled notes that a leg is not held up any more: it is reached or over.
func (r *Relays) settled(n name, reached bool, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.routers[n]
	if o.heldUp--; o.heldUp == 0 && reached {
		r.cfg.Log.Info("another router is reached again", "to_zone", n.Zone, "to_mmr", n.MMR, "meetings", o.most, "after", now.Sub(o.since).Round(time.Millisecond))
	}
}

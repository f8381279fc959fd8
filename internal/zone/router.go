package zone

import (
	"slices"
	"time"

	"causeway/protocol"
)

// How long what was heard of a router counts.
const (
	routerSilence = 3 * time.Second  // a router silent for longer is dead
	routerForget  = time.Minute      // and after this is not even shown as silent
	suspicion     = 5 * time.Second  // for how long a router that did not answer comes last
	settle        = 5 * time.Second  // until a new participant shows in CPU, packets and egress
	reportsCount  = 30 * time.Second // for how long it counts that a participant took it for dead
)

// Bounds of what one participant is reckoned to add to a router's load while
// it does not show yet.
const (
	costLeast   = 0.002
	costUnknown = 0.005
	costMost    = 0.02
)

// What makes a router ail: so many participants, and at least this part of
// those there, took it for dead; so many got no media there, and no fewer than
// those who did.
const (
	leftLeast    = 2
	leftShare    = 0.1
	noMediaLeast = 3
)

// maxReports bounds the participants remembered who took a router for dead.
const maxReports = 1024

// router is what one router said of itself, and what we did to it since.
type router struct {
	said         protocol.MMRState
	hash         uint64 // of its id
	heard        time.Time
	suspectUntil time.Time
	refused      bool                 // it had no room, after it was heard
	joins        []time.Time          // brokered lately, oldest first
	inLegs       int                  // participants of its legs, see state.setLeg
	left         map[string]time.Time // who took it for dead, and when

	// What follows from the above, as of weighed; the zero time when some of it
	// has changed.
	weighed time.Time
	weight  float64
	room    bool
}

// weighFor is how long a router's load is taken for unchanged when only time
// passes.
const weighFor = 200 * time.Millisecond

// weigh works out the router's load, and whether it has room, if that is not
// known still.
func (r *router) weigh(now time.Time) {
	if age := now.Sub(r.weighed); age < 0 || age > weighFor {
		r.weighed, r.weight, r.room = now, r.load(now), r.hasRoom()
	}
}

// changed lets the router be weighed anew.
func (r *router) changed() { r.weighed = time.Time{} }

// hear takes in what the router says of itself.
func (r *router) hear(m protocol.MMRState, now time.Time) {
	r.said, r.heard, r.refused = m, now, false
	r.changed()
}

// sweep forgets what is long past.
func (r *router) sweep(now time.Time) {
	r.joins = slices.DeleteFunc(r.joins, func(t time.Time) bool { return now.Sub(t) > settle })
	for participant, at := range r.left {
		if now.Sub(at) > reportsCount {
			delete(r.left, participant)
		}
	}
}

// alive reports whether the router was heard lately.
func (r *router) alive(now time.Time) bool { return now.Sub(r.heard) <= routerSilence }

// takes reports whether the router takes another participant.
func (r *router) takes(now time.Time) bool {
	if !r.alive(now) || r.said.Health != protocol.Healthy {
		return false
	}
	r.weigh(now)
	return r.room
}

// known is what the router said of its load, with the participants who were
// sent to it since: by this controller, or, as its legs tell, by any.
func (r *router) known() protocol.Load {
	l := r.said.Load
	for _, at := range slices.Backward(r.joins) {
		if !at.After(r.heard) {
			break
		}
		l.Participants++
	}
	l.Participants = max(l.Participants, r.inLegs)
	return l
}

// hasRoom reports whether the router has room for another participant. What
// those who have just come are going to cost is a guess: good enough to choose
// among routers, not to turn people away when a meeting begins and all come at
// once.
func (r *router) hasRoom() bool {
	return !r.refused && r.known().Value() < 1 // false for what is not a number
}

// load is the router's load, with what is too recent to show in what it said.
func (r *router) load(now time.Time) float64 {
	traffic := r.said.Load
	traffic.MaxParticipants = 0
	unsettled := 0
	for _, at := range r.joins {
		if now.Sub(at) <= settle {
			unsettled++
		}
	}
	shown := traffic.Value()
	cost := costUnknown
	if n := r.said.Load.Participants; n > 0 {
		cost = min(max(shown/float64(n), costLeast), costMost)
	}
	return max(r.known().Value(), shown+float64(unsettled)*cost)
}

// report notes that a participant took the router for dead.
func (r *router) report(participant string, now time.Time) {
	if r.left == nil {
		r.left = map[string]time.Time{}
	}
	if len(r.left) < maxReports {
		r.left[participant] = now
	}
}

// ails says why the router is placed last, "" if it is not.
func (r *router) ails(now time.Time) protocol.Ailment {
	failed := r.said.MediaFailed
	switch {
	case now.Before(r.suspectUntil):
		return protocol.AilsSilent
	case len(r.left) >= leftLeast && float64(r.lately(now)) >= max(leftLeast, leftShare*float64(r.said.Load.Participants)):
		return protocol.AilsLeft
	case failed >= noMediaLeast && failed >= r.said.MediaOK:
		return protocol.AilsNoMedia
	}
	return ""
}

// lately counts who took the router for dead not long ago.
func (r *router) lately(now time.Time) int {
	n := 0
	for _, at := range r.left {
		if now.Sub(at) <= reportsCount {
			n++
		}
	}
	return n
}

package zone

import (
	"slices"
	"time"

	"causeway/protocol"
)

// How long what was heard counts.
const (
	routerSilence = 3 * time.Second  // a router silent for longer is dead
	routerForget  = time.Minute      // and after this is not even shown as silent
	legForget     = 15 * time.Second // a leg not repeated for this long is gone
	suspicion     = 5 * time.Second  // for how long a router that did not answer comes last
	settle        = 5 * time.Second  // until a new participant shows in CPU, packets and egress
)

// Bounds of what one participant is reckoned to add to a router's load while
// it does not show yet.
const (
	costLeast   = 0.002
	costUnknown = 0.005
	costMost    = 0.02
)

// state is what a controller knows of its zone. It is pure: nothing in it
// reads a clock, sends or waits. It is not safe for concurrent use.
type state struct {
	routers map[string]*router
	legs    map[string]map[string]leg // meeting → router
}

// router is what one router said of itself, and what we did to it since.
type router struct {
	said         protocol.MMRState
	heard        time.Time
	suspectUntil time.Time
	joins        []time.Time // brokered lately, oldest first
}

// leg is a router's part of a meeting. A tentative one was placed by us and
// not yet confirmed by the router.
type leg struct {
	participants int
	heard        time.Time
	tentative    bool
}

func newState() *state {
	return &state{routers: map[string]*router{}, legs: map[string]map[string]leg{}}
}

// hear takes in what a router says of itself.
func (s *state) hear(m protocol.MMRState, now time.Time) {
	if m.Health == protocol.Stopping {
		s.forget(m.ID)
		return
	}
	r := s.routers[m.ID]
	if r == nil {
		r = &router{}
		s.routers[m.ID] = r
	}
	r.said, r.heard = m, now
}

// hearLeg takes in what a router says of a leg.
func (s *state) hearLeg(l protocol.LegState, now time.Time) {
	if l.Participants <= 0 {
		s.dropLeg(l.Meeting, l.MMR)
		return
	}
	s.setLeg(l.Meeting, l.MMR, leg{participants: l.Participants, heard: now})
}

func (s *state) setLeg(meeting, mmr string, l leg) {
	if s.legs[meeting] == nil {
		s.legs[meeting] = map[string]leg{}
	}
	s.legs[meeting][mmr] = l
}

func (s *state) dropLeg(meeting, mmr string) {
	delete(s.legs[meeting], mmr)
	if len(s.legs[meeting]) == 0 {
		delete(s.legs, meeting)
	}
}

// forget drops a router and its legs.
func (s *state) forget(mmr string) {
	delete(s.routers, mmr)
	for meeting := range s.legs {
		s.dropLeg(meeting, mmr)
	}
}

// sweep forgets what has not been repeated.
func (s *state) sweep(now time.Time) {
	for id, r := range s.routers {
		if now.Sub(r.heard) > routerForget {
			s.forget(id)
			continue
		}
		old := func(t time.Time) bool { return now.Sub(t) > settle }
		r.joins = slices.DeleteFunc(r.joins, old)
	}
	for meeting, legs := range s.legs {
		for mmr, l := range legs {
			if now.Sub(l.heard) > legForget {
				s.dropLeg(meeting, mmr)
			}
		}
	}
}

// placed notes that a participant was sent to a router. The leg exists from
// now on as far as we are concerned, so that whoever joins the same meeting a
// moment later is sent there too.
func (s *state) placed(meeting, mmr string, now time.Time) {
	if r := s.routers[mmr]; r != nil {
		r.joins = append(r.joins, now)
	}
	l, ok := s.legs[meeting][mmr]
	if !ok || now.Sub(l.heard) > legForget {
		l = leg{participants: 1, tentative: true}
	}
	l.heard = now
	s.setLeg(meeting, mmr, l)
}

// withdrawn takes back what placed noted at the same time.
func (s *state) withdrawn(meeting, mmr string, at time.Time) {
	if r := s.routers[mmr]; r != nil {
		if i := slices.Index(r.joins, at); i >= 0 {
			r.joins = slices.Delete(r.joins, i, i+1)
		}
	}
	if s.legs[meeting][mmr].tentative {
		s.dropLeg(meeting, mmr)
	}
}

// suspect puts a router that did not answer last for a while.
func (s *state) suspect(mmr string, now time.Time) {
	if r := s.routers[mmr]; r != nil {
		r.suspectUntil = now.Add(suspicion)
	}
}

// cleared ends suspicion: the router has answered.
func (s *state) cleared(mmr string) {
	if r := s.routers[mmr]; r != nil {
		r.suspectUntil = time.Time{}
	}
}

// alive reports whether the router was heard lately.
func (r *router) alive(now time.Time) bool { return now.Sub(r.heard) <= routerSilence }

// known is what the router said of its load, with the participants who were
// sent to it since.
func (r *router) known() protocol.Load {
	l := r.said.Load
	for _, at := range r.joins {
		if at.After(r.heard) {
			l.Participants++
		}
	}
	return l
}

// hasRoom reports whether the router takes another participant. What those who
// have just come are going to cost is a guess: good enough to choose among
// routers, not to turn people away when a meeting begins and all come at once.
func (r *router) hasRoom() bool {
	return r.known().Value() < 1 // false for what is not a number
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
	cost := costUnknown
	if n := r.said.Load.Participants; n > 0 {
		cost = min(max(traffic.Value()/float64(n), costLeast), costMost)
	}
	return max(r.known().Value(), traffic.Value()+float64(unsettled)*cost)
}

// candidates lists the routers that a participant of the meeting can be sent
// to: healthy, alive and with room.
func (s *state) candidates(meeting string, now time.Time) []candidate {
	var list []candidate
	for id, r := range s.routers {
		if !r.alive(now) || r.said.Health != protocol.Healthy {
			continue
		}
		if !r.hasRoom() {
			continue
		}
		c := candidate{id: id, load: r.load(now), suspect: now.Before(r.suspectUntil)}
		if l, ok := s.legs[meeting][id]; ok && now.Sub(l.heard) <= legForget {
			c.leg = l.participants
		}
		list = append(list, c)
	}
	return list
}

// summary is a zone in a few numbers.
type summary struct {
	status       protocol.ZoneStatus
	load         float64 // mean of the healthy routers
	routers      int     // alive
	participants int
	healths      map[string]int // number of routers by health, for metrics
}

// summary sums the zone up.
func (s *state) summary(now time.Time) summary {
	sum := summary{status: protocol.ZoneEmpty, healths: map[string]int{"healthy": 0, "suspect": 0, "draining": 0, "silent": 0}}
	healthy, room := 0, false
	for _, r := range s.routers {
		if !r.alive(now) {
			sum.healths["silent"]++
			continue
		}
		sum.routers++
		sum.participants += r.said.Load.Participants
		if r.said.Health != protocol.Healthy {
			sum.healths["draining"]++
			continue
		}
		if now.Before(r.suspectUntil) {
			sum.healths["suspect"]++
		} else {
			sum.healths["healthy"]++
		}
		healthy++
		room = room || r.hasRoom()
		sum.load += min(max(r.load(now), 0), 1)
	}
	switch {
	case room:
		sum.status = protocol.ZoneOpen
	case healthy > 0:
		sum.status = protocol.ZoneFull
	case sum.routers > 0:
		sum.status = protocol.ZoneDraining
	}
	if healthy > 0 {
		sum.load /= float64(healthy)
	}
	return sum
}

package zone

import (
	"time"

	"causeway/protocol"
)

const (
	legForget = 15 * time.Second       // a leg not repeated for this long is gone
	glance    = 100 * time.Millisecond // for how long a summary will do
	// A router that a participant took for dead is suspect at once when it
	// has missed its word by this.
	overdue = 1300 * time.Millisecond
	// maxAiling bounds the ailing routers that the hub is told of.
	maxAiling = 32
)

// state is what a controller knows of its zone. It is pure: nothing in it
// reads a clock, sends or waits. It is not safe for concurrent use.
type state struct {
	routers map[string]*router
	legs    map[string]map[string]leg // meeting → router
	space   []candidate               // reused

	seen   summary // as of seenAt
	seenAt time.Time
}

// leg is a router's part of a meeting, with those that we have sent there
// since the router last spoke of it. A tentative one was placed by us and not
// yet confirmed by the router.
type leg struct {
	participants int
	heard        time.Time
	tentative    bool
}

func newState() *state {
	return &state{routers: map[string]*router{}, legs: map[string]map[string]leg{}}
}

// hear takes in what a router says of itself. turned tells that it takes
// participants now and did not before, or the other way round.
func (s *state) hear(m protocol.MMRState, now time.Time) (turned bool) {
	r := s.routers[m.ID]
	took := r != nil && r.takes(now)
	if m.Health == protocol.Stopping {
		s.forget(m.ID)
		s.seenAt = time.Time{}
		return true
	}
	if r == nil {
		r = &router{hash: hashOf(m.ID)}
		s.routers[m.ID] = r
		for _, legs := range s.legs { // heard before the router itself
			r.inLegs += legs[m.ID].participants
		}
	}
	r.hear(m, now)
	if turned = r.takes(now) != took; turned {
		s.seenAt = time.Time{}
	}
	return turned
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
	if r := s.routers[mmr]; r != nil {
		r.inLegs += l.participants - s.legs[meeting][mmr].participants
		r.changed()
	}
	s.legs[meeting][mmr] = l
}

func (s *state) dropLeg(meeting, mmr string) {
	if r := s.routers[mmr]; r != nil {
		r.inLegs -= s.legs[meeting][mmr].participants
		r.changed()
	}
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
		r.sweep(now)
	}
	for meeting, legs := range s.legs {
		for mmr, l := range legs {
			if now.Sub(l.heard) > legForget {
				s.dropLeg(meeting, mmr)
			}
		}
	}
}

// place chooses a router for a participant of the meeting: none of those
// tried already, and avoid only when there is no other. The leg exists from
// now on as far as we are concerned, so that whoever joins the same meeting a
// moment later is sent there too.
func (s *state) place(meeting, avoid string, tried []string, now time.Time) (mmr string, ok bool) {
	mean := s.glance(now).load
	c, ok := pick(untried(s.withLeg(meeting, avoid, mean, now), tried), mean)
	if !ok || c.turn > first {
		c, ok = pick(untried(s.candidates(meeting, avoid, mean, now), tried), mean)
	}
	if ok {
		s.placed(meeting, c.id, now)
	}
	return c.id, ok
}

// placed notes that a participant was sent to a router.
func (s *state) placed(meeting, mmr string, now time.Time) {
	if r := s.routers[mmr]; r != nil {
		r.joins = append(r.joins, now)
		r.changed()
	}
	l, ok := s.legs[meeting][mmr]
	if !ok || now.Sub(l.heard) > legForget {
		l = leg{tentative: true}
	}
	l.participants++
	l.heard = now
	s.setLeg(meeting, mmr, l)
}

// withdrawn takes back what placed noted at the same time.
func (s *state) withdrawn(meeting, mmr string, at time.Time) {
	if r := s.routers[mmr]; r != nil {
		for i, t := range r.joins {
			if t.Equal(at) {
				r.joins = append(r.joins[:i], r.joins[i+1:]...)
				r.changed()
				break
			}
		}
	}
	switch l, ok := s.legs[meeting][mmr]; {
	case ok && l.tentative && l.participants <= 1:
		s.dropLeg(meeting, mmr)
	case ok && l.participants > 1:
		l.participants--
		s.setLeg(meeting, mmr, l)
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

// full notes that a router has no room, until it says more.
func (s *state) full(mmr string) {
	if r := s.routers[mmr]; r != nil {
		r.refused = true
		r.changed()
		s.seenAt = time.Time{}
	}
}

// report notes that a participant took a router for dead.
func (s *state) report(mmr, participant string, now time.Time) {
	r := s.routers[mmr]
	if r == nil {
		return
	}
	r.report(participant, now)
	if now.Sub(r.heard) > overdue {
		s.suspect(mmr, now)
	}
}

// withLeg lists the routers with a leg of the meeting that take participants.
// What it returns is overwritten by the next call.
func (s *state) withLeg(meeting, avoid string, mean float64, now time.Time) []candidate {
	list := s.space[:0]
	hash := hashOf(meeting)
	for id, l := range s.legs[meeting] {
		if r := s.routers[id]; r != nil && r.takes(now) && now.Sub(l.heard) <= legForget {
			c := s.candidate(r, hash, avoid, mean, now)
			c.leg = l.participants
			list = append(list, c)
		}
	}
	s.space = list
	return list
}

// candidates lists the routers that a participant of the meeting can be sent
// to: healthy, alive and with room. What it returns is overwritten by the next
// call.
func (s *state) candidates(meeting, avoid string, mean float64, now time.Time) []candidate {
	list := s.space[:0]
	legs, hash := s.legs[meeting], hashOf(meeting)
	for id, r := range s.routers {
		if !r.takes(now) {
			continue
		}
		c := s.candidate(r, hash, avoid, mean, now)
		if l, ok := legs[id]; ok && now.Sub(l.heard) <= legForget {
			c.leg = l.participants
		}
		list = append(list, c)
	}
	s.space = list
	return list
}

// candidate is a router that takes participants as placement sees it, without
// its leg.
func (s *state) candidate(r *router, meeting uint64, avoid string, mean float64, now time.Time) candidate {
	c := candidate{id: r.said.ID, rank: rendezvous(meeting, r.hash), load: r.weight} // weighed by takes
	c.turn = turnOf(r.ails(now), c.load, mean)
	if c.id == avoid {
		c.turn = avoided
	}
	return c
}

// summary is a zone in a few numbers.
type summary struct {
	status       protocol.ZoneStatus
	load         float64 // mean of the healthy routers
	routers      int     // alive
	participants int
	healths      map[string]int // number of routers by health, for metrics
	ailing       map[string]protocol.Ailment
}

// glance sums the zone up, or did a moment ago.
func (s *state) glance(now time.Time) summary {
	if age := now.Sub(s.seenAt); age < 0 || age > glance {
		s.seen, s.seenAt = s.summary(now), now
	}
	return s.seen
}

// summary sums the zone up.
func (s *state) summary(now time.Time) summary {
	sum := summary{status: protocol.ZoneEmpty, healths: map[string]int{"healthy": 0, "ailing": 0, "draining": 0, "silent": 0}}
	healthy, room := 0, false
	for id, r := range s.routers {
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
		sum.healths[s.health(&sum, id, r, now)]++
		healthy++
		r.weigh(now)
		room = room || r.room
		sum.load += min(max(r.weight, 0), 1)
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

// health says whether a router that takes participants ails, and notes why.
func (s *state) health(sum *summary, id string, r *router, now time.Time) string {
	why := r.ails(now)
	if why == "" {
		return "healthy"
	}
	if sum.ailing == nil {
		sum.ailing = map[string]protocol.Ailment{}
	}
	if len(sum.ailing) < maxAiling {
		sum.ailing[id] = why
	}
	return "ailing"
}

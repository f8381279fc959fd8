package legs

import (
	"causeway/protocol"
)

// later reports whether session a, on leg by, is shown rather than session b
// of the same participant, on leg of.
func later(a protocol.LegPerson, by Address, b protocol.LegPerson, of Address) bool {
	if a.Established != b.Established {
		return a.Established
	}
	if a.Admitted != b.Admitted {
		return a.Admitted > b.Admitted
	}
	return by.compare(of) > 0
}

// A View is how a participant is shown.
type View struct {
	protocol.LegPerson         // Path is lost where the leg is
	Leg                Address // that the session is on
	Own                bool    // it is on this leg
	Held               bool    // it is over; another one is about to come
}

// Shown returns how a participant is shown, false if there is no such.
func (s *State) Shown(id string) (View, bool) {
	var best View
	found := false
	consider := func(v View) {
		if !found || later(v.LegPerson, v.Leg, best.LegPerson, best.Leg) {
			best, found = v, true
		}
	}
	if m := s.own[id]; m != nil {
		consider(View{LegPerson: m.LegPerson, Leg: s.cfg.Self, Own: true})
	}
	for _, l := range s.where[id] {
		v := View{LegPerson: l.people[id], Leg: l.at}
		if l.lost {
			v.Participant.Path = protocol.PathLost
		}
		consider(v)
	}
	if h, ok := s.held[id]; ok {
		consider(View{LegPerson: h.LegPerson, Leg: h.by, Held: true})
	}
	return best, found
}

// Superseded reports whether a session of the participant that began at
// admitted on this leg has been taken over by one on another leg.
func (s *State) Superseded(id string, admitted int64) bool {
	mine := protocol.LegPerson{Admitted: admitted, Established: true}
	for _, l := range s.where[id] {
		if p := l.people[id]; p.Established && later(p, l.at, mine, s.cfg.Self) {
			return true
		}
	}
	return false
}

// Elsewhere returns what is known of a participant's sessions on other legs,
// and of those that are over: the one that is shown.
func (s *State) Elsewhere(id string) (View, bool) {
	m := s.own[id]
	delete(s.own, id)
	v, ok := s.Shown(id)
	if m != nil {
		s.own[id] = m
	}
	return v, ok
}

package legs

import (
	"maps"
	"slices"
	"time"

	"causeway/protocol"
)

// Put makes p one of this leg's people, or changes it. Its revision is the
// state's own business.
func (s *State) Put(p protocol.LegPerson) {
	id := p.Participant.ID
	m := s.own[id]
	if m == nil {
		m = &member{}
		if l, ok := s.left[id]; ok { // came back before anybody was told
			m.told, m.Revision = true, l.revision
			delete(s.left, id)
		}
		s.own[id] = m
	}
	p.Revision = m.Revision
	if same(m.LegPerson, p) {
		return
	}
	m.LegPerson = p
	s.dirty[id] = true
	s.change(id, protocol.FarewellLeft)
}

func same(a, b protocol.LegPerson) bool {
	return a.Participant == b.Participant && a.Revision == b.Revision && a.Admitted == b.Admitted &&
		a.Established == b.Established && slices.Equal(a.Sources, b.Sources) && slices.Equal(a.Scalable, b.Scalable) &&
		a.CameraScalable == b.CameraScalable
}

// Drop ends somebody's session on this leg.
func (s *State) Drop(id string, reason protocol.FarewellReason, now time.Time) {
	m := s.own[id]
	if m == nil {
		return
	}
	delete(s.own, id)
	delete(s.dirty, id)
	if m.told {
		s.left[id] = gone{reason, m.Revision}
	}
	if comesBack(reason) {
		s.hold(m.LegPerson, s.cfg.Self, now)
	} else {
		s.over(m.LegPerson)
	}
	s.change(id, reason)
}

// comesBack reports whether a session that ended so is about to be followed
// by another one.
func comesBack(reason protocol.FarewellReason) bool {
	return reason == protocol.FarewellResumed || reason == protocol.FarewellMoved
}

// hold keeps somebody on the roster who is about to come back.
func (s *State) hold(p protocol.LegPerson, by Address, now time.Time) {
	id := p.Participant.ID
	if h, ok := s.held[id]; ok && !later(p, by, h.LegPerson, h.by) {
		return
	}
	p.Sources = nil
	s.held[id] = held{LegPerson: p, by: by, until: now.Add(Grace)}
}

// tell returns the messages with what has changed among the leg's people.
func (s *State) tell(now time.Time) []protocol.LegUpdate {
	if len(s.dirty) == 0 && len(s.left) == 0 {
		return nil
	}
	s.toldAt = now
	var updates []protocol.LegUpdate
	changed, left := slices.Sorted(maps.Keys(s.dirty)), slices.Sorted(maps.Keys(s.left))
	for len(changed) > 0 || len(left) > 0 {
		c, l := min(len(changed), protocol.MaxLegPeople), min(len(left), protocol.MaxLegPeople)
		updates = append(updates, s.update(changed[:c], left[:l]))
		changed, left = changed[c:], left[l:]
	}
	clear(s.dirty)
	clear(s.left)
	return updates
}

// update makes one message and the version that it leads to.
func (s *State) update(changed, left []string) protocol.LegUpdate {
	s.version++
	u := protocol.LegUpdate{Version: s.version}
	for _, id := range changed {
		m := s.own[id]
		if m.told {
			s.people.toggle(id, m.Revision)
		}
		m.Revision, m.told = s.version, true
		s.people.toggle(id, m.Revision)
		u.Changed = append(u.Changed, m.LegPerson)
	}
	for _, id := range left {
		s.people.toggle(id, s.left[id].revision)
		u.Left = append(u.Left, protocol.LegLeft{ID: id, Reason: s.left[id].reason})
	}
	u.People = uint64(s.people)
	return u
}

// whole returns the messages with everybody that the others were told of.
func (s *State) whole() []protocol.LegUpdate {
	var people []protocol.LegPerson
	for _, id := range slices.Sorted(maps.Keys(s.own)) {
		if m := s.own[id]; m.told {
			people = append(people, m.LegPerson)
		}
	}
	parts := max(1, (len(people)+protocol.MaxLegPeople-1)/protocol.MaxLegPeople)
	updates := make([]protocol.LegUpdate, parts)
	for i := range updates {
		n := min(len(people), protocol.MaxLegPeople)
		updates[i] = protocol.LegUpdate{Version: s.version, Whole: true, Part: i, Parts: parts, Changed: people[:n:n]}
		people = people[n:]
	}
	return updates
}

// Asked takes a request to repeat what this leg has, and what is said of
// others.
func (s *State) Asked(a protocol.LegAsk, now time.Time) {
	if at := (Address{a.Zone, a.MMR}); at != (Address{}) && at != s.cfg.Self {
		if l := s.legs[at]; l != nil && a.Dead {
			s.bury(l, now)
		}
		return
	}
	if a.Alive || a.Dead {
		s.beatAt = now
	}
	s.wholeDue = s.wholeDue || a.People
	s.shared.due = s.shared.due || a.Shared
}

// maxAhead is how far ahead of this router's clock another one's may be.
const maxAhead = 24 * time.Hour

// After returns a time of admission for a session that begins now, given what
// is known of the participant's earlier ones and what it says itself of the
// one that it resumes (0: nothing), which counts if it is not too far ahead.
func (s *State) After(id string, resumed int64, now time.Time) int64 {
	at := now.UnixMilli()
	if resumed < now.Add(maxAhead).UnixMilli() {
		at = max(at, resumed+1)
	}
	if m := s.own[id]; m != nil {
		at = max(at, m.Admitted+1)
	}
	if h, ok := s.held[id]; ok {
		at = max(at, h.Admitted+1)
	}
	for _, l := range s.where[id] {
		at = max(at, l.people[id].Admitted+1)
	}
	return at
}

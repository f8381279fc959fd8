package client

import (
	"slices"
	"time"

	"causeway/protocol"
)

const (
	// graceTime is how long those of whom a new router has not told yet are
	// taken to be still there: they are on the way too, or it has to hear of
	// them from others. Routers wait for the lost as long.
	graceTime = 30 * time.Second
	maxHeard  = 256 // chat messages remembered, so that none is told twice
)

// welcome takes the router's account of the meeting, at the beginning and
// when the control channel was opened again.
func (m *Meeting) welcome(a *admission, w *protocol.Welcome, again bool) {
	now := time.Now()
	m.mu.Lock()
	m.info, m.self.ID = w.Meeting, w.Participant
	var left []protocol.Left
	for _, p := range m.people {
		_, doubtful := m.doubtful[p.ID]
		switch {
		case slices.ContainsFunc(w.Participants, func(o protocol.Participant) bool { return o.ID == p.ID }), doubtful:
		case again:
			left = append(left, protocol.Left{ID: p.ID, Reason: protocol.FarewellLeft})
		default:
			m.doubtful[p.ID] = now.Add(graceTime)
		}
	}
	wants := m.wants
	m.mu.Unlock()
	m.audience(w.Attendees)
	m.roster(&protocol.Roster{Changed: w.Participants, Left: left})
	m.assign(a, w.Slots)
	for i := range w.Chat {
		m.chat(&w.Chat[i])
	}
	_ = m.send(m.state()) // fails only if the channel has ended again
	if again && len(wants) > 0 {
		_ = m.send(protocol.Want{Slots: wants})
	}
	m.layOut()
}

// forget lets those go of whom the router has not told for too long.
func (m *Meeting) forget(now time.Time) {
	var left []protocol.Left
	m.mu.Lock()
	for id, until := range m.doubtful {
		if now.After(until) {
			left = append(left, protocol.Left{ID: id, Reason: protocol.FarewellLost})
		}
	}
	m.mu.Unlock()
	if left != nil {
		m.roster(&protocol.Roster{Left: left})
		m.layOut()
	}
}

// chat tells what was said, once.
func (m *Meeting) chat(c *protocol.Chat) {
	m.mu.Lock()
	known := c.ID != "" && slices.Contains(m.heard, c.ID)
	if !known {
		m.heard = append(m.heard, c.ID)
		m.heard = m.heard[max(0, len(m.heard)-maxHeard):]
	}
	m.mu.Unlock()
	if !known {
		m.outbox.put(Event{At: time.Now(), Kind: Said, Chat: c})
	}
}

// roster takes changes of who is here.
func (m *Meeting) roster(r *protocol.Roster) {
	now := time.Now()
	for _, p := range r.Changed {
		m.mu.Lock()
		delete(m.doubtful, p.ID)
		i := slices.IndexFunc(m.people, func(o protocol.Participant) bool { return o.ID == p.ID })
		e := Event{At: now, Kind: Changed, Participant: &p}
		same := false
		if i < 0 {
			m.people = append(m.people, p)
			e.Kind = Appeared
		} else {
			same = m.people[i] == p
			m.people[i] = p
		}
		self, role := p.ID == m.self.ID, m.self.Role
		restaged := self && p.Role != "" && p.Role != role
		if restaged {
			m.self.Role = p.Role
		}
		m.mu.Unlock()
		if restaged {
			m.staged(role, p.Role)
		}
		switch {
		case same, e.Kind == Appeared && self:
		case e.Kind == Appeared:
			m.note(e)
		default:
			m.outbox.put(e)
		}
	}
	for _, l := range r.Left {
		m.mu.Lock()
		delete(m.doubtful, l.ID)
		i := slices.IndexFunc(m.people, func(o protocol.Participant) bool { return o.ID == l.ID })
		if i < 0 {
			m.mu.Unlock()
			continue
		}
		p := m.people[i]
		m.people = slices.Delete(m.people, i, i+1)
		m.mu.Unlock()
		m.note(Event{At: now, Kind: Disappeared, Participant: &p, Reason: l.Reason})
	}
}

// audience takes how many watch a webinar.
func (m *Meeting) audience(attendees int) {
	m.mu.Lock()
	same := m.attendees == attendees
	m.attendees = attendees
	m.mu.Unlock()
	if !same {
		m.outbox.put(Event{At: time.Now(), Kind: AudienceChanged, Attendees: attendees})
	}
}

// staged takes a new role in a webinar: a host brought this participant up to
// speak or sent it back.
func (m *Meeting) staged(before, now protocol.Role) {
	if m.publisher != nil {
		m.publisher.hold(now == protocol.Attendee)
	}
	if before != protocol.Attendee && now != protocol.Attendee {
		return
	}
	m.mu.Lock()
	m.hand = false // the router has lowered it
	m.mu.Unlock()
	kind := BroughtUp
	if now == protocol.Attendee {
		kind = SentBack
	}
	m.note(Event{At: time.Now(), Kind: kind})
	_ = m.send(m.state()) // fails only if the channel has ended: then it is said again
}

func (m *Meeting) participant(id string) (protocol.Participant, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.people {
		if p.ID == id {
			return p, true
		}
	}
	return protocol.Participant{}, false
}

// assign tells slots what they carry.
func (m *Meeting) assign(a *admission, states []protocol.SlotState) {
	for _, s := range states {
		p, _ := m.participant(s.Participant)
		if at, ok := a.slots[s.Slot]; ok {
			at.link.run(func() { at.slot.assign(s, p.Name, time.Now()) })
		}
	}
}

// layOut asks for the cameras of the automatic layout, if they have changed.
func (m *Meeting) layOut() {
	m.mu.Lock()
	if m.manual || m.options.VideoSlots == 0 || m.now == nil {
		m.mu.Unlock()
		return
	}
	wants := arrange(m.options.VideoSlots, m.options.MaxHeight, m.self.ID, m.people, m.speakers, m.wants)
	same := slices.Equal(wants, m.wants)
	m.wants = wants
	m.mu.Unlock()
	if !same {
		_ = m.send(protocol.Want{Slots: wants}) // said again after the channel is back
	}
}

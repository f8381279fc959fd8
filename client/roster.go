package client

import (
	"slices"
	"time"

	"causeway/protocol"
)

// welcome takes the router's account of the meeting, at the beginning and
// whenever the control channel was opened again.
func (m *Meeting) welcome(a *admission, w *protocol.Welcome) {
	m.mu.Lock()
	m.info, m.self.ID = w.Meeting, w.Participant
	var left []protocol.Left
	for _, p := range m.people {
		if !slices.ContainsFunc(w.Participants, func(o protocol.Participant) bool { return o.ID == p.ID }) {
			left = append(left, protocol.Left{ID: p.ID, Reason: protocol.FarewellLeft})
		}
	}
	m.mu.Unlock()
	m.roster(&protocol.Roster{Changed: w.Participants, Left: left})
	m.assign(a, w.Slots)
	for i := range w.Chat {
		m.outbox.put(Event{At: time.Now(), Kind: Said, Chat: &w.Chat[i]})
	}
	_ = m.send(m.state()) // fails only if the channel has ended again
	m.mu.Lock()
	manual, wants := m.manual, m.wants
	if !manual {
		m.wants = nil // slots of another router
	}
	m.mu.Unlock()
	if manual {
		_ = m.send(protocol.Want{Slots: wants})
	}
	m.layOut()
}

// roster takes changes of who is here.
func (m *Meeting) roster(r *protocol.Roster) {
	now := time.Now()
	for _, p := range r.Changed {
		m.mu.Lock()
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
		self := p.ID == m.self.ID
		m.mu.Unlock()
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
		m.mu.Lock()
		m.slots[s.Slot] = s
		m.mu.Unlock()
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

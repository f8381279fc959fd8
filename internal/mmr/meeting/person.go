package meeting

import (
	"context"
	"slices"
	"time"

	"causeway/internal/mmr/control"
	"causeway/internal/mmr/forward"
	"causeway/protocol"
)

// An Admission is a participant who may come in.
type Admission struct {
	Session    string
	ID         string
	Name       string
	Role       protocol.Role
	ClientKind string
	Media      Media
}

// Media is a participant's part of the packet path.
type Media struct {
	Links   []*forward.Link
	Slots   []*forward.Slot
	Sources map[protocol.Source]*forward.Source
	Close   func() // closes the media connections
}

func (m *Media) close() {
	if m.Close != nil {
		m.Close()
	}
	for _, s := range m.Sources {
		s.Retire()
	}
}

// person is a participant as the meeting knows it.
type person struct {
	protocol.Participant
	session string
	media   Media
	slots   []place

	channel    *control.Channel // nil when there is none
	welcomed   bool             // the channel has had its Welcome
	greeted    bool             // there was a channel for this session
	visible    bool             // on the roster
	admittedAt time.Time
	lostAt     time.Time // when the path was lost, zero if it is not
	audioSaid  bool      // the client itself said whether it is muted
	videoSaid  bool
	shareOrder int  // order among shares
	syncDue    bool // a slot has a new source
}

// place is one slot of a person: what is wanted there and what it carries.
type place struct {
	slot   *forward.Slot
	want   protocol.SlotWant
	source *forward.Source
	height int // lines, for video

	told        protocol.SlotState // to the client
	given       *forward.Source    // to the packet path
	givenHeight int
	ready       bool // the slot's connection is up and has been given the source
}

// Admit lets a participant in, replacing an earlier session of the same one.
// Errors: ErrOver, or a *protocol.Problem.
func (m *Meeting) Admit(ctx context.Context, a Admission) error {
	answer := make(chan error, 1)
	return m.ask(ctx, admit{a, answer}, answer)
}

type admit struct {
	Admission
	answer chan error
}

func (a admit) handle(m *Meeting, now time.Time) {
	switch {
	case m.over:
		a.answer <- ErrOver
	case m.removed[a.ID]:
		a.answer <- protocol.NewProblem(protocol.ProblemForbidden, "a host removed you from this meeting")
	default:
		m.admit(a.Admission, now)
		a.answer <- nil
	}
}

func (m *Meeting) admit(a Admission, now time.Time) {
	p := m.people[a.ID]
	if p == nil {
		p = &person{Participant: protocol.Participant{
			ID: a.ID, AudioMuted: true, VideoMuted: true, Path: protocol.PathConnecting,
		}}
		m.people[a.ID] = p
		m.order = append(m.order, p)
	} else {
		m.replace(p)
	}
	p.Name, p.Role, p.ClientKind = a.Name, a.Role, a.ClientKind
	p.session, p.media, p.admittedAt = a.Session, a.Media, now
	p.greeted, p.lostAt = false, time.Time{}
	m.sessions[a.Session] = p
	p.slots = make([]place, len(a.Media.Slots))
	for i, s := range a.Media.Slots {
		p.slots[i] = place{slot: s, told: protocol.SlotState{Slot: s.ID()}}
	}
	// What the new session has no connection for is over.
	sources := a.Media.Sources
	p.AudioMuted = p.AudioMuted || sources[protocol.Mic] == nil
	p.VideoMuted = p.VideoMuted || sources[protocol.Camera] == nil
	p.Sharing = p.Sharing && sources[protocol.Screen] != nil
	p.gate()
	m.changed(p)
	m.slotsDirty = true
}

// replace ends the earlier session of a participant who was admitted anew.
func (m *Meeting) replace(p *person) {
	p.farewell(protocol.FarewellResumed, "")
	p.media.close()
	delete(m.sessions, p.session)
	m.cfg.Gone(p.session)
}

// show puts a participant on the roster.
func (m *Meeting) show(p *person, now time.Time) {
	if !p.visible {
		p.visible, p.JoinedAt = true, now.UTC().Round(time.Millisecond)
		m.changed(p)
	}
	m.updatePath(p, now)
}

// remove ends a participation.
func (m *Meeting) remove(p *person, reason protocol.FarewellReason, by string) {
	p.farewell(reason, by)
	p.media.close()
	delete(m.sessions, p.session)
	delete(m.people, p.ID)
	m.order = slices.DeleteFunc(m.order, func(o *person) bool { return o == p })
	m.cfg.Gone(p.session)
	if p.visible {
		m.roster.Changed = slices.DeleteFunc(m.roster.Changed, func(c protocol.Participant) bool { return c.ID == p.ID })
		m.roster.Left = append(m.roster.Left, protocol.Left{ID: p.ID, Reason: reason})
	}
	m.slotsDirty = true
}

// farewell says the last word on the participant's channel.
func (p *person) farewell(reason protocol.FarewellReason, by string) {
	if p.channel != nil {
		p.channel.End(protocol.Farewell{Reason: reason, By: by})
		p.channel = nil
	}
}

// gate lets through exactly those sources that the participant's state shows
// to others.
func (p *person) gate() {
	for kind, s := range p.media.Sources {
		switch kind {
		case protocol.Mic:
			s.SetMuted(p.AudioMuted)
		case protocol.Camera:
			s.SetMuted(p.VideoMuted)
		case protocol.Screen, protocol.ScreenAudio:
			s.SetMuted(!p.Sharing)
		}
	}
}

// source returns what a participant publishes of a kind for others to see
// now, nil if there is nothing.
func (p *person) source(kind protocol.Source) *forward.Source {
	s := p.media.Sources[kind]
	if s == nil || s.Muted() {
		return nil
	}
	return s
}

// expire removes who is gone and ends a meeting that has been empty long
// enough.
func (m *Meeting) expire(now time.Time) {
	for _, p := range slices.Clone(m.order) {
		m.updatePath(p, now)
		late := !p.greeted && now.Sub(p.admittedAt) >= ControlDeadline
		lost := !p.lostAt.IsZero() && now.Sub(p.lostAt) >= LostFor
		if late || lost {
			m.remove(p, protocol.FarewellLost, "")
		}
	}
	if len(m.order) == 0 && !m.emptyAt.IsZero() && now.Sub(m.emptyAt) >= EmptyFor {
		m.over = true
	}
}

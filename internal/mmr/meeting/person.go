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
	Role       protocol.Role // by the join token
	ClientKind string
	Media      Media
	// Resumed is when the session was admitted that this one resumes, as its
	// client says; 0 for none.
	Resumed int64
	// JoinedAt and HandRaisedAt are what the client says of itself. They are
	// taken where no leg knows of the participant.
	JoinedAt, HandRaisedAt time.Time
}

// Media is a participant's part of the packet path.
type Media struct {
	Links   []*forward.Link
	Slots   []*forward.Slot
	Sources map[protocol.Source]*forward.Source
	// Restart takes a remote's new credentials for one of the connections.
	Restart func(protocol.Credentials) error
	Close   func() // closes the media connections
}

// restart takes the new credentials of all connections that are named.
func (m *Media) restart(r *protocol.Restart) *protocol.Problem {
	for _, c := range r.Connections {
		if err := m.Restart(c); err != nil {
			return protocol.NewProblem(protocol.ProblemBadRequest, "restart: "+err.Error())
		}
	}
	return nil
}

func (m *Media) close() {
	if m.Close != nil {
		m.Close()
	}
	for _, s := range m.Sources {
		s.Retire()
	}
}

// person is a session of a participant on this router. A participant has one
// that counts, in Meeting.people, perhaps one that is about to take over, in
// Meeting.waiting, and for a moment those that were taken over.
type person struct {
	protocol.Participant
	granted  protocol.Role // by the join token
	session  string
	admitted int64 // Unix milliseconds, in the order of the participant's sessions
	media    Media
	slots    []place
	sources  []protocol.LegSource
	scalable []string // codecs that all slots for cameras take

	channel     *control.Channel // nil when there is none
	welcomed    bool             // the channel has had its Welcome
	greeted     bool             // there was a channel for this session
	visible     bool             // on the roster
	established bool             // it may take over from an earlier session
	inherited   bool             // what an earlier session left has been taken on
	admittedAt  time.Time
	lostAt      time.Time // when the path was lost, zero if it is not
	endAt       time.Time // it was taken over, and its media go on until then
	audioSaid   bool      // the client itself said whether it is muted
	videoSaid   bool
	handSaid    bool
	scales      bool                 // its camera is to be shown in a scalable codec
	sendsBoth   bool                 // it may send the camera in one
	layersTold  [len(cameras)]uint32 // which layers of the camera the client was asked to send
	syncDue     bool                 // a slot has a new source
	placesDue   bool                 // its slots must be looked through
	placesNew   bool                 // and perhaps carry something else now
}

// ending reports whether the session was taken over by another one.
func (p *person) ending() bool { return !p.endAt.IsZero() }

// place is one slot of a person: what is wanted there and what it carries.
type place struct {
	slot   *forward.Slot
	want   protocol.SlotWant
	source *forward.Source
	height int // lines, for video

	told        protocol.SlotState // to the client
	synced      protocol.SlotSync  // told, too
	given       *forward.Source    // to the packet path
	givenHeight int
	ready       bool // the slot's connection is up and has been given the source
}

// Admit lets a participant in. If there is an earlier session of the same
// one, on whatever leg, this one takes over as soon as it is established. It
// returns when the session was admitted, in Unix milliseconds, later than the
// earlier ones. Errors: ErrOver, or a *protocol.Problem.
func (m *Meeting) Admit(ctx context.Context, a Admission) (admitted int64, err error) {
	msg := admit{ctx, a, make(chan error, 1), make(chan int64, 1)}
	if err := m.ask(ctx, msg, msg.answer); err != nil {
		return 0, err
	}
	return <-msg.admitted, nil
}

type admit struct {
	asker context.Context
	Admission
	answer   chan error
	admitted chan int64
}

func (a admit) handle(m *Meeting, now time.Time) {
	switch {
	case m.over:
		a.answer <- ErrOver
	case a.asker.Err() != nil: // else nobody would know of the session, and it would be waited for
		a.answer <- a.asker.Err()
	case m.state.Setting(removed+a.ID) != "":
		a.answer <- protocol.NewProblem(protocol.ProblemForbidden, "a host removed you from this meeting")
	default:
		a.admitted <- m.admit(a.Admission, now).admitted
		a.answer <- nil
	}
}

func (m *Meeting) admit(a Admission, now time.Time) *person {
	m.readied.vain = 0
	p := &person{
		Participant: protocol.Participant{
			ID: a.ID, Name: a.Name, Role: m.role(a.ID, a.Role), ClientKind: a.ClientKind,
			AudioMuted: true, VideoMuted: true, Path: protocol.PathConnecting,
			JoinedAt: past(a.JoinedAt, now), HandRaisedAt: past(a.HandRaisedAt, now),
		},
		granted: a.Role,
		session: a.Session, admitted: m.state.After(a.ID, a.Resumed, now), media: a.Media, admittedAt: now,
		sources: legSources(&a.Media), scalable: scalableIn(a.Media.Slots), layersTold: unsaid, slots: make([]place, len(a.Media.Slots)),
	}
	for i, s := range a.Media.Slots {
		p.slots[i] = place{slot: s, told: protocol.SlotState{Slot: s.ID()}}
	}
	if p.viewOnly() {
		p.quiet()
	} else {
		m.streamsDue = true
	}
	m.sessions[a.Session] = p
	m.order = append(m.order, p)
	m.lookThrough(p)
	old := m.people[a.ID]
	if w := m.waiting[a.ID]; w != nil {
		p.admitted = max(p.admitted, w.admitted+1)
		m.discard(w)
	}
	switch {
	case old == nil || old.ending():
		m.people[a.ID] = p
		m.inheritElsewhere(p)
	case !old.visible: // nobody has seen it
		m.discard(old)
		m.people[a.ID] = p
		m.inheritElsewhere(p)
	default:
		m.waiting[a.ID] = p
	}
	m.unsettled = append(m.unsettled, p)
	return p
}

// past is a time that a client tells, which is not in the future.
func past(t, now time.Time) time.Time {
	if t.After(now) {
		t = now
	}
	return t.UTC().Round(time.Millisecond)
}

// show puts a participant on the roster.
func (m *Meeting) show(p *person, now time.Time) {
	if !p.visible {
		p.visible = true
		if p.JoinedAt.IsZero() {
			p.JoinedAt = now.UTC().Round(time.Millisecond)
		}
		m.changed(p)
	}
	m.updatePath(p, now)
}

// remove ends a session, and with it the participation, unless another
// session of the participant is about to take over.
func (m *Meeting) remove(p *person, reason protocol.FarewellReason, by string, now time.Time) {
	p.farewell(reason, by)
	counts := m.people[p.ID] == p
	m.discard(p)
	if !counts {
		return
	}
	next := m.waiting[p.ID]
	switch {
	case next == nil:
		m.state.Drop(p.ID, reason, now)
	case reason == protocol.FarewellRemoved:
		m.state.Drop(p.ID, reason, now)
		m.remove(next, reason, by, now)
	default:
		m.inherit(next, p)
		m.succeed(next)
	}
}

// discard takes a session out of the meeting and closes its media. The other
// legs are not told.
func (m *Meeting) discard(p *person) {
	p.farewell(protocol.FarewellResumed, "")
	p.media.close()
	delete(m.sessions, p.session)
	if m.people[p.ID] == p {
		delete(m.people, p.ID)
	}
	if m.waiting[p.ID] == p {
		delete(m.waiting, p.ID)
	}
	m.order = slices.DeleteFunc(m.order, func(o *person) bool { return o == p })
	m.cfg.Gone(p.session)
	if !p.viewOnly() && len(p.media.Sources) > 0 {
		m.streamsDue, m.slotsDirty = true, true
	}
}

// farewell says the last word on the participant's channel.
func (p *person) farewell(reason protocol.FarewellReason, by string) {
	if p.channel != nil {
		p.channel.End(protocol.Farewell{Reason: reason, By: by})
		p.channel = nil
	}
}

// gate lets through exactly those sources that the participant's state shows
// to others, if this is the session that they are shown.
func (p *person) gate(shown bool) {
	for kind, s := range p.media.Sources {
		s.SetMuted(!shown || !shows(&p.Participant, kind))
	}
}

// shows reports whether a participant's state shows a kind of source to
// others.
func shows(p *protocol.Participant, kind protocol.Source) bool {
	if !onStage(p) {
		return false
	}
	switch kind.Shown() {
	case protocol.Mic:
		return !p.AudioMuted
	case protocol.Camera:
		return !p.VideoMuted
	case protocol.Screen, protocol.ScreenAudio:
		return p.Sharing
	}
	return false
}

// expire removes who is gone and ends a meeting that has been empty long
// enough.
func (m *Meeting) expire(now time.Time) {
	for _, p := range slices.Clone(m.order) {
		if p.ending() {
			continue
		}
		m.updatePath(p, now)
		late := !p.greeted && now.Sub(p.admittedAt) >= ControlDeadline
		lost := !p.lostAt.IsZero() && now.Sub(p.lostAt) >= LostFor
		if late || lost {
			m.remove(p, protocol.FarewellLost, "", now)
		}
	}
	if len(m.order) == 0 && !m.emptyAt.IsZero() && now.Sub(m.emptyAt) >= EmptyFor {
		m.over = true
	}
}

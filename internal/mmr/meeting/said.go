package meeting

import (
	"cmp"
	"crypto/rand"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"causeway/internal/mmr/control"
	"causeway/internal/mmr/forward"
	"causeway/internal/mmr/legs"
	"causeway/protocol"
)

// MaxChatKept is how many chat messages a newcomer is told.
const MaxChatKept = legs.MaxChat

// said is a message of a client.
type said struct {
	session string
	ch      *control.Channel
	msg     protocol.ControlMessage
}

func (s said) handle(m *Meeting, now time.Time) {
	p := m.sessions[s.session]
	if m.over || p == nil || p.channel != s.ch {
		return // said before the channel was replaced or the participation ended
	}
	var refused *protocol.Problem
	switch msg := s.msg.(type) {
	case *protocol.SetState:
		refused = m.setState(p, msg, now)
	case *protocol.SendChat:
		refused = m.say(p, msg, now)
	case *protocol.Want:
		refused = m.want(p, msg)
	case *protocol.Restart:
		refused = p.media.restart(msg)
	case *protocol.HostAction:
		refused = m.host(p, msg)
	case *protocol.Leave:
		m.remove(p, protocol.FarewellLeft, "", now)
	}
	if refused != nil && p.channel != nil {
		p.channel.Send(protocol.Refusal{Problem: *refused})
	}
}

// setState changes what others see of a participant. A source without a
// connection to carry it stays muted.
func (m *Meeting) setState(p *person, s *protocol.SetState, now time.Time) *protocol.Problem {
	refused := m.setSources(p, s)
	if s.HandRaised != nil {
		p.handSaid = true
		switch {
		case !*s.HandRaised:
			p.HandRaisedAt = time.Time{}
		case p.HandRaisedAt.IsZero():
			p.HandRaisedAt = now.UTC().Round(time.Millisecond)
		}
	}
	m.changed(p)
	return refused
}

// setSources says what of a participant is to be heard and seen.
func (m *Meeting) setSources(p *person, s *protocol.SetState) *protocol.Problem {
	if p.viewOnly() {
		is := func(b *bool, v bool) bool { return b != nil && *b == v }
		if is(s.AudioMuted, false) || is(s.VideoMuted, false) || is(s.Sharing, true) {
			return protocol.NewProblem(protocol.ProblemViewOnly, "")
		}
		return nil
	}
	if s.AudioMuted != nil {
		p.audioSaid = true
		p.AudioMuted = *s.AudioMuted || p.media.Sources[protocol.Mic] == nil
	}
	if s.VideoMuted != nil {
		p.videoSaid = true
		p.VideoMuted = *s.VideoMuted || p.media.Sources[protocol.Camera] == nil
	}
	if s.Sharing != nil {
		return m.setSharing(p, *s.Sharing)
	}
	return nil
}

func (m *Meeting) setSharing(p *person, sharing bool) *protocol.Problem {
	if sharing && p.media.Sources[protocol.Screen] == nil {
		return protocol.NewProblem(protocol.ProblemBadRequest, "sharing needs a content connection with a sending video line")
	}
	p.Sharing = sharing
	return nil
}

// say hands a chat message to everyone, its sender included; an attendee's
// to hosts and panellists.
func (m *Meeting) say(p *person, s *protocol.SendChat, now time.Time) *protocol.Problem {
	text := strings.TrimSpace(s.Text)
	switch {
	case text == "" || !utf8.ValidString(text):
		return protocol.NewProblem(protocol.ProblemBadRequest, "chat: no text")
	case len(text) > protocol.MaxChat:
		return protocol.NewProblem(protocol.ProblemTooLarge, "chat: the text is too long")
	}
	m.state.Say(protocol.Chat{ID: rand.Text()[:13], From: p.ID, Name: p.Name, Text: text, At: now.UTC().Round(time.Millisecond), Panel: p.viewOnly()})
	return nil
}

// want notes what a client wants to see. A participant who is not here, or
// whose camera is off, appears as soon as there is something to see.
func (m *Meeting) want(p *person, w *protocol.Want) *protocol.Problem {
	var unknown *protocol.Problem
	named := map[protocol.SlotID]protocol.SlotWant{}
	for _, s := range w.Slots {
		known := slices.ContainsFunc(p.slots, func(have place) bool {
			return have.slot.ID() == s.Slot && have.slot.Kind() == protocol.Camera
		})
		if !known {
			unknown = protocol.NewProblem(protocol.ProblemBadRequest, "want: there is no video slot "+clip(string(s.Slot)))
			continue
		}
		named[s.Slot] = s
	}
	for i := range p.slots {
		if s := &p.slots[i]; s.slot.Kind() == protocol.Camera {
			s.want = named[s.slot.ID()]
		}
	}
	m.fill(p)
	m.lookThrough(p)
	return unknown
}

// fill gives wishes that name nobody somebody whom no wish names.
func (m *Meeting) fill(p *person) {
	var open []*place
	named := map[string]bool{p.ID: true}
	for i := range p.slots {
		switch s := &p.slots[i]; {
		case s.want.Participant != "":
			named[s.want.Participant] = true
		case s.want.Slot != "":
			open = append(open, s)
		}
	}
	if len(open) == 0 {
		return
	}
	others := m.cameras(named)
	for i, s := range open[:min(len(open), len(others))] {
		s.want.Participant = others[i].ID
	}
}

// cameras lists whose camera is on, but for some: who speaks, then who came
// first, and before all whose pictures come.
func (m *Meeting) cameras(but map[string]bool) []*entry {
	speaking := m.loudest.Selected()
	rank := func(e *entry) int {
		if e.Path != protocol.PathOK {
			return len(speaking) + 1
		}
		if i := slices.IndexFunc(speaking, func(s *forward.Source) bool { return s.Owner() == e.ID }); i >= 0 {
			return i
		}
		return len(speaking)
	}
	var on []*entry
	for id, e := range m.roster {
		if !but[id] && m.sourceOf(e, protocol.Camera) != nil {
			on = append(on, e)
		}
	}
	slices.SortFunc(on, func(a, b *entry) int {
		return cmp.Or(rank(a)-rank(b), a.JoinedAt.Compare(b.JoinedAt), strings.Compare(a.ID, b.ID))
	})
	return on
}

// clip bounds a text that is told back to whoever sent it.
func clip(s string) string { return s[:min(len(s), 16)] }

// host carries out what only a host may do, wherever it concerns somebody.
func (m *Meeting) host(p *person, a *protocol.HostAction) *protocol.Problem {
	if p.Role != protocol.Host {
		return protocol.NewProblem(protocol.ProblemNotHost, "")
	}
	switch a.Action {
	case protocol.HostEnd:
		m.end(p.ID, p.ID)
		return nil
	case protocol.HostMuteAll:
		m.muteAll(p.ID)
		for _, l := range m.state.Legs() {
			m.doElsewhere(l.Address, protocol.LegDo{By: p.ID, Action: a.Action})
		}
		return nil
	}
	e := m.roster[a.Participant]
	if e == nil {
		return protocol.NewProblem(protocol.ProblemNotFound, "there is no such participant")
	}
	switch a.Action {
	case protocol.HostMute, protocol.HostLowerHand:
		if e.local == nil {
			m.doElsewhere(e.leg, protocol.LegDo{By: p.ID, Action: a.Action, Participant: a.Participant})
		}
		m.act(a.Action, a.Participant, p.ID)
	case protocol.HostRemove:
		// As a setting it reaches every leg, also one that cannot be reached
		// now, and keeps the participant from coming again anywhere.
		if !m.state.Set(removed+a.Participant, p.ID) {
			return protocol.NewProblem(protocol.ProblemTooLarge, "too many were removed from this meeting")
		}
	case protocol.HostPromote, protocol.HostDemote:
		return m.setStage(e, a.Action)
	default:
		return protocol.NewProblem(protocol.ProblemBadRequest, "unknown host action "+clip(string(a.Action)))
	}
	return nil
}

// act mutes or lowers the hand of a participant's sessions on this leg.
func (m *Meeting) act(action protocol.HostVerb, id, by string) {
	for _, o := range []*person{m.people[id], m.waiting[id]} {
		switch {
		case o == nil:
		case action == protocol.HostMute:
			m.mute(o, by)
		default:
			o.HandRaisedAt = time.Time{}
			m.changed(o)
		}
	}
}

// muteAll mutes everybody on this leg but the host.
func (m *Meeting) muteAll(by string) {
	for id := range m.people {
		if id != by {
			m.act(protocol.HostMute, id, by)
		}
	}
}

// mute stops a participant's sound until it says that it is unmuted.
func (m *Meeting) mute(o *person, by string) {
	o.audioSaid = true
	if o.AudioMuted {
		return
	}
	o.AudioMuted = true
	m.changed(o)
	if o.channel != nil && o.welcomed {
		o.channel.Send(protocol.Muted{By: by})
	}
}

package meeting

import (
	"time"

	"causeway/protocol"
)

// stage is the prefix of the settings that say who speaks in a webinar.
const (
	stage     = "stage/"
	stageUp   = "up"
	stageDown = "down"
)

// audienceEvery is how often the number of attendees is told at most.
const audienceEvery = time.Second

// role is what a participant is now who came as granted. Hosts bring attendees
// up and send panellists back by a setting of the meeting, so that it holds on
// every leg, and for whoever comes back.
func (m *Meeting) role(id string, granted protocol.Role) protocol.Role {
	if granted == protocol.Host || m.cfg.Info.Kind != protocol.KindWebinar {
		return granted
	}
	switch m.state.Setting(stage + id) {
	case stageUp:
		return protocol.Guest
	case stageDown:
		return protocol.Attendee
	}
	return granted
}

// setStage brings somebody up to speak or sends them back.
func (m *Meeting) setStage(e *entry, verb protocol.HostVerb) *protocol.Problem {
	value, role := stageUp, protocol.Guest
	if verb == protocol.HostDemote {
		value, role = stageDown, protocol.Attendee
	}
	switch {
	case m.cfg.Info.Kind != protocol.KindWebinar:
		return protocol.NewProblem(protocol.ProblemBadRequest, string(verb)+": this is no webinar")
	case e.Role == protocol.Host:
		return protocol.NewProblem(protocol.ProblemBadRequest, string(verb)+": a host stays a host")
	case e.Role == role:
		return nil
	case !m.state.Set(stage+e.ID, value):
		return protocol.NewProblem(protocol.ProblemTooLarge, "too many were brought up in this webinar")
	}
	return nil
}

// restage gives a participant's sessions on this leg the role that holds now.
// Nobody is heard or seen by that alone: the client says when.
func (m *Meeting) restage(id string) {
	for _, p := range []*person{m.people[id], m.waiting[id]} {
		if p == nil || p.Role == m.role(id, p.granted) {
			continue
		}
		p.Role = m.role(id, p.granted)
		p.HandRaisedAt = time.Time{} // what it was raised for has happened
		p.quiet()
		m.changed(p)
		m.streamsDue, m.slotsDirty = true, true
	}
}

// viewOnly reports whether a session is an attendee's: nothing of it is
// forwarded.
func (p *person) viewOnly() bool { return p.Role == protocol.Attendee }

// quiet makes a participant heard and seen no more until it says otherwise.
func (p *person) quiet() {
	p.AudioMuted, p.VideoMuted, p.Sharing = true, true, false
	p.audioSaid, p.videoSaid = true, true
}

// onStage reports whether a participant is on everybody's roster.
func onStage(p *protocol.Participant) bool { return p.Role != protocol.Attendee }

// isCalling reports whether a participant is an attendee whom hosts are shown:
// the hand is up.
func isCalling(p *protocol.Participant) bool { return !onStage(p) && !p.HandRaisedAt.IsZero() }

// tellAudience tells how many attendees there are when that has changed, at
// most every audienceEvery. It returns when to look again.
func (m *Meeting) tellAudience(now time.Time) time.Duration {
	if m.attendees == m.attendeesTold {
		return never
	}
	if wait := audienceEvery - now.Sub(m.audienceAt); wait > 0 {
		return wait
	}
	m.attendeesTold, m.audienceAt = m.attendees, now
	m.broadcast(protocol.Audience{Attendees: m.attendees})
	return never
}

// hears reports whether a participant is told what was said: what an attendee
// says is for hosts and panellists.
func (p *person) hears(c *protocol.Chat) bool { return !c.Panel || !p.viewOnly() || c.From == p.ID }

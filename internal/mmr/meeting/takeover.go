package meeting

import (
	"slices"
	"time"

	"causeway/internal/mmr/forward"
	"causeway/protocol"
)

// establish notes whether a session could take over from an earlier one: its
// control channel has been opened and its sound is connected; without sound,
// anything of its media; without media, nothing more is needed.
func (p *person) establish() bool {
	if p.established || !p.greeted {
		return p.established
	}
	p.established = len(p.media.Links) == 0
	for _, l := range p.media.Links {
		up := l.State() != forward.LinkWaiting
		if l.Kind() == protocol.Audio {
			p.established = up
			break
		}
		p.established = p.established || up
	}
	return p.established
}

// takeOvers lets sessions take over that have become established, and ends
// those whose time is over. It returns when to look again.
func (m *Meeting) takeOvers(now time.Time) time.Duration {
	next := never
	for _, p := range slices.Clone(m.unsettled) {
		switch {
		case m.sessions[p.session] != p: // it is over
		case p.ending() && !now.Before(p.endAt):
			m.bury(p, now)
		case !p.ending() && p.establish():
			if m.waiting[p.ID] == p {
				m.takeOver(p, now)
			} else {
				m.changed(p)
			}
		}
	}
	m.unsettled = slices.DeleteFunc(m.unsettled, func(p *person) bool {
		if p.ending() && m.sessions[p.session] == p {
			next = min(next, p.endAt.Sub(now))
			return false
		}
		return p.established || m.sessions[p.session] != p
	})
	return next
}

// takeOver makes p, which waited, the session that counts.
func (m *Meeting) takeOver(p *person, now time.Time) {
	old := m.people[p.ID]
	m.inherit(p, old)
	m.retire(old, now)
	m.succeed(p)
}

// succeed makes p the session that counts, in the place of one that does not
// any more.
func (m *Meeting) succeed(p *person) {
	delete(m.waiting, p.ID)
	m.people[p.ID] = p
	if p.greeted {
		p.visible = true
	}
	m.changed(p)
}

// retire ends a session that was taken over, here or elsewhere: the client is
// told at once. Its sound goes on until that of the new session is heard, and
// its pictures for a moment, so that everybody can go over at a key frame.
func (m *Meeting) retire(p *person, now time.Time) {
	p.farewell(protocol.FarewellResumed, "")
	p.endAt = now.Add(Linger)
	m.unsettled = append(m.unsettled, p)
	m.handOver(p.media.Sources[protocol.Mic], now)
	m.streamsDue, m.slotsDirty = true, true
}

// bury closes a session whose moment is over.
func (m *Meeting) bury(p *person, now time.Time) {
	counts := m.people[p.ID] == p
	m.discard(p)
	if counts { // it was taken over elsewhere
		m.state.Drop(p.ID, protocol.FarewellResumed, now)
		return
	}
	if heir := m.people[p.ID]; heir != nil {
		m.changed(heir) // whose sources are all there is now
	}
}

// inherit takes on what an earlier session on this leg left, where the client
// has not said otherwise.
func (m *Meeting) inherit(p, old *person) {
	audio, video, hand := p.audioSaid, p.videoSaid, p.handSaid
	m.inheritFrom(p, &old.Participant)
	p.audioSaid = audio || old.audioSaid
	p.videoSaid = video || old.videoSaid
	p.handSaid = hand || old.handSaid
}

// inheritElsewhere takes on what an earlier session on another leg left.
func (m *Meeting) inheritElsewhere(p *person) {
	if p.inherited {
		return
	}
	before, ok := m.state.Elsewhere(p.ID)
	if !ok || before.Admitted >= p.admitted {
		return
	}
	m.inheritFrom(p, &before.Participant)
	// A host may have muted it: packets alone do not unmute it.
	p.audioSaid = p.audioSaid || before.Participant.AudioMuted
	m.changed(p)
}

func (m *Meeting) inheritFrom(p *person, before *protocol.Participant) {
	p.inherited = true
	p.JoinedAt = before.JoinedAt
	// What the new session has no connection for is over.
	if !p.audioSaid {
		p.AudioMuted = before.AudioMuted || p.media.Sources[protocol.Mic] == nil
	}
	if !p.videoSaid {
		p.VideoMuted = before.VideoMuted || p.media.Sources[protocol.Camera] == nil
	}
	if !p.handSaid {
		p.HandRaisedAt = before.HandRaisedAt
	}
	if p.viewOnly() {
		p.quiet()
		return
	}
	p.Sharing = p.Sharing || before.Sharing && p.media.Sources[protocol.Screen] != nil
}

// supersede ends a session that one on another leg has taken over from.
func (m *Meeting) supersede(id string, now time.Time) {
	if w := m.waiting[id]; w != nil && m.state.Superseded(id, w.admitted) {
		m.discard(w)
	}
	if p := m.people[id]; p != nil && !p.ending() && m.state.Superseded(id, p.admitted) {
		m.retire(p, now)
	}
}

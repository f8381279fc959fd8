package meeting

import (
	"time"

	"causeway/internal/mmr/forward"
	"causeway/protocol"
)

// look takes in what has changed on the packet path.
func (m *Meeting) look(now time.Time) {
	for _, p := range m.order {
		if p.ending() {
			continue
		}
		heard := false
		for _, l := range p.media.Links {
			heard = heard || l.State() == forward.LinkActive
			if l.TakeStarted() {
				p.syncDue = true
			}
		}
		if heard && m.people[p.ID] == p {
			m.show(p, now)
		} else {
			m.updatePath(p, now)
		}
		m.firstPackets(p)
		p.tellLayers()
		for i := range p.slots {
			if s := &p.slots[i]; !s.ready && s.slot.Up() {
				m.lookThrough(p)
			}
		}
	}
	if m.loudest.TakeChanged() {
		m.slotsDirty = true
	}
}

// firstPackets takes a source whose packets arrive for unmuted, unless the
// client itself said otherwise.
func (m *Meeting) firstPackets(p *person) {
	if p.viewOnly() {
		return
	}
	audio, video := p.media.Sources[protocol.Mic], p.media.Sources[protocol.Camera]
	openAudio := p.AudioMuted && !p.audioSaid && audio != nil && audio.Heard()
	openVideo := p.VideoMuted && !p.videoSaid && video != nil && video.Heard()
	if !openAudio && !openVideo {
		return
	}
	p.AudioMuted = p.AudioMuted && !openAudio
	p.VideoMuted = p.VideoMuted && !openVideo
	m.changed(p)
}

// updatePath works out how well a participant is heard of.
func (m *Meeting) updatePath(p *person, now time.Time) {
	path := p.path()
	switch {
	case path != protocol.PathLost:
		p.lostAt = time.Time{}
	case p.lostAt.IsZero():
		p.lostAt = now
	}
	if path != p.Path {
		p.Path = path
		m.changed(p)
	}
}

// path is the best of the participant's media connections; without any, the
// control channel counts.
func (p *person) path() protocol.PathState {
	best, existed := forward.LinkWaiting, false
	for _, l := range p.media.Links {
		switch s := l.State(); s {
		case forward.LinkActive:
			return protocol.PathOK
		case forward.LinkSilent:
			best = s
		case forward.LinkLost:
			existed = true
		}
	}
	switch {
	case best == forward.LinkSilent:
		return protocol.PathSilent
	case existed && p.channel != nil:
		return protocol.PathSilent
	case p.channel != nil || !p.greeted:
		return protocol.PathConnecting
	}
	return protocol.PathLost
}

package meeting

import (
	"slices"
	"time"

	"causeway/internal/mmr/forward"
	"causeway/protocol"
)

const (
	// handoverTime is how long the sound of a session that was taken over is
	// heard at most while nothing of the new one's has come here: from far away
	// a new trunk takes five round trips.
	handoverTime = Linger
	// handoverLook is how often that is looked at.
	handoverLook = 10 * time.Millisecond
)

// A handover is a microphone of a session that was taken over: it is heard
// until the new session's is, so that no sound is lost between them. The
// client sends on both meanwhile.
type handover struct {
	mic  *forward.Source
	till time.Time
}

// handOver lets a microphone go on until the new session's is heard.
func (m *Meeting) handOver(mic *forward.Source, now time.Time) {
	if mic != nil && !mic.Muted() {
		m.handovers = append(m.handovers, handover{mic, now.Add(handoverTime)})
	}
}

// handOvers lets new sessions' microphones take the places of old ones that
// they have been heard beside. It returns when to look again.
func (m *Meeting) handOvers(now time.Time) time.Duration {
	m.handovers = slices.DeleteFunc(m.handovers, func(h handover) bool {
		if !m.handedOver(h, now) {
			return false
		}
		h.mic.SetMuted(true)
		m.slotsDirty = true
		return true
	})
	if len(m.handovers) > 0 {
		return handoverLook
	}
	return never
}

// handedOver reports whether a microphone need not be heard any more.
func (m *Meeting) handedOver(h handover, now time.Time) bool {
	e := m.roster[h.mic.Owner()]
	if e == nil || e.AudioMuted || h.mic.Muted() || !now.Before(h.till) {
		return true
	}
	heir := m.sourceOf(e, protocol.Mic)
	return heir != nil && heir != h.mic && m.loudest.Succeed(h.mic, heir)
}

// lasting is the source that a place shows on, while that of the same
// participant's new session is not known here yet; nil if there is none.
func (s *place) lasting(before *forward.Source, e *entry) *forward.Source {
	if before == nil || before.Owner() != e.ID || before.Muted() || !shows(&e.Participant, before.Kind()) {
		return nil
	}
	return before
}

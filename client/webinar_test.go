package client

import (
	"testing"

	"causeway/protocol"
)

// TestWebinar has an attendee who would publish brought up to speak, and sent
// back.
func TestWebinar(t *testing.T) {
	f := newFakeSystem(t)
	f.role = protocol.Attendee
	s := newSink()
	m := join(t, f, Options{Feed: TestCard(), Receive: s.take})
	muted := func(want bool) func([]protocol.ControlMessage) bool {
		return func(said []protocol.ControlMessage) bool {
			for i := len(said) - 1; i >= 0; i-- {
				if state, is := said[i].(*protocol.SetState); is && state.AudioMuted != nil {
					return *state.AudioMuted == want && *state.VideoMuted == want
				}
			}
			return false
		}
	}
	f.await("an attendee who says that it is muted", muted(true))
	f.broadcast(protocol.Audience{Attendees: 7})
	if e := awaitEvent(t, m, AudienceChanged); e.Attendees != 7 || m.Attendees() != 7 {
		t.Errorf("told of %d, keeps %d", e.Attendees, m.Attendees())
	}
	if n := s.count(); n > 0 || m.Self().Role != protocol.Attendee {
		t.Errorf("as %s it sent %d frames", m.Self().Role, n)
	}
	if err := m.RaiseHand(true); err != nil {
		t.Fatal(err)
	}

	me := protocol.Participant{ID: "me", Name: "Ada", Role: protocol.Guest}
	f.broadcast(protocol.Roster{Changed: []protocol.Participant{me}})
	awaitEvent(t, m, BroughtUp)
	f.await("who was brought up to say that it is heard", muted(false))
	s.await(t, "what it sends now", func(all []Frame) bool { return pictures(all) > 3 })
	if m.Self().Role != protocol.Guest || *m.state().HandRaised {
		t.Errorf("it is %s, hand up %v", m.Self().Role, *m.state().HandRaised)
	}

	me.Role = protocol.Attendee
	f.broadcast(protocol.Roster{Changed: []protocol.Participant{me}})
	awaitEvent(t, m, SentBack)
	f.await("who was sent back to say that it is muted", muted(true))
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.frames)
}

package meeting

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"causeway/internal/mmr/control"
	"causeway/internal/mmr/forward"
	"causeway/protocol"
)

func TestResumeKeepsThePlace(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada, bob := h.join("ada", protocol.Host), h.join("bob", protocol.Guest)
		bob.say(&protocol.SetState{AudioMuted: ptr(true), VideoMuted: ptr(false), HandRaised: ptr(true)})
		ada.say(&protocol.Want{Slots: []protocol.SlotWant{{Slot: "v1", Participant: "bob", MaxHeight: 360}}})
		later(time.Second)
		before, _ := heard[protocol.Roster](ada)
		again := h.admit("bob", protocol.Guest)
		again.attach()
		later(time.Second)
		if f, ok := heard[protocol.Farewell](bob); ok {
			t.Errorf("before the new session was established the old channel heard %s", text(f))
		}
		again.up()
		if f, ok := heard[protocol.Farewell](bob); !ok || f.Reason != protocol.FarewellResumed || bob.closed.Load() {
			t.Errorf("old channel heard %s", text(f))
		}
		bob.voice.Receive(context.Background(), bob.channel, &protocol.Leave{}) // too late to matter
		later(Linger - time.Millisecond)
		if bob.closed.Load() {
			t.Error("the old media ended too early")
		}
		later(time.Second)
		if !bob.closed.Load() {
			t.Error("the old media go on")
		}
		for _, msg := range ada.hear() {
			switch msg := msg.(type) {
			case *protocol.Roster:
				if len(msg.Left) != 0 {
					t.Errorf("others saw bob leave: %s", text(msg))
				}
				for _, p := range msg.Changed {
					if !p.JoinedAt.Equal(before.Changed[0].JoinedAt) || p.HandRaisedAt.IsZero() || !p.AudioMuted || p.VideoMuted {
						t.Errorf("bob changed: %s", text(p))
					}
				}
			case *protocol.Slots:
				t.Errorf("slots changed: %s", text(msg))
			}
		}
		if h.count != 2 || !slices.Equal(h.gone, []string{bob.session}) {
			t.Errorf("count %d, gone %v", h.count, h.gone)
		}
	})
}

func TestOldSessionIsUnknown(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		bob := h.join("bob", protocol.Guest)
		later(time.Second)
		h.join("bob", protocol.Guest)
		_, err := h.m.Attach(context.Background(), bob.session, control.NewDetached())
		if !errors.Is(err, protocol.NewProblem(protocol.ProblemSessionUnknown, "")) {
			t.Errorf("attached to a replaced session: %v", err)
		}
	})
}

func TestNewSessionWithLessMedia(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada, bob := h.join("ada", protocol.Guest), h.join("bob", protocol.Guest)
		bob.say(&protocol.SetState{AudioMuted: ptr(false), VideoMuted: ptr(false), Sharing: ptr(true)})
		later(time.Second)
		if r, ok := heard[protocol.Roster](ada); !ok || r.Changed[0].AudioMuted || r.Changed[0].VideoMuted || !r.Changed[0].Sharing {
			t.Errorf("ada heard %s", text(r))
		}
		if _, err := h.m.Admit(context.Background(), Admission{Session: "again", ID: "bob"}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.m.Attach(context.Background(), "again", control.NewDetached()); err != nil {
			t.Fatal(err)
		}
		later(time.Second)
		if r, ok := heard[protocol.Roster](ada); !ok || !r.Changed[0].AudioMuted || !r.Changed[0].VideoMuted || r.Changed[0].Sharing {
			t.Errorf("ada heard %s", text(r))
		}
	})
}

// TestSoundIsHandedOver: the sound of a session that was taken over is heard
// until the new one's is, which may come from far away, and no longer.
func TestSoundIsHandedOver(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada, bob := h.join("ada", protocol.Guest), h.join("bob", protocol.Guest)
		bob.say(&protocol.SetState{AudioMuted: ptr(false)})
		h.talk(50, map[*member]byte{bob: 20})
		again := h.join("bob", protocol.Guest)
		old, heir := bob.media.Sources[protocol.Mic], again.media.Sources[protocol.Mic]
		h.talk(50, map[*member]byte{bob: 20})
		if got := heardBy(ada); !slices.Equal(got, []*forward.Source{old}) {
			t.Errorf("before the new session is heard: %v", got)
		}
		h.talk(10, map[*member]byte{bob: 20, again: 20})
		if got := heardBy(ada); !slices.Equal(got, []*forward.Source{heir}) || !old.Muted() {
			t.Errorf("once it is: %v, the old one muted: %v", got, old.Muted())
		}
	})
}

// heardBy lists the microphones in somebody's slots.
func heardBy(m *member) (list []*forward.Source) {
	for _, s := range m.audio.Slots() {
		m.shard.Run(func() {
			if s.Source() != nil {
				list = append(list, s.Source())
			}
		})
	}
	return list
}

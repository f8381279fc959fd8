package meeting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"causeway/internal/mmr/control"
	"causeway/internal/mmr/forward"
	"causeway/internal/mmr/legs"
	"causeway/protocol"
)

// street is one meeting in several houses, and the bus between them.
type street struct {
	t      *testing.T
	houses []*house

	mu      sync.Mutex
	cut     bool // nobody hears anybody else
	largest int  // message on the bus, in bytes
	waiting []chan func()
}

// onStreet plays something in several houses.
func onStreet(t *testing.T, n int, f func(t *testing.T, s *street), change ...func(*Config)) {
	synctest.Test(t, func(t *testing.T) {
		s := &street{t: t}
		for range n {
			s.waiting = append(s.waiting, make(chan func(), 1<<12))
		}
		t.Cleanup(func() { // after the houses have been left
			synctest.Wait()
			for _, mail := range s.waiting {
				close(mail)
			}
		})
		for i, mail := range s.waiting {
			h := newHouse(t, func(c *Config) {
				c.Self = legs.Address{Zone: "z", MMR: fmt.Sprint("r", i)}
				c.Publish = func(out legs.Out) { s.publish(i, out) }
				c.Do = s.do
				for _, f := range change {
					f(c)
				}
			})
			s.mu.Lock()
			s.houses = append(s.houses, h)
			s.mu.Unlock()
			go func() {
				for f := range mail {
					f()
				}
			}()
		}
		later(time.Second)
		f(t, s)
	})
}

// publish hands what a house has to say to the others, as JSON.
func (s *street) publish(from int, out legs.Out) {
	for _, m := range out.Asks {
		pass(s, from, m, func(m *Meeting, _ legs.Address, a *protocol.LegAsk) { _ = m.Asked(context.Background(), *a) })
	}
	for _, m := range out.Updates {
		pass(s, from, m, func(m *Meeting, at legs.Address, u *protocol.LegUpdate) { _ = m.Hear(context.Background(), at, u) })
	}
	for _, m := range out.Chats {
		pass(s, from, m, func(m *Meeting, _ legs.Address, c *protocol.LegChat) { _ = m.HearChat(context.Background(), c) })
	}
}

func pass[T any](s *street, from int, msg T, hand func(*Meeting, legs.Address, *T)) {
	data, err := json.Marshal(msg)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.largest = max(s.largest, len(data))
	for i := range s.waiting {
		if i == from || s.cut || err != nil {
			continue
		}
		s.waiting[i] <- func() {
			var back T
			if m := s.meeting(i); m != nil && json.Unmarshal(data, &back) == nil {
				hand(m, legs.Address{Zone: "z", MMR: fmt.Sprint("r", from)}, &back)
			}
		}
	}
}

// meeting returns a house's meeting, nil before it is built.
func (s *street) meeting(i int) *Meeting {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i >= len(s.houses) {
		return nil
	}
	return s.houses[i].m
}

func (s *street) do(leg legs.Address, d protocol.LegDo, failed func(*protocol.Problem)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.houses, func(h *house) bool { return h.m.cfg.Self == leg })
	go func() {
		var p *protocol.Problem
		if s.cut {
			p = protocol.NewProblem(protocol.ProblemMMRUnavailable, "")
		} else if err := s.houses[i].m.Do(context.Background(), d); err != nil {
			errors.As(err, &p)
		}
		if p != nil {
			failed(p)
		}
	}()
}

func (s *street) setCut(cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = cut
}

func TestOneRosterOnTwoLegs(t *testing.T) {
	onStreet(t, 2, func(t *testing.T, s *street) {
		ada, bob := s.houses[0].join("ada", protocol.Host), s.houses[1].join("bob", protocol.Guest)
		later(time.Second)
		if r, _ := heard[protocol.Roster](ada); len(r.Changed) != 1 || r.Changed[0].ID != "bob" || r.Changed[0].Name != "Name of bob" {
			t.Errorf("ada is told %s", text(r))
		}
		ada.say(&protocol.SendChat{Text: "hello"})
		if c, _ := heard[protocol.Chat](bob); c.Text != "hello" {
			t.Errorf("bob is told %s", text(c))
		}
		cyd := s.houses[1].admit("cyd", protocol.Guest)
		cyd.attach()
		w, _ := heard[protocol.Welcome](cyd)
		if len(w.Participants) != 3 || w.Participants[0].ID != "ada" || len(w.Chat) != 1 {
			t.Errorf("cyd is welcomed with %s", text(w))
		}
		ada.say(&protocol.HostAction{Action: protocol.HostMuteAll})
		bob.say(&protocol.SetState{AudioMuted: ptr(false)})
		later(time.Second)
		ada.hear()
		ada.say(&protocol.HostAction{Action: protocol.HostMute, Participant: "bob"})
		if m, ok := heard[protocol.Muted](bob); !ok || m.By != "ada" || !bob.media.Sources[protocol.Mic].Muted() {
			t.Errorf("bob is told %s", text(m))
		}
		later(time.Second)
		if r, _ := heard[protocol.Roster](ada); len(r.Changed) != 1 || !r.Changed[0].AudioMuted {
			t.Errorf("ada is told %s", text(r))
		}
		s.setCut(true)
		ada.say(&protocol.HostAction{Action: protocol.HostLowerHand, Participant: "bob"})
		if r, ok := heard[protocol.Refusal](ada); !ok || r.Problem.Code != protocol.ProblemMMRUnavailable {
			t.Errorf("ada is told %s", text(r))
		}
	})
}

// TestTakeOverAcrossLegs has a participant come anew on another leg.
func TestTakeOverAcrossLegs(t *testing.T) {
	onStreet(t, 3, func(t *testing.T, s *street) {
		ada := s.houses[0].join("ada", protocol.Guest)
		bob := s.houses[1].join("bob", protocol.Guest)
		bob.say(&protocol.SetState{AudioMuted: ptr(false), VideoMuted: ptr(false), HandRaised: ptr(true), Sharing: ptr(true)})
		later(time.Second)
		before, _ := heard[protocol.Roster](ada)
		again := s.houses[2].admit("bob", protocol.Guest)
		again.attach()
		later(time.Second)
		for kind, source := range again.media.Sources {
			if !source.Muted() {
				t.Errorf("the %s of a session that is not established is let through", kind)
			}
		}
		if got := bob.hear(); slices.ContainsFunc(got, func(m protocol.ControlMessage) bool { return m.ControlType() == "farewell" }) {
			t.Error("taken over too early")
		}
		again.up()
		later(time.Second)
		if f, ok := heard[protocol.Farewell](bob); !ok || f.Reason != protocol.FarewellResumed || bob.closed.Load() {
			t.Errorf("the old session heard %s; closed %v", text(f), bob.closed.Load())
		}
		if bob.media.Sources[protocol.Mic].Muted() || bob.media.Sources[protocol.Camera].Muted() {
			t.Error("the old session's media do not go on, though nothing of the new one's has come")
		}
		for kind, source := range again.media.Sources {
			if source.Muted() {
				t.Errorf("the %s of the new session is muted", kind)
			}
		}
		later(Linger)
		if !bob.closed.Load() {
			t.Error("the old session's media go on")
		}
		later(time.Minute)
		for _, msg := range ada.hear() {
			r, ok := msg.(*protocol.Roster)
			if !ok {
				continue
			}
			for _, p := range r.Changed {
				p.Path = before.Changed[0].Path
				if p != before.Changed[0] {
					t.Errorf("bob became %s", text(p))
				}
			}
			if len(r.Left) > 0 {
				t.Errorf("ada is told %s", text(r))
			}
		}
	})
}

// TestOldSessionLeaves has a client leave its old session by itself while the
// new one, on the same router, is not established yet.
func TestOldSessionLeaves(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada, bob := h.join("ada", protocol.Guest), h.join("bob", protocol.Guest)
		later(time.Second)
		ada.hear()
		again := h.admit("bob", protocol.Guest)
		again.attach()
		bob.say(&protocol.Leave{})
		later(time.Second)
		again.up()
		later(time.Second)
		for _, msg := range ada.hear() {
			if r, ok := msg.(*protocol.Roster); ok && len(r.Left) > 0 {
				t.Errorf("ada is told %s", text(r))
			}
		}
		again.say(&protocol.SendChat{Text: "here"})
		if c, _ := heard[protocol.Chat](ada); c.From != "bob" {
			t.Errorf("ada is told %s", text(c))
		}
	})
}

// TestRemovedWhileCutOff has a host remove somebody on a leg that cannot be
// reached.
func TestRemovedWhileCutOff(t *testing.T) {
	onStreet(t, 2, func(t *testing.T, s *street) {
		ada, bob := s.houses[0].join("ada", protocol.Host), s.houses[1].join("bob", protocol.Guest)
		later(time.Second)
		s.setCut(true)
		ada.say(&protocol.HostAction{Action: protocol.HostRemove, Participant: "bob"})
		later(20 * time.Second)
		bob.hear()
		s.setCut(false)
		later(5 * time.Second)
		if f, ok := heard[protocol.Farewell](bob); !ok || f != (protocol.Farewell{Reason: protocol.FarewellRemoved, By: "ada"}) {
			t.Errorf("bob hears %s", text(f))
		}
		_, err := s.houses[1].m.Admit(context.Background(), Admission{Session: "again", ID: "bob"})
		if !errors.Is(err, protocol.NewProblem(protocol.ProblemForbidden, "")) {
			t.Errorf("bob came again: %v", err)
		}
	})
}

// TestManyParticipants has six hundred on two legs: no message on the bus or
// on a control channel is too large.
func TestManyParticipants(t *testing.T) {
	onStreet(t, 2, func(t *testing.T, s *street) {
		for i := range 600 {
			s.houses[i%2].crowd(fmt.Sprintf("p%04d", i), control.NewDetached())
		}
		later(2 * time.Second)
		for i := range 20 {
			s.houses[0].m.sendChat(fmt.Sprint("c", i), strings.Repeat("<", protocol.MaxChat))
		}
		later(2 * time.Second)
		late := control.NewDetached()
		s.houses[1].crowd("late", late)
		later(time.Second)
		messages, _ := late.Drain()
		people, chat := map[string]bool{}, 0
		for _, data := range messages {
			msg, err := protocol.DecodeFromRouter(data)
			if err != nil {
				t.Fatal(err)
			}
			switch m := msg.(type) {
			case *protocol.Welcome:
				chat += len(m.Chat)
				note(people, m.Participants)
			case *protocol.Roster:
				note(people, m.Changed)
			case *protocol.Chat:
				chat++
			}
		}
		if len(people) != 601 || chat != 20 {
			t.Errorf("told of %d people and %d chat messages", len(people), chat)
		}
		if s.largest > 1<<19 {
			t.Errorf("a message on the bus had %d bytes", s.largest)
		}
	})
}

func note(people map[string]bool, list []protocol.Participant) {
	for _, p := range list {
		people[p.ID] = true
	}
}

// crowd admits somebody without media.
func (h *house) crowd(id string, ch *control.Channel) {
	h.t.Helper()
	if _, err := h.m.Admit(context.Background(), Admission{Session: id, ID: id, Name: strings.Repeat("名", 30), Role: protocol.Guest}); err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.m.Attach(context.Background(), id, ch); err != nil {
		h.t.Fatal(err)
	}
}

// sendChat says something for somebody who is not there.
func (m *Meeting) sendChat(id, text string) {
	_ = m.HearChat(context.Background(), &protocol.LegChat{Messages: []protocol.Chat{{ID: id, At: time.Now(), Text: text}}})
}

// BenchmarkChange is what one change of one participant costs a leg of a
// meeting with a thousand, half of them elsewhere: here, and on the other leg.
func BenchmarkChange(b *testing.B) {
	for name, own := range map[string]bool{"own": true, "far": false} {
		b.Run(name, func(b *testing.B) {
			router := forward.New(time.Now())
			router.Start([]forward.Shard{&fakeShard{router: router}})
			m := New(Config{
				Router: router, Self: legs.Address{Zone: "z", MMR: "a"}, Publish: func(legs.Out) {},
				Gone: func(string) {}, Count: func(int) {}, Ended: func(string) {},
			})
			m.settleTimer = time.NewTimer(time.Hour)
			now := time.Now()
			far := legs.New(legs.Config{Self: legs.Address{Zone: "z", MMR: "b"}, Epoch: 1}, now)
			tell := func() {
				for _, u := range far.Poll(now).Updates {
					m.state.Hear(legs.Address{Zone: "z", MMR: "b"}, &u, now)
				}
			}
			there := protocol.LegPerson{Established: true}
			far.Asked(protocol.LegAsk{People: true}, now)
			for i := range 500 {
				p := m.admit(Admission{Session: fmt.Sprint(i), ID: fmt.Sprintf("own%d", i)}, now)
				p.channel, p.greeted = control.NewDetached(), true
				m.show(p, now)
				there.Participant.ID = fmt.Sprintf("far%d", i)
				far.Put(there)
			}
			tell()
			m.settle(now)
			p := m.order[7]
			b.ReportAllocs()
			for n := uint64(1); b.Loop(); n++ {
				now = now.Add(legs.Coalesce)
				if own {
					p.AudioMuted = !p.AudioMuted
					m.changed(p)
				} else {
					there.Participant.AudioMuted = n%2 == 0
					far.Put(there)
					tell()
				}
				m.settle(now)
				if n%64 == 0 {
					for _, o := range m.order {
						o.channel.Drain()
					}
				}
			}
		})
	}
}

package meeting

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"causeway/protocol"
)

// onWebinar plays a webinar on n routers.
func onWebinar(t *testing.T, n int, f func(t *testing.T, s *street)) {
	onStreet(t, n, func(t *testing.T, s *street) {
		later(time.Second)
		f(t, s)
	}, func(c *Config) { c.Info.Kind = protocol.KindWebinar })
}

// rosterOf is what a client makes of what it was told, by id.
type rosterOf map[string]protocol.Participant

// follow takes what a participant was told, and returns the rest of it.
func (r rosterOf) follow(m *member) []protocol.ControlMessage {
	m.t.Helper()
	return slices.DeleteFunc(m.hear(), func(msg protocol.ControlMessage) bool {
		switch msg := msg.(type) {
		case *protocol.Welcome:
			clear(r)
			for _, p := range msg.Participants {
				r[p.ID] = p
			}
		case *protocol.Roster:
			for _, p := range msg.Changed {
				r[p.ID] = p
			}
			for _, l := range msg.Left {
				if l.ID == m.id {
					m.t.Errorf("%s is told to have left: %s", m.id, text(l))
				}
				delete(r, l.ID)
			}
		default:
			return false
		}
		return true
	})
}

func (r rosterOf) String() string {
	var all []string
	for id, p := range r {
		all = append(all, id+":"+string(p.Role))
	}
	slices.Sort(all)
	return fmt.Sprint(all)
}

// TestWebinar has a panellist and attendees on two routers. One is brought up
// to speak, and sent back.
func TestWebinar(t *testing.T) {
	for _, legs := range []int{1, 2} {
		t.Run(fmt.Sprint(legs, " legs"), func(t *testing.T) {
			onWebinar(t, legs, func(t *testing.T, s *street) {
				here, there := s.houses[0], s.houses[legs-1]
				host, guest := here.join("host", protocol.Host), there.join("pan", protocol.Guest)
				ann := there.admit("ann", protocol.Attendee)
				ben := here.admit("ben", protocol.Attendee)
				rosters := map[*member]rosterOf{host: {}, guest: {}, ann: {}, ben: {}}
				ann.up()
				ann.attach()
				ben.up()
				ben.attach()
				later(3 * time.Second)
				rest := map[*member][]protocol.ControlMessage{}
				look := func(when string, want map[*member]string) {
					t.Helper()
					later(3 * time.Second)
					for m, w := range want {
						rest[m] = rosters[m].follow(m)
						if got := rosters[m].String(); got != w {
							t.Errorf("%s: %s sees %s, want %s", when, m.id, got, w)
						}
					}
				}
				rosters[host]["host"], rosters[guest]["pan"] = protocol.Participant{Role: protocol.Host}, protocol.Participant{Role: protocol.Guest}
				rosters[host]["pan"], rosters[guest]["host"] = rosters[guest]["pan"], rosters[host]["host"]
				stage := "[host:host pan:participant]"
				look("at first", map[*member]string{
					host: stage, guest: stage, ann: "[ann:attendee host:host pan:participant]", ben: "[ben:attendee host:host pan:participant]",
				})
				if a := rest[guest]; len(a) == 0 || *a[len(a)-1].(*protocol.Audience) != (protocol.Audience{Attendees: 2}) {
					t.Errorf("the panellist is told of the audience by %s", text(a))
				}

				ann.say(&protocol.SetState{AudioMuted: ptr(false)})
				if r, ok := heard[protocol.Refusal](ann); !ok || r.Problem.Code != protocol.ProblemViewOnly {
					t.Errorf("an attendee who unmutes is told %s", text(r))
				}
				ann.say(&protocol.SetState{AudioMuted: ptr(true), VideoMuted: ptr(true), HandRaised: ptr(true)})
				if !ann.media.Sources[protocol.Mic].Muted() {
					t.Error("an attendee's sound is let through")
				}
				look("hand up", map[*member]string{
					host: "[ann:attendee host:host pan:participant]", guest: stage, ben: "[ben:attendee host:host pan:participant]",
				})

				guest.say(&protocol.HostAction{Action: protocol.HostPromote, Participant: "ann"})
				if r, ok := heard[protocol.Refusal](guest); !ok || r.Problem.Code != protocol.ProblemNotHost {
					t.Errorf("a panellist who brings somebody up is told %s", text(r))
				}
				host.say(&protocol.HostAction{Action: protocol.HostPromote, Participant: "ann"})
				up := "[ann:participant host:host pan:participant]"
				look("brought up", map[*member]string{
					host: up, guest: up, ann: up, ben: "[ann:participant ben:attendee host:host pan:participant]",
				})
				if p := rosters[host]["ann"]; !p.AudioMuted || !p.VideoMuted || !p.HandRaisedAt.IsZero() {
					t.Errorf("brought up as %s", text(p))
				}
				ann.say(&protocol.SetState{AudioMuted: ptr(false)})
				look("speaks", map[*member]string{ben: "[ann:participant ben:attendee host:host pan:participant]"})
				if ann.media.Sources[protocol.Mic].Muted() || rosters[ben]["ann"].AudioMuted {
					t.Error("who was brought up is not heard")
				}

				// Coming back keeps it, though the token says attendee.
				again := here.admit("ann", protocol.Attendee)
				again.up()
				again.attach()
				rosters[again] = rosterOf{}
				look("came back", map[*member]string{host: up, guest: up, again: up})

				host.say(&protocol.HostAction{Action: protocol.HostDemote, Participant: "ann"})
				look("sent back", map[*member]string{
					host: stage, guest: stage, again: "[ann:attendee host:host pan:participant]", ben: "[ben:attendee host:host pan:participant]",
				})
				if !again.media.Sources[protocol.Mic].Muted() {
					t.Error("who was sent back is heard")
				}
				if p := rosters[again]["ann"]; !p.AudioMuted {
					t.Errorf("sent back as %s", text(p))
				}
				again.say(&protocol.Leave{})
				later(3 * time.Second)
				if a, ok := heard[protocol.Audience](ben); !ok || a.Attendees != 1 {
					t.Errorf("the rest of the audience is told %s", text(a))
				}
			})
		})
	}
}

// TestQuestions holds that what attendees write is seen by the panel and by
// who wrote it.
func TestQuestions(t *testing.T) {
	onWebinar(t, 2, func(t *testing.T, s *street) {
		host, guest := s.houses[0].join("host", protocol.Host), s.houses[1].join("pan", protocol.Guest)
		ann, ben := s.houses[1].join("ann", protocol.Attendee), s.houses[0].join("ben", protocol.Attendee)
		later(2 * time.Second)
		ann.say(&protocol.SendChat{Text: "why?"})
		host.say(&protocol.SendChat{Text: "because"})
		later(time.Second)
		for m, want := range map[*member]int{host: 2, guest: 2, ann: 2, ben: 1} {
			var said []*protocol.Chat
			for _, msg := range m.hear() {
				if c, ok := msg.(*protocol.Chat); ok {
					said = append(said, c)
				}
			}
			if len(said) != want || want == 2 && (!said[0].Panel || said[1].Panel) {
				t.Errorf("%s reads %s", m.id, text(said))
			}
		}
		late, ann2 := s.houses[0].admit("late", protocol.Attendee), s.houses[0].admit("late host", protocol.Host)
		late.attach()
		ann2.attach()
		for m, want := range map[*member]int{late: 1, ann2: 2} {
			if w, _ := heard[protocol.Welcome](m); len(w.Chat) != want {
				t.Errorf("%s is welcomed with %s", m.id, text(w.Chat))
			}
		}
	})
}

// TestNoWebinar has nobody brought up in a meeting.
func TestNoWebinar(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada := h.join("ada", protocol.Host)
		h.join("bob", protocol.Guest)
		ada.say(&protocol.HostAction{Action: protocol.HostDemote, Participant: "bob"})
		if r, ok := heard[protocol.Refusal](ada); !ok || r.Problem.Code != protocol.ProblemBadRequest {
			t.Errorf("told %s", text(r))
		}
		ada.say(&protocol.HostAction{Action: protocol.HostPromote, Participant: "nobody"})
		if r, ok := heard[protocol.Refusal](ada); !ok || r.Problem.Code != protocol.ProblemNotFound {
			t.Errorf("told %s", text(r))
		}
	})
}

// TestAttendeesCostNobody has many attendees come: others are told of their
// number, at most once a second.
func TestAttendeesCostNobody(t *testing.T) {
	onWebinar(t, 1, func(t *testing.T, s *street) {
		host := s.houses[0].join("host", protocol.Host)
		for i := range 200 {
			s.houses[0].admit(fmt.Sprint("a", i), protocol.Attendee).attach()
			time.Sleep(20 * time.Millisecond) // virtual time
		}
		later(2 * time.Second)
		synctest.Wait()
		all := host.hear()
		for _, msg := range all {
			if msg.ControlType() != "audience" {
				t.Fatalf("the host is told %s", text(msg))
			}
		}
		if len(all) > 7 || all[len(all)-1].(*protocol.Audience).Attendees != 200 {
			t.Errorf("%d messages, the last of them %s", len(all), text(all[len(all)-1]))
		}
	})
}

// TestWelcomeFits holds that the longest messages are not too long.
func TestWelcomeFits(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 123e6, time.UTC)
	worst := protocol.Participant{
		ID: strings.Repeat("x", 36), Name: strings.Repeat("<", 64), Role: protocol.Guest, ClientKind: "native",
		JoinedAt: now, HandRaisedAt: now, Path: protocol.PathConnecting,
	}
	w := protocol.Welcome{Meeting: protocol.MeetingInfo{Topic: strings.Repeat("<", 200)}}
	for range rosterPart {
		w.Participants = append(w.Participants, worst)
	}
	for range protocol.MaxVideoSlots + 16 {
		w.Slots = append(w.Slots, protocol.SlotState{Slot: "v49", Participant: worst.ID, Source: protocol.ScreenAudio})
	}
	said := protocol.Chat{ID: worst.ID, From: worst.ID, Name: worst.Name, Text: strings.Repeat("x", 3800), At: now, Panel: true}
	for range 10 {
		w.Chat = append(w.Chat, said)
	}
	w.Chat = w.Chat[:fits(w.Chat)]
	data, err := protocol.EncodeControl(w)
	if err != nil || len(data) > protocol.MaxControlMessage || len(w.Chat) == 0 {
		t.Errorf("%d bytes with %d messages, %v", len(data), len(w.Chat), err)
	}
}

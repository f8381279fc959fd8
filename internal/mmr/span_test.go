package mmr

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"causeway/internal/bus"
	"causeway/internal/mmr/legs"
	"causeway/protocol"
)

// roster is who a client was told is there, in order.
func (c *client) roster() map[string]protocol.Participant {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]protocol.Participant{}
	for _, m := range c.heard {
		var changed []protocol.Participant
		switch m := m.(type) {
		case *protocol.Welcome:
			changed = m.Participants
		case *protocol.Roster:
			changed = m.Changed
			for _, l := range m.Left {
				delete(all, l.ID)
			}
		}
		for _, p := range changed {
			all[p.ID] = p
		}
	}
	return all
}

// sees waits until a client is shown exactly these.
func (c *client) sees(ids ...string) {
	c.t.Helper()
	c.until(fmt.Sprintf("%s sees %v", c.id, ids), func() bool {
		var got []string
		for id := range c.roster() {
			got = append(got, id)
		}
		slices.Sort(got)
		return slices.Equal(got, ids)
	})
}

// saw lists those who a client was told have left.
func (c *client) saw() (left []protocol.Left) {
	for _, r := range told[protocol.Roster](c) {
		left = append(left, r.Left...)
	}
	return left
}

func (c *client) chat() string {
	var all []string
	for _, w := range told[protocol.Welcome](c) {
		for _, m := range w.Chat {
			all = append(all, m.Text)
		}
	}
	for _, m := range told[protocol.Chat](c) {
		all = append(all, m.Text)
	}
	return strings.Join(all, " ")
}

func TestOneMeetingOnThreeRouters(t *testing.T) {
	w := zones(t, "here", "there", "yonder")
	ada := w[0].join("m1", "ada", wish{role: protocol.Host})
	bob := w[1].join("m1", "bob", wish{})
	ada.sees("ada", "bob")
	bob.sees("ada", "bob")

	ada.say(protocol.SendChat{Text: "one"})
	w[1].until("bob is told", func() bool { return bob.chat() == "one" })
	bob.say(protocol.SendChat{Text: "two"})
	w[0].until("ada is told", func() bool { return ada.chat() == "one two" })
	cyd := w[2].join("m1", "cyd", wish{})
	cyd.sees("ada", "bob", "cyd")
	ada.sees("ada", "bob", "cyd")
	w[2].until("cyd is told what was said", func() bool { return cyd.chat() == "one two" })

	raised := true
	bob.say(protocol.SetState{HandRaised: &raised})
	w[2].until("bob's hand is seen", func() bool { return !cyd.roster()["bob"].HandRaisedAt.IsZero() })
	ada.say(protocol.HostAction{Action: protocol.HostLowerHand, Participant: "bob"})
	w[2].until("and is lowered", func() bool { return cyd.roster()["bob"].HandRaisedAt.IsZero() })

	bob.talk(20)
	w[0].until("ada hears bob", func() bool { return len(ada.conns[protocol.Audio].in("a1")) > 10 })
	w[0].until("ada is told that he speaks", func() bool {
		return slices.ContainsFunc(told[protocol.Speakers](ada), func(s protocol.Speakers) bool {
			return len(s.Speakers) == 1 && s.Speakers[0].Participant == "bob"
		})
	})
	if r := ada.roster()["bob"]; r.AudioMuted || r.Path != protocol.PathOK || r.Name != "Name of bob" {
		t.Errorf("ada is shown %+v", r)
	}
	bob.say(protocol.Leave{})
	ada.sees("ada", "cyd")
	cyd.sees("ada", "cyd")
	if left := cyd.saw(); len(left) != 1 || left[0].Reason != protocol.FarewellLeft {
		t.Errorf("cyd was told %v", left)
	}
	cyd.say(protocol.HostAction{Action: protocol.HostMute, Participant: "ada"})
	w[2].until("cyd is no host", func() bool { return len(told[protocol.Refusal](cyd)) == 1 })
}

func TestHostAcrossRouters(t *testing.T) {
	w := zones(t, "here", "there")
	ada := w[0].join("m1", "ada", wish{role: protocol.Host})
	bob := w[1].join("m1", "bob", wish{})
	cyd := w[1].join("m1", "cyd", wish{})
	ada.sees("ada", "bob", "cyd")
	bob.sees("ada", "bob", "cyd") // his router knows who is host
	unmuted := false
	for _, c := range []*client{bob, cyd} {
		c.say(protocol.SetState{AudioMuted: &unmuted})
		w[0].until(c.id+" is shown unmuted", func() bool { return !ada.roster()[c.id].AudioMuted })
	}
	ada.say(protocol.HostAction{Action: protocol.HostMute, Participant: "bob"})
	w[1].until("bob is muted", func() bool { return len(told[protocol.Muted](bob)) == 1 })
	w[0].until("and shown so", func() bool { return ada.roster()["bob"].AudioMuted })
	ada.say(protocol.HostAction{Action: protocol.HostMuteAll})
	w[1].until("cyd is muted", func() bool { return len(told[protocol.Muted](cyd)) == 1 })
	if by := told[protocol.Muted](cyd)[0].By; by != "ada" {
		t.Errorf("muted by %q", by)
	}

	ada.say(protocol.HostAction{Action: protocol.HostRemove, Participant: "bob"})
	w[1].until("bob is removed", func() bool {
		f := told[protocol.Farewell](bob)
		return len(f) == 1 && f[0] == protocol.Farewell{Reason: protocol.FarewellRemoved, By: "ada"}
	})
	ada.sees("ada", "cyd")
	for _, at := range w {
		_, err := at.admit(protocol.AdmitRequest{Token: at.token("m1", "bob", protocol.Guest), Offers: goodOffers(t)})
		wantProblem(t, err, protocol.ProblemForbidden)
	}
	ada.say(protocol.HostAction{Action: protocol.HostRemove, Participant: "bob"})
	w[0].until("bob is not there", func() bool { return len(told[protocol.Refusal](ada)) == 1 })

	// Nobody can act through another leg who is no host there.
	_, err := bus.Request[protocol.Empty](t.Context(), w[0].bus, protocol.SubjectMeetingDo("m1", "there", "mmr-there"),
		protocol.LegDo{Meeting: "m1", By: "cyd", Action: protocol.HostMuteAll})
	wantProblem(t, err, protocol.ProblemNotHost)

	ada.say(protocol.HostAction{Action: protocol.HostEnd})
	w[1].until("cyd hears the end", func() bool {
		f := told[protocol.Farewell](cyd)
		return len(f) == 1 && f[0].Reason == protocol.FarewellEnded
	})
}

// TestTakeOver has a participant come anew on another router, and again on
// the same.
func TestTakeOver(t *testing.T) {
	w := zones(t, "here", "there", "yonder")
	ada := w[0].join("m1", "ada", wish{})
	bob := w[1].join("m1", "bob", wish{})
	raised, muted := true, true
	bob.say(protocol.SetState{AudioMuted: &muted, HandRaised: &raised})
	w[0].until("bob's hand is seen", func() bool { return !ada.roster()["bob"].HandRaisedAt.IsZero() })
	before := ada.roster()["bob"]

	for _, at := range []*world{w[2], w[2], w[0]} {
		again := at.enter("m1", "bob", wish{})
		again.waitReady()
		if n := len(told[protocol.Farewell](bob)); n != 0 {
			t.Error("taken over before it was established")
		}
		again.control()
		at.until("bob is told that he is elsewhere", func() bool {
			f := told[protocol.Farewell](bob)
			return len(f) == 1 && f[0].Reason == protocol.FarewellResumed
		})
		again.sees("ada", "bob")
		at.until("the old session is over", func() bool {
			for _, r := range w {
				for session, e := range r.sessions() {
					if e == "bob" && session != again.session {
						return false
					}
				}
			}
			return true
		})
		bob = again
	}
	if left := ada.saw(); len(left) != 0 {
		t.Errorf("ada was told that %v left", left)
	}
	now := ada.roster()["bob"]
	if !now.JoinedAt.Equal(before.JoinedAt) || !now.HandRaisedAt.Equal(before.HandRaisedAt) || !now.AudioMuted {
		t.Errorf("bob was %+v, and is %+v", before, now)
	}
}

// sessions lists whose sessions are on the router.
func (w *world) sessions() map[string]string {
	w.server.registry.mu.Lock()
	defer w.server.registry.mu.Unlock()
	all := map[string]string{}
	for session, e := range w.server.registry.sessions {
		all[session] = e.participant
	}
	return all
}

// TestRouterStops has a router end with a participant on it, who comes back
// on another one.
func TestRouterStops(t *testing.T) {
	w := zones(t, "here", "there", "yonder")
	ada := w[0].join("m1", "ada", wish{})
	w[1].join("m1", "bob", wish{})
	w[2].join("m1", "cyd", wish{}).sees("ada", "bob", "cyd") // that router knows who is there already
	ada.sees("ada", "bob", "cyd")
	again := w[2].enter("m1", "bob", wish{})
	again.waitReady()
	stopped := time.Now()
	w[1].stop()
	w[0].until("bob is shown as lost", func() bool { return ada.roster()["bob"].Path == protocol.PathLost })
	again.control()
	w[0].until("bob is back", func() bool { return ada.roster()["bob"].Path == protocol.PathOK })
	if left := ada.saw(); len(left) != 0 && time.Since(stopped) < legs.Grace {
		t.Errorf("ada was told that %v left", left)
	}
}

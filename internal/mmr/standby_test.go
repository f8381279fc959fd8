package mmr

import (
	"testing"
	"time"

	"causeway/internal/mmr/meeting"
	"causeway/protocol"

	"github.com/pion/rtcp"
)

// standBy has somebody stand by, with everything up.
func (w *world) standBy(meeting, id string) *client {
	w.t.Helper()
	c := w.enter(meeting, id, wish{standby: true})
	c.control()
	c.waitReady()
	w.until(id+" stands by", func() bool { return len(told[protocol.Standby](c)) > 0 })
	return c
}

// came counts the packets of media that ever came.
func (c *client) came() int {
	n := 0
	for _, k := range c.conns {
		k.mu.Lock()
		n += k.media
		k.mu.Unlock()
	}
	return n
}

// refused returns the code with which a channel was ended; "" if it was not.
func (c *client) refused() protocol.Code {
	for _, r := range told[protocol.Refusal](c) {
		if r.Fatal {
			return r.Problem.Code
		}
	}
	return ""
}

// knows reports whether somebody has been on a client's roster.
func (c *client) knows(id string) bool {
	everybody := []protocol.Participant{}
	for _, m := range told[protocol.Welcome](c) {
		everybody = append(everybody, m.Participants...)
	}
	for _, m := range told[protocol.Roster](c) {
		everybody = append(everybody, m.Changed...)
	}
	for _, p := range everybody {
		if p.ID == id {
			return true
		}
	}
	return false
}

// TestStandby: whoever stands by neither hears nor is heard, sees nobody and is
// seen by nobody; one message leads in.
func TestStandby(t *testing.T) {
	w := newWorld(t, nil)
	ada, eve := w.join("m1", "ada", wish{}), w.join("m1", "eve", wish{})
	bob := w.standBy("m1", "bob")
	ada.film(720)
	ada.talk(20)
	bob.talk(1) // louder
	eve.say(protocol.Want{Slots: []protocol.SlotWant{{Slot: "v1", Participant: "ada", MaxHeight: 720}}})
	bob.say(protocol.Want{Slots: []protocol.SlotWant{{Slot: "v1", Participant: "ada", MaxHeight: 720}}})
	w.until("others hear and see", func() bool {
		return len(eve.conns[protocol.Audio].in("a1")) > 20 && len(eve.conns[protocol.Video].in("v1")) > 20
	})
	w.until("the wish of one who is not there is refused", func() bool { return len(told[protocol.Refusal](bob)) > 0 })
	before := len(reports[*rtcp.PictureLossIndication](ada.conns[protocol.Video]))
	bob.say(protocol.Soon{})
	w.until("a key frame is asked for", func() bool {
		return len(reports[*rtcp.PictureLossIndication](ada.conns[protocol.Video])) > before
	})
	if n := bob.came(); n != 0 {
		t.Errorf("%d packets of media came", n)
	}
	if n, _ := w.server.registry.participants("", ""); n != 2 || w.server.standbys.count() != 1 {
		t.Errorf("%d participants and %d on standby", n, w.server.standbys.count())
	}
	bob.mu.Lock()
	if n := len(bob.heard); n != 2 { // standby, refusal
		t.Errorf("told %d messages: %v", n, bob.heard)
	}
	bob.mu.Unlock()
	for _, c := range []*client{ada, eve} {
		if c.knows("bob") || c.slots()["a2"].Participant == "bob" || c.slots()["a1"].Participant == "bob" {
			t.Errorf("%s is told of one who is in the lobby", c.id)
		}
	}

	another := claims("m1", "bob", protocol.Host, time.Now().Add(time.Hour))
	another.Name = "Another Name"
	token, err := w.signer.Sign(another)
	if err != nil {
		t.Fatal(err)
	}
	bob.say(protocol.Enter{Token: token})
	bob.say(protocol.Want{Slots: []protocol.SlotWant{{Slot: "v1", Participant: "ada", MaxHeight: 720}}})
	w.until("he hears and sees", func() bool {
		return len(bob.conns[protocol.Audio].in("a1")) > 5 && len(bob.conns[protocol.Video].in("v1")) > 5
	})
	w.until("he is heard", func() bool { return len(told[protocol.Roster](ada)) > 0 && ada.slots()["a1"].Participant == "bob" })
	welcome := told[protocol.Welcome](bob)[0]
	if welcome.Admitted == 0 {
		t.Error("he is not told when he was admitted")
	}
	for _, p := range welcome.Participants {
		if p.ID == "bob" && (p.Name != "Another Name" || p.Role != protocol.Host) {
			t.Errorf("he came as %+v", p)
		}
	}
	if n, _ := w.server.registry.participants("", ""); n != 3 || w.server.standbys.count() != 0 {
		t.Errorf("%d participants and %d on standby", n, w.server.standbys.count())
	}
	bob.ws.CloseNow()
	bob.control() // as any session
	w.until("he is welcome again", func() bool { return len(told[protocol.Welcome](bob)) == 2 })
}

// TestEnterChecks: entering is refused for what a join would be refused for.
func TestEnterChecks(t *testing.T) {
	expired := func(w *world, _ *client) string {
		raw, err := w.signer.Sign(claims("m1", "bob", protocol.Guest, time.Now().Add(-time.Hour)))
		if err != nil {
			w.t.Fatal(err)
		}
		return raw
	}
	own := func(_ *world, c *client) string { return c.token }
	for name, c := range map[string]struct {
		change func(*Config)
		before func(w *world, bob *client)
		token  func(w *world, bob *client) string
		code   protocol.Code
	}{
		"garbage":           {token: func(*world, *client) string { return "garbage" }, code: protocol.ProblemTokenInvalid},
		"expired":           {token: expired, code: protocol.ProblemTokenExpired},
		"another's token":   {token: func(w *world, _ *client) string { return w.token("m1", "eve", protocol.Guest) }, code: protocol.ProblemSessionUnknown},
		"another meeting's": {token: func(w *world, _ *client) string { return w.token("m2", "bob", protocol.Guest) }, code: protocol.ProblemSessionUnknown},
		"removed by a host": {
			before: func(w *world, _ *client) {
				ada, again := w.join("m1", "ada", wish{role: protocol.Host}), w.join("m1", "bob", wish{})
				ada.say(protocol.HostAction{Action: protocol.HostRemove, Participant: "bob"})
				w.until("bob is out", func() bool { return len(told[protocol.Farewell](again)) > 0 })
			},
			token: own, code: protocol.ProblemForbidden,
		},
		"full": {
			change: func(c *Config) { c.Limits.Participants = 2 },
			before: func(w *world, _ *client) { w.join("m1", "ada", wish{}); w.join("m1", "eve", wish{}) },
			token:  own, code: protocol.ProblemZoneFull,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.change)
			bob := w.standBy("m1", "bob")
			if c.before != nil {
				c.before(w, bob)
			}
			others := w.server.port.Stats().Connections - 3
			bob.say(protocol.Enter{Token: c.token(w, bob)})
			w.until("refused", func() bool { return bob.refused() != "" })
			if got := bob.refused(); got != c.code {
				t.Errorf("refused with %s, want %s", got, c.code)
			}
			w.until("his connections are closed", func() bool { return w.server.port.Stats().Connections <= others })
			if bob.came() != 0 {
				t.Error("media came")
			}
		})
	}
}

// TestStandbyEnds: nothing is left of a session on standby that came to
// nothing.
func TestStandbyEnds(t *testing.T) {
	for name, end := range map[string]func(w *world, bob *client){
		"the time is up":   func(w *world, _ *client) { w.server.standbys.look(time.Now().Add(standbyFor)) },
		"the page goes":    func(_ *world, bob *client) { bob.ws.CloseNow() },
		"the router does":  func(w *world, _ *client) { w.server.Drain("ada") },
		"the meeting ends": func(w *world, _ *client) { w.server.endHere(t.Context(), "m1", protocol.MeetingCommand{End: true}) },
		"it is done anew":  func(w *world, _ *client) { w.standBy("m1", "bob").ws.CloseNow() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			bob := w.standBy("m1", "bob")
			if n := w.server.port.Stats().Connections; n != 3 {
				t.Fatalf("%d connections", n)
			}
			end(w, bob)
			w.until("it is over", func() bool { return w.server.standbys.count() == 0 && w.server.port.Stats().Connections == 0 })
			w.until("the channel too", func() bool {
				bob.mu.Lock()
				defer bob.mu.Unlock()
				return bob.ended != nil
			})
		})
	}
	t.Run("no hello", func(t *testing.T) {
		w := newWorld(t, nil)
		w.enter("m1", "bob", wish{standby: true})
		w.server.standbys.look(time.Now().Add(meeting.ControlDeadline - time.Second))
		if w.server.standbys.count() != 1 {
			t.Error("it ended too early")
		}
		w.server.standbys.look(time.Now().Add(meeting.ControlDeadline))
		w.until("it is over", func() bool { return w.server.port.Stats().Connections == 0 })
	})
}

// TestStandbyLeavesRoom: the last of the room is for those who join.
func TestStandbyLeavesRoom(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.Participants = 4 })
	stands := func(id string) error {
		_, err := w.admit(protocol.AdmitRequest{Token: w.token("m1", id, protocol.Guest), Offers: goodOffers(t), Standby: true})
		return err
	}
	for _, id := range []string{"ann", "ben", "cid"} {
		if err := stands(id); err != nil {
			t.Fatal(err)
		}
	}
	wantProblem(t, stands("dan"), protocol.ProblemMMRUnavailable)
	for _, id := range []string{"eve", "fay", "gus", "hal"} {
		w.join("m1", id, wish{kinds: []protocol.MediaKind{protocol.Audio}})
	}
}

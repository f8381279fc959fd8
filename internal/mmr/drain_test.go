package mmr

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"causeway/internal/bus"
	"causeway/protocol"
)

// Who is told to move, on a time line: who is present, and who is told then.
func TestMover(t *testing.T) {
	people := func(from, to int) string {
		var list []string
		for i := from; i <= to; i++ {
			list = append(list, fmt.Sprintf("%03d", i))
		}
		return strings.Join(list, " ")
	}
	type step struct {
		at      time.Duration
		present string
		want    string
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"few", []step{{0, people(1, 3), people(1, 3)}, {time.Second, people(1, 3), ""}}},
		{"groups", []step{
			{0, people(1, 10), people(1, 4)},
			{time.Second, people(1, 10), ""},
			{2 * time.Second, people(3, 10), people(5, 6)},
			{3 * time.Second, people(7, 10), people(7, 10)},
		}},
		{"many at once where there are many", []step{
			{0, people(1, 200), people(1, 8)},
			{time.Second, people(5, 200), people(9, 12)},
			{2 * time.Second, people(13, 200), people(13, 20)}, // the group stays as large
		}},
		{"who is slow makes room, and is asked again last", []step{
			{0, people(1, 6), people(1, 4)},
			{10 * time.Second, people(1, 6), people(5, 6) + " " + people(1, 2)},
			{11 * time.Second, people(1, 6), ""},
			{20 * time.Second, people(1, 6), people(3, 4) + " " + people(1, 2)},
		}},
		{"who has come back is told anew", []step{
			{0, "a b", "a b"}, {time.Second, "b", ""}, {2 * time.Second, "a b", "a"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mover{told: map[string]time.Time{}}
			zero := time.Unix(1000, 0)
			for _, s := range c.steps {
				got := strings.Join(m.next(zero.Add(s.at), strings.Fields(s.present)), " ")
				if got != s.want {
					t.Errorf("after %v: %q, want %q", s.at, got, s.want)
				}
			}
		})
	}
}

// ask asks the router to drain, or not to.
func (w *world) ask(req protocol.DrainRequest) protocol.DrainState {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	state, err := bus.Request[protocol.DrainState](ctx, w.bus, protocol.SubjectDrainMMR(w.cfg.Zone, w.cfg.ID), req)
	if err != nil {
		w.t.Fatal(err)
	}
	return state
}

// says follows what the router says of itself.
func (w *world) says() <-chan protocol.MMRState {
	w.t.Helper()
	states := make(chan protocol.MMRState, 256)
	sub, err := bus.Subscribe(w.bus, protocol.SubjectMMRState(w.cfg.Zone, w.cfg.ID), func(_ string, s protocol.MMRState) {
		select {
		case states <- s:
		default:
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(sub.Stop)
	return states
}

// awaitState waits until the router says something of itself.
func (w *world) awaitState(states <-chan protocol.MMRState, what string, holds func(protocol.MMRState) bool) {
	w.t.Helper()
	for enough := time.After(patience); ; {
		select {
		case s := <-states:
			if holds(s) {
				return
			}
		case <-enough:
			w.t.Fatalf("the router never said that it is %s", what)
		}
	}
}

// A router that drains says so, takes nobody new, has those present move, a
// few at a time, and ends by itself when they have gone.
func TestDrain(t *testing.T) {
	w := newWorld(t, nil)
	states := w.says()
	var people []*client
	for i := range 6 {
		people = append(people, w.join("m", fmt.Sprintf("p%d", i), wish{kinds: []protocol.MediaKind{protocol.Audio}}))
	}
	if s := w.ask(protocol.DrainRequest{DeadlineMS: 60_000, By: "test"}); !s.Draining || s.Left != 6 || s.DeadlineMS != 60_000 {
		t.Errorf("answer %+v", s)
	}
	w.awaitState(states, "draining", func(s protocol.MMRState) bool {
		return s.Health == protocol.Draining && s.Drain != nil && s.Drain.Left == 6
	})
	_, err := w.admit(protocol.AdmitRequest{Token: w.token("m", "new", protocol.Guest)})
	if !errors.Is(err, protocol.NewProblem(protocol.ProblemMMRUnavailable, "")) {
		t.Errorf("somebody new: %v", err)
	}
	asked := func() (list []*client) {
		for _, p := range people {
			if moves := told[protocol.Move](p); len(moves) > 0 {
				list = append(list, p)
				if m := moves[0]; m.Reason != protocol.ResumeDrain || m.DeadlineMS <= 0 || m.DeadlineMS > 60_000 {
					t.Errorf("%+v", m)
				}
			}
		}
		return list
	}
	w.until("the first are asked", func() bool { return len(asked()) > 0 })
	for len(people) > 0 {
		w.until("some are asked to move", func() bool { return len(asked()) > 0 })
		some := asked()
		if len(some) > leastMoving {
			t.Errorf("%d are asked at a time", len(some))
		}
		people = slices.DeleteFunc(people, func(p *client) bool { return slices.Contains(some, p) })
		for _, p := range some {
			p.say(protocol.Leave{})
		}
	}
	w.awaitState(states, "stopping", func(s protocol.MMRState) bool { return s.Health == protocol.Stopping })
	w.until("it has ended", func() bool { return w.server.Ready() != nil })
}

// A drain that is cancelled leaves the router as it was.
func TestDrainCancelled(t *testing.T) {
	w := newWorld(t, nil)
	states := w.says()
	w.join("m", "ada", wish{kinds: []protocol.MediaKind{protocol.Audio}})
	w.ask(protocol.DrainRequest{})
	w.awaitState(states, "draining", func(s protocol.MMRState) bool { return s.Health == protocol.Draining })
	if s := w.ask(protocol.DrainRequest{Cancel: true}); s.Draining {
		t.Errorf("answer %+v", s)
	}
	w.awaitState(states, "healthy", func(s protocol.MMRState) bool { return s.Health == protocol.Healthy && s.Drain == nil })
	w.join("m", "bob", wish{kinds: []protocol.MediaKind{protocol.Audio}})
}

// Who has not moved by the deadline is told that it is over.
func TestDrainDeadline(t *testing.T) {
	w := newWorld(t, nil)
	ada := w.join("m", "ada", wish{kinds: []protocol.MediaKind{protocol.Audio}})
	w.ask(protocol.DrainRequest{DeadlineMS: 1})
	w.until("ada is told", func() bool {
		farewells := told[protocol.Farewell](ada)
		return len(farewells) > 0 && farewells[0].Reason == protocol.FarewellMoved
	})
	w.until("it has ended", func() bool { return w.server.Ready() != nil })
}

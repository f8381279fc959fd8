package zone

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"causeway/protocol"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// says makes what a healthy router says.
func says(id string, cpu float64) protocol.MMRState {
	return protocol.MMRState{ID: id, Zone: "z", Health: protocol.Healthy, Load: protocol.Load{CPU: cpu}}
}

func ids(list []candidate) []string {
	var out []string
	for _, c := range list {
		out = append(out, c.id)
	}
	slices.Sort(out)
	return out
}

func TestCandidates(t *testing.T) {
	with := func(f func(*protocol.MMRState)) protocol.MMRState {
		m := says("r", 0.5)
		f(&m)
		return m
	}
	for _, c := range []struct {
		name  string
		said  protocol.MMRState
		after time.Duration
		want  bool
	}{
		{"healthy", says("r", 0.5), 0, true},
		{"just heard enough", says("r", 0.5), 3 * time.Second, true},
		{"silent", says("r", 0.5), 3*time.Second + 1, false},
		{"draining", with(func(m *protocol.MMRState) { m.Health = protocol.Draining }), 0, false},
		{"stopping", with(func(m *protocol.MMRState) { m.Health = protocol.Stopping }), 0, false},
		{"of a health not known here", with(func(m *protocol.MMRState) { m.Health = "purple" }), 0, false},
		{"no CPU left", says("r", 1), 0, false},
		{"load is not a number", says("r", math.NaN()), 0, false},
		{"participants at the limit", with(func(m *protocol.MMRState) { m.Load.Participants, m.Load.MaxParticipants = 10, 10 }), 0, false},
		{"one place left", with(func(m *protocol.MMRState) { m.Load.Participants, m.Load.MaxParticipants = 9, 10 }), 0, true},
		{"packets at the limit", with(func(m *protocol.MMRState) { m.Load.PacketsPerSecond, m.Load.MaxPackets = 5, 5 }), 0, false},
		{"egress at the limit", with(func(m *protocol.MMRState) { m.Load.EgressBPS, m.Load.MaxEgressBPS = 5, 5 }), 0, false},
		{"no limits", with(func(m *protocol.MMRState) { m.Load.Participants, m.Load.EgressBPS = 1e6, 1e12 }), 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newState()
			s.hear(c.said, noon)
			if got := len(s.candidates("m", noon.Add(c.after))) == 1; got != c.want {
				t.Errorf("candidate: %v, want %v", got, c.want)
			}
		})
	}
}

func TestStoppingRouterIsForgotten(t *testing.T) {
	s := newState()
	s.hear(says("r", 0), noon)
	s.hearLeg(protocol.LegState{MMR: "r", Meeting: "m", Participants: 2}, noon)
	last := says("r", 0)
	last.Health = protocol.Stopping
	s.hear(last, noon)
	if len(s.routers) != 0 || len(s.legs) != 0 {
		t.Errorf("left: %v %v", s.routers, s.legs)
	}
}

func TestLegs(t *testing.T) {
	legOf := func(s *state, now time.Time) int {
		list := s.candidates("m", now)
		if len(list) != 1 {
			t.Fatalf("candidates %v", list)
		}
		return list[0].leg
	}
	s := newState()
	s.hear(says("r", 0), noon.Add(14*time.Second))
	s.hearLeg(protocol.LegState{MMR: "r", Meeting: "m", Participants: 2}, noon)
	if got := legOf(s, noon.Add(15*time.Second)); got != 2 {
		t.Errorf("leg of %d, want 2", got)
	}
	if got := legOf(s, noon.Add(15*time.Second+1)); got != 0 {
		t.Errorf("leg not repeated still counts: %d", got)
	}
	s.hearLeg(protocol.LegState{MMR: "r", Meeting: "m", Participants: 3}, noon.Add(14*time.Second))
	s.hearLeg(protocol.LegState{MMR: "r", Meeting: "m", Participants: 0}, noon.Add(15*time.Second))
	if len(s.legs) != 0 {
		t.Errorf("leg that is gone is kept: %v", s.legs)
	}
}

func TestPlacedIsALegAtOnce(t *testing.T) {
	s := newState()
	for _, id := range []string{"a", "b", "c"} {
		s.hear(says(id, 0), noon)
	}
	other := place("m", s.candidates("m", noon))[2] // least of the favourites
	s.placed("m", other, noon)
	if got := place("m", s.candidates("m", noon))[0]; got != other {
		t.Errorf("the next is sent to %s, want %s", got, other)
	}
	s.withdrawn("m", other, noon)
	if got := place("m", s.candidates("m", noon))[0]; got == other {
		t.Error("a placement that failed still counts")
	}
	if n := len(s.routers[other].joins); n != 0 {
		t.Errorf("%d joins of a placement that failed", n)
	}
}

func TestWithdrawnKeepsWhatTheRouterSaid(t *testing.T) {
	s := newState()
	s.hear(says("r", 0), noon)
	s.hearLeg(protocol.LegState{MMR: "r", Meeting: "m", Participants: 5}, noon)
	s.placed("m", "r", noon)
	s.withdrawn("m", "r", noon)
	if got := s.candidates("m", noon)[0].leg; got != 5 {
		t.Errorf("leg of %d, want 5", got)
	}
	s.withdrawn("m", "nobody", noon)
	s.placed("m", "nobody", noon) // went away between choice and note
	s.suspect("nobody", noon)
	s.cleared("nobody")
}

func TestLoadCountsRecentJoins(t *testing.T) {
	said := protocol.MMRState{ID: "r", Zone: "z", Health: protocol.Healthy, Load: protocol.Load{
		CPU: 0.5, Participants: 50, MaxParticipants: 100,
	}}
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	for _, c := range []struct {
		name  string
		joins []time.Time
		now   time.Time
		want  float64
	}{
		{"none", nil, at(0), 0.5},
		{"traffic of ten to come, a hundredth each", slices.Repeat([]time.Time{at(1)}, 10), at(2), 0.6},
		{"settled", slices.Repeat([]time.Time{at(-5*time.Second - 1)}, 10), at(0), 0.5},
		{"said already, traffic still to come", slices.Repeat([]time.Time{at(-1)}, 10), at(1), 0.6},
		{"room by participants", slices.Repeat([]time.Time{at(1)}, 50), at(2), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newState()
			s.hear(said, noon)
			s.routers["r"].joins = c.joins
			if got := s.routers["r"].load(c.now); math.Abs(got-c.want) > 1e-9 {
				t.Errorf("load %v, want %v", got, c.want)
			}
		})
	}
}

// TestCrowdIsLetIn: many who come at once are a guess at the router's load, but
// a certainty for its number of participants.
func TestCrowdIsLetIn(t *testing.T) {
	said := protocol.MMRState{ID: "r", Zone: "z", Health: protocol.Healthy, Load: protocol.Load{CPU: 0.3, Participants: 1, MaxParticipants: 500}}
	s := newState()
	s.hear(said, noon)
	now := noon.Add(time.Second)
	for i := range 499 {
		if len(s.candidates("m", now)) != 1 || s.summary(now).status != protocol.ZoneOpen {
			t.Fatalf("%d joins, no room for more", i)
		}
		s.placed("m", "r", now)
	}
	if len(s.candidates("m", now)) != 0 || s.summary(now).status != protocol.ZoneFull {
		t.Error("more than it takes")
	}
}

func TestLoadOfAnEmptyRouterGrows(t *testing.T) {
	s := newState()
	s.hear(says("r", 0), noon)
	for range 20 {
		s.placed("m", "r", noon)
	}
	if got := s.routers["r"].load(noon); got < 0.05 {
		t.Errorf("20 joins at once reckoned as %v", got)
	}
}

func TestSuspicion(t *testing.T) {
	s := newState()
	s.hear(says("r", 0), noon)
	s.suspect("r", noon)
	if !s.candidates("m", noon)[0].suspect {
		t.Error("no suspicion")
	}
	s.hear(says("r", 0), noon.Add(4*time.Second)) // still talks: it may be deaf
	if !s.candidates("m", noon.Add(5*time.Second-1))[0].suspect {
		t.Error("suspicion ended by what the router said")
	}
	if s.candidates("m", noon.Add(5*time.Second))[0].suspect {
		t.Error("suspicion does not end")
	}
	s.suspect("r", noon.Add(4*time.Second))
	s.cleared("r")
	if s.candidates("m", noon.Add(5*time.Second))[0].suspect {
		t.Error("suspicion not cleared by an answer")
	}
}

func TestSweep(t *testing.T) {
	s := newState()
	s.hear(says("old", 0), noon)
	s.hear(says("new", 0), noon.Add(time.Minute))
	s.placed("m1", "old", noon)
	s.placed("m2", "new", noon.Add(50*time.Second))
	s.placed("m3", "new", noon.Add(time.Minute))
	s.sweep(noon.Add(time.Minute))
	if len(s.routers) != 2 || len(s.routers["new"].joins) != 1 || len(s.legs) != 2 {
		t.Errorf("after a minute: %v, legs %v", s.routers, s.legs)
	}
	s.sweep(noon.Add(time.Minute + 1))
	if _, ok := s.routers["old"]; ok {
		t.Error("a router silent for a minute is kept")
	}
	s.sweep(noon.Add(time.Hour))
	if len(s.routers)+len(s.legs) != 0 {
		t.Errorf("left after an hour: %v %v", s.routers, s.legs)
	}
}

func TestSummary(t *testing.T) {
	draining := says("d", 0.9)
	draining.Health = protocol.Draining
	draining.Load.Participants = 7
	for _, c := range []struct {
		name    string
		said    []protocol.MMRState
		after   time.Duration
		status  protocol.ZoneStatus
		load    float64
		routers int
	}{
		{"nobody", nil, 0, protocol.ZoneEmpty, 0, 0},
		{"one", []protocol.MMRState{says("a", 0.25)}, 0, protocol.ZoneOpen, 0.25, 1},
		{"mean", []protocol.MMRState{says("a", 0.25), says("b", 0.75)}, 0, protocol.ZoneOpen, 0.5, 2},
		{"one is full", []protocol.MMRState{says("a", 1.5), says("b", 0)}, 0, protocol.ZoneOpen, 0.5, 2},
		{"all full", []protocol.MMRState{says("a", 1), says("b", 2)}, 0, protocol.ZoneFull, 1, 2},
		{"draining one does not count", []protocol.MMRState{says("a", 0.5), draining}, 0, protocol.ZoneOpen, 0.5, 2},
		{"all draining", []protocol.MMRState{draining}, 0, protocol.ZoneDraining, 0, 1},
		{"full and draining", []protocol.MMRState{says("a", 1), draining}, 0, protocol.ZoneFull, 1, 2},
		{"all silent", []protocol.MMRState{says("a", 0), draining}, 4 * time.Second, protocol.ZoneEmpty, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newState()
			for _, m := range c.said {
				s.hear(m, noon)
			}
			got := s.summary(noon.Add(c.after))
			if got.status != c.status || got.load != c.load || got.routers != c.routers {
				t.Errorf("got %+v, want %s, load %v, %d routers", got, c.status, c.load, c.routers)
			}
		})
	}
}

func TestSummaryHealths(t *testing.T) {
	s := newState()
	draining := says("d", 0)
	draining.Health = protocol.Draining
	s.hear(says("silent", 0), noon.Add(-4*time.Second))
	s.hear(draining, noon)
	s.hear(says("a", 0), noon)
	s.hear(says("b", 0), noon)
	s.suspect("b", noon)
	want := map[string]int{"silent": 1, "draining": 1, "healthy": 1, "suspect": 1}
	if got := s.summary(noon).healths; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Two states that heard the same answer alike, in whatever order they heard
// it and whatever was brokered and withdrawn.
func TestStatesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var said []protocol.MMRState
		for i := range rapid.IntRange(0, 6).Draw(t, "routers") {
			said = append(said, says(fmt.Sprintf("r%d", i), rapid.Float64Range(0, 1.2).Draw(t, "cpu")))
		}
		var legs []protocol.LegState
		for i := range rapid.IntRange(0, 6).Draw(t, "legs") {
			legs = append(legs, protocol.LegState{
				MMR: fmt.Sprintf("r%d", i), Meeting: rapid.SampledFrom([]string{"m", "n"}).Draw(t, "meeting"),
				Participants: rapid.IntRange(0, 3).Draw(t, "participants"),
			})
		}
		one, two := newState(), newState()
		for _, m := range said {
			one.hear(m, noon)
		}
		for _, l := range rapid.Permutation(legs).Draw(t, "legs of two") {
			two.hearLeg(l, noon) // before the routers were heard at all
		}
		for _, m := range rapid.Permutation(said).Draw(t, "said to two") {
			two.hear(m, noon)
		}
		for _, l := range legs {
			one.hearLeg(l, noon)
		}
		for _, m := range said {
			two.placed("x", m.ID, noon)
			two.withdrawn("x", m.ID, noon)
		}
		a, b := one.candidates("m", noon), two.candidates("m", noon)
		if !slices.Equal(place("m", a), place("m", b)) {
			t.Fatalf("%v and %v", a, b)
		}
		if !slices.Equal(ids(a), ids(b)) || one.summary(noon).status != two.summary(noon).status {
			t.Fatal("the states differ")
		}
	})
}

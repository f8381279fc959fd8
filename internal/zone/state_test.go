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
	return protocol.MMRState{ID: id, Zone: "z", Health: protocol.Healthy, Load: protocol.Load{CPU: cpu, MaxCPU: 1}}
}

// open lists who could take a participant of the meeting.
func (s *state) open(meeting string, now time.Time) []candidate {
	return slices.Clone(s.candidates(meeting, "", s.summary(now).load, now))
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
			if got := len(s.open("m", noon.Add(c.after))) == 1; got != c.want {
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
		list := s.open("m", now)
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
	other := place("m", s.open("m", noon))[2] // least of the favourites
	s.placed("m", other, noon)
	if got := place("m", s.open("m", noon))[0]; got != other {
		t.Errorf("the next is sent to %s, want %s", got, other)
	}
	s.withdrawn("m", other, noon)
	if got := place("m", s.open("m", noon))[0]; got == other {
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
	if got := s.open("m", noon)[0].leg; got != 5 {
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
		if len(s.open("m", now)) != 1 || s.summary(now).status != protocol.ZoneOpen {
			t.Fatalf("%d joins, no room for more", i)
		}
		s.placed("m", "r", now)
	}
	if len(s.open("m", now)) != 0 || s.summary(now).status != protocol.ZoneFull {
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
	if s.open("m", noon)[0].turn != suspect {
		t.Error("no suspicion")
	}
	s.hear(says("r", 0), noon.Add(4*time.Second)) // still talks: it may be deaf
	if s.open("m", noon.Add(5*time.Second-1))[0].turn != suspect {
		t.Error("suspicion ended by what the router said")
	}
	if s.open("m", noon.Add(5*time.Second))[0].turn == suspect {
		t.Error("suspicion does not end")
	}
	s.suspect("r", noon.Add(4*time.Second))
	s.cleared("r")
	if s.open("m", noon.Add(5*time.Second))[0].turn == suspect {
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
	want := map[string]int{"silent": 1, "draining": 1, "healthy": 1, "ailing": 1}
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
		a, b := one.open("m", noon), two.open("m", noon)
		if !slices.Equal(place("m", a), place("m", b)) {
			t.Fatalf("%v and %v", a, b)
		}
		if !slices.Equal(ids(a), ids(b)) || one.summary(noon).status != two.summary(noon).status {
			t.Fatal("the states differ")
		}
	})
}

// TestPlacement sends people to routers, one after the other.
func TestPlacement(t *testing.T) {
	f := favouritesOf("tea", 3)
	one, two, three := f[0], f[1], f[2]
	zone := func() *state {
		s := newState()
		for _, id := range f {
			s.hear(protocol.MMRState{ID: id, Zone: "z", Health: protocol.Healthy, Load: protocol.Load{Participants: 40, MaxParticipants: 100}}, noon)
		}
		return s
	}
	legOf := func(s *state, mmr string, n int) {
		s.hearLeg(protocol.LegState{MMR: mmr, Meeting: "tea", Participants: n}, noon)
	}
	has := func(s *state, mmr string, n int) {
		said := s.routers[mmr].said
		said.Load.Participants = n
		s.hear(said, noon)
	}
	for _, c := range []struct {
		name  string
		given func(*state)
		avoid string
		tried []string
		want  string
	}{
		{"nobody there yet: the favourite", func(*state) {}, "", nil, one},
		{"where the meeting is", func(s *state) { legOf(s, three, 2) }, "", nil, three},
		{"the larger leg", func(s *state) { legOf(s, three, 2); legOf(s, two, 3) }, "", nil, two},
		{"its router is full", func(s *state) { legOf(s, three, 2); has(s, three, 100) }, "", nil, one},
		{"its router says that it is full", func(s *state) { legOf(s, three, 2); s.full(three) }, "", nil, one},
		{"full, but has spoken since", func(s *state) { legOf(s, three, 2); s.full(three); has(s, three, 40) }, "", nil, three},
		{"one of its routers is full", func(s *state) { legOf(s, three, 9); has(s, three, 100); legOf(s, two, 1) }, "", nil, two},
		{"its router was asked already", func(s *state) { legOf(s, three, 2) }, "", []string{three}, one},
		{"its router is crowded", func(s *state) { legOf(s, three, 9); has(s, three, 80) }, "", nil, one},
		{"its router is as crowded as all", func(s *state) { legOf(s, three, 9); has(s, three, 80); has(s, one, 75); has(s, two, 75) }, "", nil, three},
		{"comes from the favourite", func(*state) {}, one, nil, two},
		{"comes from where the meeting is", func(s *state) { legOf(s, one, 9) }, one, nil, two},
		{"comes from one of the legs", func(s *state) { legOf(s, one, 9); legOf(s, three, 1) }, one, nil, three},
		{"comes from the only one with room", func(s *state) { has(s, two, 100); has(s, three, 100) }, one, nil, one},
		{"comes from another zone's", func(*state) {}, "elsewhere", nil, one},
		{"draining leg", func(s *state) {
			legOf(s, three, 9)
			said := s.routers[three].said
			said.Health = protocol.Draining
			s.hear(said, noon)
		}, "", nil, one},
		{"suspect leg", func(s *state) { legOf(s, three, 9); s.suspect(three, noon) }, "", nil, one},
		{"suspects before where it comes from", func(s *state) { s.suspect(one, noon); s.suspect(two, noon) }, three, nil, one},
		{"two of few took its router for dead", func(s *state) {
			legOf(s, three, 9)
			has(s, three, 20)
			s.report(three, "p1", noon)
			s.report(three, "p2", noon)
		}, "", nil, one},
		{"one took it for dead, twice", func(s *state) {
			legOf(s, three, 9)
			has(s, three, 20)
			s.report(three, "p1", noon)
			s.report(three, "p1", noon)
		}, "", nil, three},
		{"two of many took it for dead", func(s *state) {
			legOf(s, three, 9)
			s.report(three, "p1", noon)
			s.report(three, "p2", noon)
		}, "", nil, three},
		{"participants fail to connect media there", func(s *state) {
			legOf(s, three, 9)
			said := s.routers[three].said
			said.MediaOK, said.MediaFailed = 3, 3
			s.hear(said, noon)
		}, "", nil, one},
		{"few participants fail to connect media there", func(s *state) {
			legOf(s, three, 9)
			said := s.routers[three].said
			said.MediaOK, said.MediaFailed = 4, 3
			s.hear(said, noon)
		}, "", nil, three},
		{"nobody left", func(*state) {}, "", f, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := zone()
			c.given(s)
			if got, ok := s.place("tea", c.avoid, c.tried, noon); got != c.want || ok != (c.want != "") {
				t.Errorf("sent to %q, want %q", got, c.want)
			}
		})
	}
}

// TestTakenForDead: what participants say ends a router's grace before its
// silence does, and is forgotten after a while.
func TestTakenForDead(t *testing.T) {
	s := newState()
	s.hear(says("r", 0), noon)
	s.report("r", "p1", noon.Add(overdue))
	if why := s.routers["r"].ails(noon.Add(overdue)); why != "" {
		t.Errorf("on time, and %q", why)
	}
	s.report("r", "p1", noon.Add(overdue+1))
	if why := s.routers["r"].ails(noon.Add(overdue + 1)); why != protocol.AilsSilent {
		t.Errorf("overdue, and %q", why)
	}
	s.hear(says("r", 0), noon.Add(10*time.Second))
	s.report("r", "p2", noon.Add(10*time.Second))
	sum := s.summary(noon.Add(10 * time.Second))
	if sum.ailing["r"] != protocol.AilsLeft || sum.status != protocol.ZoneOpen || sum.healths["ailing"] != 1 {
		t.Errorf("taken for dead by two: %+v", sum)
	}
	now := noon.Add(overdue + reportsCount + 2)
	if why := s.routers["r"].ails(now); why != "" {
		t.Errorf("after a while %q", why)
	}
	s.sweep(now)
	if n := len(s.routers["r"].left); n != 1 {
		t.Errorf("%d reports are kept", n)
	}
	for i := range 2 * maxReports {
		s.report("r", fmt.Sprint(i), now)
	}
	if n := len(s.routers["r"].left); n > maxReports {
		t.Errorf("%d reports are kept", n)
	}
	s.report("nobody", "p1", now)
}

// TestJoinsOfOtherControllers: what legs tell counts before the router's next
// word does.
func TestJoinsOfOtherControllers(t *testing.T) {
	s := newState()
	s.hearLeg(protocol.LegState{MMR: "r", Meeting: "early", Participants: 2}, noon) // before the router is known
	s.hear(protocol.MMRState{ID: "r", Zone: "z", Health: protocol.Healthy, Load: protocol.Load{Participants: 4, MaxParticipants: 10}}, noon)
	is := func(what string, want float64) {
		t.Helper()
		if got := s.routers["r"].load(noon); math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: load %v, want %v", what, got, want)
		}
	}
	leg := func(meeting string, n int) {
		s.hearLeg(protocol.LegState{MMR: "r", Meeting: meeting, Participants: n}, noon)
	}
	is("as it said", 0.4)
	leg("m", 5)
	is("a leg more", 0.7)
	leg("m", 7)
	is("it grows", 0.9)
	s.placed("m", "r", noon.Add(-settle-1))
	is("sent there", 1)
	leg("m", 8)
	is("which the router confirms", 1)
	s.withdrawn("m", "r", noon)
	is("withdrawn", 0.9)
	leg("m", 0)
	leg("early", 0)
	is("gone", 0.4)
	s.placed("x", "r", noon.Add(-settle-1))
	s.withdrawn("x", "r", noon)
	if n := s.routers["r"].inLegs; n != 0 || len(s.legs) != 0 {
		t.Errorf("%d left in legs %v", n, s.legs)
	}
}

// TestNobodyIsRefusedWhileThereIsRoom fills a zone by one meeting.
func TestNobodyIsRefusedWhileThereIsRoom(t *testing.T) {
	const routers, each = 7, 30
	s := newState()
	for i := range routers {
		s.hear(protocol.MMRState{
			ID: fmt.Sprintf("r%d", i), Zone: "z", Health: protocol.Healthy, Load: protocol.Load{MaxParticipants: each},
		}, noon)
	}
	now := noon.Add(time.Second)
	at := map[string]int{}
	for i := range routers * each {
		id, ok := s.place("tea", "", nil, now)
		if !ok {
			t.Fatalf("participant %d is refused; %v", i, at)
		}
		at[id]++
	}
	if id, ok := s.place("tea", "", nil, now); ok {
		t.Errorf("one too many at %s", id)
	}
	for id, n := range at {
		if n != each {
			t.Errorf("%s has %d", id, n)
		}
	}
}

package loudest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMeter(t *testing.T) {
	var m Meter
	reports := 0
	feed := func(level uint8, from, to int) (last int) {
		reports, last = 0, -1
		for ms := from; ms < to; ms += 20 {
			if m.Observe(level, true, at(ms)) {
				reports++
				last = ms
			}
		}
		return last
	}
	if feed(127, 0, 1000); reports != 0 || m.Level() != 127 {
		t.Errorf("silence: %d reports, level %d", reports, m.Level())
	}
	if feed(30, 1000, 2000); reports < 24 || reports > 26 || m.Level() != 30 {
		t.Errorf("speech: %d reports, level %d", reports, m.Level())
	}
	if last := feed(127, 2000, 4000); m.Level() < 110 || last > 2700 || last < 2100 {
		t.Errorf("silence again: last report at %d ms, level %d", last, m.Level())
	}
	feed(10, 4000, 4020)
	if m.Level() < 55 {
		t.Errorf("one click counts as speech: %d", m.Level())
	}
	feed(30, 4020, 4060)
	if m.Level() > 55 {
		t.Errorf("no speech after 40 ms: %d", m.Level())
	}
}

// TestMeterBunched: packets that the network hands over together count as
// what they are, one after the other.
func TestMeterBunched(t *testing.T) {
	var m Meter
	m.Observe(60, true, at(0))
	for range 5 {
		m.Observe(30, true, at(100))
	}
	if m.Level() > 40 {
		t.Errorf("100 ms of speech at once: level %d", m.Level())
	}
}

// TestFirstNoise: who makes any sound at all takes a place while there are
// free ones, and gives it up to the first who speaks.
func TestFirstNoise(t *testing.T) {
	var m Meter
	if m.Observe(127, false, at(0)) || !m.Observe(90, false, at(20)) || m.Observe(90, false, at(40)) {
		t.Error("the first noise is not told of once")
	}
	s := New(1, 1)
	if s.Report(1, 127, at(0)) {
		t.Error("silence has a place")
	}
	for _, step := range []struct {
		id    ID
		level uint8
		want  []ID
	}{
		{1, 90, []ID{1, 0}}, {2, 90, []ID{1, 2}}, {3, 90, []ID{1, 2}}, {3, 30, []ID{3, 1}}, {2, 30, []ID{3, 2}},
	} {
		before := s.Selected(nil)
		changed := s.Report(step.id, step.level, at(60))
		got := s.Selected(nil)
		if !slices.Equal(got, step.want) || changed == slices.Equal(before, got) {
			t.Errorf("after %d at %d: %v, changed %v, want %v", step.id, step.level, got, changed, step.want)
		}
	}
	if len(s.Speaking(nil, at(60))) != 2 {
		t.Error("who makes noise counts as speaking")
	}
}

func TestMeterOddTimes(t *testing.T) {
	var m Meter
	m.Observe(200, true, at(1000))
	for range 3 {
		m.Observe(0, true, at(500)) // the clock went back
		m.Observe(0, true, at(500))
	}
	m.Observe(0, true, at(500+3600_000))
	if m.Level() > 127 {
		t.Errorf("level %d", m.Level())
	}
}

func TestSpeaking(t *testing.T) {
	s := New(3, 1)
	for id, level := range map[ID]uint8{1: 40, 2: 20, 3: 30, 4: 25} {
		s.Report(id, level, at(0))
	}
	want := []Speaker{{99, 0}, {2, 20}, {4, 25}, {3, 30}, {1, 40}}
	if diff := cmp.Diff(want, s.Speaking([]Speaker{{99, 0}}, at(599))); diff != "" {
		t.Error(diff)
	}
	if got := s.Speaking(nil, at(600)); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestNoPlaces(t *testing.T) {
	s := New(0, 0)
	if s.Report(1, 20, at(0)) || s.Remove(1) || s.Remove(2) || len(s.Selected(nil)) != 0 {
		t.Error("chose somebody")
	}
}

// TestInvariants: whatever happens, nobody has two places, nobody unknown has
// one, changes are announced, and each place's holder is consistent.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(rapid.IntRange(0, 4).Draw(t, "first"), rapid.IntRange(0, 2).Draw(t, "reserve"))
		known := map[ID]bool{}
		now := start
		before := s.Selected(nil)
		for range 200 {
			id := ID(rapid.IntRange(1, 8).Draw(t, "id"))
			now = now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "ms")) * time.Millisecond)
			var changed bool
			if rapid.IntRange(0, 20).Draw(t, "leave") == 0 {
				changed = s.Remove(id)
				delete(known, id)
			} else {
				changed = s.Report(id, rapid.Uint8().Draw(t, "level"), now)
				known[id] = true
			}
			after := s.Selected(nil)
			if changed == slices.Equal(before, after) {
				t.Fatalf("changed %v: %v to %v", changed, before, after)
			}
			before = after
			seen := map[ID]bool{}
			for i, id := range after {
				if id != 0 && (seen[id] || !known[id] || s.sources[id].place != i) {
					t.Fatalf("%v, known %v", after, known)
				}
				seen[id] = true
			}
			for id, e := range s.sources {
				if !known[id] || e.place >= 0 && after[e.place] != id {
					t.Fatalf("%d holds %d of %v", id, e.place, after)
				}
			}
		}
	})
}

func TestNoAllocation(t *testing.T) {
	s := New(3, 1)
	var m [8]Meter
	for i := range m {
		s.Report(ID(i+1), 30, start)
	}
	buf, who, ms := make([]ID, 0, 4), make([]Speaker, 0, 4), 0
	n := testing.AllocsPerRun(1000, func() {
		ms += 20
		for i := range m {
			if m[i].Observe(uint8(ms>>i), ms&64 == 0, at(ms)) {
				s.Report(ID(i+1), m[i].Level(), at(ms))
			}
		}
		s.Selected(buf)
		s.Speaking(who, at(ms))
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	b.ReportAllocs()
	var m Meter
	now := start
	for b.Loop() {
		now = now.Add(packet)
		m.Observe(30, true, now)
	}
}

func BenchmarkReport(b *testing.B) {
	b.ReportAllocs()
	s := New(3, 1)
	for i := range ID(200) {
		s.Report(i+1, 30, start)
	}
	now := start
	for b.Loop() {
		now = now.Add(packet)
		s.Report(1, 30, now)
		s.Report(150, 33, now)
	}
}

package connect

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"causeway/protocol"
)

// rec makes a record: "zone/controller" and its round trips in milliseconds.
func rec(zone, id string, samples ...int) Record {
	r := Record{Zone: protocol.Zone{ID: zone}, Controller: protocol.Controller{ID: id, URL: "https://" + id}}
	for _, s := range samples {
		r.Samples = append(r.Samples, time.Duration(s)*ms)
	}
	r.Answer.State = protocol.ZoneOpen
	return r
}

func (r Record) with(f func(*Record)) Record { f(&r); return r }

func loaded(load float64) func(*Record) { return func(r *Record) { r.Answer.Load = load } }
func own(r *Record)                     { r.Zone.Own = true }

func weighing(w float64) func(*Record)       { return func(r *Record) { r.Answer.Weight = w } }
func is(s protocol.ZoneStatus) func(*Record) { return func(r *Record) { r.Answer.State = s } }
func done(r *Record)                         { r.Done = true }

func names(list []Record) []string {
	out := []string{}
	for _, r := range list {
		out = append(out, r.Controller.ID)
	}
	return out
}

func TestStatistics(t *testing.T) {
	for _, c := range []struct {
		samples             []int
		min, median, jitter int // milliseconds
	}{
		{nil, 0, 0, 0},
		{[]int{7}, 7, 7, 0},
		{[]int{9, 5}, 5, 5, 4},
		{[]int{30, 10, 20}, 10, 20, 15},
		{[]int{10, 10, 10, 90, 10}, 10, 10, 40},
	} {
		r := rec("z", "c", c.samples...)
		if r.Min() != time.Duration(c.min)*ms || r.Median() != time.Duration(c.median)*ms || r.Jitter() != time.Duration(c.jitter)*ms {
			t.Errorf("%v: min %v, median %v, jitter %v", c.samples, r.Min(), r.Median(), r.Jitter())
		}
		if c.samples != nil && r.Samples[0] != time.Duration(c.samples[0])*ms {
			t.Errorf("%v: the samples were reordered", c.samples)
		}
	}
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		name     string
		records  []Record
		previous string
		want     []string
	}{
		{"nothing", nil, "", []string{}},
		{"nobody answered", []Record{rec("a", "a1")}, "", []string{}},
		{"nearest first", []Record{rec("a", "a1", 30), rec("b", "b1", 20)}, "", []string{"b1", "a1"}},
		{
			"the zone of the winner before other zones",
			[]Record{rec("a", "a1", 20), rec("b", "b1", 25), rec("a", "a2", 90)},
			"",
			[]string{"a1", "a2", "b1"},
		},
		{"jitter counts", []Record{rec("a", "a1", 20, 60, 20), rec("b", "b1", 30, 30, 30)}, "", []string{"b1", "a1"}},
		{"half a load costs nothing", []Record{rec("a", "a1", 20).with(loaded(0.5)), rec("b", "b1", 21)}, "", []string{"a1", "b1"}},
		{"load costs", []Record{rec("a", "a1", 20).with(loaded(0.9)), rec("b", "b1", 40)}, "", []string{"b1", "a1"}},
		{"a far zone is no better than a loaded one", []Record{rec("a", "a1", 20).with(loaded(0.9)), rec("b", "b1", 200)}, "", []string{"a1", "b1"}},
		{"weight", []Record{rec("a", "a1", 20).with(weighing(30)), rec("b", "b1", 40)}, "", []string{"b1", "a1"}},
		{"one's own network's zone", []Record{rec("a", "a1", 18).with(own), rec("b", "b1", 1)}, "", []string{"a1", "b1"}},
		{"one's own network's zone is far away", []Record{rec("a", "a1", 30).with(own), rec("b", "b1", 1)}, "", []string{"b1", "a1"}},
		{"favoured by weight", []Record{rec("a", "a1", 40).with(weighing(-30)), rec("b", "b1", 20)}, "", []string{"a1", "b1"}},
		{"full zone last", []Record{rec("a", "a1", 1).with(is(protocol.ZoneFull)), rec("b", "b1", 400)}, "", []string{"b1", "a1"}},
		{"draining zone last", []Record{rec("a", "a1", 1).with(is(protocol.ZoneDraining)), rec("b", "b1", 400)}, "", []string{"b1", "a1"}},
		{"only a full zone", []Record{rec("a", "a1", 1).with(is(protocol.ZoneFull))}, "", []string{"a1"}},
		{"ties: by id", []Record{rec("b", "b1", 20), rec("a", "a2", 20), rec("a", "a1", 20)}, "", []string{"a1", "a2", "b1"}},
		{"previous kept", []Record{rec("a", "a1", 40), rec("b", "b1", 31)}, "a", []string{"a1", "b1"}},
		{"previous at 30: 20 is not 10 better and a third", []Record{rec("a", "a1", 30), rec("b", "b1", 21)}, "a", []string{"a1", "b1"}},
		{"previous at 30: 20 is", []Record{rec("a", "a1", 30), rec("b", "b1", 20)}, "a", []string{"b1", "a1"}},
		{"previous at 60: 41 is less than a third better", []Record{rec("a", "a1", 60), rec("b", "b1", 41)}, "a", []string{"a1", "b1"}},
		{"previous at 60: 40 is", []Record{rec("a", "a1", 60), rec("b", "b1", 40)}, "a", []string{"b1", "a1"}},
		{"previous did not answer", []Record{rec("a", "a1"), rec("b", "b1", 40)}, "a", []string{"b1"}},
		{"previous is full now", []Record{rec("a", "a1", 10).with(is(protocol.ZoneFull)), rec("b", "b1", 40)}, "a", []string{"b1", "a1"}},
		{
			"previous judged by its best controller",
			[]Record{rec("a", "a1", 90), rec("a", "a2", 40), rec("b", "b1", 35)},
			"a",
			[]string{"a2", "a1", "b1"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := names(Choose(c.records, c.previous)); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestDecided(t *testing.T) {
	const soon, late = 100 * ms, 2 * time.Second
	for _, c := range []struct {
		name     string
		records  []Record
		previous string
		elapsed  time.Duration
		want     bool
	}{
		{"nobody answered", []Record{rec("a", "a1")}, "", late, false},
		{"alone", []Record{rec("a", "a1", 20)}, "", soon, true},
		{"other controllers of the zone are not waited for", []Record{rec("a", "a1", 20), rec("a", "a2")}, "", soon, true},
		{"others failed", []Record{rec("a", "a1", 20), rec("b", "b1").with(done)}, "", soon, true},
		{"another may still come", []Record{rec("a", "a1", 20), rec("b", "b1")}, "", soon, false},
		{"another would be slower by now", []Record{rec("a", "a1", 20), rec("b", "b1")}, "", 140 * ms, true},
		{"rivals: more samples", []Record{rec("a", "a1", 20), rec("b", "b1", 22)}, "", soon, false},
		{"rivals measured", []Record{rec("a", "a1", 20, 20, 20), rec("b", "b1", 22, 22, 22)}, "", soon, true},
		{"winner not measured", []Record{rec("a", "a1", 20), rec("b", "b1", 22, 22, 22)}, "", soon, false},
		{"winner has ended", []Record{rec("a", "a1", 20).with(done), rec("b", "b1", 22, 22, 22)}, "", soon, true},
		{"rival has ended", []Record{rec("a", "a1", 20), rec("b", "b1", 22).with(done)}, "", soon, true},
		{"no rival", []Record{rec("a", "a1", 20), rec("b", "b1", 90)}, "", soon, true},
		{"previous is always a rival", []Record{rec("a", "a1", 20), rec("b", "b1", 90)}, "b", soon, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := decided(c.records, c.previous, c.elapsed); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestPatience(t *testing.T) {
	known := func(load, weight float64) func(*Record) {
		return func(r *Record) { r.Zone.Load, r.Zone.Weight = load, weight }
	}
	for _, c := range []struct {
		name     string
		records  []Record
		previous string
		want     time.Duration
	}{
		{"nobody answered: the budget", []Record{rec("a", "a1")}, "", zonesBudget},
		{"alone", []Record{rec("a", "a1", 20)}, "", 0},
		{"four round trips of the best", []Record{rec("a", "a1", 20), rec("b", "b1")}, "", 80*ms + firstLeeway},
		{"less for a loaded zone", []Record{rec("a", "a1", 120), rec("b", "b1").with(known(1, 0))}, "", 80*ms + firstLeeway},
		{"none for one that cannot win", []Record{rec("a", "a1", 50), rec("b", "b1").with(known(0, 50))}, "", 0},
		{"more for one that is favoured", []Record{rec("a", "a1", 20), rec("b", "b1").with(known(0, -20))}, "", 160*ms + firstLeeway},
		{"more for the previous zone: 10 ms", []Record{rec("a", "a1", 10), rec("b", "b1")}, "b", 80*ms + firstLeeway},
		{"more for the previous zone: a half", []Record{rec("a", "a1", 100), rec("b", "b1")}, "b", 600*ms + firstLeeway},
		{"less when the previous zone leads", []Record{rec("a", "a1", 60), rec("b", "b1")}, "a", 160*ms + firstLeeway},
		{"none when nothing can beat the previous", []Record{rec("a", "a1", 10), rec("b", "b1")}, "a", 0},
		{"one controller of that zone has answered", []Record{rec("a", "a1", 10), rec("b", "b1"), rec("b", "b2", 50)}, "", 0},
		{"never more than the budget", []Record{rec("a", "a1", 4000), rec("b", "b1")}, "", zonesBudget},
		{"a full zone waits for any other", []Record{rec("a", "a1", 1).with(is(protocol.ZoneFull)), rec("b", "b1")}, "", zonesBudget},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := patience(c.records, c.previous); got.Round(time.Microsecond) != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// draw makes records of a few zones in any state of being probed.
func draw(t *rapid.T) []Record {
	var list []Record
	for z := range rapid.IntRange(1, 4).Draw(t, "zones") {
		for c := range rapid.IntRange(1, 3).Draw(t, "controllers") {
			samples := rapid.SliceOfN(rapid.IntRange(1, 500), 0, 5).Draw(t, "samples")
			r := rec(fmt.Sprintf("z%d", z), fmt.Sprintf("z%dc%d", z, c), samples...)
			r.Answer.Load = rapid.Float64Range(0, 1).Draw(t, "load")
			r.Done = rapid.Bool().Draw(t, "done")
			list = append(list, r)
		}
	}
	return list
}

func TestChooseProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := draw(t)
		previous := rapid.SampledFrom([]string{"", "z0", "z1", "elsewhere"}).Draw(t, "previous")
		got := Choose(list, previous)
		answered := 0
		for _, r := range list {
			if r.Answered() {
				answered++
			}
		}
		if len(got) != answered {
			t.Fatalf("%d in the order, %d answered", len(got), answered)
		}
		if again := Choose(rapid.Permutation(list).Draw(t, "shuffled"), previous); !slices.Equal(names(got), names(again)) {
			t.Fatalf("%v or %v", names(got), names(again))
		}
		seen := map[string]bool{} // zones are not mixed
		for i, r := range got {
			if i > 0 && got[i-1].Zone.ID != r.Zone.ID && seen[r.Zone.ID] {
				t.Fatalf("zones mixed: %v", names(got))
			}
			seen[r.Zone.ID] = true
		}
		if len(got) > 0 && got[0].Zone.ID != previous {
			for _, r := range got {
				if r.Score() < got[0].Score() && r.Zone.ID != previous {
					t.Fatalf("%s has %v, the winner %s %v", r.Controller.ID, r.Score(), got[0].Controller.ID, got[0].Score())
				}
			}
		}
		if decided(list, previous, zonesBudget) && len(got) == 0 {
			t.Fatal("decided for nobody")
		}
	})
}

package connect

import (
	"strings"
	"testing"
	"time"

	"causeway/protocol"
)

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name     string
		order    []Record
		previous string
		want     string
	}{
		{"nobody", nil, "", "no zone answered"},
		{"alone", []Record{rec("a", "a1", 20)}, "", "zone a: 20 ms; no other zone had answered"},
		{"with its other controller", []Record{rec("a", "a1", 20), rec("a", "a2", 25)}, "", "zone a: 20 ms; no other zone had answered"},
		{"nearest", []Record{rec("a", "a1", 20), rec("a", "a2", 25), rec("b", "b1", 85)}, "", "zone a: 20 ms; next best zone b: 85 ms"},
		{
			"everything counts",
			[]Record{rec("a", "a1", 20, 24, 20), rec("b", "b1", 10).with(loaded(0.9)).with(weighing(-3)), rec("c", "c1", 9)},
			"",
			"zone a: 20 ms, jitter +4; next best zone b: 10 ms, load +64, weight -3",
		},
		{"kept", []Record{rec("a", "a1", 40), rec("b", "b1", 31)}, "a", "zone a: 40 ms; kept, because zone b is not better by 10 ms and a third: 31 ms"},
		{"kept and the best", []Record{rec("a", "a1", 20), rec("b", "b1", 31)}, "a", "zone a: 20 ms; next best zone b: 31 ms"},
		{"moved", []Record{rec("b", "b1", 20), rec("a", "a1", 60)}, "a", "zone b: 20 ms; clearly better than zone a, which it was before: 60 ms"},
		{
			"only full ones",
			[]Record{rec("a", "a1", 20).with(is(protocol.ZoneFull)), rec("b", "b1", 30).with(is(protocol.ZoneDraining))},
			"",
			"zone a: 20 ms, it says that it is full; next best zone b: 30 ms, it says that it is draining",
		},
	} {
		if got := verdict(c.order, c.previous); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestThreeZones chooses among three zones of two controllers each, at 20, 85
// and 230 ms, under what may happen to them.
func TestThreeZones(t *testing.T) {
	const near, middle, far = 20 * ms, 85 * ms, 230 * ms
	type world struct {
		n1, n2, m1, m2, f1, f2 *controller
		silent                 map[string]bool // ids of controllers that do not answer
		refusing               map[string]bool // that refuse the connection
		rtt                    map[string]time.Duration
	}
	all := func(w *world) []*controller { return []*controller{w.f1, w.f2, w.m1, w.m2, w.n1, w.n2} }
	answer := func(a protocol.ProbeAnswer, to ...*controller) {
		for _, c := range to {
			c.answer = a
		}
	}
	for _, c := range []struct {
		name     string
		given    func(*world)
		previous string
		want     string        // zone
		within   time.Duration // to the choice
		says     string        // part of the verdict
	}{
		{"all well", func(*world) {}, "", "near", 150 * ms, "zone near: 20 ms"},
		{"one controller of the nearest is dead", func(w *world) { w.silent["n1"] = true }, "", "near", 150 * ms, "zone near: 20 ms"},
		{"the other refuses", func(w *world) { w.refusing["n2"] = true }, "", "near", 150 * ms, "zone near: 20 ms"},
		{"one of each zone is dead", func(w *world) { w.silent["n1"], w.silent["m2"], w.silent["f1"] = true, true, true }, "", "near", 150 * ms, ""},
		{"the nearest is dead", func(w *world) { w.silent["n1"], w.silent["n2"] = true, true }, "", "middle", 600 * ms, "zone middle: 85 ms"},
		{"the nearest refuses", func(w *world) { w.refusing["n1"], w.refusing["n2"] = true, true }, "", "middle", 450 * ms, "zone middle: 85 ms"},
		{"only the farthest is left", func(w *world) {
			w.silent["n1"], w.silent["n2"], w.refusing["m1"], w.refusing["m2"] = true, true, true, true
		}, "", "far", 1100 * ms, "zone far: 230 ms"},
		{"the nearest is slow, but alive", func(w *world) { w.n1.slow, w.n2.slow = time.Second, time.Second }, "", "middle", 700 * ms, "zone middle: 85 ms"},
		{"one of the nearest is slow", func(w *world) { w.n1.slow = time.Second }, "", "near", 150 * ms, ""},
		{"the nearest is very slow", func(w *world) { w.n1.slow, w.n2.slow = 5*time.Second, 5*time.Second }, "", "middle", 700 * ms, ""},
		{"the nearest is loaded", func(w *world) { answer(protocol.ProbeAnswer{Load: 0.95}, w.n1, w.n2) }, "", "middle", 600 * ms, "zone middle: 85 ms; next best zone near: 20 ms, load +81"},
		{"the nearest is half loaded", func(w *world) { answer(protocol.ProbeAnswer{Load: 0.7}, w.n1, w.n2) }, "", "near", 250 * ms, "load +16"},
		{"one controller of the nearest is loaded", func(w *world) { answer(protocol.ProbeAnswer{Load: 1}, w.n1) }, "", "near", 200 * ms, "zone near: 20 ms;"},
		{"the operator does not like the nearest", func(w *world) { answer(protocol.ProbeAnswer{Weight: 80}, w.n1, w.n2) }, "", "middle", 600 * ms, ""},
		{"the operator likes the middle one", func(w *world) { answer(protocol.ProbeAnswer{Weight: -70}, w.m1, w.m2) }, "", "middle", 600 * ms, "zone middle: 85 ms, weight -70"},
		{"the nearest is full", func(w *world) { answer(protocol.ProbeAnswer{State: protocol.ZoneFull}, w.n1, w.n2) }, "", "middle", 600 * ms, ""},
		{"one controller of the nearest drains", func(w *world) { answer(protocol.ProbeAnswer{State: protocol.ZoneDraining}, w.n1) }, "", "near", 200 * ms, ""},
		{"comes back to the nearest", func(*world) {}, "near", "near", 150 * ms, ""},
		{"comes back from the middle one", func(*world) {}, "middle", "near", 250 * ms, "zone near: 20 ms"},
		{"comes back, the middle one has come near", func(w *world) { w.rtt["m1"], w.rtt["m2"] = 29*ms, 29*ms }, "middle", "middle", 400 * ms, "kept, because zone near is not better by 10 ms and a third"},
	} {
		bubble(t, c.name, func(t *testing.T, n *internet) {
			w := &world{silent: map[string]bool{}, refusing: map[string]bool{}, rtt: map[string]time.Duration{}}
			for _, at := range []struct {
				to       **controller
				zone, id string
				rtt      time.Duration
			}{
				{&w.n1, "near", "n1", near},
				{&w.n2, "near", "n2", near},
				{&w.m1, "middle", "m1", middle},
				{&w.m2, "middle", "m2", middle},
				{&w.f1, "far", "f1", far},
				{&w.f2, "far", "f2", far},
			} {
				*at.to = &controller{zone: at.zone, id: at.id}
				w.rtt[at.id] = at.rtt
			}
			c.given(w)
			for _, at := range all(w) {
				switch {
				case w.silent[at.id]:
					n.add(at.id+".test:443", &host{silent: true})
				case !w.refusing[at.id]:
					n.controller(at, w.rtt[at.id], serving{})
				}
			}
			list := zones(all(w)...)
			for i, z := range list { // what web has heard
				for _, at := range all(w) {
					if at.zone == z.ID {
						list[i].Load, list[i].Weight = at.answer.Load, at.answer.Weight
					}
				}
			}
			start := time.Now()
			s, rec, err := survey(t, n, list, c.previous)
			if err != nil {
				t.Fatal(err)
			}
			took := time.Since(start)
			won := s.winnerFirst(Choose(s.Records(), s.previous))[0]
			r := rec.Report()
			said := r.Events[len(r.Events)-1].What
			t.Logf("zone %s after %v: %s", won.Zone.ID, took, said)
			if won.Zone.ID != c.want || took > c.within {
				t.Errorf("chose %s after %v; want %s within %v", won.Zone.ID, took, c.want, c.within)
			}
			if !strings.Contains(said, "zone "+c.want) || !strings.Contains(said, c.says) {
				t.Errorf("the report says %q, want %q", said, c.says)
			}
			if got := len(r.Phases[0].Attempts); got != 6 {
				t.Errorf("%d attempts in the report, want one for each controller", got)
			}
		})
	}
}

package peer

import "testing"

func TestTally(t *testing.T) {
	in := tally{1<<64 - 1, 3}
	if out, ok := parseTally(in.put(nil)); !ok || out != in {
		t.Errorf("%+v", out)
	}
	for _, n := range []int{0, 8, 15, 17} {
		if _, ok := parseTally(make([]byte, n)); ok {
			t.Errorf("%d bytes taken", n)
		}
	}
}

// What each direction has lost, spell by spell, and when that is too much.
func TestWatch(t *testing.T) {
	type spell struct{ sent, arrived uint64 }
	again := func(n int, s spell) (list []spell) {
		for range n {
			list = append(list, s)
		}
		return list
	}
	for _, test := range []struct {
		name       string
		spells     []spell
		suspicious bool
		starved    bool
	}{
		{"nothing is lost", again(9, spell{5000, 5000}), false, false},
		{"a tenth is lost", again(99, spell{5000, 4500}), false, false},
		{"half is lost for a while", again(7, spell{5000, 2500}), true, false},
		{"half is lost for long", again(8, spell{5000, 2500}), true, true},
		{"all is lost once", again(1, spell{5000, 0}), true, false},
		{"all is lost", again(2, spell{5000, 0}), true, true},
		{"what is lost with little says nothing", again(1, spell{leastWatched - 1, 0}), false, false},
		{"unless there is more of it", again(4, spell{leastWatched / 2, 0}), true, true},
		{"it gets better", append(again(7, spell{5000, 2000}), spell{5000, 2600}), false, false},
		{"more arrives than was sent, being late", again(3, spell{5000, 9000}), false, false},
		{"an answer out of order", []spell{{5000, 5000}, {1<<64 - 3000, 1<<64 - 3000}, {3000, 3000}}, false, false},
	} {
		for _, down := range []bool{false, true} {
			var w watch
			sent, arrived := uint64(7), uint64(1<<64-1) // what was before means nothing
			for _, s := range append([]spell{{}}, test.spells...) {
				sent, arrived = sent+s.sent, arrived+s.arrived
				if down {
					w.note(tally{0, arrived}, tally{sent, 0})
				} else {
					w.note(tally{sent, 0}, tally{0, arrived})
				}
			}
			if w.suspicious() != test.suspicious || w.starved() != test.starved {
				t.Errorf("%s, down %v: %+v", test.name, down, w)
			}
		}
	}
}

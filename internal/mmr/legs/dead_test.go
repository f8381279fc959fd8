package legs

import (
	"slices"
	"testing"
	"time"
)

// star is five routers, two of which are near the first.
func star(t *testing.T, seed uint64) *world {
	w := newWorld(t, seed, 5)
	w.near[pair(0, 1)], w.near[pair(0, 2)] = true, true
	w.run(3 * time.Second)
	return w
}

// silent are the routers that take another one for silent.
func (w *world) silent(of *router) (by []int) {
	for _, r := range w.routers {
		if r == of || !up(r) {
			continue
		}
		for _, l := range r.state.Legs() {
			if l.Address == of.address() && l.Silent {
				by = append(by, r.n)
			}
		}
	}
	return by
}

// A router that dies is taken for silent by all, near or not, as soon as those
// who are near have found out; and not any more once it speaks.
func TestDeadIsToldAtOnce(t *testing.T) {
	for seed := range uint64(20) {
		w := star(t, seed)
		middle := w.routers[0]
		middle.frozen = true
		w.run(doubtAfter)
		if by := w.silent(middle); by != nil {
			w.fail("silent too early, by %v", by)
		}
		w.run(deadAfter - doubtAfter + 150*time.Millisecond)
		if by := w.silent(middle); len(by) != 4 {
			w.fail("silent only by %v", by)
		}
		w.run(10 * time.Second)
		if by := w.silent(middle); len(by) != 4 {
			w.fail("after ten seconds silent only by %v", by)
		}
		middle.thaw()
		w.run(Beat + 200*time.Millisecond)
		if by := w.silent(middle); by != nil {
			w.fail("still silent, by %v", by)
		}
		for _, o := range w.routers[1:] {
			if by := w.silent(o); by != nil {
				w.fail("r%d is silent, by %v, since the first was frozen", o.n, by)
			}
		}
	}
}

// A router that one neighbour does not hear any more, while it speaks on the
// bus, is nobody's dead.
func TestDeafNeighbour(t *testing.T) {
	for seed := range uint64(20) {
		w := star(t, seed)
		w.deaf[pair(0, 1)] = true
		for range 500 {
			w.run(20 * time.Millisecond)
			if by := slices.Concat(w.silent(w.routers[0]), w.silent(w.routers[1])); by != nil {
				w.fail("silent by %v", by)
			}
		}
	}
}

// A router whose bus and some of whose media are away is taken for silent by
// all alike, and by nobody once it is heard again.
func TestDoubtIsShared(t *testing.T) {
	w := star(t, 1)
	middle := w.routers[0]
	w.partition(0)
	w.deaf[pair(0, 1)] = true
	w.run(time.Second)
	if by := w.silent(middle); len(by) != 4 {
		w.fail("silent only by %v", by)
	}
	w.heal()
	w.run(Beat + 200*time.Millisecond)
	if by := w.silent(middle); by != nil {
		w.fail("still silent, by %v", by)
	}
}

// While the bus is away, who is near finds out alone.
func TestDeadWithoutBus(t *testing.T) {
	w := star(t, 1)
	for a := range w.routers {
		for b := range a {
			w.cut[pair(a, b)] = true
		}
	}
	w.run(5 * time.Second)
	w.routers[0].frozen = true
	w.run(time.Second)
	if by := w.silent(w.routers[0]); !slices.Equal(by, []int{1, 2}) {
		w.fail("silent by %v", by)
	}
	w.routers[0].thaw()
	w.run(100 * time.Millisecond)
	if by := w.silent(w.routers[0]); by != nil {
		w.fail("still silent, by %v", by)
	}
}

// A router that is about to go says so at once, and that it stays after all.
func TestLeaving(t *testing.T) {
	w := star(t, 1)
	for _, leaving := range []bool{true, false} {
		w.routers[0].state.SetLeaving(leaving, w.now)
		w.routers[0].work()
		w.run(100 * time.Millisecond)
		for _, r := range w.routers[1:] {
			for _, l := range r.state.Legs() {
				if want := leaving && l.Address == w.routers[0].address(); l.Leaving != want {
					t.Errorf("r%d takes %v for leaving: %v", r.n, l.Address, l.Leaving)
				}
			}
			if !r.state.TakeStreams() {
				t.Errorf("r%d does not work the ways out anew", r.n)
			}
		}
	}
}

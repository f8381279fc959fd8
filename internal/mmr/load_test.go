package mmr

import (
	"testing"
	"time"
)

func TestReach(t *testing.T) {
	start := time.Unix(1_000_000_000, 0)
	after := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	link := func(up bool) func() bool { return func() bool { return up } }
	r := newReach()
	is := func(at, ok, failed int) {
		t.Helper()
		if o, f := r.look(after(float64(at))); o != ok || f != failed {
			t.Errorf("after %d s: %d got media, %d did not; want %d, %d", at, o, f, ok, failed)
		}
	}
	r.admitted("up", link(true), start)
	r.admitted("up too", link(true), start)
	r.admitted("up, no control", link(true), start)
	r.admitted("never up", link(false), start)
	r.admitted("never up, no control", link(false), start)
	is(0, 0, 0)
	for _, s := range []string{"up", "up too", "never up", "unheard of"} {
		r.attached(s, after(1))
	}
	r.attached("never up", after(8)) // the channel came anew
	is(1, 2, 0)
	is(10, 2, 0)
	is(11, 2, 1)
	is(60, 2, 1)
	r.attached("up, no control", after(60))
	is(60, 3, 1)
	is(61, 3, 1)
	if len(r.waiting) != 0 {
		t.Errorf("still waiting for %v", r.waiting)
	}
	is(119, 3, 1)
	is(125, 1, 1)
	is(135, 1, 0)
	is(1e6, 0, 0)
	is(1e6+5, 0, 0)
}

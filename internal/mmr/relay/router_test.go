package relay

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// another makes relays that know nobody yet, and what they log.
func another(t *testing.T) (*Relays, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	r, err := New(Config{Zone: "east", MMR: "r1", Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r, &log
}

// What is known of another router outlives its meetings for a while, not for
// ever.
func TestRoutersAreForgotten(t *testing.T) {
	r, _ := another(t)
	noon := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	a, b := name{Zone: "west", MMR: "a"}, name{Zone: "west", MMR: "b"}
	r.meet(a, noon)
	r.meet(a, noon)
	known := r.budget(a)
	r.part(a, noon)
	r.meet(b, noon.Add(2*forgetAfter))
	if r.budget(a) != known {
		t.Error("a router with a meeting is forgotten")
	}
	gone := noon.Add(2 * forgetAfter)
	r.part(a, gone)
	r.meet(b, gone.Add(forgetAfter-1))
	if r.routers[a] == nil {
		t.Error("forgotten too early")
	}
	r.meet(a, gone.Add(forgetAfter-1))
	if r.budget(a) != known {
		t.Error("another budget for the same path")
	}
	r.part(a, gone)
	r.meet(b, gone.Add(forgetAfter))
	if r.routers[a] != nil || r.routers[b] == nil {
		t.Errorf("%d routers known", len(r.routers))
	}
}

// That a router is not reached is told once, whatever meetings there are; that
// it is again, with their number.
func TestNotReachedIsToldOnce(t *testing.T) {
	r, log := another(t)
	noon := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	n := name{Zone: "west", MMR: "a"}
	for range 3 {
		r.meet(n, noon)
		r.notReached(n, "tea", errors.New("silent"), noon)
	}
	r.settled(n, true, noon.Add(time.Second))
	r.notReached(n, "cake", errors.New("silent"), noon.Add(2*time.Second))
	for range 2 {
		r.settled(n, true, noon.Add(3*time.Second))
	}
	if got := strings.Count(log.String(), "\n"); got != 1 || !strings.Contains(log.String(), "meeting=tea to_zone=west to_mmr=a err=silent") {
		t.Errorf("before it is reached:\n%s", log)
	}
	log.Reset()
	r.settled(n, true, noon.Add(4*time.Second))
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "meetings=3 after=4s") {
		t.Errorf("when it is:\n%s", got)
	}
	log.Reset()
	r.notReached(n, "tea", errors.New("silent"), noon)
	r.settled(n, false, noon) // the leg is over
	if got := strings.Count(log.String(), "\n"); got != 1 {
		t.Errorf("a leg that ends:\n%s", log)
	}
}

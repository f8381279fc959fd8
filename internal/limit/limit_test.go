package limit

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func TestAllow(t *testing.T) {
	table := NewTable[string](Rate{PerMinute: 6, Burst: 3}, 10)
	for _, c := range []struct {
		key   string
		after time.Duration
		want  bool
	}{
		{"a", 0, true},
		{"a", 0, true},
		{"a", 0, true},
		{"a", 0, false},
		{"b", 0, true},
		{"a", 10*time.Second - 1, false},
		{"a", 10 * time.Second, true},
		{"a", 10 * time.Second, false},
		{"a", time.Hour, true},
		{"a", time.Hour, true},
		{"a", time.Hour, true},
		{"a", time.Hour, false}, // no more than the burst
	} {
		if got := table.Allow(c.key, noon.Add(c.after)); got != c.want {
			t.Errorf("%s after %v: %t, want %t", c.key, c.after, got, c.want)
		}
	}
	if table.Retry() != 10*time.Second {
		t.Errorf("retry after %v", table.Retry())
	}
}

func TestJudge(t *testing.T) {
	table := NewTable[string](Rate{PerMinute: 6, Burst: 2}, 10)
	for i, c := range []struct {
		failed bool
		after  time.Duration
		want   bool
	}{
		{false, 0, true},
		{false, 0, true},
		{false, 0, true}, // what succeeds is not counted
		{true, 0, true},
		{false, 0, true},
		{true, 0, true},
		{true, 0, false},
		{false, 0, false}, // neither is told any more
		{false, 10 * time.Second, true},
		{true, 10 * time.Second, true},
		{false, 10 * time.Second, false},
	} {
		if got := table.Judge("a", c.failed, noon.Add(c.after)); got != c.want {
			t.Errorf("step %d: %t, want %t", i, got, c.want)
		}
	}
	if len(table.buckets) != 1 {
		t.Errorf("%d buckets", len(table.buckets))
	}
	if table.Judge("b", false, noon); len(table.buckets) != 1 {
		t.Error("who never failed is remembered")
	}
}

// TestJudgeAtOnce: however many attempts come at once, no more than the burst
// are told that they failed.
func TestJudgeAtOnce(t *testing.T) {
	table := NewTable[string](Rate{PerMinute: 1, Burst: 5}, 10)
	var told atomic.Int32
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			if table.Judge("a", true, noon) {
				told.Add(1)
			}
		})
	}
	group.Wait()
	if told.Load() != 5 {
		t.Errorf("%d attempts were told, want 5", told.Load())
	}
}

func TestBounded(t *testing.T) {
	table := NewTable[string](Rate{PerMinute: 1, Burst: 1}, 3)
	for i := range 3 {
		table.Allow(fmt.Sprint(i), noon)
	}
	table.Allow("0", noon) // refused, but heard of
	table.Allow("new", noon)
	if len(table.buckets) != 3 || table.recent.Len() != 3 {
		t.Fatalf("%d buckets, %d in order", len(table.buckets), table.recent.Len())
	}
	if table.Allow("0", noon) {
		t.Error("the one heard of lately was forgotten")
	}
	if !table.Allow("1", noon) {
		t.Error("the quietest one was not forgotten")
	}
}

func TestClient(t *testing.T) {
	for _, c := range []struct{ a, b string }{
		{"192.0.2.1", "192.0.2.1/32"},
		{"::ffff:192.0.2.1", "192.0.2.1/32"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"fe80::1%eth0", "fe80::/64"},
		{"::1", "::/64"},
	} {
		if got := Client(netip.MustParseAddr(c.a)).String(); got != c.b {
			t.Errorf("%s counts as %s, want %s", c.a, got, c.b)
		}
	}
	if got := Client(netip.Addr{}); got.IsValid() {
		t.Errorf("no address counts as %s", got)
	}
}

package pli

import (
	"slices"
	"testing"
	"time"
)

var start = time.Unix(1000, 0)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// run calls Due every 5 ms and returns when it said yes.
func run(l *Limiter, to, rtt int, wants, firsts, arrivals []int) (sent []int) {
	for ms := 0; ms < to; ms += 5 {
		if slices.Contains(arrivals, ms) {
			l.Arrived(at(ms))
		}
		if slices.Contains(wants, ms) {
			l.Want()
		}
		if slices.Contains(firsts, ms) {
			l.WantFirst()
		}
		if l.Due(at(ms), time.Duration(rtt)*time.Millisecond) {
			sent = append(sent, ms)
		}
	}
	return sent
}

func TestLimiter(t *testing.T) {
	tests := []struct {
		name            string
		rtt             int
		wants, arrivals []int
		firsts          []int
		sent            []int
	}{
		{"nobody wishes", 0, nil, nil, nil, nil},
		{"at once, and merged", 20, []int{100, 110, 120}, []int{150}, nil, []int{100}},
		{"not answered", 20, []int{0}, nil, nil, []int{0, 250, 750, 1750, 3750}},
		{"not answered, long round trip", 400, []int{0}, nil, nil, []int{0, 600, 1800, 3800}},
		{"answered late", 20, []int{0}, []int{300}, nil, []int{0, 250}},
		{"a new wish soon after", 20, []int{0, 100}, []int{60, 560}, nil, []int{0, 500}},
		{"a new wish long after", 20, []int{0, 2000}, []int{60, 2060}, nil, []int{0, 2000}},
		{"one taken into the key frame that comes anyway", 20, []int{0, 100}, []int{60, 110}, nil, []int{0}},
		{"a first picture soon after", 20, []int{0}, []int{60, 260}, []int{100}, []int{0, 200}},
		{"a first picture, not answered", 20, []int{0}, []int{60}, []int{100}, []int{0, 200, 450, 950, 1950, 3950}},
		{
			"first pictures again and again", 20,
			[]int{0},
			[]int{10, 210, 410, 610, 1110, 1610, 3220},
			[]int{100, 300, 500, 700, 1200, 3200},
			[]int{0, 200, 400, 600, 1100, 1600, 3200},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l Limiter
			if got := run(&l, 5000, tt.rtt, tt.wants, tt.firsts, tt.arrivals); !slices.Equal(got, tt.sent) {
				t.Errorf("sent at %v, want %v", got, tt.sent)
			}
			if l.Sent() != uint64(len(tt.sent)) {
				t.Errorf("counted %d", l.Sent())
			}
			if n := len(tt.arrivals); n > 0 && !l.LastKeyFrame().Equal(at(tt.arrivals[n-1])) {
				t.Errorf("last key frame %v", l.LastKeyFrame())
			}
		})
	}
}

func TestCancel(t *testing.T) {
	var l Limiter
	l.Want()
	if !l.Wanted() {
		t.Error("not wanted")
	}
	l.Cancel()
	if l.Wanted() || l.Due(start, 0) {
		t.Error("still wanted")
	}
}

func TestNoAllocation(t *testing.T) {
	var l Limiter
	ms := 0
	if n := testing.AllocsPerRun(1000, func() { ms++; l.Want(); l.Due(at(ms), 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

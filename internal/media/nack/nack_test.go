package nack

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Unix(1000, 0)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

func due(l *Log, ms, rtt int) []uint16 {
	d, _ := l.Due(nil, at(ms), time.Duration(rtt)*time.Millisecond)
	return d
}

// TestVerdicts runs from every wraparound boundary.
func TestVerdicts(t *testing.T) {
	for _, first := range []uint16{0, 1, 0x7fff, 0x8000, 0xfffb, 0xffff} {
		var l Log
		steps := []struct {
			seq  uint16
			want Verdict
		}{
			{0, Fresh},
			{1, Fresh},
			{1, Duplicate},
			{0, Duplicate},
			{4, Fresh},
			{3, Late},
			{3, Duplicate},
			{2, Late},
			{0xffff, Duplicate},
			{4 + MaxGap, Fresh},
			{5 + 2*MaxGap, Restart},
			{5, Restart},
			{6, Fresh},
		}
		for i, s := range steps {
			if got := l.Receive(first+s.seq, start); got != s.want {
				t.Errorf("from %d, step %d (%d): %v, want %v", first, i, s.seq, got, s.want)
			}
		}
	}
}

func TestUrgent(t *testing.T) {
	for _, first := range []uint16{0, 0x7ffe, 0xfffd, 0xffff} {
		var l Log
		l.Receive(first, at(0))
		l.Receive(first+2, at(0)) // first+1 is missing
		l.Receive(first+3, at(0))
		if l.Urgent() {
			t.Errorf("from %d: urgent after two newer packets", first)
		}
		l.Receive(first+4, at(0))
		if !l.Urgent() {
			t.Errorf("from %d: not urgent after three newer packets", first)
		}
		if d := due(&l, 0, 40); !slices.Equal(d, []uint16{first + 1}) || l.Urgent() {
			t.Errorf("from %d: asked for %v, urgent %v", first, d, l.Urgent())
		}
	}
}

func TestLateness(t *testing.T) {
	var l Log
	if d := l.Lateness(at(0)); d != 0 {
		t.Errorf("%v before the first packet", d)
	}
	l.Receive(1, at(0))
	l.Receive(3, at(40))
	l.Receive(2, at(160))
	if d := l.Lateness(at(200)); d != 120*time.Millisecond {
		t.Errorf("%v after one that came 120 ms late", d)
	}
	l.Receive(5, at(240))
	l.Receive(4, at(260))
	if d := l.Lateness(at(300)); d >= 120*time.Millisecond || d < 100*time.Millisecond {
		t.Errorf("%v after one that came 20 ms late", d)
	}
	if d := l.Lateness(at(260).Add(lateMemory + 1)); d != 0 {
		t.Errorf("%v long after the last one", d)
	}
}

func TestAsksAndAsksAgain(t *testing.T) {
	var l Log
	l.Receive(0xfffe, at(0))
	l.Receive(1, at(0)) // 0xffff and 0 are missing
	if d := due(&l, 14, 40); len(d) != 0 {
		t.Errorf("asked for %v within the reordering time", d)
	}
	if d := due(&l, 15, 40); !slices.Equal(d, []uint16{0xffff, 0}) {
		t.Errorf("asked for %v", d)
	}
	if d := due(&l, 15+44, 40); len(d) != 0 {
		t.Errorf("asked again for %v before an answer could come", d)
	}
	if v := l.Receive(0xffff, at(60)); v != Late {
		t.Errorf("verdict %v", v)
	}
	if d := due(&l, 15+45, 40); !slices.Equal(d, []uint16{0}) {
		t.Errorf("asked for %v", d)
	}
	if d := due(&l, 60+54, 40); len(d) != 0 {
		t.Errorf("no backoff: %v", d)
	}
	if d := due(&l, 60+55, 40); !slices.Equal(d, []uint16{0}) {
		t.Errorf("asked for %v", d)
	}
	if s := l.Stats(); s != (Stats{Recovered: 1, Asked: 4}) {
		t.Errorf("%+v", s)
	}
}

func TestAsksSoonerWhenNewerPacketsCame(t *testing.T) {
	var l Log
	l.Receive(10, at(0))
	l.Receive(12, at(1))
	l.Receive(13, at(1))
	if d := due(&l, 1, 40); len(d) != 0 {
		t.Errorf("asked for %v after 2 newer packets", d)
	}
	l.Receive(14, at(1))
	if d := due(&l, 1, 40); !slices.Equal(d, []uint16{11}) {
		t.Errorf("asked for %v after 3 newer packets", d)
	}
}

func TestLateBeforeAskedIsNotRecovered(t *testing.T) {
	var l Log
	l.Receive(1, at(0))
	l.Receive(3, at(0))
	l.Receive(2, at(5))
	if l.Missing() != 0 || l.Stats().Recovered != 0 {
		t.Errorf("%d missing, %+v", l.Missing(), l.Stats())
	}
}

func TestGivesUp(t *testing.T) {
	tests := []struct {
		name     string
		patience time.Duration
		rtt      int
		by       int // ms
		tries    uint64
	}{
		{"by patience", 300 * time.Millisecond, 100, 300, 3},
		{"by default patience", 0, 0, 1000, 6},
		{"by tries", 10 * time.Second, 10, 300, maxTries},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := Log{Patience: tt.patience}
			l.Receive(1, at(0))
			l.Receive(3, at(0))
			gone := -1
			for ms := 0; ms <= tt.by && gone < 0; ms++ {
				if _, n := l.Due(nil, at(ms), time.Duration(tt.rtt)*time.Millisecond); n > 0 {
					gone = ms
				}
			}
			if s := l.Stats(); gone < 0 || s.GivenUp != 1 || s.Asked != tt.tries || l.Missing() != 0 {
				t.Errorf("gave up at %d ms, %+v, %d missing", gone, s, l.Missing())
			}
			if v := l.Receive(2, at(tt.by)); v != Duplicate {
				t.Errorf("verdict %v on what was given up", v)
			}
		})
	}
}

func TestBounded(t *testing.T) {
	var l Log
	for i := range uint16(10) {
		l.Receive(i*300, at(0))
		if l.Missing() > MaxMissing {
			t.Fatalf("%d missing", l.Missing())
		}
	}
	l.Forget()
	if l.Missing() != 0 || l.Stats().GivenUp != 299*9 {
		t.Errorf("%d missing, %+v", l.Missing(), l.Stats())
	}
}

// TestRepairs: over a lossy line, everything comes or is given up in time, and
// nothing is asked for that came.
func TestRepairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Log
		first := rapid.Uint16().Draw(t, "first")
		loss := rapid.IntRange(0, 60).Draw(t, "loss")
		got := map[uint16]bool{}
		receive := func(seq uint16, ms int) {
			if v := l.Receive(seq, at(ms)); (v == Duplicate) != got[seq] && v != Restart {
				t.Fatalf("verdict %v on %d", v, seq)
			}
			got[seq] = true
		}
		receive(first, 0)
		for ms := 5; ms < 500; ms += 5 {
			if rapid.IntRange(0, 99).Draw(t, "loss") >= loss {
				receive(first+uint16(ms/5), ms)
			}
			for _, seq := range due(&l, ms, 20) {
				if got[seq] {
					t.Fatalf("asked for %d, which came", seq)
				}
				if rapid.IntRange(0, 99).Draw(t, "loss") >= loss {
					receive(seq, ms)
				}
			}
		}
		due(&l, 5000, 20)
		if l.Missing() != 0 {
			t.Fatalf("%d missing in the end", l.Missing())
		}
	})
}

func TestNoAllocation(t *testing.T) {
	var l Log
	seq, now, buf := uint16(0), start, make([]uint16, 0, MaxMissing)
	step := func() {
		seq += 2 // every second packet comes late
		now = now.Add(time.Millisecond)
		l.Receive(seq, now)
		l.Receive(seq-21, now)
		l.Due(buf, now, time.Millisecond)
	}
	for range 100 {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkReceive(b *testing.B) {
	b.ReportAllocs()
	var l Log
	var seq uint16
	for b.Loop() {
		l.Receive(seq, start)
		seq++
	}
}

// TestMissBefore runs from every wraparound boundary.
func TestMissBefore(t *testing.T) {
	for _, first := range []uint16{0, 1, 3, 0x7fff, 0x8000, 0xffff} {
		var l Log
		l.MissBefore(3, start) // nothing has come
		if l.Missing() != 0 {
			t.Error("missing before anything came")
		}
		l.Receive(first, start)
		l.MissBefore(3, start)
		if got, want := due(&l, 20, 50), []uint16{first - 3, first - 2, first - 1}; !slices.Equal(got, want) {
			t.Errorf("from %d: asks for %v, want %v", first, got, want)
		}
		if v := l.Receive(first-1, at(30)); v != Late {
			t.Errorf("from %d: the one before is %v", first, v)
		}
		if v := l.Receive(first-4, at(30)); v != Duplicate {
			t.Errorf("from %d: one long before is %v", first, v)
		}
		if v := l.Receive(first+1, at(30)); v != Fresh {
			t.Errorf("from %d: the next is %v", first, v)
		}
	}
}

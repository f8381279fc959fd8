package clocksync

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"causeway/internal/media/rtcpstat"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func at(ms float64) time.Time { return start.Add(time.Duration(ms * float64(time.Millisecond))) }

// machine is a participant's machine: its clock is off by skew and runs fast
// by drift parts in a million.
type machine struct {
	skew  time.Duration
	drift float64
}

func (m machine) ntp(ms float64) uint64 {
	return rtcpstat.NTP(at(ms * (1 + m.drift/1e6)).Add(m.skew))
}

func near(t testing.TB, what string, got, want time.Time, tolerance time.Duration) {
	t.Helper()
	if d := got.Sub(want); d.Abs() > tolerance {
		t.Errorf("%s: off by %v, more than %v", what, d, tolerance)
	}
}

// TestSoundAndPicture: over two connections of very different delay, sound and
// picture of one moment are mapped to one moment.
func TestSoundAndPicture(t *testing.T) {
	for _, skew := range []time.Duration{0, time.Hour, -30 * 365 * 24 * time.Hour, 30 * 365 * 24 * time.Hour} {
		for _, base := range []uint32{0, 0x7fffffff, 0xfffffff0} {
			m := machine{skew: skew}
			var c Clock
			sound, picture := NewSource(&c, 48000), NewSource(&c, 90000)
			r := rand.New(rand.NewPCG(1, 2))
			for ms := 0.0; ms < 60_000; ms += 1000 {
				sound.Report(m.ntp(ms), base+uint32(ms*48), at(ms+20+r.Float64()*30))
				picture.Report(m.ntp(ms+300), base/2+uint32((ms+300)*90), at(ms+300+80+r.Float64()*200))
			}
			for _, ms := range []float64{0, 30_000, 59_999, 70_000} {
				a, ok1 := sound.At(base + uint32(ms*48))
				b, ok2 := picture.At(base/2 + uint32(ms*90))
				if !ok1 || !ok2 || !sound.Synchronized() {
					t.Fatal("no map")
				}
				near(t, "picture against sound", b, a, 100*time.Microsecond)
				near(t, "sound", a, at(ms+20), 3*time.Millisecond)
			}
		}
	}
}

func TestDrift(t *testing.T) {
	m := machine{skew: time.Minute, drift: 100}
	var c Clock
	s := NewSource(&c, 48000)
	r := rand.New(rand.NewPCG(1, 2))
	for ms := 0.0; ms < 3600_000; ms += 5000 {
		s.Report(m.ntp(ms), uint32(ms*48), at(ms+20+r.Float64()*20))
		got, _ := s.At(uint32(ms * 48))
		near(t, "drifting", got, at(ms+25), 12*time.Millisecond)
	}
}

func TestClockIsSet(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour, -5 * time.Second} {
		m := machine{}
		var c Clock
		s := NewSource(&c, 90000)
		for ms := 0.0; ms < 40_000; ms += 1000 {
			if ms == 20_000 {
				m.skew = by
			}
			s.Report(m.ntp(ms), uint32(ms*90), at(ms+20))
			if ms < 20_000 || ms >= 23_000 {
				got, _ := s.At(uint32(ms * 90))
				near(t, "clock set by "+by.String(), got, at(ms+20), time.Millisecond)
			}
		}
	}
}

// TestCongestion: a queue on the way does not move the map.
func TestCongestion(t *testing.T) {
	var c Clock
	m, s := machine{}, NewSource(&c, 90000)
	for ms := 0.0; ms < 50_000; ms += 1000 {
		delay := 20.0
		if ms > 10_000 {
			delay = 1500
		}
		s.Report(m.ntp(ms), uint32(ms*90), at(ms+delay))
	}
	got, _ := s.At(90_000)
	near(t, "congested", got, at(1020), time.Millisecond)
}

func TestSilenceOfReports(t *testing.T) {
	var c Clock
	m, s := machine{}, NewSource(&c, 90000)
	s.Report(m.ntp(0), 0, at(20))
	s.Report(m.ntp(3600_000), 3600_000*90&0xffffffff, at(3600_000+50))
	s.Report(m.ntp(3680_000), 3680_000*90&0xffffffff, at(3680_000+60))
	got, _ := s.At(3680_000 * 90 & 0xffffffff)
	near(t, "after an hour", got, at(3680_050), 31*time.Millisecond)
}

func TestProvisional(t *testing.T) {
	var c Clock
	s := NewSource(&c, 90000)
	if _, ok := s.At(5); ok {
		t.Error("a map of nothing")
	}
	if _, ok := s.RTP(start); ok {
		t.Error("an inverse of nothing")
	}
	base := uint32(0xffffff00)
	for i, delay := range []float64{50, 20, 90, 35} {
		s.Packet(base+uint32(i)*3600, at(40*float64(i)+delay))
	}
	got, ok := s.At(base + 9000)
	if !ok || s.Synchronized() {
		t.Error("no map, or too good a one")
	}
	near(t, "by arrival", got, at(120), time.Microsecond)
	s.Report(0, 77, at(500)) // says that it has no clock
	if s.Synchronized() {
		t.Error("synchronized by a report without clock")
	}
	s.Report(machine{}.ntp(400), base+400*90, at(410))
	got, _ = s.At(base)
	near(t, "by report", got, at(10), time.Millisecond)
	s.Packet(base, at(-1000)) // counts no more
	got, _ = s.At(base)
	near(t, "after a packet", got, at(10), time.Millisecond)
}

func TestOldReport(t *testing.T) {
	var c Clock
	m, s := machine{}, NewSource(&c, 90000)
	s.Report(m.ntp(1000), 90_000, at(1020))
	s.Report(m.ntp(900), 0, at(1021)) // reordered, and wrong
	s.Report(m.ntp(1000), 0, at(1021))
	got, _ := s.At(90_000)
	near(t, "reordered", got, at(1020), time.Millisecond)
}

// TestConcurrent: sources of one participant on different goroutines; the race
// detector looks on.
func TestConcurrent(t *testing.T) {
	var c Clock
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			s := NewSource(&c, 90000)
			for ms := 0.0; ms < 5000; ms += 100 {
				s.Report(machine{}.ntp(ms+float64(i)), uint32(ms*90), at(ms+20))
				s.At(uint32(ms * 90))
			}
		})
	}
	wg.Wait()
}

// TestInverse: RTP is the inverse of At, by reports or by arrivals.
func TestInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Clock
		rate := rapid.SampledFrom([]uint32{8000, 48000, 90000}).Draw(t, "rate")
		s := NewSource(&c, rate)
		base := rapid.Uint32().Draw(t, "base")
		s.Packet(base, start)
		if rapid.Bool().Draw(t, "reported") {
			s.Report(machine{skew: time.Duration(rapid.Int64().Draw(t, "skew") / 4)}.ntp(0), base, at(20))
		}
		rtp := base + uint32(rapid.Int32Range(-1<<30, 1<<30).Draw(t, "offset"))
		when, ok1 := s.At(rtp)
		got, ok2 := s.RTP(when)
		if d := int32(got - rtp); !ok1 || !ok2 || d < -1 || d > 1 {
			t.Fatalf("%d became %d", rtp, got)
		}
	})
}

func TestNoAllocation(t *testing.T) {
	var c Clock
	s, i := NewSource(&c, 90000), 0.0
	n := testing.AllocsPerRun(1000, func() {
		i++
		s.Packet(uint32(i), start)
		s.At(uint32(i))
		s.Report(machine{}.ntp(i*1000), uint32(i*90000), at(i*1000))
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAt(b *testing.B) {
	b.ReportAllocs()
	var c Clock
	s := NewSource(&c, 90000)
	s.Report(machine{}.ntp(1), 1, start)
	for b.Loop() {
		s.At(5)
	}
}

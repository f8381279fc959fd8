package rtcpstat

import (
	"math"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"pgregory.net/rapid"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.UTC)

func at(ms float64) time.Time { return start.Add(time.Duration(ms * float64(time.Millisecond))) }

func TestNTP(t *testing.T) {
	// RFC 5905 Figure 4.
	tests := []struct {
		t       time.Time
		seconds uint32
	}{
		{time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), 2208988800},
		{time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC), 3155587200},
		{time.Date(2036, 2, 7, 6, 28, 15, 0, time.UTC), 0xffffffff},
		{time.Date(2036, 2, 7, 6, 28, 16, 0, time.UTC), 0},
		{time.Date(2036, 2, 8, 0, 0, 0, 0, time.UTC), 63104},
	}
	for _, tt := range tests {
		if got := uint32(NTP(tt.t) >> 32); got != tt.seconds {
			t.Errorf("%v: %d, want %d", tt.t, got, tt.seconds)
		}
	}
	if got := NTP(time.Unix(0, 500_000_000)); uint32(got) != 1<<31 {
		t.Errorf("half a second: %#x", got)
	}
}

func TestNTPProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		d := time.Duration(rapid.Int64Range(-1e18, 1e18).Draw(t, "d"))
		if got := Since(NTP(a), NTP(a.Add(d))); (got - d).Abs() > 2 {
			t.Fatalf("%v became %v", d, got)
		}
		u := time.Duration(rapid.Int64Range(0, int64(65535*time.Second)).Draw(t, "u"))
		if got := fromShort(toShort(u)); got > u || u-got > time.Second/65536+1 {
			t.Fatalf("%v became %v", u, got)
		}
	})
}

// TestLossFromEveryBoundary loses every fourth packet.
func TestLossFromEveryBoundary(t *testing.T) {
	for _, first := range []uint16{0, 1, 0x7fff, 0x8000, 0xfff0, 0xffff} {
		r := Receiver{ClockRate: 48000}
		if _, ok := r.Report(1, start); ok {
			t.Error("report before the first packet")
		}
		for i := range 400 {
			if i%4 != 1 {
				r.Packet(first+uint16(i), uint32(960*i), at(float64(20*i)))
			}
		}
		b, ok := r.Report(77, at(8000))
		if !ok || b.SSRC != 77 || b.TotalLost != 100 || b.FractionLost != 64 || b.Jitter != 0 {
			t.Errorf("from %d: %+v", first, b)
		}
		if want := uint32(first) + 399; b.LastSequenceNumber != want {
			t.Errorf("from %d: highest %#x, want %#x", first, b.LastSequenceNumber, want)
		}
		r.Repaired(first + 1)
		if b, _ = r.Report(77, at(8000)); b.TotalLost != 99 || b.FractionLost != 0 {
			t.Errorf("after a repair: %+v", b)
		}
		for range 200 {
			r.Packet(first, 0, at(8000)) // duplicates
		}
		if b, _ = r.Report(77, at(8000)); b.TotalLost != 0 || b.FractionLost != 0 {
			t.Errorf("after duplicates: %+v", b)
		}
	}
}

func TestLateBeforeTheFirst(t *testing.T) {
	r := Receiver{ClockRate: 48000}
	r.Packet(1, 960, at(20))
	r.Packet(0, 0, at(21))
	r.Packet(0xffff, 0, at(22))
	if got := r.Totals(); got != (Totals{3, 3}) {
		t.Errorf("%+v", got)
	}
}

func TestRestart(t *testing.T) {
	r := Receiver{ClockRate: 48000}
	for i := range 10 {
		r.Packet(uint16(i), uint32(960*i), at(float64(20*i)))
	}
	for i := range 10 {
		r.Packet(uint16(30000+2*i), uint32(1<<30+1920*i), at(float64(1000+40*i)))
	}
	if got := r.Totals(); got != (Totals{29, 20}) {
		t.Errorf("%+v", got)
	}
	if r.Jitter() != 0 {
		t.Errorf("jitter %v", r.Jitter())
	}
}

// TestJitter compares with the formula of RFC 3550 §6.4.1 in floating point,
// over the wraparound of the timestamp.
func TestJitter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Receiver{ClockRate: 90000}
		ts := rapid.SampledFrom([]uint32{0, 0x7ffffff0, 0xfffffff0}).Draw(t, "ts")
		want, before := 0.0, 0.0
		for i := range 100 {
			delay := rapid.Float64Range(0, 40).Draw(t, "delay")
			r.Packet(uint16(i), ts+uint32(3600*i), at(40*float64(i)+delay))
			r.Packet(uint16(i), ts+uint32(3600*i), at(40*float64(i)+delay+3)) // of the same frame
			if i > 0 {
				want += (math.Abs(delay-before) - want) / 16
			}
			before = delay
		}
		if got := float64(r.Jitter()) / 1e6; math.Abs(got-want) > 0.15 {
			t.Fatalf("%v ms, want %v", got, want)
		}
	})
}

func TestReportOfSenderReport(t *testing.T) {
	r := Receiver{ClockRate: 90000}
	r.Packet(1, 0, at(0))
	if b, _ := r.Report(1, at(0)); b.LastSenderReport != 0 || b.Delay != 0 {
		t.Errorf("%+v", b)
	}
	ntp := NTP(start)
	r.SenderReport(ntp, at(100))
	b, _ := r.Report(1, at(1600))
	if b.LastSenderReport != uint32(ntp>>16) || b.Delay != 3<<15 {
		t.Errorf("%+v", b)
	}
}

func TestSender(t *testing.T) {
	var s Sender
	if _, ok := s.Report(1, 2, start); ok {
		t.Error("report before the first packet")
	}
	s.Packet(100)
	s.Packet(50)
	sr, ok := s.Report(1, 2, start)
	if !ok || sr.SSRC != 1 || sr.RTPTime != 2 || sr.NTPTime != NTP(start) || sr.PacketCount != 2 || sr.OctetCount != 150 {
		t.Errorf("%+v", sr)
	}
	if p, o := s.Packets(); p != 2 || o != 150 {
		t.Errorf("%d %d", p, o)
	}
	if s.Remote() != (Remote{}) {
		t.Errorf("%+v", s.Remote())
	}
	s.Reception(rtcp.ReceptionReport{FractionLost: 64, TotalLost: 7, Jitter: 9, LastSenderReport: Short(sr.NTPTime), Delay: 1 << 15}, at(580))
	got := s.Remote()
	if got.FractionLost != 0.25 || got.Lost != 7 || got.Jitter != 9 || (got.RTT-80*time.Millisecond).Abs() > 50*time.Microsecond || !got.At.Equal(at(580)) {
		t.Errorf("%+v", got)
	}
	s.Reception(rtcp.ReceptionReport{LastSenderReport: Short(sr.NTPTime), Delay: 1 << 15}, at(660))
	if got := s.Remote().RTT; (got - 90*time.Millisecond).Abs() > 50*time.Microsecond {
		t.Errorf("not smoothed: %v", got)
	}
	s.Reception(rtcp.ReceptionReport{}, at(9000))
	if got := s.Remote().RTT; (got - 90*time.Millisecond).Abs() > 50*time.Microsecond {
		t.Errorf("changed by a report without times: %v", got)
	}
}

func TestRTT(t *testing.T) {
	lsr := Short(NTP(start))
	tests := []struct {
		name  string
		delay time.Duration
		after float64 // ms
		want  time.Duration
		ok    bool
	}{
		{"plain", 500 * time.Millisecond, 540, 40 * time.Millisecond, true},
		{"none", 0, 0, time.Millisecond, true},
		{"a little negative", 500 * time.Millisecond, 499.99, time.Millisecond, true},
		{"nonsense", 0, 40_000, 40 * time.Second, false},
	}
	for _, tt := range tests {
		got, ok := RTT(rtcp.ReceptionReport{LastSenderReport: lsr, Delay: toShort(tt.delay)}, at(tt.after))
		if ok != tt.ok || (got-tt.want).Abs() > 50*time.Microsecond {
			t.Errorf("%s: %v %v, want %v", tt.name, got, ok, tt.want)
		}
	}
}

// TestBothEnds runs a sender and a receiver with clocks hours apart.
func TestBothEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		skew := time.Duration(rapid.Int64Range(-1e15, 1e15).Draw(t, "skew"))
		up := time.Duration(rapid.Int64Range(1e6, 1e9).Draw(t, "up"))
		down := time.Duration(rapid.Int64Range(1e6, 1e9).Draw(t, "down"))
		wait := time.Duration(rapid.Int64Range(0, 5e9).Draw(t, "wait"))
		var s Sender
		s.Packet(1)
		sr, _ := s.Report(1, 0, start)
		r := Receiver{ClockRate: 90000}
		r.Packet(1, 1, start.Add(skew))
		r.SenderReport(sr.NTPTime, start.Add(skew+up))
		b, _ := r.Report(1, start.Add(skew+up+wait))
		s.Reception(b, start.Add(up+wait+down))
		if got := s.Remote().RTT; (got - up - down).Abs() > 100*time.Microsecond {
			t.Fatalf("%v, want %v", got, up+down)
		}
	})
}

func TestNoAllocation(t *testing.T) {
	r, s, i := Receiver{ClockRate: 90000}, Sender{}, 0
	n := testing.AllocsPerRun(1000, func() {
		i++
		r.Packet(uint16(i), uint32(i*3000), at(float64(i*33)))
		s.Packet(1200)
		b, _ := r.Report(1, start)
		s.Reception(b, start)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkReceiverPacket(b *testing.B) {
	b.ReportAllocs()
	r, i, now := Receiver{ClockRate: 90000}, 0, start
	for b.Loop() {
		i++
		now = now.Add(33 * time.Millisecond)
		r.Packet(uint16(i), uint32(i*3000), now)
	}
}

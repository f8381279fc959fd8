package opus

import (
	"testing"
	"time"
)

// TestConfigurations goes through RFC 6716 §3.1, Table 2.
func TestConfigurations(t *testing.T) {
	ms := func(n ...float64) (d []time.Duration) {
		for _, n := range n {
			d = append(d, time.Duration(n*float64(time.Millisecond)))
		}
		return d
	}
	config := byte(0)
	for _, row := range []struct {
		mode      Mode
		durations []time.Duration
	}{
		{SILK, ms(10, 20, 40, 60)},
		{SILK, ms(10, 20, 40, 60)},
		{SILK, ms(10, 20, 40, 60)},
		{Hybrid, ms(10, 20)},
		{Hybrid, ms(10, 20)},
		{CELT, ms(2.5, 5, 10, 20)},
		{CELT, ms(2.5, 5, 10, 20)},
		{CELT, ms(2.5, 5, 10, 20)},
		{CELT, ms(2.5, 5, 10, 20)},
	} {
		for _, d := range row.durations {
			p, ok := Parse([]byte{config << 3, 1, 2})
			if !ok || p.Mode != row.mode || p.Frame != d || p.Frames != 1 || p.Stereo || p.DTX {
				t.Errorf("config %d: %+v %v", config, p, ok)
			}
			config++
		}
	}
	if config != 32 {
		t.Errorf("%d configurations", config)
	}
}

func TestFrames(t *testing.T) {
	tests := []struct {
		name    string
		packet  []byte
		ok      bool
		samples uint32
		dtx     bool
	}{
		{"empty", nil, false, 0, false},
		{"one of 20 ms", []byte{0x78, 1, 2}, true, 960, false},
		{"two of 20 ms, equal", []byte{0x79, 1, 2}, true, 1920, false},
		{"two of 20 ms", []byte{0x7a, 1, 2}, true, 1920, false},
		{"six of 20 ms", []byte{0x7b, 0x86, 2}, true, 5760, false},
		{"seven of 20 ms", []byte{0x7b, 0x87, 2}, false, 6720, false},
		{"48 of 2.5 ms", []byte{0x83, 48, 2}, true, 5760, false},
		{"none", []byte{0x7b, 0x80, 2}, false, 0, false},
		{"count missing", []byte{0x7b}, false, 0, true},
		{"silence", []byte{0x78}, true, 960, true},
		{"silence, two bytes", []byte{0x78, 0}, true, 960, true},
		{"60 ms", []byte{0x18, 1, 2}, true, 2880, false},
	}
	for _, tt := range tests {
		p, ok := Parse(tt.packet)
		if ok != tt.ok || p.Samples() != tt.samples || p.DTX != tt.dtx {
			t.Errorf("%s: %+v %v, %d samples", tt.name, p, ok, p.Samples())
		}
	}
	if p, _ := Parse([]byte{0x7c, 1, 2}); !p.Stereo {
		t.Error("not stereo")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{0x78, 1, 2})
	f.Add([]byte{0x7b, 0x86, 2})
	f.Fuzz(func(t *testing.T, packet []byte) {
		p, ok := Parse(packet)
		if ok && (p.Duration() <= 0 || p.Duration() > MaxDuration || p.Samples() < 120 || p.Samples() > 5760) {
			t.Errorf("%+v", p)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	p := []byte{0x7b, 0x86, 2}
	for b.Loop() {
		Parse(p)
	}
}

func TestNoAllocation(t *testing.T) {
	p := []byte{0x7b, 0x86, 2}
	if n := testing.AllocsPerRun(1000, func() { Parse(p) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

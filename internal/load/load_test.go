package load

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"causeway/protocol"
)

func TestMeter(t *testing.T) {
	m, err := NewMeter(protocol.Load{MaxParticipants: 10, MaxPackets: 1000, MaxEgressBPS: 1e6, MaxCPU: 0.9, MaxOpenFiles: 5000})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	m.Measure(start, Carried{Packets: 1100, BytesOut: 5000, Participants: 3})
	l := m.Measure(start.Add(2*time.Second), Carried{Packets: 2100, BytesOut: 105_000, Participants: 4})
	if l.PacketsPerSecond != 500 || l.EgressBPS != 400_000 || l.Participants != 4 || l.MaxParticipants != 10 || l.MaxCPU != 0.9 || l.MaxOpenFiles != 5000 {
		t.Errorf("%+v", l)
	}
	if v := l.Value(); v < 0.5 {
		t.Errorf("value %v", v)
	}
	// Asked again at once: rates stay, the count does not.
	l = m.Measure(start.Add(2*time.Second+time.Millisecond), Carried{Packets: 2101, BytesOut: 105_000, Participants: 5})
	if l.PacketsPerSecond != 500 || l.Participants != 5 || m.Latest() != l {
		t.Errorf("%+v", l)
	}
}

func TestOpenFiles(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // not counted
	}
	m, err := NewMeter(protocol.Load{})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	before := m.Measure(start, Carried{})
	if before.MaxOpenFiles < before.OpenFiles || before.OpenFiles < 3 {
		t.Errorf("%d files open of %d", before.OpenFiles, before.MaxOpenFiles)
	}
	for range 10 {
		f, err := os.Create(filepath.Join(t.TempDir(), "file"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	if soon := m.Measure(start.Add(time.Second), Carried{}); soon.OpenFiles != before.OpenFiles {
		t.Errorf("counted again after a second")
	}
	if after := m.Measure(start.Add(filesEvery), Carried{}); after.OpenFiles < before.OpenFiles+5 {
		t.Errorf("%d files open, %d before ten more", after.OpenFiles, before.OpenFiles)
	}
}

func TestProcessCheck(t *testing.T) {
	for _, c := range []struct {
		limits Process
		want   string
	}{
		{Process{}, ""},
		{Process{CPU: 1, OpenFiles: 10}, ""},
		{Process{CPU: 1.1}, "cpu"},
		{Process{CPU: -1}, "cpu"},
		{Process{CPU: math.NaN()}, "cpu"},
		{Process{OpenFiles: -1}, "open_files"},
	} {
		got := ""
		for _, i := range c.limits.Check() {
			got += i.Field
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", c.limits, got, c.want)
		}
	}
}

func TestASecondOfWorkIsNoLoad(t *testing.T) {
	if got := smoothed(0, 1, 1); got > 0.2 {
		t.Errorf("%v after a second", got)
	}
	if got := smoothed(0, 1, 5); math.Abs(got-0.632) > 0.01 {
		t.Errorf("%v after five seconds", got)
	}
	load := 0.0
	for range 20 {
		load = smoothed(load, 1, 1)
	}
	if load < 0.95 || load > 1 {
		t.Errorf("%v after twenty", load)
	}
}

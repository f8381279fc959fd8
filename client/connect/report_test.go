package connect

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"causeway/protocol"
)

var update = flag.Bool("update", false, "write golden files")

// golden compares with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func at(ms float64) time.Time { return noon.Add(time.Duration(ms * float64(time.Millisecond))) }

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

func TestReportOfAJoin(t *testing.T) {
	r := NewRecorder(noon)
	r.Begin(protocol.PhaseLookup, at(0.2))
	r.Attempt(protocol.PhaseLookup, protocol.Attempt{Target: "https://meet.test", Transport: "https", Via: "direct", DNSMS: 1, ConnectMS: 10, TLSMS: 11.5, RTTMS: 12, OK: true})
	r.End(protocol.PhaseLookup, nil, at(35.3))
	r.Begin(protocol.PhaseZone, at(35.3))
	r.Attempt(protocol.PhaseZone, protocol.Attempt{Target: "https://a1.test", Transport: "https", Via: "direct", Zone: "a", ConnectMS: 9, TLSMS: 9, RTTMS: 9, RTTMinMS: 8.75, JitterMS: 0.5, OK: true})
	r.Attempt(protocol.PhaseZone, protocol.Attempt{Target: "https://b1.test", Transport: "https", Via: "direct", Zone: "b", Error: "b1.test refused the connection"})
	r.End(protocol.PhaseZone, nil, at(63))
	r.Begin(protocol.PhaseMMR, at(63))
	r.Begin(protocol.PhaseMedia, at(73)) // overlaps: media does not wait for the control channel
	r.FirstMedia(at(90.5))
	r.FirstMedia(at(99))
	r.End(protocol.PhaseMMR, nil, at(101))
	r.End(protocol.PhaseMedia, nil, at(104))
	r.Media(protocol.Audio, protocol.MediaReport{Transport: protocol.UDP, Remote: "192.0.2.7:8801", DSCP: 46, FirstPacketMS: 90.5, PacketsSent: 50, PacketsReceived: 40, PacketsLost: 1})
	r.Event("audio path silent", at(5000))
	r.Set(func(p *protocol.Report) {
		p.OK, p.Meeting, p.Participant, p.Zone, p.Controller, p.MMR = true, "123456789", "p1", "a", "a1", "mmr-1"
	})
	golden(t, "report.json", asJSON(t, r.Report()))
}

func TestReportOfAFailure(t *testing.T) {
	r := NewRecorder(noon)
	r.Begin(protocol.PhaseLookup, at(0))
	r.Attempt(protocol.PhaseLookup, protocol.Attempt{Target: "https://meet.test", Transport: "https", Via: "direct", Error: "meet.test refused the connection"})
	r.End(protocol.PhaseLookup, protocol.NewProblem(protocol.ProblemWebUnreachable, "meet.test refused the connection"), at(3))
	golden(t, "report_failed.json", asJSON(t, r.Report()))
}

func TestRecorderWithholdsRawErrors(t *testing.T) {
	r := NewRecorder(noon)
	r.Begin(protocol.PhaseMedia, noon)
	r.End(protocol.PhaseMedia, errors.New("sql: password is hunter2"), noon)
	if e := r.Report().Phases[0].Error; e.Code != protocol.ProblemInternal || e.Detail != "" {
		t.Errorf("reported %+v", e)
	}
}

func TestReportIsACopy(t *testing.T) {
	r := NewRecorder(noon)
	r.Begin(protocol.PhaseZone, noon)
	r.Attempt(protocol.PhaseZone, protocol.Attempt{Target: "a"})
	r.Event("x", noon)
	before := r.Report()
	before.Phases[0].Attempts[0].Target = "changed"
	before.Phases[0].OK = true
	before.Events[0].What = "changed"
	before.Media[protocol.Video] = protocol.MediaReport{}
	after := r.Report()
	if after.Phases[0].Attempts[0].Target != "a" || after.Phases[0].OK || after.Events[0].What != "x" || len(after.Media) != 0 {
		t.Errorf("changed from outside: %+v", after)
	}
}

func TestPhasesThatRunAgain(t *testing.T) {
	r := NewRecorder(noon)
	for i := range 2 {
		r.Begin(protocol.PhaseZone, at(float64(i*1000)))
		r.Attempt(protocol.PhaseZone, protocol.Attempt{Target: "a"})
		r.End(protocol.PhaseZone, nil, at(float64(i*1000+10)))
	}
	p := r.Report().Phases
	if len(p) != 2 || p[1].StartedMS != 1000 || p[1].DurationMS != 10 || len(p[1].Attempts) != 1 {
		t.Errorf("phases %+v", p)
	}
	r.Attempt(protocol.PhaseZone, protocol.Attempt{Target: "too late"})
	r.End(protocol.PhaseZone, errors.New("twice"), at(9))
	if got := r.Report().Phases; len(got[1].Attempts) != 1 || !got[1].OK {
		t.Errorf("a phase that had ended was changed: %+v", got)
	}
}

func TestReportIsBounded(t *testing.T) {
	r := NewRecorder(noon)
	for range 2 * maxPhases {
		r.Begin(protocol.PhaseZone, noon)
		for range 2 * maxAttempts {
			r.Attempt(protocol.PhaseZone, protocol.Attempt{})
		}
		r.End(protocol.PhaseZone, nil, noon)
	}
	for range 2 * maxEvents {
		r.Event("x", noon)
	}
	p := r.Report()
	if len(p.Phases) != maxPhases || len(p.Phases[0].Attempts) != maxAttempts || len(p.Events) != maxEvents {
		t.Errorf("%d phases, %d attempts, %d events", len(p.Phases), len(p.Phases[0].Attempts), len(p.Events))
	}
}

func TestRecorderConcurrently(t *testing.T) {
	r := NewRecorder(noon)
	r.Begin(protocol.PhaseMedia, noon)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				r.Attempt(protocol.PhaseMedia, protocol.Attempt{})
				r.Media(protocol.Audio, protocol.MediaReport{})
				r.Event("x", noon)
				r.FirstMedia(at(1))
				r.Set(func(p *protocol.Report) { p.OK = true })
				_ = r.Report()
			}
		})
	}
	all.Wait()
	if p := r.Report(); len(p.Phases[0].Attempts) != maxAttempts || len(p.Events) != maxEvents || p.FirstMediaMS != 1 {
		t.Errorf("%d attempts, %d events", len(p.Phases[0].Attempts), len(p.Events))
	}
}

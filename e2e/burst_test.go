//go:build linux

package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"causeway/client"
	"causeway/client/loadtest"
	"causeway/internal/base/pki"
)

// burst is how many join within ten seconds. CAUSEWAY_E2E_BURST is another
// number, as 500 for docs/performance.md.
const burst = 60

// processor is the processor time that a process has used.
func processor(t testing.TB, pid int) time.Duration {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	ticks := 0
	for _, f := range fields[11:13] { // utime and stime (proc_pid_stat(5)), from the third on
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100
}

// peopleOfBurst is how many join in a burst.
func peopleOfBurst() int {
	if n, err := strconv.Atoi(os.Getenv("CAUSEWAY_E2E_BURST")); err == nil {
		return n
	}
	return burst
}

// voices is how many of a burst speak: three, but one where what so many would
// receive of three is more than two cores bear, with the load itself.
func voices(people int) int {
	if people > 600 {
		return 1
	}
	return speakers
}

// used is the processor time of the servers, and of the load, which is this
// process.
func (s *system) used() map[string]time.Duration {
	s.t.Helper()
	used := map[string]time.Duration{"load": processor(s.t, os.Getpid())}
	for name, p := range s.processes {
		used[name] = processor(s.t, p.cmd.Process.Pid)
	}
	return used
}

// spreadOver makes n routers of the first zone, each of which has room for
// a tenth more than its share of so many people, so that all are needed. Who was
// let in and has not come, as a client that takes its router for dead when it
// lacks time itself, keeps a place for 30 s.
func (s *system) spreadOver(n, people int) {
	s.t.Helper()
	s.small(people/n + max(people/n/10, 1))
	for i := 2; i <= n; i++ {
		s.addRouter(fmt.Sprint("m", i)) // as small as the first
	}
}

// rush has many join a meeting within ten seconds. The first of them speak, and
// show small pictures, of which everybody sees one.
func (s *system) rush(m created, people int, progress func(loadtest.Progress)) loadtest.Report {
	s.t.Helper()
	roots, err := pki.Pool(s.ca)
	if err != nil {
		s.t.Fatal(err)
	}
	c := loadtest.DefaultConfig()
	c.Link, c.PanelLink, c.Participants, c.Publishers, c.Slots = m.JoinURL, m.PanelURL, people, voices(people), 1
	c.Ramp, c.Duration = float64(people)/10, 8*time.Second
	c.KBPS, c.FPS, c.Height, c.Sound = 60, 5, 180, 40
	c.Options = client.Options{Roots: roots, Version: "e2e"}
	before := s.used()
	var used map[string]time.Duration
	began := time.Now()
	var took time.Duration // until the last had joined
	report, err := loadtest.Run(context.Background(), c, func(p loadtest.Progress) {
		progress(p)
		if p.Joined+p.Failed == people && took == 0 {
			took = time.Since(began)
			used = s.used()
		}
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("%d joined within %v: %+v; sound %+v; %d of %d packets lost", report.Joined, took.Round(100*time.Millisecond), report.JoinTime, report.Sound, report.Lost, report.Packets)
	s.t.Logf("on routers %v, %v voices heard, lists of %v", report.Routers, report.Heard, report.Listed)
	for _, name := range slices.Sorted(maps.Keys(used)) {
		s.t.Logf("%s used %v", name, used[name]-before[name])
	}
	s.t.Logf("the load itself waited for a processor: %+v", report.Waited)
	if report.Failed > 0 || report.Joined != people || report.Ended > 0 {
		s.t.Errorf("%d of %d joined, %d failed: %v, %d ended", report.Joined, people, report.Failed, report.Failures, report.Ended)
	}
	// Who speaks hears the others.
	if want := map[int]int{voices(people) - 1: voices(people), voices(people): people - voices(people)}; !maps.Equal(report.Heard, want) {
		s.t.Errorf("%v heard so many, want %v", report.Heard, want)
	}
	return report
}

// TestBurst has many join one meeting within ten seconds. It is spread over
// four routers; nobody fails, everybody is on everybody's list, and hears all
// who speak.
func TestBurst(t *testing.T) {
	people := peopleOfBurst()
	s := newSystem(t)
	s.spreadOver(4, people)
	m := s.create("--topic", "Burst")
	first := join(t, s.ca, m.JoinURL, "First", false, false)
	listed := 0
	r := s.rush(m, people, func(loadtest.Progress) { listed = max(listed, len(first.meeting.Participants())) })
	if want := map[int]int{people + 1: people}; !maps.Equal(r.Listed, want) || listed != people+1 {
		t.Errorf("%v have so many on their list, and the first has %d, want %v", r.Listed, listed, want)
	}
	if len(r.Routers) != 4 {
		t.Errorf("people are on routers %v", r.Routers)
	}
}

// TestBurstOfAttendees has many come to a webinar within ten seconds. It is on
// so many routers that media go by a tree; everybody hears all panellists, and
// those know how many watch.
func TestBurstOfAttendees(t *testing.T) {
	people := peopleOfBurst()
	s := newSystem(t)
	s.spreadOver(7, people)
	m := s.create("--webinar", "--topic", "Burst")
	host := join(t, s.ca, m.HostURL, "Host", false, false)
	watching := 0
	r := s.rush(m, people, func(loadtest.Progress) { watching = max(watching, host.meeting.Attendees()) })
	if want := people - voices(people); watching != want {
		t.Errorf("the host was told of %d who watch, not %d", watching, want)
	}
	if len(r.Routers) != 7 {
		t.Errorf("people are on routers %v", r.Routers)
	}
	// All see the stage, which the host is on too, and who watches sees themselves.
	if want := map[int]int{voices(people) + 1: voices(people), voices(people) + 2: people - voices(people)}; !maps.Equal(r.Listed, want) {
		t.Errorf("%v have so many on their list, want %v", r.Listed, want)
	}
}

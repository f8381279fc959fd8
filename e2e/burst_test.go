//go:build linux

package e2e

import (
	"context"
	"fmt"
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
const burst = 100

// processor is the processor time that a process has used.
func (p *process) processor() time.Duration {
	p.t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	ticks := 0
	for _, f := range fields[11:13] { // utime and stime (proc_pid_stat(5)), from the third on
		n, err := strconv.Atoi(f)
		if err != nil {
			p.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100
}

// TestBurst has many join one meeting within ten seconds. It is spread over
// four routers; nobody fails, and everybody is on everybody's list.
func TestBurst(t *testing.T) {
	people := burst
	if n, err := strconv.Atoi(os.Getenv("CAUSEWAY_E2E_BURST")); err == nil {
		people = n
	}
	s := newSystem(t)
	text, err := os.ReadFile(s.file("mmr.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if status := s.processes["mmr"].interrupt(); status != 0 {
		t.Fatalf("the router ended with %d", status)
	}
	room := fmt.Sprintf(", limits: {participants: %d}", people/4+people/20+2)
	s.write("mmr.yaml", strings.Replace(string(text), "media_listen: "+s.address("media"), "media_listen: "+s.address("media")+room, 1))
	s.start("mmr")
	s.ready("mmr")
	routers := []string{"mmr", "m2", "m3", "m4"}
	for _, name := range routers[1:] {
		s.addRouter(name)
	}
	m := s.create("--topic", "Burst")
	first := join(t, s.ca, m.JoinURL, "First", false, false)

	roots, err := pki.Pool(s.ca)
	if err != nil {
		t.Fatal(err)
	}
	c := loadtest.DefaultConfig()
	c.Link, c.Participants, c.Ramp, c.Duration = m.JoinURL, people, float64(people)/10, 8*time.Second
	c.KBPS, c.FPS, c.Height, c.Sound = 60, 5, 180, 40
	c.Options = client.Options{Roots: roots, Version: "e2e"}
	names := slices.Concat([]string{"web", "zc1", "zc2"}, routers)
	before := map[string]time.Duration{}
	for _, name := range names {
		before[name] = s.processes[name].processor()
	}
	listed, used := 0, map[string]time.Duration{}
	began := time.Now()
	var took time.Duration // until the last had joined
	report, err := loadtest.Run(context.Background(), c, func(p loadtest.Progress) {
		listed = max(listed, len(first.meeting.Participants()))
		if p.Joined+p.Failed == people && took == 0 {
			took = time.Since(began)
			for _, name := range names {
				used[name] = s.processes[name].processor() - before[name]
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if report.Failed > 0 || report.Joined != people || report.Ended > 0 {
		t.Errorf("%d of %d joined, %d failed: %v, %d ended", report.Joined, people, report.Failed, report.Failures, report.Ended)
	}
	if listed != report.Joined+1 {
		t.Errorf("the first saw %d, not %d", listed, report.Joined+1)
	}
	t.Logf("%d joined within %v: %+v; sound %+v; %d of %d packets lost", report.Joined, took.Round(100*time.Millisecond), report.JoinTime, report.Sound, report.Lost, report.Packets)
	for _, name := range names {
		t.Logf("%s used %v", name, used[name])
	}
}

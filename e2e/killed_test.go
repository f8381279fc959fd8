//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"causeway/protocol"
)

// TestControllerKilled kills one of two controllers while people join: all of
// them get in.
func TestControllerKilled(t *testing.T) {
	s := newSystem(t)
	m := s.create("--topic", "Failover")
	const joiners, each, before = 3, 6, 4
	joined := make(chan protocol.Report, joiners*each)
	var tasks sync.WaitGroup
	for j := range joiners {
		tasks.Go(func() {
			for i := range each {
				name := fmt.Sprintf("P%d.%d", j, i)
				p, err := attempt(t, s.ca, m.JoinURL, name, false, false)
				if err != nil {
					t.Errorf("%s: %v (%+v)", name, err, p.meeting.Report())
					continue
				}
				joined <- p.meeting.Report()
				p.meeting.Leave()
			}
		})
	}
	var victim string // the controller that people are taken to
	for range before {
		select {
		case r := <-joined:
			victim = r.Controller
		case <-time.After(patience):
			t.Fatal("nobody gets in")
		}
	}
	s.processes[victim].kill()
	tasks.Wait()
	close(joined)
	by := map[string]int{}
	for r := range joined {
		by[r.Controller]++
		if r.Zone != "taipei" || r.MMR != "m1" {
			t.Errorf("joined %+v", r)
		}
	}
	t.Logf("%s was killed after %d joins; the other joins, by controller: %v", victim, before, by)
	if len(by) == 0 || by[victim] == joiners*each-before {
		t.Error("nobody joined by way of the controller that is left")
	}
	s.start(victim) // and it comes back
	s.ready(victim)
	s.awaitZone()
}

// TestWebKilled kills web in mid-meeting: media goes on, and nothing durable
// is lost.
func TestWebKilled(t *testing.T) {
	s := newSystem(t)
	m := s.create("--topic", "Durable")
	join(t, s.ca, m.JoinURL, "Ada", true, false)
	watcher := join(t, s.ca, m.JoinURL, "Watcher", false, true)
	watcher.watch(10, protocol.Mic, protocol.Camera)

	s.processes["web"].kill()
	watcher.watch(60, protocol.Mic, protocol.Camera) // more than 2 s
	_, err := attempt(t, s.ca, m.JoinURL, "Early", false, false)
	if !errors.Is(err, protocol.NewProblem(protocol.ProblemWebUnreachable, "")) {
		t.Errorf("joining without web: %v", err)
	}

	began := time.Now()
	s.start("web")
	s.ready("web")
	t.Logf("web was ready %v after its restart", time.Since(began).Round(time.Millisecond))
	s.awaitZone()
	if list := s.api("meeting", "list"); !strings.Contains(list, m.Number) || !strings.Contains(list, "Durable") {
		t.Errorf("the meeting is gone: %s", list)
	}
	join(t, s.ca, m.JoinURL, "Late", false, true).watch(10, protocol.Mic, protocol.Camera)
	watcher.watch(10, protocol.Mic, protocol.Camera)
	if r := watcher.meeting.Report(); r.Media[protocol.Audio].PacketsLost+r.Media[protocol.Video].PacketsLost > 0 || len(r.Phases) != 4 {
		t.Errorf("the watcher's report: %+v", r)
	}
}

// upReady is what `causeway up --json` prints.
type upReady struct {
	Web    string `json:"web"`
	HTTP   string `json:"http"`
	CA     string `json:"ca"`
	APIKey string `json:"api_key"`
}

// up starts `causeway up` on a data folder.
func up(t testing.TB, data string) (*process, upReady) {
	t.Helper()
	began := time.Now()
	p := start(t, "up", "up", "--json", "--data", data, "--listen", "127.0.0.1:0", "--http", "localhost:0", "--media-port", "0")
	line := p.line(`"ready":true`)
	t.Logf("causeway up was ready after %v", time.Since(began).Round(time.Millisecond))
	return p, decode[upReady](t, line)
}

// TestUpKilled kills `causeway up` and starts it anew on the same folder.
func TestUpKilled(t *testing.T) {
	data := t.TempDir()
	first, at := up(t, data)
	call := func(at upReady, args ...string) string {
		t.Helper()
		status, out, stderr := command(t, append(args, "--server", at.Web, "--ca", at.CA, "--api-key", at.APIKey, "--json")...)
		if status != 0 {
			t.Fatalf("causeway %v: %s", args, stderr)
		}
		return out
	}
	m := decode[created](t, call(at, "meeting", "create", "--topic", "Durable"))
	join(t, at.CA, m.JoinURL, "Ada", true, false)
	first.kill()

	_, again := up(t, data)
	if again.APIKey != at.APIKey || again.CA != at.CA {
		t.Errorf("before: %+v, after: %+v", at, again)
	}
	if list := call(again, "meeting", "list"); !strings.Contains(list, m.Number) || strings.Contains(list, "ended_at") {
		t.Errorf("the meeting is gone: %s", list)
	}
	link := again.Web + "/j/" + m.Number + "?pwd=" + m.Passcode // another port
	join(t, again.CA, link, "Ada", true, false)
	join(t, again.CA, link, "Watcher", false, true).watch(10, protocol.Mic, protocol.Camera)
}

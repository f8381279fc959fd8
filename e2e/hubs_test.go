//go:build linux

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"causeway/protocol"
)

// secondWeb adds a web server to the system.
func (s *system) secondWeb() {
	s.t.Helper()
	s.write("web2.yaml", fmt.Sprintf(`server: web
listen: %s
admin: %s
log: {level: warn}
tls: {own_ca: %s}
bus: {ca: %s, cluster: [%q]}
database: %q
web: {id: web2, public_url: %q, creation: api_key}
`, s.address("web2"), s.address("web2-admin"), s.dir, s.ca, s.address("web"), s.database, s.url("web2")))
	s.start("web2")
	s.ready("web2")
}

// TestWebServersStandIn kills one of two web servers without a word: who is in
// a meeting does not notice, lookups and joins go on by the other, and
// everything is as before when the first is back.
func TestWebServersStandIn(t *testing.T) {
	s := newSystem(t)
	s.secondWeb()
	m := s.create("--topic", "Two webs")
	join(t, s.ca, m.JoinURL, "Ada", true, false)
	watcher := join(t, s.ca, m.JoinURL, "Watcher", false, true)
	watcher.watch(10, protocol.Mic, protocol.Camera)
	offered := func() bool {
		status, body := s.post(s.url("web2")+protocol.PathMeetings+"/"+m.Number+"/lookup", "", protocol.LookupRequest{Passcode: m.Passcode, Name: "Probe"})
		return status == 200 && strings.Contains(body, s.url("zc1")) && strings.Contains(body, s.url("zc2"))
	}
	s.eventually("the second web server offers both controllers", offered)

	s.processes["web"].kill()
	killed := time.Now()
	var missed time.Duration // the zone was not offered, until then
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 100 {
		<-tick.C
		if !offered() {
			missed = time.Since(killed)
		}
	}
	t.Logf("the zone was missed until %v after the kill (0s: never)", missed)
	s.eventually("the second web server still offers both controllers", offered)
	watcher.watch(60, protocol.Mic, protocol.Camera)
	link := strings.Replace(m.JoinURL, s.url("web"), s.url("web2"), 1)
	join(t, s.ca, link, "Late", true, false)
	if watcher.meeting.Err() != nil {
		t.Errorf("the watcher's meeting: %v", watcher.meeting.Err())
	}

	s.start("web")
	s.ready("web")
	s.awaitZone()
	s.processes["web2"].kill()
	s.awaitZone() // the zones have gone back
	watcher.watch(30, protocol.Mic, protocol.Camera)
}

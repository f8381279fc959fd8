//go:build linux

package e2e

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"causeway/protocol"
)

var outage = flag.Duration("outage", 15*time.Second, "how long TestControlPlaneGone does without the control plane; 60s is the promise")

// small makes the first router one that is full with few, so that meetings
// span it and the next.
func (s *system) small(participants int) {
	s.t.Helper()
	s.processes["mmr"].kill()
	text, err := os.ReadFile(s.file("mmr.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("mmr.yaml", strings.Replace(string(text), "mmr: {", fmt.Sprintf("mmr: {limits: {participants: %d}, ", participants), 1))
	s.start("mmr")
	s.ready("mmr")
}

// host has the host of a meeting join until the test ends.
func (s *system) host(m created) *guest {
	s.t.Helper()
	return attend(s, m.HostURL, 90, false)
}

// TestControlPlaneGone kills web and all controllers in the middle of a
// meeting over two routers, and starts them again after a while: media never
// stops; then the meeting can be managed and joined.
func TestControlPlaneGone(t *testing.T) {
	s := newSystem(t)
	s.small(3)
	s.addRouter("m2") // as small as the first
	m := s.create("--topic", "Outage")
	c := newCrowd(s, m.JoinURL, 4, 2)
	host := s.host(m)
	c.guests = append(c.guests, host)
	c.reset()
	c.allBack(c.guests)
	c.whole()
	if at := c.at(); len(at) != 2 {
		t.Fatalf("the meeting is on %d routers", len(at))
	}

	all := []string{"web", "zc1", "zc2"}
	for _, name := range all {
		s.processes[name].kill()
	}
	began := c.reset()
	over := time.NewTimer(*outage)
	defer over.Stop()
	<-over.C
	for what, gap := range c.account(fmt.Sprintf("%v without control plane", time.Since(began).Round(time.Second))) {
		if gap > 5*time.Second { // the machine may be busy; what counts is that nothing is lost
			t.Errorf("a gap of %v in %s", gap, what)
		}
	}
	for _, g := range c.guests {
		g.mu.Lock()
		if want := int(outage.Seconds() * 50 * 3 / 2); g.sounds < want || g.missing > want/50 {
			t.Errorf("%s got %d pieces of sound of two or three people, %d are missing", g.name, g.sounds, g.missing)
		}
		if len(g.went) > 0 {
			t.Errorf("%s was told that %v left", g.name, g.went)
		}
		g.mu.Unlock()
		if events := fmt.Sprint(g.meeting.Report().Events); strings.Contains(events, "reconnect") {
			t.Errorf("%s was disturbed: %s", g.name, events)
		}
	}

	for _, name := range all {
		s.start(name)
	}
	back := time.Now()
	for _, name := range all {
		s.ready(name)
	}
	s.awaitZone()
	t.Logf("all is up again after %v", time.Since(back).Round(time.Millisecond))
	c.managed(host, m)
}

// managed checks that a meeting can be joined and managed.
func (c *crowd) managed(host *guest, m created) {
	c.t.Helper()
	late := attend(c.system, m.JoinURL, len(c.guests), false)
	c.guests = append(c.guests, late)
	c.reset()
	c.allBack(c.guests)
	c.whole()
	// Somebody on the other router.
	far := c.guests[slices.IndexFunc(c.guests, func(g *guest) bool { return g.meeting.Report().MMR != host.meeting.Report().MMR })]
	if err := host.meeting.Host(protocol.HostMute, far.meeting.Self().ID); err != nil {
		c.t.Error(err)
	}
	for _, g := range c.guests {
		c.eventually(g.name+" sees that "+far.name+" is muted", func() bool {
			return slices.ContainsFunc(g.meeting.Participants(), func(p protocol.Participant) bool { return p.Name == far.name && p.AudioMuted })
		})
	}
	if err := late.meeting.Say("is anybody here?"); err != nil {
		c.t.Error(err)
	}
	for _, g := range c.guests {
		c.eventually(g.name+" reads what was said", func() bool {
			g.mu.Lock()
			defer g.mu.Unlock()
			return slices.Contains(g.said, "is anybody here?")
		})
	}
	if list := c.api("meeting", "list"); !strings.Contains(list, m.Number) {
		c.t.Errorf("the meeting is not listed: %s", list)
	}
}

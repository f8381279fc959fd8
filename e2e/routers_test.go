//go:build linux

package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"causeway/protocol"
)

// addRouter starts one more router of the zone, made like the first, and
// waits until it is ready.
func (s *system) addRouter(name string) {
	s.t.Helper()
	data, err := os.ReadFile(s.file("mmr.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(data), "enroll:")
	s.write(name+".yaml", strings.NewReplacer(
		s.address("mmr"), s.address(name),
		s.address("mmr-admin"), s.address(name+"-admin"),
		s.address("media"), s.address(name+"-media"),
		s.file("data-mmr"), s.file("data-"+name),
		"id: m1", "id: "+name,
	).Replace(text))
	s.admit(name, "mmr")
	s.start(name)
	s.ready(name)
}

// router is the process of the router that calls itself id.
func (s *system) router(id string) string {
	if id == "m1" {
		return "mmr"
	}
	return id
}

// restart starts a router that has ended.
func (s *system) restart(id string) {
	s.t.Helper()
	s.start(s.router(id))
	s.ready(s.router(id))
}

// TestRouters holds one meeting of 20 while its zone's routers are killed,
// frozen, drained and restarted, and the control plane is gone for a while.
func TestRouters(t *testing.T) {
	s := newSystem(t)
	s.addRouter("m2")
	s.addRouter("m3")
	m := s.create("--topic", "Resilience")
	c := newCrowd(s, m.JoinURL, 20, 4)
	hand := c.guests[5].meeting
	if err := hand.RaiseHand(true); err != nil {
		t.Fatal(err)
	}
	if err := c.guests[6].meeting.SetMuted(protocol.Mic, true); err != nil {
		t.Fatal(err)
	}
	c.reset()
	c.allBack(c.guests)
	c.whole()
	c.lasting("at first")

	c.killed()
	c.frozen()
	c.drained()
	c.withoutControl(m.JoinURL)
}

// lasting checks what must outlive every change of router.
func (c *crowd) lasting(when string) {
	c.t.Helper()
	c.eventually(when+" the hand is up and the microphone off", func() bool {
		var hand, muted bool
		for _, p := range c.guests[0].meeting.Participants() {
			hand = hand || p.Name == "G05" && !p.HandRaisedAt.IsZero()
			muted = muted || p.Name == "G06" && p.AudioMuted
		}
		return hand && muted
	})
}

// killed kills the router that most are at.
func (c *crowd) killed() {
	victim := c.busiest()
	there := c.at()[victim]
	now := c.reset()
	c.processes[c.router(victim)].kill()
	took := c.allBack(there)
	for source, list := range took {
		c.t.Logf("SIGKILL of %s with %d of %d: %s again after, of %s", victim, len(there), len(c.guests), source, spread(list))
	}
	c.t.Logf("all was back %v after the kill", time.Since(now).Round(time.Millisecond))
	c.whole()
	c.lasting("after the kill")
	c.restart(victim)
}

// frozen stops a router's process for a while.
func (c *crowd) frozen() {
	victim := c.busiest()
	there := c.at()[victim]
	p := c.processes[c.router(victim)]
	c.reset()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = p.cmd.Process.Signal(syscall.SIGCONT) })
	for source, list := range c.allBack(there) {
		c.t.Logf("SIGSTOP of %s with %d of %d: %s again after, of %s", victim, len(there), len(c.guests), source, spread(list))
	}
	c.whole()
	c.lasting("after the freeze")
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		c.t.Fatal(err)
	}
}

// drained drains the router that most are at, and starts it again; then each
// of the others, as a rolling restart does.
func (c *crowd) drained() {
	for range 3 {
		victim := c.busiest()
		there := len(c.at()[victim])
		p := c.processes[c.router(victim)]
		c.reset()
		began := time.Now()
		if status := p.terminate(); status != 0 {
			c.t.Errorf("%s drained with status %d", victim, status)
		}
		what := fmt.Sprintf("drain of %s with %d of %d, %v", victim, there, len(c.guests), time.Since(began).Round(time.Millisecond))
		for source, gap := range c.account(what) {
			if gap > 10*time.Second {
				c.t.Errorf("%s: a gap of %v in %s", what, gap, source)
			}
		}
		c.whole()
		c.lasting("after the drain")
		c.restart(victim)
	}
}

// withoutControl kills web and both controllers: media goes on. When they are
// back, so is everything else.
func (c *crowd) withoutControl(link string) {
	for _, name := range []string{"web", "zc1", "zc2"} {
		c.processes[name].kill()
	}
	c.reset()
	for _, g := range c.guests {
		c.eventually(g.name+" goes on hearing", func() bool {
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.sounds > 300 // of two or three people: 2 s at least
		})
	}
	c.account("without web and controllers")
	for _, name := range []string{"web", "zc1", "zc2"} {
		c.start(name)
	}
	for _, name := range []string{"web", "zc1", "zc2"} {
		c.ready(name)
	}
	c.awaitZone()
	c.guests = append(c.guests, attend(c.system, link, len(c.guests), false))
	c.reset()
	c.allBack(c.guests)
	c.whole()
}

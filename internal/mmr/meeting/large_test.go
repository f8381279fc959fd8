//go:build unix

package meeting

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"causeway/internal/mmr/control"
	"causeway/protocol"
)

// crowd is a large meeting of which a few are looked at closely.
type crowd struct {
	*street
	t        *testing.T
	people   []*member
	watched  map[*member]rosterOf
	messages int
	bytes    int
}

// enter lets one in without waiting for anything. Media is fake, but has all
// slots.
func (c *crowd) enter(role protocol.Role) {
	i := len(c.people)
	h := c.houses[i%len(c.houses)]
	m := h.admit(fmt.Sprintf("p%04d", i), role)
	for _, l := range m.media.Links {
		m.shard.Run(func() { l.Ready(0, fakeWire{}, time.Now()) })
	}
	m.channel = control.NewDetached()
	var err error
	if m.voice, err = h.m.Attach(context.Background(), m.session, m.channel); err != nil {
		c.t.Fatal(err)
	}
	c.people = append(c.people, m)
}

// read lets everybody read what waits; only those who are watched make
// anything of it.
func (c *crowd) read() {
	synctest.Wait()
	for _, m := range c.people {
		if r := c.watched[m]; r != nil {
			r.follow(m)
			continue
		}
		data, ended := m.channel.Drain()
		for _, d := range data {
			c.bytes += len(d)
			if len(d) > protocol.MaxControlMessage {
				c.t.Fatalf("a message of %d bytes", len(d))
			}
		}
		c.messages += len(data)
		if ended {
			c.t.Fatalf("%s was cut off", m.id)
		}
	}
}

// report logs what was told since the last time, and at what cost.
func (c *crowd) report(what string, since time.Duration) time.Duration {
	now := cpuTime(c.t)
	c.t.Logf("%s: %d people; %d messages, %.1f MB told; %v of CPU", what, len(c.people), c.messages, float64(c.bytes)/1e6, now-since)
	c.messages, c.bytes = 0, 0
	return now
}

// cpuTime is what this process has used of CPU.
func cpuTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestThousand has 500 join a meeting of 500 on three routers within ten
// seconds. At the end all see the same.
func TestThousand(t *testing.T) {
	const half = 500
	onStreet(t, 3, func(t *testing.T, s *street) {
		c := &crowd{street: s, t: t, watched: map[*member]rosterOf{}}
		cpu := cpuTime(t)
		for i := range half {
			c.enter(protocol.Guest)
			if i < 3 { // one on each router
				c.watched[c.people[i]] = rosterOf{}
			}
			if i%50 == 0 {
				c.read()
			}
		}
		later(3 * time.Second)
		c.read()
		cpu = c.report("at first", cpu)
		for i := range half {
			c.enter(protocol.Guest)
			if i >= half-3 {
				c.watched[c.people[half+i]] = rosterOf{}
			}
			time.Sleep(20 * time.Millisecond) // virtual time
			if i%50 == 49 {
				c.read()
			}
		}
		later(3 * time.Second)
		c.read()
		cpu = c.report("500 joined", cpu)
		c.same(2 * half)
		for range 10 {
			later(time.Second)
			c.read()
		}
		cpu = c.report("ten quiet seconds", cpu)
		for _, m := range c.people[3:503] {
			m.voice.Receive(context.Background(), m.channel, &protocol.Leave{})
		}
		c.people = slices.Delete(c.people, 3, 503)
		later(3 * time.Second)
		c.read()
		c.report("500 left", cpu)
		c.same(half)
	})
}

// same sees that all who are watched see as many, and the same.
func (c *crowd) same(want int) {
	c.t.Helper()
	var first rosterOf
	for m, r := range c.watched {
		if first == nil {
			first = r
		}
		if len(r) != want || !maps.Equal(r, first) {
			c.t.Errorf("%s sees %d of %d people, others %d", m.id, len(r), want, len(first))
		}
	}
}

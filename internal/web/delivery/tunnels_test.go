package delivery

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"causeway/protocol"

	"github.com/google/go-cmp/cmp"
)

// tunnel makes the state of a healthy tunnel.
func tunnel(id string, load float64) protocol.TunnelState {
	return protocol.TunnelState{ID: id, URL: "https://" + id + ".example", Health: protocol.Healthy, Load: load}
}

// offered are the ids of the tunnels on offer.
func offered(t *Tunnels, now time.Time) string {
	var ids []string
	for _, o := range t.Offer(now) {
		ids = append(ids, o.ID)
	}
	return strings.Join(ids, " ")
}

func TestTunnels(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tunnels := NewTunnels()
	hear := func(s protocol.TunnelState, after time.Duration) {
		t.Helper()
		if err := tunnels.Hear(protocol.SubjectTunnel(s.ID), s, now.Add(after)); err != nil {
			t.Error(err)
		}
	}
	want := func(ids string, after time.Duration) {
		t.Helper()
		if got := offered(tunnels, now.Add(after)); got != ids {
			t.Errorf("after %v: offered %q, want %q", after, got, ids)
		}
	}
	want("", 0)
	hear(tunnel("busy", .9), 0)
	hear(tunnel("idle", 0), 0)
	hear(tunnel("b", .5), 0)
	hear(tunnel("a", .5), 0)
	hear(tunnel("full", 1), 0)
	draining := tunnel("draining", 0)
	draining.Health = protocol.Draining
	hear(draining, 0)
	want("idle a b busy", 0)
	hear(tunnel("busy", .1), time.Second) // what is said last holds
	want("idle busy a b", time.Second)
	want("idle busy a b", Silence-1)
	want("busy", Silence) // the others have been silent
	stopping := tunnel("busy", .1)
	stopping.Health = protocol.Stopping
	hear(stopping, Silence)
	want("", Silence)

	for i := range 2 * MaxTunnels {
		hear(tunnel(fmt.Sprintf("t%02d", i), float64(i)/100), Silence)
	}
	want("t00 t01 t02 t03 t04 t05", Silence)

	local := tunnel("local", 0)
	local.LocalURL = "http://localhost:8080"
	hear(local, 3*Silence)
	if diff := cmp.Diff([]Tunnel{{"local", "https://local.example", "http://localhost:8080"}}, tunnels.Offer(now.Add(3*Silence))); diff != "" {
		t.Error(diff)
	}
}

func TestTunnelsRefuse(t *testing.T) {
	now := time.Now()
	tunnels := NewTunnels()
	change := func(f func(*protocol.TunnelState)) protocol.TunnelState {
		s := tunnel("t1", 0)
		f(&s)
		return s
	}
	for name, s := range map[string]protocol.TunnelState{
		"another's id":      change(func(s *protocol.TunnelState) { s.ID = "t2" }),
		"no id":             change(func(s *protocol.TunnelState) { s.ID = "" }),
		"no address":        change(func(s *protocol.TunnelState) { s.URL = "" }),
		"not an address":    change(func(s *protocol.TunnelState) { s.URL = "javascript:alert(1)" }),
		"not a local one":   change(func(s *protocol.TunnelState) { s.LocalURL = "localhost" }),
		"negative load":     change(func(s *protocol.TunnelState) { s.Load = -1 }),
		"load is no number": change(func(s *protocol.TunnelState) { s.Load = math.NaN() }),
	} {
		if err := tunnels.Hear(protocol.SubjectTunnel("t1"), s, now); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if got := offered(tunnels, now); got != "" {
		t.Errorf("offered %q", got)
	}
	for i := range maxTunnels {
		s := tunnel(fmt.Sprintf("t%d", i), 0)
		if err := tunnels.Hear(protocol.SubjectTunnel(s.ID), s, now); err != nil {
			t.Fatal(err)
		}
	}
	if err := tunnels.Hear(protocol.SubjectTunnel("more"), tunnel("more", 0), now); err == nil {
		t.Error("one too many was taken")
	}
	if err := tunnels.Hear(protocol.SubjectTunnel("more"), tunnel("more", 0), now.Add(Silence)); err != nil {
		t.Errorf("after the others fell silent: %v", err)
	}
}

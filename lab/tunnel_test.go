//go:build linux

package lab

import (
	"slices"
	"strings"
	"testing"
	"time"

	"causeway/protocol"
)

// OnlyTunnels lets out what the lookup and tunnels of their own need.
var OnlyTunnels = Policy{"ip daddr != { 203.0.113.10, 203.0.113.40, 203.0.113.41 } drop"}

// TestTunnelKilled kills the tunnel that carries a meeting, with everything
// of it, control channel and media: the next one carries it on.
func TestTunnelKilled(t *testing.T) {
	d := NewDeployment(NewWorld(t))
	d.StartServer("tunnel2")
	d.untilTunnels(2)
	speaker := d.Start("web", d.binary, "join", d.meeting.JoinURL, "--name", "Speaker", "--publish", "testcard", "--ca", d.ca, "--json")
	waitFor(t, speaker, `"event":"joined"`, startWithin)
	d.Apply(OnlyTunnels)
	dir := t.TempDir()
	listener := d.Start("client", "env", "HOME="+d.dir, "XDG_CACHE_HOME="+t.TempDir(),
		d.binary, "join", d.meeting.JoinURL, "--name", "Listener", "--ca", d.ca, "--json", "--record", dir, "--duration", "30s")
	waitFor(t, listener, `"event":"joined"`, startWithin)
	time.Sleep(3 * time.Second) // a meeting that goes on
	carrier := d.carrier("client")
	t.Logf("%s carries the meeting", carrier)
	d.servers[carrier].Kill()
	killed := time.Now()
	<-listener.done
	report := lastReport(t, listener)
	if !report.OK || report.Route != "tunnel" {
		t.Errorf("by %s, events %v", report.Route, report.Events)
	}
	if sound := report.Media[protocol.Audio]; sound.Transport != protocol.TLS || sound.PacketsReceived == 0 {
		t.Errorf("sound %+v", sound)
	}
	t.Logf("killed %v before the end; events %v", time.Since(killed).Round(time.Second), report.Events)
	checkSound(t, dir, 25*time.Second)
}

// tunnelHosts are the hosts that carry tunnels; the web server's is one, too.
var tunnelHosts = []string{"tunnel", "tunnel2", "web"}

// untilTunnels waits until web lists so many tunnels beside its own.
func (d *Deployment) untilTunnels(n int) {
	d.t.Helper()
	for deadline := time.Now().Add(startWithin); ; {
		// A check looks at all tunnels of the package.
		out, _ := d.command(d.t.Context(), "client", d.binary, "check", d.meeting.JoinURL, "--ca", d.ca, "--json").Output()
		found := 0
		for _, host := range tunnelHosts[:2] {
			if strings.Contains(string(out), `"check":"tunnel","verdict":"ok","target":"https://`+names[host]) {
				found++
			}
		}
		if found >= n {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("%d tunnels found: %s", found, out)
		}
	}
}

// carrier finds the tunnel that a host has most connections with.
func (d *Deployment) carrier(host string) string {
	d.t.Helper()
	out := d.in(host, "ss", "-Htn", "state", "established")
	count := func(at string) int { return strings.Count(out, addresses[at]+":443") }
	return slices.MaxFunc(tunnelHosts, func(a, b string) int { return count(a) - count(b) })
}

//go:build linux

package lab

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"causeway/client"
	"causeway/protocol"
)

// waitFor reads a process's events up to one that contains text, and returns
// when that was.
func waitFor(t *testing.T, p *Process, text string, limit time.Duration) time.Time {
	t.Helper()
	if !p.Until(text, limit) {
		t.Fatalf("never printed: %s", text)
	}
	for line := range strings.Lines(p.log.String()) {
		var e client.Event
		if strings.Contains(line, text) && json.Unmarshal([]byte(line), &e) == nil {
			return e.At
		}
	}
	t.Fatalf("no event with %s", text)
	return time.Time{}
}

// TestCutInMidCall cuts the way of the media while it carries a meeting: the
// sound comes back within two seconds by the next rung, and climbs back when
// the way is free again.
func TestCutInMidCall(t *testing.T) {
	d := NewDeployment(NewWorld(t))
	speaker := d.Start("web", d.binary, "join", d.meeting.JoinURL, "--name", "Speaker", "--publish", "testcard", "--ca", d.ca, "--json")
	waitFor(t, speaker, `"event":"joined"`, startWithin)
	for _, cut := range []struct {
		name   string
		policy Policy
		to     protocol.Transport
	}{
		{"UDP silently", UDPBlocked, protocol.TCP},
		{"UDP outgoing only", UDPDeaf, protocol.TCP},
		{"UDP, refusing", Policy{"meta l4proto udp reject"}, protocol.TCP},
		{"all but 443 silently", Only443, protocol.TLS},
		{"all but 443, refusing", Only443Refusing, protocol.TLS},
	} {
		t.Run(cut.name, func(t *testing.T) {
			d.Apply(Open)
			dir, cache := t.TempDir(), t.TempDir()
			listener := d.Start("client", "env", "HOME="+d.dir, "XDG_CACHE_HOME="+cache,
				d.binary, "join", d.meeting.JoinURL, "--name", "Listener", "--ca", d.ca, "--json", "--record", dir, "--duration", "20s")
			waitFor(t, listener, `"event":"joined"`, startWithin)
			time.Sleep(3 * time.Second) // a meeting that goes on
			d.Apply(cut.policy)
			start := time.Now()
			fell := waitFor(t, listener, "sound fell from udp to "+string(cut.to), 10*time.Second)
			time.Sleep(2 * time.Second)
			d.Apply(Open)
			<-listener.done
			t.Logf("fell after %v", fell.Sub(start).Round(time.Millisecond))
			if after := fell.Sub(start); after > away {
				t.Errorf("sound was back after %v", after)
			}
			if got := lastReport(t, listener).Media[protocol.Audio].Transport; got != protocol.UDP {
				t.Errorf("the sound did not climb back from %s", got)
			}
			checkSound(t, dir, 15*time.Second)
			report := lastReport(t, listener)
			if strings.Contains(listener.log.String(), `"event":"reconnecting"`) || !report.OK {
				t.Errorf("events %v", report.Events)
			}
		})
	}
}

// away bounds how long sound may be away for a change of its way. The promise
// is two seconds, which the tests in virtual time hold; a real machine that
// runs many things besides may take longer.
const away = 5 * time.Second

// checkSound looks for what is missing of the speaker's sound in a recording
// of at least some length.
func checkSound(t *testing.T, dir string, length time.Duration) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m client.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	for _, r := range m.Recordings {
		if r.Source == protocol.Mic {
			t.Logf("%s: %.0f to %.0f ms, of which %.0f ms are missing, %d packets lost", r.Name, r.FirstMS, r.LastMS, r.FilledMS, r.Lost)
			if r.FilledMS > float64(away.Milliseconds()) {
				t.Errorf("the sound was away for more than %v", away)
			}
			if r.LastMS-r.FirstMS < float64(length.Milliseconds()) {
				t.Error("the sound ended early")
			}
			return
		}
	}
	t.Error("no sound was recorded")
}

// lastReport is what a join with --json printed at its end.
func lastReport(t *testing.T, p *Process) protocol.Report {
	t.Helper()
	var report protocol.Report
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, `"phases"`) {
			if err := json.Unmarshal([]byte(line), &report); err != nil {
				t.Fatal(err)
			}
		}
	}
	return report
}

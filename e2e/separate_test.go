//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"causeway/client"
	"causeway/protocol"
)

// TestSeparateProcesses holds a meeting on servers each of its own: Ada
// publishes all the time, Bob comes while a third records and leaves before.
func TestSeparateProcesses(t *testing.T) {
	s := newSystem(t)
	m := s.create("--topic", "Apart")
	ada := start(t, "Ada", "join", m.JoinURL, "--ca", s.ca, "--name", "Ada", "--publish", "testcard", "--json")
	ada.line(`"joined"`)

	recording, report := filepath.Join(t.TempDir(), "recording"), filepath.Join(t.TempDir(), "report.json")
	rec := start(t, "recorder", "join", m.JoinURL, "--ca", s.ca, "--name", "Rec", "--publish", "none",
		"--record", recording, "--duration", "12s", "--report", report, "--json")
	rec.line(`"carries"`)
	bob := start(t, "Bob", "join", m.JoinURL, "--ca", s.ca, "--name", "Bob", "--publish", "testcard", "--duration", "6s", "--json")
	if status := bob.wait(); status != 0 {
		t.Errorf("Bob: status %d", status)
	}
	if status := rec.wait(); status != 0 {
		t.Errorf("recorder: status %d", status)
	}
	if status := ada.interrupt(); status != 0 {
		t.Errorf("Ada: status %d", status)
	}

	data, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	r := decode[protocol.Report](t, string(data))
	checkReport(t, r, m)
	for _, kind := range []protocol.MediaKind{protocol.Audio, protocol.Video} {
		if got := r.Media[kind]; got.PacketsReceived < 300 || got.PacketsLost > 0 || got.FirstPacketMS <= 0 {
			t.Errorf("%s: %+v", kind, got)
		}
	}
	stays := map[string]stay{}
	for name, p := range map[string]*process{"Ada": ada, "Bob": bob, "Rec": rec} {
		lines := p.all()
		checkReport(t, decode[protocol.Report](t, lines[len(lines)-1]), m)
		stays[name] = stayOf(t, lines[:len(lines)-1])
	}
	withAda, withBob := stays["Rec"].together(stays["Ada"]), stays["Rec"].together(stays["Bob"])
	withBob.short = true
	checkRecordings(t, recording, map[string]stay{"Ada": withAda, "Bob": withBob})
}

// checkReport checks the report of a join that went well.
func checkReport(t *testing.T, r protocol.Report, m created) {
	t.Helper()
	names := make([]string, 0, 4)
	for _, p := range r.Phases {
		names = append(names, string(p.Name))
		if !p.OK || p.Error != nil || len(p.Attempts) == 0 {
			t.Errorf("phase %+v", p)
		}
	}
	if !r.OK || strings.Join(names, " ") != "lookup zone mmr media" || r.FirstMediaMS <= 0 {
		t.Errorf("report %+v", r)
	}
	if r.Meeting != m.Number || r.Zone != "taipei" || !strings.HasPrefix(r.Controller, "zc") || r.MMR != "m1" || r.Route != "direct" || r.Proxy.Kind != "none" {
		t.Errorf("report %+v", r)
	}
	for kind, dscp := range map[protocol.MediaKind]int{protocol.Audio: 46, protocol.Video: 34} {
		if got := r.Media[kind]; got.Transport != protocol.UDP || got.DSCP != dscp || !strings.HasPrefix(got.Remote, "127.0.0.1:") {
			t.Errorf("%s: %+v", kind, got)
		}
	}
}

// A stay is the time that somebody was in a meeting.
type stay struct {
	from, to time.Time
	short    bool // so that the wait for a key frame is no small part of it
}

// together is the time that both were there.
func (s stay) together(o stay) stay {
	if o.from.After(s.from) {
		s.from = o.from
	}
	if o.to.Before(s.to) {
		s.to = o.to
	}
	return s
}

// stayOf finds out from the events that a join printed when it was in the
// meeting.
func stayOf(t *testing.T, lines []string) stay {
	t.Helper()
	var s stay
	for _, line := range lines {
		e := decode[client.Event](t, line)
		switch e.Kind {
		case client.Joined:
			s.from = e.At
		case client.Over:
			s.to = e.At
		}
	}
	if s.from.IsZero() || s.to.IsZero() {
		t.Fatalf("events %s", lines)
	}
	return s
}

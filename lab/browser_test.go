//go:build linux

package lab

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"causeway/protocol"
)

// Seen is what a page tells of itself.
type Seen struct {
	Trouble
	Joined bool
	Rungs  []string // of the connections that are up
	Pairs  []string // of candidates, for the log
	Frames int      // decoded
	Energy float64  // of the sound that was played
	// SoundMS is how long it took until sound came over fresh connections.
	SoundMS int `json:"sound_ms"`
	Report  protocol.Report
}

// openJoining has a page in the client's host join the meeting. Asked, it tells
// as soon as media flows anew.
func (d *Deployment) openJoining(t *testing.T) *page[Seen] {
	t.Helper()
	return openPage[Seen](d, t, "client", nil, "lab-join.mjs", d.meeting.JoinURL)
}

// over tells whether all connections go over one of some rungs.
func (s Seen) over(rungs ...string) bool {
	for _, r := range s.Rungs {
		if !slices.Contains(rungs, r) {
			return false
		}
	}
	return len(s.Rungs) > 0
}

// accompany has somebody in the meeting whom pages see and hear.
func (d *Deployment) accompany() {
	d.t.Helper()
	d.Start("web", d.binary, "join", d.meeting.JoinURL, "--name", "Company", "--publish", "testcard", "--ca", d.ca)
}

// TestBrowserCells joins from behind each firewall with a real browser, and
// says which way it must end on.
func TestBrowserCells(t *testing.T) {
	d := NewDeployment(NewWorld(t))
	d.accompany()
	for _, cell := range []struct {
		name   string
		policy Policy
		route  string
		rungs  []string
	}{
		{"open", Open, "direct", []string{"udp"}},
		// Of TCP and TLS, Chromium stays with the one that answers first.
		{"UDP blocked", UDPBlocked, "direct", []string{"tcp", "tls"}},
		{"only 443", Only443, "direct", []string{"tls"}},
		{"only 443, refusing", Only443Refusing, "direct", []string{"tls"}},
		{"controllers silent", ControllersGone, "tunnel", []string{"udp"}},
		{"controllers refuse", ControllersReset, "tunnel", []string{"udp"}},
		{"only web", OnlyWeb, "tunnel", []string{"tls"}},
	} {
		t.Run(cell.name, func(t *testing.T) {
			d.Apply(cell.policy)
			s := d.openJoining(t).next()
			if s.Report.Route != cell.route || !s.over(cell.rungs...) || !s.Report.OK {
				report, _ := json.MarshalIndent(s.Report, "", "  ")
				t.Errorf("route %s, rungs %v; want %s, %v\n%s", s.Report.Route, s.Rungs, cell.route, cell.rungs, report)
			}
			t.Logf("%v, first media after %.0f ms", s.Rungs, s.Report.FirstMediaMS)
		})
	}
}

// TestBrowserCut blocks UDP in mid-call: the page goes on over another rung.
func TestBrowserCut(t *testing.T) {
	d := NewDeployment(NewWorld(t))
	d.accompany()
	page := d.openJoining(t)
	if s := page.next(); !s.over("udp") {
		t.Fatalf("rungs %v", s.Rungs)
	}
	for _, cut := range []struct {
		policy Policy
		rungs  []string
	}{{UDPBlocked, []string{"tcp", "tls"}}, {Only443, []string{"tls"}}} {
		d.Apply(cut.policy)
		s := page.look()
		sound := s.SoundMS
		// Of TCP and TLS, Chromium stays with the one that answers first.
		for range 30 {
			if !s.over(cut.rungs...) {
				s = page.look()
				sound = max(sound, s.SoundMS)
			}
		}
		if !s.over(cut.rungs...) {
			t.Errorf("rungs %v, want %v\n%s\n%v", s.Rungs, cut.rungs, strings.Join(s.Pairs, "\n"), s.Report.Events)
		}
		t.Logf("sound over %v %d ms after the cut", s.Rungs, sound)
	}
}

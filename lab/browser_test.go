//go:build linux

package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"causeway/protocol"
)

// pageScript drives one Chromium page; see there.
const pageScript = "../webclient/e2e/lab-join.mjs"

// Seen is what a page tells of itself.
type Seen struct {
	Joined bool
	Error  string
	Text   string
	Said   []string
	Rungs  []string // of the connections that are up
	Pairs  []string // of candidates, for the log
	Frames int      // decoded
	Energy float64  // of the sound that was played
	// SoundMS is how long it took until sound came over fresh connections.
	SoundMS int `json:"sound_ms"`
	Report  protocol.Report
}

// A Page is a Chromium page in the client's host.
type Page struct {
	t     *testing.T
	stdin io.WriteCloser
	lines *bufio.Scanner
}

// trusting makes a home folder whose browser trusts the deployment's own CA.
func (d *Deployment) trusting() string {
	d.t.Helper()
	home := d.t.TempDir()
	store := filepath.Join(home, ".pki", "nssdb")
	d.must(os.MkdirAll(store, 0o700))
	d.in("client", "certutil", "-d", "sql:"+store, "-N", "--empty-password")
	d.in("client", "certutil", "-d", "sql:"+store, "-A", "-t", "C,,", "-n", "causeway", "-i", d.ca)
	return home
}

// OpenPage has a page join the meeting. It ends with the test.
func (d *Deployment) OpenPage(t *testing.T) *Page {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := d.command(ctx, "client", "node", pageScript, d.meeting.JoinURL)
	cmd.Env = append(os.Environ(), "HOME="+d.trusting())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	d.must(err)
	stdout, err := cmd.StdoutPipe()
	d.must(err)
	d.must(cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close() // the page leaves
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait()
		cancel()
	})
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	return &Page{t: t, stdin: stdin, lines: lines}
}

// Next waits for what the page tells next.
func (p *Page) Next() Seen {
	p.t.Helper()
	if !p.lines.Scan() {
		p.t.Fatalf("the page ended: %v", p.lines.Err())
	}
	var s Seen
	if err := json.Unmarshal(p.lines.Bytes(), &s); err != nil {
		p.t.Fatalf("%v: %s", err, p.lines.Text())
	}
	if s.Error != "" {
		p.t.Fatalf("%s\nthe page says: %s\nthe console: %s", s.Error, s.Text, strings.Join(s.Said, "\n"))
	}
	return s
}

// Again has the page tell as soon as media flows anew.
func (p *Page) Again() Seen {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.stdin); err != nil {
		p.t.Fatal(err)
	}
	return p.Next()
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
			s := d.OpenPage(t).Next()
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
	page := d.OpenPage(t)
	if s := page.Next(); !s.over("udp") {
		t.Fatalf("rungs %v", s.Rungs)
	}
	for _, cut := range []struct {
		policy Policy
		rungs  []string
	}{{UDPBlocked, []string{"tcp", "tls"}}, {Only443, []string{"tls"}}} {
		d.Apply(cut.policy)
		s := page.Again()
		sound := s.SoundMS
		// Of TCP and TLS, Chromium stays with the one that answers first.
		for range 30 {
			if !s.over(cut.rungs...) {
				s = page.Again()
				sound = max(sound, s.SoundMS)
			}
		}
		if !s.over(cut.rungs...) {
			t.Errorf("rungs %v, want %v\n%s\n%v", s.Rungs, cut.rungs, strings.Join(s.Pairs, "\n"), s.Report.Events)
		}
		t.Logf("sound over %v %d ms after the cut", s.Rungs, sound)
	}
}

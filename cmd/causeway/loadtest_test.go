package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"causeway/client/loadtest"
)

// TestLoadtestOfUp: a small crowd in a meeting of its own on a whole system.
func TestLoadtestOfUp(t *testing.T) {
	up, line := beginUp(t, t.TempDir())
	defer up.end()
	page := filepath.Join(t.TempDir(), "report.html")
	api := []string{"--server", line.Web, "--ca", line.CA, "--api-key", line.APIKey}
	status, out, stderr := command(t, append([]string{
		"loadtest", "-n", "4", "--publishers", "2", "--duration", "3s", "--simulcast", "--json", "--html", page,
	}, api...)...)
	if status != 0 {
		t.Fatalf("status %d: %s%s", status, out, stderr)
	}
	r := decode[loadtest.Report](t, out)
	if r.Joined != 4 || r.Failed != 0 || r.Ended != 0 || r.Sound.Count == 0 || r.Pictures.Count == 0 || r.Packets == 0 || len(r.Journal) == 0 {
		t.Errorf("report %+v", r)
	}
	if html, err := os.ReadFile(page); err != nil || !strings.Contains(string(html), "4 of 4 joined") {
		t.Errorf("page: %v", err)
	}
	if !strings.Contains(stderr, "in the meeting") || strings.Contains(stderr, "could not be ended") {
		t.Errorf("progress: %s", stderr)
	}
	_, out, _ = command(t, append([]string{"meeting", "list"}, api...)...)
	if !strings.Contains(out, "ended  Load test") {
		t.Errorf("the test's meeting goes on: %s", out)
	}
	for _, bad := range [][]string{{"-n", "0"}, {"--server-pid", "999999999"}} {
		if status, _, stderr := command(t, append(append([]string{"loadtest"}, bad...), api...)...); status != 1 || stderr == "" {
			t.Errorf("%v: status %d, %q", bad, status, stderr)
		}
	}
}

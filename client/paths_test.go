package client

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"causeway/protocol"
)

func TestPathsAreRemembered(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	file := filepath.Join(t.TempDir(), "causeway", "paths.json")
	p := readPaths(file)
	p.learn("10.77.0.0/24", "lab", protocol.TLS, now)
	p.learn("10.77.0.0/24", "other", protocol.UDP, now)
	p.learn("192.168.1.0/24", "lab", protocol.UDP, now)
	p.learn("10.77.0.0/24", "lab", protocol.TCP, now.Add(time.Hour))
	if err := p.write(file); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	p = readPaths(file)
	for _, tc := range []struct {
		network, zone string
		at            time.Time
		want          protocol.Transport
	}{
		{"10.77.0.0/24", "lab", now.Add(2 * time.Hour), protocol.TCP},
		{"10.77.0.0/24", "other", now, protocol.UDP},
		{"192.168.1.0/24", "lab", now, protocol.UDP},
		{"192.168.1.0/24", "other", now, ""},
		{"10.77.1.0/24", "lab", now, ""},
		{"10.77.0.0/24", "other", now.Add(pathsKeptFor), ""},
		{"10.77.0.0/24", "other", now.Add(-pathsKeptFor), ""}, // the clock was wrong
	} {
		if got := p.prefer(tc.network, tc.zone, tc.at); got != tc.want {
			t.Errorf("%s, %s at %v: %q", tc.network, tc.zone, tc.at, got)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("files %v, %v", left, err)
	}
}

func TestPathsAreBounded(t *testing.T) {
	now, p := time.Now(), &paths{}
	for i := range maxPaths + 3 {
		p.learn(fmt.Sprint("network ", i), "z", protocol.TCP, now)
	}
	if len(p.Paths) != maxPaths || p.prefer("network 2", "z", now) != "" || p.prefer("network 3", "z", now) != protocol.TCP {
		t.Errorf("%d kept, from %s", len(p.Paths), p.Paths[0].Network)
	}
}

func TestDamagedPaths(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"nonsense": "{", "too long": `{"paths":[` + strings.Repeat(" ", maxPathFile) + `]}`,
		"unknown rung": `{"paths":[{"network":"n","zone":"z","transport":"pigeon","at":"2026-05-01T12:00:00Z"}]}`,
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if p := readPaths(file); len(p.Paths) != 0 {
			t.Errorf("%s: %v", name, p.Paths)
		}
	}
	if err := (&paths{}).write(filepath.Join(dir, "nonsense", "paths.json")); err == nil {
		t.Error("written below a file")
	}
}

func TestNetworkTo(t *testing.T) {
	for _, own := range []string{"127.0.0.1", "::1"} {
		if n := networkTo(netip.MustParseAddr(own)); n != "" {
			t.Errorf("%s is beyond %q", own, n)
		}
	}
	if n := networkTo(netip.Addr{}); n != "" {
		t.Errorf("nowhere is beyond %q", n)
	}
	// A machine without a route has no network; one with a route has a prefix.
	if n := networkTo(netip.MustParseAddr("192.0.2.200")); n != "" {
		if _, err := netip.ParsePrefix(n); err != nil {
			t.Errorf("network %q", n)
		}
	}
}

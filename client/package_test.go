package client

import (
	"testing"
	"time"

	"causeway/protocol"
)

// The way back is refreshed before the token is too old, and never at once
// for everybody.
func TestNextPackage(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		name     string
		expires  time.Time
		from, to time.Duration
	}{
		{"no end is known", time.Time{}, 10 * time.Minute, 20 * time.Minute},
		{"hours", now.Add(2 * time.Hour), 10 * time.Minute, 20 * time.Minute},
		{"minutes", now.Add(10 * time.Minute), 150 * time.Second, 5 * time.Minute},
		{"over", now.Add(-time.Hour), 30 * time.Second, time.Minute},
	} {
		m := &Meeting{pkg: protocol.Package{TokenExpiresAt: c.expires}}
		for range 100 {
			if got := m.nextPackage(now); got < c.from || got > c.to {
				t.Errorf("%s: after %v, want %v to %v", c.name, got, c.from, c.to)
			}
		}
	}
}

// Who comes back asks in the zone where it was first.
func TestKnownZones(t *testing.T) {
	m := &Meeting{pkg: protocol.Package{Token: "ticket", Zones: []protocol.Zone{{ID: "a"}, {ID: "b"}, {ID: "c"}}}}
	for zone, want := range map[string]string{"a": "abc", "b": "bac", "c": "cab", "gone": "abc", "": "abc"} {
		token, zones := m.known(zone)
		got := ""
		for _, z := range zones {
			got += z.ID
		}
		if got != want || token != "ticket" {
			t.Errorf("from %q: %s with %q, want %s", zone, got, token, want)
		}
	}
}

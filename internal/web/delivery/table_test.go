package delivery

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"causeway/protocol"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// controller is what a controller says that is well.
func controller(zone, id string) protocol.ControllerState {
	return protocol.ControllerState{ID: id, Zone: zone, ZoneName: "Zone", URL: "https://" + id + "." + zone, State: protocol.ZoneOpen}
}

func hear(t *testing.T, table *Table, s protocol.ControllerState, now time.Time) {
	t.Helper()
	if err := table.Hear(protocol.SubjectController(s.Zone, s.ID), s, now); err != nil {
		t.Fatal(err)
	}
}

func TestSilence(t *testing.T) {
	table := NewTable()
	hear(t, table, controller("eu", "c1"), noon)
	hear(t, table, controller("eu", "c2"), noon.Add(time.Second))
	hear(t, table, controller("us", "c1"), noon.Add(time.Second))
	for _, c := range []struct {
		after time.Duration
		want  string
	}{
		{time.Second, "eu/c1 eu/c2 us/c1 "},
		{3*time.Second - 1, "eu/c1 eu/c2 us/c1 "},
		{3 * time.Second, "eu/c2 us/c1 "},
		{4 * time.Second, ""},
	} {
		got := ""
		for _, z := range table.Zones(noon.Add(c.after)) {
			for _, c := range z.Controllers {
				got += z.ID + "/" + c.ID + " "
			}
		}
		if got != c.want {
			t.Errorf("after %v: %q, want %q", c.after, got, c.want)
		}
	}
}

// A controller's last word makes it forgotten at once; its zone goes on with
// the others.
func TestStopping(t *testing.T) {
	table := NewTable()
	hear(t, table, controller("eu", "c1"), noon)
	hear(t, table, controller("eu", "c2"), noon)
	last := controller("eu", "c1")
	last.State, last.Stopping = protocol.ZoneEmpty, true
	hear(t, table, last, noon)
	zones := table.Zones(noon)
	if len(zones) != 1 || zones[0].State != protocol.ZoneOpen || len(zones[0].Controllers) != 1 || zones[0].Controllers[0].ID != "c2" {
		t.Errorf("after the last word: %+v", zones)
	}
	hear(t, table, controller("eu", "c1"), noon)
	if got := len(table.Zones(noon)[0].Controllers); got != 2 {
		t.Errorf("started again: %d controllers", got)
	}
}

func TestMerge(t *testing.T) {
	table := NewTable()
	a := controller("eu", "c1")
	a.Load, a.Weight, a.Lat, a.Lon, a.Located, a.LocalURL = .5, 10, 50, 8, true, "http://localhost:8080"
	b := controller("eu", "c2")
	b.Load, b.ZoneName, b.OnPremises, b.Networks = .7, "New name", true, []string{"10.1.2.3/8", "2001:db8::/32"}
	hear(t, table, b, noon.Add(time.Millisecond))
	hear(t, table, a, noon)
	want := []Zone{{
		ID: "eu", Name: "New name", OnPremises: true, Load: .7, State: protocol.ZoneOpen,
		Controllers: []Controller{{"c1", "https://c1.eu", "http://localhost:8080"}, {"c2", "https://c2.eu", ""}},
	}}
	if diff := cmp.Diff(want, table.Zones(noon), cmpopts.IgnoreFields(Zone{}, "Networks")); diff != "" {
		t.Errorf("b was heard last (-want +got)\n%s", diff)
	}
	hear(t, table, a, noon.Add(time.Second))
	if z := table.Zones(noon.Add(time.Second))[0]; z.Name != "Zone" || z.Weight != 10 || z.At == nil || *z.At != (Place{50, 8}) || z.OnPremises {
		t.Errorf("a was heard last: %+v", z)
	}
}

func TestMergedState(t *testing.T) {
	const open, full, draining, empty = protocol.ZoneOpen, protocol.ZoneFull, protocol.ZoneDraining, protocol.ZoneEmpty
	for _, c := range []struct{ first, last, want protocol.ZoneStatus }{
		{open, open, open},
		{open, full, open},
		{full, open, open},
		{empty, open, open},
		{open, empty, open},
		{draining, open, draining},
		{open, draining, draining},
		{draining, full, draining},
		{empty, full, full},
		{full, empty, empty},
	} {
		table := NewTable()
		a, b := controller("eu", "c1"), controller("eu", "c2")
		a.State, b.State = c.first, c.last
		hear(t, table, a, noon)
		hear(t, table, b, noon.Add(time.Second))
		if got := table.Zones(noon.Add(time.Second))[0].State; got != c.want {
			t.Errorf("%s, then %s: %s, want %s", c.first, c.last, got, c.want)
		}
	}
}

// TestServing: who drains is not listed, who is at its limits only alone.
func TestServing(t *testing.T) {
	healthy := func(*protocol.ControllerState) {}
	drains := func(s *protocol.ControllerState) { s.Health = protocol.Draining }
	full := func(s *protocol.ControllerState) { s.Server = protocol.Load{CPU: 0.9, MaxCPU: 0.9} }
	both := func(s *protocol.ControllerState) { drains(s); full(s) }
	for _, c := range []struct {
		name     string
		one, two func(*protocol.ControllerState)
		want     string
		state    protocol.ZoneStatus
	}{
		{"both serve", healthy, healthy, "c1 c2", protocol.ZoneOpen},
		{"one drains", drains, healthy, "c2", protocol.ZoneOpen},
		{"both drain", drains, drains, "", protocol.ZoneDraining},
		{"one is full", healthy, full, "c1", protocol.ZoneOpen},
		{"both are full", full, full, "c1 c2", protocol.ZoneOpen},
		{"one is full, one drains", drains, full, "c2", protocol.ZoneOpen},
		{"one is full and drains", both, full, "c2", protocol.ZoneOpen},
	} {
		table := NewTable()
		a, b := controller("eu", "c1"), controller("eu", "c2")
		c.one(&a)
		c.two(&b)
		hear(t, table, a, noon)
		hear(t, table, b, noon)
		z := table.Zones(noon)[0]
		var ids []string
		for _, o := range z.Controllers {
			ids = append(ids, o.ID)
		}
		if got := strings.Join(ids, " "); got != c.want || z.State != c.state {
			t.Errorf("%s: %q, %s; want %q, %s", c.name, got, z.State, c.want, c.state)
		}
	}
}

func TestIgnored(t *testing.T) {
	good := controller("eu", "c1")
	for _, c := range []struct {
		name   string
		change func(*protocol.ControllerState)
	}{
		{"another zone", func(s *protocol.ControllerState) { s.Zone = "us" }},
		{"another id", func(s *protocol.ControllerState) { s.ID = "c2" }},
		{"no id", func(s *protocol.ControllerState) { s.ID = "" }},
		{"no address", func(s *protocol.ControllerState) { s.URL = "" }},
		{"script", func(s *protocol.ControllerState) { s.URL = "javascript:alert(1)" }},
		{"no host", func(s *protocol.ControllerState) { s.URL = "https:///x" }},
		{"long address", func(s *protocol.ControllerState) { s.URL = "https://" + strings.Repeat("x", 600) }},
		{"bad local address", func(s *protocol.ControllerState) { s.LocalURL = "localhost:8080" }},
		{"long name", func(s *protocol.ControllerState) { s.ZoneName = strings.Repeat("x", 300) }},
		{"nowhere", func(s *protocol.ControllerState) { s.Lat, s.Located = 91, true }},
		{"not a number", func(s *protocol.ControllerState) { s.Weight = math.NaN() }},
		{"huge weight", func(s *protocol.ControllerState) { s.Weight = -1e300 }},
		{"bad network", func(s *protocol.ControllerState) { s.Networks = []string{"10.0.0.1"} }},
		{"many networks", func(s *protocol.ControllerState) { s.Networks = make([]string, maxNetworks+1) }},
	} {
		s := good
		c.change(&s)
		table := NewTable()
		if err := table.Hear(protocol.SubjectController("eu", "c1"), s, noon); err == nil || len(table.Zones(noon)) != 0 {
			t.Errorf("%s: taken (%v)", c.name, err)
		}
	}
}

func TestTableIsBounded(t *testing.T) {
	table := NewTable()
	for i := range maxControllers {
		hear(t, table, controller("eu", fmt.Sprint("c", i)), noon)
	}
	more := controller("us", "c1")
	if err := table.Hear(protocol.SubjectController("us", "c1"), more, noon); err == nil {
		t.Error("one more was taken")
	}
	hear(t, table, controller("eu", "c0"), noon.Add(time.Second)) // one that is known
	hear(t, table, more, noon.Add(Silence))                       // the others have gone
	if got := len(table.Zones(noon.Add(Silence))); got != 2 {
		t.Errorf("%d zones, want 2", got)
	}
}

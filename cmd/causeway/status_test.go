package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"causeway/protocol"
)

func TestPrintStatus(t *testing.T) {
	s := protocol.SystemStatus{
		Participants: 6, MeetingCount: 3,
		Zones: []protocol.ZoneOverview{{
			ID: "taipei", Name: "Taipei", State: protocol.ZoneOpen, Load: 0.25, Participants: 6, OnPremises: true,
			Controllers: []protocol.ServerOverview{{Kind: protocol.KindController, Zone: "taipei", ID: "c1", Health: protocol.Silent, HeardMS: 7400, Address: "https://c1"}},
			MMRs: []protocol.ServerOverview{
				{
					Kind: protocol.KindMMR, Zone: "taipei", ID: "r1", Health: protocol.Healthy, LoadValue: 0.3, Participants: 6, Version: "v1\x1b[2J",
					Load: protocol.Load{CPU: 0.3, PacketsPerSecond: 1234, EgressBPS: 5.5e6, MaxParticipants: 20},
				},
				{Kind: protocol.KindMMR, Zone: "taipei", ID: "r2", Health: protocol.Draining, Drain: &protocol.DrainState{Draining: true, Left: 4}},
				{Kind: protocol.KindMMR, Zone: "taipei", ID: "r3", Health: protocol.Healthy, Ailment: protocol.AilsNoMedia},
			},
		}, {ID: "empty", State: protocol.ZoneEmpty}},
		Tunnels: []protocol.ServerOverview{{Kind: protocol.KindTunnel, ID: "t1", Health: protocol.Waiting}},
		Webs:    []protocol.ServerOverview{{Kind: protocol.KindWeb, ID: "web", Health: protocol.Healthy}},
		Meetings: []protocol.MeetingOverview{
			{Number: "123456789", Topic: "Tea", Participants: 5, Legs: []protocol.LegOverview{{Zone: "taipei", MMR: "r1", Participants: 5}}},
			{Participants: 1},
		},
	}
	var b bytes.Buffer
	if err := printStatus(&b, s, 1); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	for _, want := range []string{
		"6 participants in 3 meetings in 2 zones", "Zone taipei (Taipei): open, load 25 %, 6 participants, on premises",
		"controller/taipei/c1  SILENT for 7s", "mmr/taipei/r1", "6/20", "1234", "5.5", "draining, 4 left", "ailing: media does not connect",
		"Zone empty: closed", "web/web", "waiting for a zone", "123456789  5       taipei/r1 5  Tea", "and 2 more",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if strings.Contains(got, "\x1b") {
		t.Error("a server's words reach the terminal as they are")
	}
}

func TestParseServer(t *testing.T) {
	for name, want := range map[string]protocol.DrainServer{
		"mmr/taipei/r1":        {Kind: protocol.KindMMR, Zone: "taipei", ID: "r1"},
		"controller/taipei/c1": {Kind: protocol.KindController, Zone: "taipei", ID: "c1"},
		"tunnel/t1":            {Kind: protocol.KindTunnel, ID: "t1"},
	} {
		if got, err := parseServer(name); err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if back := serverName(want.Kind, want.Zone, want.ID); back != name {
			t.Errorf("%s is called %s", name, back)
		}
	}
	for _, name := range []string{"", "r1", "mmr/r1", "web/web", "mmr/taipei/", "mmr//r1", "tunnel/a/b", "mmr/taipei/R1", "mmr/taipei/r1/x"} {
		if got, err := parseServer(name); err == nil {
			t.Errorf("%q is read as %+v", name, got)
		}
	}
}

// TestStatusOfUp shows a running system, and drains its tunnel.
func TestStatusOfUp(t *testing.T) {
	up, line := beginUp(t, t.TempDir())
	defer up.end()
	api := []string{"--server", line.Web, "--ca", line.CA, "--api-key", line.APIKey}
	var s protocol.SystemStatus
	until(t, "the status shows every server", func() bool {
		status, out, stderr := command(t, append([]string{"status", "--json"}, api...)...)
		if status != 0 || json.Unmarshal([]byte(out), &s) != nil {
			t.Fatalf("status %d: %s%s", status, out, stderr)
		}
		return len(s.Zones) == 1 && len(s.Zones[0].Controllers) == 1 && len(s.Zones[0].MMRs) == 1 && len(s.Tunnels) == 1 && len(s.Webs) == 1
	})
	name := serverName(protocol.KindTunnel, "", s.Tunnels[0].ID)
	status, out, stderr := command(t, append([]string{"status"}, api...)...)
	if status != 0 || !strings.Contains(out, name) || !strings.Contains(out, "open, load") {
		t.Errorf("status %d: %s%s", status, out, stderr)
	}
	status, out, stderr = command(t, append([]string{"status", "--events"}, api...)...)
	if status != 0 || !strings.Contains(out, name+" has appeared") {
		t.Errorf("events %d: %s%s", status, out, stderr)
	}
	if status, _, stderr = command(t, append([]string{"drain", "tunnel/none"}, api...)...); status != 1 || !strings.Contains(stderr, "did not answer") {
		t.Errorf("drain of nothing: %d: %s", status, stderr)
	}
	if status, _, stderr = command(t, "status", "--server", line.Web, "--ca", line.CA); status != 1 || !strings.Contains(stderr, "CAUSEWAY_API_KEY") {
		t.Errorf("status without a key: %d: %s", status, stderr)
	}
}

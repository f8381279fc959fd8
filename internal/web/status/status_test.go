package status

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"causeway/protocol"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// after is the time so many seconds after noon.
func after(seconds float64) time.Time {
	return noon.Add(time.Duration(seconds * float64(time.Second)))
}

func newBoard() *Board { return NewBoard(slog.New(slog.NewTextHandler(io.Discard, nil))) }

func mmr(id string, change ...func(*protocol.MMRState)) protocol.MMRState {
	s := protocol.MMRState{
		ID: id, Zone: "z", Health: protocol.Healthy, ControlURL: "wss://" + id, Version: "v1",
		Load: protocol.Load{CPU: 0.2, Participants: 3, MaxParticipants: 10},
	}
	for _, f := range change {
		f(&s)
	}
	return s
}

func people(n int) func(*protocol.MMRState) {
	return func(s *protocol.MMRState) { s.Load.Participants = n }
}

func health(h protocol.Health) func(*protocol.MMRState) {
	return func(s *protocol.MMRState) { s.Health = h }
}

// says lets a router of zone z speak.
func (b *Board) says(t *testing.T, at float64, s protocol.MMRState) {
	t.Helper()
	if err := b.MMR(protocol.SubjectMMRState(s.Zone, s.ID), s, after(at)); err != nil {
		t.Fatal(err)
	}
}

func (b *Board) said() string {
	events, _ := b.Events(0, 100)
	var words []string
	for _, e := range events {
		words = append(words, fmt.Sprintf("%s %s", e.Server, e.Event))
	}
	return strings.Join(words, ", ")
}

func TestEvents(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*testing.T, *Board)
		want string
	}{
		{"nothing happens", func(t *testing.T, b *Board) {
			b.says(t, 0, mmr("r"))
			b.Look(after(2.9))
			b.says(t, 2.9, mmr("r"))
			b.Look(after(5))
		}, "r appeared"},
		{"dies", func(t *testing.T, b *Board) {
			b.says(t, 0, mmr("r"))
			b.Look(after(3))
			b.Look(after(4))
		}, "r appeared, r silent"},
		{"returns", func(t *testing.T, b *Board) {
			b.says(t, 0, mmr("r"))
			b.Look(after(3))
			b.says(t, 5, mmr("r"))
			b.Look(after(6))
		}, "r appeared, r silent, r returned"},
		{"returns draining", func(t *testing.T, b *Board) {
			b.says(t, 0, mmr("r"))
			b.Look(after(3))
			b.says(t, 5, mmr("r", health(protocol.Draining)))
		}, "r appeared, r silent, r returned, r draining"},
		{"forgotten, then new", func(t *testing.T, b *Board) {
			b.says(t, 0, mmr("r"))
			b.Look(after(3))
			b.Look(after(600))
			b.says(t, 700, mmr("r"))
		}, "r appeared, r silent, r appeared"},
		{"drains, is taken back, goes", func(t *testing.T, b *Board) {
			b.says(t, 0, mmr("r"))
			b.says(t, 1, mmr("r", health(protocol.Draining)))
			b.says(t, 2, mmr("r", health(protocol.Draining)))
			b.says(t, 3, mmr("r"))
			b.says(t, 4, mmr("r", health(protocol.Stopping)))
			b.Look(after(9))
		}, "r appeared, r draining, r healthy, r stopped"},
		{"only its last word is heard", func(t *testing.T, b *Board) {
			b.says(t, 0, mmr("r", health(protocol.Stopping)))
		}, ""},
		{"full, and has room only when it is worth saying", func(t *testing.T, b *Board) {
			b.says(t, 0, mmr("r"))
			for i, n := range []int{10, 9, 10, 9, 8, 9, 10} {
				b.says(t, float64(i+1)/10, mmr("r", people(n)))
			}
		}, "r appeared, r full, r room, r full"},
		{"appears full", func(t *testing.T, b *Board) {
			b.says(t, 0, mmr("r", people(10)))
		}, "r appeared, r full"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBoard()
			c.do(t, b)
			if got := b.said(); got != c.want {
				t.Errorf("events: %s\nwant:   %s", got, c.want)
			}
		})
	}
}

func TestEventsAreNumberedAndKept(t *testing.T) {
	b := newBoard()
	for i := range keepEvents + 10 {
		b.says(t, 0, mmr(fmt.Sprintf("r%d", i)))
	}
	for _, c := range []struct {
		after       int64
		limit       int
		first, last int64
		missed      bool
	}{
		{0, 5, 11, 15, true},
		{9, 5, 11, 15, true},
		{10, 5, 11, 15, false},
		{1000, 100, 1001, 1010, false},
		{1010, 100, 0, 0, false},
		{5000, 100, 0, 0, false}, // of a node that has been started anew
	} {
		events, missed := b.Events(c.after, c.limit)
		var first, last int64
		if len(events) > 0 {
			first, last = events[0].ID, events[len(events)-1].ID
		}
		if first != c.first || last != c.last || missed != c.missed {
			t.Errorf("after %d: %d…%d, missed %v; want %d…%d, %v", c.after, first, last, missed, c.first, c.last, c.missed)
		}
	}
}

func TestPicture(t *testing.T) {
	b := newBoard()
	controller := func(at float64, s protocol.ControllerState) {
		t.Helper()
		if err := b.Controller(protocol.SubjectController(s.Zone, s.ID), s, after(at)); err != nil {
			t.Fatal(err)
		}
	}
	controller(0, protocol.ControllerState{ID: "c1", Zone: "z", ZoneName: "Old name", State: protocol.ZoneEmpty, URL: "https://c1"})
	controller(3, protocol.ControllerState{
		ID: "c2", Zone: "z", ZoneName: "Taipei", State: protocol.ZoneOpen, URL: "https://c2", Load: 0.4,
		Lat: 25, Lon: 121, Located: true, Health: protocol.Draining, Drain: &protocol.DrainState{Draining: true, Left: 2},
		Ailing: map[string]protocol.Ailment{"r2": protocol.AilsNoMedia},
	})
	b.says(t, 0, mmr("r1", people(50)))
	b.says(t, 3, mmr("r2", people(4)))
	if err := b.Tunnel("hub.tunnel.t", protocol.TunnelState{ID: "t", URL: "https://t", Load: 0.5, Participants: 2, Health: protocol.Healthy}, after(3)); err != nil {
		t.Fatal(err)
	}
	if err := b.Web("hub.web.w", protocol.WebState{ID: "w", URL: "https://w", Health: protocol.Healthy}, after(3)); err != nil {
		t.Fatal(err)
	}
	for _, l := range []struct {
		zone string
		at   float64
		protocol.LegState
	}{
		{"z", 3, protocol.LegState{MMR: "r1", Meeting: "tea", Participants: 3}}, // who are on r2 by now
		{"z", 3, protocol.LegState{MMR: "r2", Meeting: "tea", Participants: 3}},
		{"y", 3, protocol.LegState{MMR: "r9", Meeting: "tea", Participants: 5}},
		{"z", 3, protocol.LegState{MMR: "r1", Meeting: "gone", Participants: 3}},
		{"z", 3, protocol.LegState{MMR: "r1", Meeting: "gone", Participants: 0}},
		{"z", -20, protocol.LegState{MMR: "r1", Meeting: "forgotten", Participants: 1}},
		{"z", 3, protocol.LegState{MMR: "r2", Meeting: "big", Participants: 9}},
	} {
		if err := b.Leg(protocol.SubjectLeg(l.zone, l.MMR), l.LegState, after(l.at)); err != nil {
			t.Fatal(err)
		}
	}
	b.Look(after(4))
	got := b.Picture(after(4))
	want := protocol.SystemStatus{
		At: after(4), Participants: 4,
		Zones: []protocol.ZoneOverview{{
			ID: "z", Name: "Taipei", State: protocol.ZoneOpen, Located: true, Lat: 25, Lon: 121, Load: 0.4, Participants: 4,
			Controllers: []protocol.ServerOverview{
				{Kind: protocol.KindController, ID: "c1", Zone: "z", Address: "https://c1", Health: protocol.Silent, HeardMS: 4000},
				{
					Kind: protocol.KindController, ID: "c2", Zone: "z", Address: "https://c2", Health: protocol.Draining, HeardMS: 1000,
					Drain: &protocol.DrainState{Draining: true, Left: 2},
				},
			},
			MMRs: []protocol.ServerOverview{
				{
					Kind: protocol.KindMMR, ID: "r1", Zone: "z", Address: "wss://r1", Health: protocol.Silent, HeardMS: 4000, LoadValue: 5,
					Load: protocol.Load{CPU: 0.2, Participants: 50, MaxParticipants: 10}, Participants: 50, Version: "v1",
				},
				{
					Kind: protocol.KindMMR, ID: "r2", Zone: "z", Address: "wss://r2", Health: protocol.Healthy, HeardMS: 1000, LoadValue: 0.4,
					Load: protocol.Load{CPU: 0.2, Participants: 4, MaxParticipants: 10}, Participants: 4, Version: "v1", Ailment: protocol.AilsNoMedia,
				},
			},
		}},
		Tunnels: []protocol.ServerOverview{{Kind: protocol.KindTunnel, ID: "t", Address: "https://t", Health: protocol.Healthy, HeardMS: 1000, LoadValue: 0.5, Participants: 2}},
		Webs:    []protocol.ServerOverview{{Kind: protocol.KindWeb, ID: "w", Address: "https://w", Health: protocol.Healthy, HeardMS: 1000}},
		Meetings: []protocol.MeetingOverview{
			{ID: "big", Participants: 9, Legs: []protocol.LegOverview{{Zone: "z", MMR: "r2", Participants: 9}}},
			{ID: "tea", Participants: 8, Legs: []protocol.LegOverview{{Zone: "y", MMR: "r9", Participants: 5}, {Zone: "z", MMR: "r2", Participants: 3}}},
		},
		MeetingCount: 2,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	b := newBoard()
	for name, err := range map[string]error{
		"another's subject": b.MMR(protocol.SubjectMMRState("z", "other"), mmr("r"), noon),
		"bad id":            b.MMR(protocol.SubjectMMRState("z", "R!"), mmr("R!"), noon),
		"another zone":      b.Controller(protocol.SubjectController("y", "c"), protocol.ControllerState{ID: "c", Zone: "z"}, noon),
		"leg of another":    b.Leg(protocol.SubjectLeg("z", "r"), protocol.LegState{MMR: "q", Meeting: "m", Participants: 1}, noon),
		"leg of nothing":    b.Leg(protocol.SubjectLeg("z", "r"), protocol.LegState{MMR: "r", Participants: 1}, noon),
		"fewer than nobody": b.Leg(protocol.SubjectLeg("z", "r"), protocol.LegState{MMR: "r", Meeting: "m", Participants: -1}, noon),
		"no leg":            b.Leg("zone.z", protocol.LegState{MMR: "r", Meeting: "m", Participants: 1}, noon),
	} {
		if err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if p := b.Picture(noon); len(p.Zones) != 0 || p.MeetingCount != 0 {
		t.Errorf("picture: %+v", p)
	}
}

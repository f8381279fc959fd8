package status

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"causeway/protocol"
)

const (
	// silence is how long a server may say nothing before it is shown as
	// silent; the same by which servers judge each other (protocol.MMRState).
	silence = 3 * time.Second
	// forgetAfter is how long a silent server is shown.
	forgetAfter = 10 * time.Minute
	// legSilence is how long a leg is counted that is not repeated
	// (protocol.LegState).
	legSilence = 15 * time.Second
	// Load at which a server is said to be full, and to have room again.
	fullAt, roomAt = 1, 0.9

	maxServers = 16384
	maxLegs    = 1 << 17
	keepEvents = 1000
)

// Board is what all servers last said of themselves. It may be used from any
// number of goroutines.
type Board struct {
	log *slog.Logger

	mu      sync.Mutex
	servers map[string]*server // by subject
	legs    map[legKey]leg
	events  []protocol.Event // the latest, oldest first
	lastID  int64
}

// server is one server as it was last heard.
type server struct {
	protocol.ServerOverview
	controller *protocol.ControllerState // what a controller says of its zone
	at         time.Time
	full       bool
}

type legKey struct{ meeting, zone, mmr string }

type leg struct {
	participants int
	at           time.Time
}

// NewBoard makes an empty board. Events are told to the log as well.
func NewBoard(log *slog.Logger) *Board {
	return &Board{log: log, servers: map[string]*server{}, legs: map[legKey]leg{}}
}

// Controller takes a controller's state.
func (b *Board) Controller(subject string, s protocol.ControllerState, now time.Time) error {
	health := cmp.Or(s.Health, protocol.Healthy)
	if s.Stopping {
		health = protocol.Stopping
	}
	o := protocol.ServerOverview{
		Kind: protocol.KindController, ID: s.ID, Zone: s.Zone, Address: s.URL, Health: health, Version: s.Version,
		LoadValue: s.Server.Value(), Load: s.Server, Drain: s.Drain,
	}
	return b.hear(subject, protocol.SubjectController(s.Zone, s.ID), server{ServerOverview: o, controller: &s}, now)
}

// MMR takes a router's state.
func (b *Board) MMR(subject string, s protocol.MMRState, now time.Time) error {
	o := protocol.ServerOverview{
		Kind: protocol.KindMMR, ID: s.ID, Zone: s.Zone, Address: s.ControlURL, Health: s.Health, Version: s.Version,
		LoadValue: s.Load.Value(), Load: s.Load, Participants: s.Load.Participants, Drain: s.Drain,
	}
	return b.hear(subject, protocol.SubjectMMRState(s.Zone, s.ID), server{ServerOverview: o}, now)
}

// Tunnel takes a tunnel's state.
func (b *Board) Tunnel(subject string, s protocol.TunnelState, now time.Time) error {
	o := protocol.ServerOverview{
		Kind: protocol.KindTunnel, ID: s.ID, Address: s.URL, Health: s.Health, Version: s.Version,
		LoadValue: s.Load, Load: s.Server, Participants: s.Participants, Drain: s.Drain,
	}
	return b.hear(subject, protocol.SubjectTunnel(s.ID), server{ServerOverview: o}, now)
}

// Web takes a web node's state.
func (b *Board) Web(subject string, s protocol.WebState, now time.Time) error {
	o := protocol.ServerOverview{Kind: protocol.KindWeb, ID: s.ID, Address: s.URL, Health: s.Health, Version: s.Version}
	return b.hear(subject, protocol.SubjectWeb(s.ID), server{ServerOverview: o}, now)
}

// hear takes what a server says; a state on a subject that is not its own is
// an error and changes nothing.
func (b *Board) hear(subject, own string, s server, now time.Time) error {
	if subject != own || !protocol.ValidID(s.ID) || s.Zone != "" && !protocol.ValidID(s.Zone) {
		return fmt.Errorf("state on %s: it calls itself %s %q of zone %q", subject, s.Kind, s.ID, s.Zone)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.servers[subject]
	if before == nil && len(b.servers) >= maxServers {
		return fmt.Errorf("state on %s: more than %d servers", subject, maxServers)
	}
	s.at, s.full = now, s.LoadValue >= fullAt
	if before != nil && before.full && s.LoadValue >= roomAt {
		s.full = true
	}
	b.compare(before, &s, now)
	if s.Health == protocol.Stopping {
		delete(b.servers, subject)
		return nil
	}
	b.servers[subject] = &s
	return nil
}

// compare tells the events between two states of a server. The board is
// locked.
func (b *Board) compare(before, s *server, now time.Time) {
	switch {
	case s.Health == protocol.Stopping && before == nil:
		return
	case s.Health == protocol.Stopping:
		b.tell(protocol.EventStopped, s, now)
		return
	case before == nil:
		b.tell(protocol.EventAppeared, s, now)
		before = &server{ServerOverview: protocol.ServerOverview{Health: protocol.Healthy}}
	case before.Health == protocol.Silent:
		b.tell(protocol.EventReturned, s, now)
		before.Health = protocol.Healthy
	}
	switch {
	case s.Health == before.Health:
	case s.Health == protocol.Draining:
		b.tell(protocol.EventDraining, s, now)
	case s.Health == protocol.Healthy && before.Health == protocol.Draining:
		b.tell(protocol.EventHealthy, s, now)
	}
	switch {
	case s.full && !before.full:
		b.tell(protocol.EventFull, s, now)
	case !s.full && before.full:
		b.tell(protocol.EventRoom, s, now)
	}
}

// tell keeps an event and logs it. The board is locked.
func (b *Board) tell(event protocol.EventKind, s *server, now time.Time) {
	b.lastID++
	b.events = append(b.events, protocol.Event{ID: b.lastID, At: now.UTC(), Event: event, Kind: s.Kind, Server: s.ID, Zone: s.Zone})
	if len(b.events) > keepEvents {
		b.events = append(b.events[:0], b.events[len(b.events)-keepEvents:]...)
	}
	level := slog.LevelInfo
	if event == protocol.EventSilent || event == protocol.EventFull {
		level = slog.LevelWarn
	}
	b.log.Log(context.Background(), level, "server "+string(event), "kind", s.Kind, "server", s.ID, "zone", s.Zone)
}

// Leg takes what a router says that it carries of a meeting.
func (b *Board) Leg(subject string, s protocol.LegState, now time.Time) error {
	parts := strings.Split(subject, ".")
	if len(parts) != 5 || subject != protocol.SubjectLeg(parts[1], s.MMR) || !protocol.ValidID(s.Meeting) || s.Participants < 0 {
		return fmt.Errorf("leg on %s: it is said to be of %q in %q", subject, s.MMR, s.Meeting)
	}
	key := legKey{s.Meeting, parts[1], s.MMR}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.Participants == 0 {
		delete(b.legs, key)
		return nil
	}
	if _, known := b.legs[key]; !known && len(b.legs) >= maxLegs {
		return fmt.Errorf("leg on %s: more than %d legs", subject, maxLegs)
	}
	b.legs[key] = leg{s.Participants, now}
	return nil
}

// Look notices who has fallen silent, and forgets what is long gone. It is to
// be called every second or so.
func (b *Board) Look(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for subject, s := range b.servers {
		quiet := now.Sub(s.at)
		if quiet >= silence && s.Health != protocol.Silent {
			s.Health = protocol.Silent
			b.tell(protocol.EventSilent, s, now)
		}
		if quiet >= forgetAfter {
			delete(b.servers, subject)
		}
	}
	for key, l := range b.legs {
		if now.Sub(l.at) >= legSilence {
			delete(b.legs, key)
		}
	}
}

// Events gives the events after the one with an id, oldest first, at most
// limit of them. missed says that some after it are no longer kept.
func (b *Board) Events(after int64, limit int) (events []protocol.Event, missed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := b.lastID - int64(len(b.events)) // id before the oldest that is kept
	missed = after < first
	from := min(max(after, first)-first, int64(len(b.events)))
	kept := b.events[from:]
	return append([]protocol.Event{}, kept[:min(len(kept), limit)]...), missed
}

package delivery

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"causeway/protocol"
)

const (
	// Silence is how long a controller may say nothing before it is taken for
	// dead (protocol.ControllerState).
	Silence = 3 * time.Second

	maxControllers = 4096
	maxNetworks    = 4096 // of one zone
	maxURL         = 512  // bytes
	maxName        = 256  // bytes
	maxWeight      = 1e6  // ms, either way
)

// Table is what zone controllers last said of themselves. It may be used from
// any number of goroutines.
type Table struct {
	mu          sync.Mutex
	controllers map[string]heard // by subject
}

type heard struct {
	state    protocol.ControllerState
	networks []netip.Prefix
	at       time.Time
}

// NewTable makes an empty table.
func NewTable() *Table { return &Table{controllers: map[string]heard{}} }

// Hear takes what a controller has said on a subject at a time. A state that
// makes no sense is an error and changes nothing. One that says that the
// controller stops makes it forgotten at once.
func (t *Table) Hear(subject string, s protocol.ControllerState, now time.Time) error {
	if err := check(subject, s); err != nil {
		return fmt.Errorf("state of controller on %s: %w", subject, err)
	}
	networks, err := parseNetworks(s.Networks)
	if err != nil {
		return fmt.Errorf("state of controller on %s: %w", subject, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.Stopping {
		delete(t.controllers, subject)
		return nil
	}
	if len(t.controllers) >= maxControllers {
		t.forget(now)
	}
	if _, known := t.controllers[subject]; !known && len(t.controllers) >= maxControllers {
		return fmt.Errorf("state of controller on %s: more than %d controllers", subject, maxControllers)
	}
	t.controllers[subject] = heard{state: s, networks: networks, at: now}
	return nil
}

// forget drops controllers that have been silent. The table is locked.
func (t *Table) forget(now time.Time) {
	for subject, h := range t.controllers {
		if now.Sub(h.at) >= Silence {
			delete(t.controllers, subject)
		}
	}
}

// Zones gives the zones that have a living controller, by id.
func (t *Table) Zones(now time.Time) []Zone {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(now)
	byZone := map[string][]heard{}
	for _, h := range t.controllers {
		byZone[h.state.Zone] = append(byZone[h.state.Zone], h)
	}
	zones := make([]Zone, 0, len(byZone))
	for _, controllers := range byZone {
		zones = append(zones, merge(controllers))
	}
	slices.SortFunc(zones, func(a, b Zone) int { return cmp.Compare(a.ID, b.ID) })
	return zones
}

// merge makes a zone of what its controllers say. They should say the same;
// where they do not, the one heard last is right, except that the zone drains
// as soon as one says so (an operator's wish that has not spread yet) and is
// open while one says so (another, just started, may know no router yet).
// Controllers that drain themselves are not listed, nor are those at their
// limits while there are others; when all of them drain, the zone does.
func merge(controllers []heard) Zone {
	slices.SortFunc(controllers, func(a, b heard) int { return cmp.Compare(a.state.ID, b.state.ID) })
	last := slices.MaxFunc(controllers, func(a, b heard) int { return a.at.Compare(b.at) })
	z := Zone{
		ID: last.state.Zone, Name: last.state.ZoneName, OnPremises: last.state.OnPremises, Networks: last.networks,
		Weight: last.state.Weight, Load: last.state.Load, State: last.state.State,
	}
	if last.state.Located {
		z.At = &Place{Lat: last.state.Lat, Lon: last.state.Lon}
	}
	says := func(s protocol.ZoneStatus) bool {
		return slices.ContainsFunc(controllers, func(h heard) bool { return h.state.State == s })
	}
	switch {
	case says(protocol.ZoneDraining):
		z.State = protocol.ZoneDraining
	case says(protocol.ZoneOpen):
		z.State = protocol.ZoneOpen
	}
	listed := serving(controllers)
	if len(listed) == 0 {
		z.State = protocol.ZoneDraining
	}
	for _, h := range listed {
		z.Controllers = append(z.Controllers, Controller{ID: h.state.ID, URL: h.state.URL, LocalURL: h.state.LocalURL})
	}
	return z
}

// serving gives the controllers that clients are to ask.
func serving(controllers []heard) []heard {
	var all, room []heard
	for _, h := range controllers {
		if h.state.Health == protocol.Draining {
			continue
		}
		all = append(all, h)
		if h.state.Server.Value() < 1 {
			room = append(room, h)
		}
	}
	if len(room) > 0 {
		return room
	}
	return all
}

// check says what is wrong with a controller's state.
func check(subject string, s protocol.ControllerState) error {
	switch {
	case !protocol.ValidID(s.Zone) || !protocol.ValidID(s.ID) || subject != protocol.SubjectController(s.Zone, s.ID):
		return fmt.Errorf("it calls itself controller %q of zone %q", s.ID, s.Zone)
	case len(s.ZoneName) > maxName:
		return fmt.Errorf("its zone's name is longer than %d bytes", maxName)
	case !validURL(s.URL) || s.LocalURL != "" && !validURL(s.LocalURL):
		return fmt.Errorf("its address %q or %q is not one", s.URL, s.LocalURL)
	case s.Located && !(Place{Lat: s.Lat, Lon: s.Lon}).Valid():
		return fmt.Errorf("it is nowhere on Earth: %g, %g", s.Lat, s.Lon)
	case !(s.Weight >= -maxWeight && s.Weight <= maxWeight):
		return fmt.Errorf("its weight is %g", s.Weight)
	}
	return nil
}

func validURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxURL && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

func parseNetworks(texts []string) ([]netip.Prefix, error) {
	if len(texts) > maxNetworks {
		return nil, fmt.Errorf("more than %d networks", maxNetworks)
	}
	var networks []netip.Prefix
	for _, text := range texts {
		n, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("network: %w", err)
		}
		networks = append(networks, n.Masked())
	}
	return networks, nil
}

package delivery

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"causeway/protocol"
)

const (
	// MaxTunnels is how many tunnels a client is told of at most: it tries all
	// of them at once when it must.
	MaxTunnels = 6

	maxTunnels = 1024 // that a table holds
)

// Tunnel is an HTTP tunnel that is alive.
type Tunnel struct {
	ID       string
	URL      string
	LocalURL string // for clients on the same machine, "" none
}

// Tunnels is what HTTP tunnels last said of themselves. It may be used from
// any number of goroutines.
type Tunnels struct {
	mu    sync.Mutex
	heard map[string]heardTunnel // by id
}

type heardTunnel struct {
	state protocol.TunnelState
	at    time.Time
}

// NewTunnels makes an empty table.
func NewTunnels() *Tunnels { return &Tunnels{heard: map[string]heardTunnel{}} }

// Hear takes what a tunnel has said on a subject at a time. A state that makes
// no sense is an error and changes nothing.
func (t *Tunnels) Hear(subject string, s protocol.TunnelState, now time.Time) error {
	switch {
	case !protocol.ValidID(s.ID) || subject != protocol.SubjectTunnel(s.ID):
		return fmt.Errorf("state of tunnel on %s: it calls itself %q", subject, s.ID)
	case !validURL(s.URL) || s.LocalURL != "" && !validURL(s.LocalURL):
		return fmt.Errorf("state of tunnel on %s: its address %q or %q is not one", subject, s.URL, s.LocalURL)
	case !(s.Load >= 0):
		return fmt.Errorf("state of tunnel on %s: its load is %g", subject, s.Load)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.Health == protocol.Stopping {
		delete(t.heard, s.ID)
		return nil
	}
	if len(t.heard) >= maxTunnels {
		t.forget(now)
	}
	if _, known := t.heard[s.ID]; !known && len(t.heard) >= maxTunnels {
		return fmt.Errorf("state of tunnel on %s: more than %d tunnels", subject, maxTunnels)
	}
	t.heard[s.ID] = heardTunnel{s, now}
	return nil
}

// forget drops tunnels that have been silent. The table is locked.
func (t *Tunnels) forget(now time.Time) {
	for id, h := range t.heard {
		if now.Sub(h.at) >= Silence {
			delete(t.heard, id)
		}
	}
}

// Offer gives the tunnels that take new streams, the least loaded first, at
// most MaxTunnels of them.
func (t *Tunnels) Offer(now time.Time) []Tunnel {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(now)
	var healthy []protocol.TunnelState
	for _, h := range t.heard {
		if h.state.Health == protocol.Healthy && h.state.Load < 1 {
			healthy = append(healthy, h.state)
		}
	}
	slices.SortFunc(healthy, func(a, b protocol.TunnelState) int {
		return cmp.Or(cmp.Compare(a.Load, b.Load), cmp.Compare(a.ID, b.ID))
	})
	var offers []Tunnel
	for _, s := range healthy[:min(len(healthy), MaxTunnels)] {
		offers = append(offers, Tunnel{ID: s.ID, URL: s.URL, LocalURL: s.LocalURL})
	}
	return offers
}

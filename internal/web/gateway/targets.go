package gateway

import (
	"maps"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"causeway/internal/bus"
	"causeway/protocol"
)

const (
	// forget is how long a server that has fallen silent stays a target:
	// longer than one needs to be restarted.
	forget = 30 * time.Second

	maxTargets = 8192 // of each kind
	maxMedia   = 64   // addresses of one router
	maxURL     = 512  // bytes
	sweepEvery = time.Second
)

// targets are where the gateway leads: the addresses that the system's own
// servers repeat on the bus. It may be used from any number of goroutines.
type targets struct {
	controllers, routers *memory[string]
	zones                *memory[string]
	media                *memory[netip.AddrPort]
}

func newTargets() *targets {
	return &targets{newMemory[string](), newMemory[string](), newMemory[string](), newMemory[netip.AddrPort]()}
}

// follow hears routers on the bus until it is stopped.
func (t *targets) follow(c *bus.Conn) (*bus.Subscription, error) {
	return bus.Subscribe(c, protocol.SubjectMMRState("*", "*"), func(_ string, s protocol.MMRState) { t.router(s, time.Now()) })
}

// controller notes a controller and reports whether its zone is new.
func (t *targets) controller(s protocol.ControllerState, now time.Time) (news bool) {
	if isTLS(s.URL, "https") {
		t.controllers.note(s.URL, now)
	}
	return protocol.ValidID(s.Zone) && t.zones.note(s.Zone, now)
}

func (t *targets) router(s protocol.MMRState, now time.Time) {
	if isTLS(s.ControlURL, "wss") {
		t.routers.note(s.ControlURL, now)
	}
	for _, text := range s.Media[:min(len(s.Media), maxMedia)] {
		if a, err := netip.ParseAddrPort(text); err == nil && a.Port() != 0 && a.Addr().Zone() == "" {
			t.media.note(netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), now)
		}
	}
}

// isTLS reports whether an address is one of TLS, with nothing strange to it.
func isTLS(address, scheme string) bool {
	u, err := url.Parse(address)
	return err == nil && len(address) <= maxURL && u.Scheme == scheme && u.Hostname() != "" && u.User == nil &&
		u.RawQuery == "" && u.Fragment == ""
}

// allow says whether TURN may send to an address, and where that really is.
// Port 0 stands for any port: a permission has none (RFC 8656 §9).
func (s *Server) allow(peer netip.AddrPort) (netip.AddrPort, bool) {
	if s.deps.Own != nil {
		if real, ok := s.deps.Own(peer); ok {
			return real, true
		}
	}
	if !s.targets.hasMedia(peer, time.Now()) {
		return netip.AddrPort{}, false
	}
	// A router elsewhere tells all addresses of its machine; what of them is
	// local to a machine would here be an address of this one.
	return peer, peer.Addr().IsGlobalUnicast()
}

// hasMedia reports whether a router has a media address.
func (t *targets) hasMedia(peer netip.AddrPort, now time.Time) bool {
	if peer.Port() != 0 {
		return t.media.knows(peer, now)
	}
	t.media.mu.RLock()
	defer t.media.mu.RUnlock()
	for a, at := range t.media.heard {
		if a.Addr() == peer.Addr() && now.Sub(at) <= forget {
			return true
		}
	}
	return false
}

// memory holds what was heard within the time of forget.
type memory[K comparable] struct {
	mu    sync.RWMutex
	heard map[K]time.Time
	swept time.Time
}

func newMemory[K comparable]() *memory[K] { return &memory[K]{heard: map[K]time.Time{}} }

// note remembers k, and reports whether that is new. What is too much is not
// remembered.
func (m *memory[K]) note(k K, now time.Time) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.swept) >= sweepEvery {
		m.swept = now
		maps.DeleteFunc(m.heard, func(_ K, at time.Time) bool { return now.Sub(at) > forget })
	}
	_, known := m.heard[k]
	if !known && len(m.heard) >= maxTargets {
		return false
	}
	m.heard[k] = now
	return !known
}

// knows reports whether k is remembered.
func (m *memory[K]) knows(k K, now time.Time) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	at, ok := m.heard[k]
	return ok && now.Sub(at) <= forget
}

package client

import (
	"net"
	"net/netip"
	"time"

	"causeway/protocol"
)

// addressEvery is how often the way out is looked at. It costs a few system
// calls.
const addressEvery = 250 * time.Millisecond

// A watch notices that this machine has got another address towards the
// router, as when Wi-Fi is left for a mobile network.
type watch struct {
	source func(target netip.Addr) netip.Addr // nil asks the system
	looked time.Time
	target netip.Addr
	at     netip.Addr // our address; invalid if none is known
	before netip.Addr
}

// changed reports whether the address towards an admission's router is
// another than at the last look.
func (w *watch) changed(now time.Time, a *admission) bool {
	if now.Sub(w.looked) < addressEvery {
		return false
	}
	w.looked = now
	target := a.links[0].conn.Stats().Remote.Addr().Unmap()
	if !target.IsValid() {
		return false
	}
	source := w.source
	if source == nil {
		source = sourceTo
	}
	at := source(target)
	if target != w.target || !at.IsValid() || !w.at.IsValid() {
		w.target = target
		if at.IsValid() {
			w.at = at
		}
		return false
	}
	if at == w.at {
		return false
	}
	w.before, w.at = w.at, at
	return true
}

// vanished reports whether the address before is none of this machine's any
// more.
func (w *watch) vanished() bool {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range all {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Unmap() == w.before {
			return false
		}
	}
	return true
}

// sourceTo is the address from which the system would send to a target;
// invalid if it knows no way.
func sourceTo(target netip.Addr) netip.Addr {
	// Nothing is sent: UDP only chooses the route.
	c, err := net.Dial("udp", netip.AddrPortFrom(target, protocol.MediaPort).String())
	if err != nil {
		return netip.Addr{}
	}
	defer func() { _ = c.Close() }()
	if local, ok := c.LocalAddr().(*net.UDPAddr); ok {
		return local.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

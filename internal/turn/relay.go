package turn

import (
	"errors"
	"net"
	"net/netip"
	"sync"

	pion "github.com/pion/turn/v5"
)

// relays makes the sockets of allocations.
type relays struct{ cfg Config }

// Validate has nothing to check.
func (r *relays) Validate() error { return nil }

// AllocatePacketConn opens an allocation's socket.
func (r *relays) AllocatePacketConn(pion.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	c, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, nil, err
	}
	port := c.LocalAddr().(*net.UDPAddr).Port
	return &relay{UDPConn: c, allow: r.cfg.Allow, peers: map[netip.AddrPort]netip.AddrPort{}},
		&net.UDPAddr{IP: r.cfg.Address.AsSlice(), Port: port}, nil
}

// AllocateListener refuses TCP.
func (r *relays) AllocateListener(pion.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errTCP
}

// AllocateConn refuses TCP.
func (r *relays) AllocateConn(pion.AllocateConnConfig) (net.Conn, error) { return nil, errTCP }

// errPeer says that an address is not a router's.
var errPeer = errors.New("turn: not a router's address")

// relay is an allocation's socket. It sends only to routers and takes only
// what comes from where it has sent to.
type relay struct {
	*net.UDPConn
	allow func(netip.AddrPort) (netip.AddrPort, bool)

	mu    sync.Mutex
	peers map[netip.AddrPort]netip.AddrPort // where it really is → as the client calls it
}

// WriteTo sends a packet to a router.
func (r *relay) WriteTo(p []byte, to net.Addr) (int, error) {
	peer := unmap(to)
	real, ok := r.allow(peer)
	if !ok || peer.Port() == 0 {
		return 0, errPeer
	}
	r.mu.Lock()
	r.peers[real] = peer // bounded: routers' addresses are few
	r.mu.Unlock()
	return r.UDPConn.WriteToUDPAddrPort(p, real)
}

// ReadFrom waits for a packet of a router that was sent to.
func (r *relay) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := r.UDPConn.ReadFromUDPAddrPort(p)
		if err != nil {
			return n, nil, err
		}
		r.mu.Lock()
		peer, ok := r.peers[netip.AddrPortFrom(from.Addr().Unmap(), from.Port())]
		r.mu.Unlock()
		if ok {
			return n, net.UDPAddrFromAddrPort(peer), nil
		}
	}
}

func unmap(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := u.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

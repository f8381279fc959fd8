package turn

import (
	"errors"
	"net"
	"net/netip"
	"sync"

	pion "github.com/pion/turn/v5"
)

// relays makes the sockets of allocations.
type relays struct {
	cfg Config

	mu    sync.Mutex
	fresh map[int]*relay // by port, until the allocation's client is known
}

func newRelays(cfg Config) *relays { return &relays{cfg: cfg, fresh: map[int]*relay{}} }

// take gives the socket that was made with a port, once.
func (r *relays) take(at net.Addr) *relay {
	r.mu.Lock()
	defer r.mu.Unlock()
	port := int(unmap(at).Port())
	c := r.fresh[port]
	delete(r.fresh, port)
	return c
}

// drop forgets a socket that was closed before an allocation had it, as those
// are by which the library looks for a free port.
func (r *relays) drop(port int, c *relay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fresh[port] == c {
		delete(r.fresh, port)
	}
}

// Validate has nothing to check.
func (r *relays) Validate() error { return nil }

// AllocatePacketConn opens an allocation's socket.
func (r *relays) AllocatePacketConn(pion.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	c, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, nil, err
	}
	hearClass(c)
	port := c.LocalAddr().(*net.UDPAddr).Port
	made := &relay{UDPConn: c, allow: r.cfg.Allow, peers: map[netip.AddrPort]netip.AddrPort{}}
	made.closed = func() { r.drop(port, made) }
	r.mu.Lock()
	r.fresh[port] = made // whatever had the port before is gone
	r.mu.Unlock()
	return made, &net.UDPAddr{IP: r.cfg.Address.AsSlice(), Port: port}, nil
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
	allow  func(netip.AddrPort) (netip.AddrPort, bool)
	closed func()

	client net.Conn // set before anything is read
	looked int      // packets that were looked at for their class
	oob    [64]byte

	mu    sync.Mutex
	peers map[netip.AddrPort]netip.AddrPort // where it really is → as the client calls it
}

// Close closes the socket.
func (r *relay) Close() error {
	r.closed()
	return r.UDPConn.Close()
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
		n, from, err := r.read(p)
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

// read reads a packet, and looks at the first ones for their traffic class.
func (r *relay) read(p []byte) (int, netip.AddrPort, error) {
	if r.looked >= maxUnmarked || r.client == nil {
		return r.UDPConn.ReadFromUDPAddrPort(p)
	}
	n, control, _, from, err := r.UDPConn.ReadMsgUDPAddrPort(p, r.oob[:])
	if err != nil {
		return n, from, err
	}
	r.looked++
	if class := classOf(r.oob[:control]); class != 0 {
		r.looked = maxUnmarked
		marks(r.client, class)
		marks(r.UDPConn, class)
	}
	return n, from, nil
}

func unmap(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := u.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

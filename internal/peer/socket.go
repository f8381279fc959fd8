package peer

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	maxDatagram   = 2048 // longer ones are cut off and dropped
	wantedBuffers = 8 << 20
)

// A datagram was read from a socket; data is valid until the next read.
type datagram struct {
	data   []byte
	remote netip.AddrPort // IPv4 addresses are never mapped into IPv6
	local  netip.Addr     // that it was sent to; invalid if unknown
	stream *stream        // that it came on; nil for UDP
}

func (d *datagram) path() path { return path{d.remote, d.local, d.stream} }

// A socket is how a shard meets the network: in batches on Linux, one by one
// elsewhere and on virtual networks. A shard's goroutine reads, the shard's
// holder writes, anyone sets the deadline or closes.
type socket interface {
	// read waits for datagrams until the deadline, then returns an error
	// whose Timeout method says true.
	read() ([]datagram, error)
	// poll reads what is there without waiting, if the socket can.
	poll() []datagram
	// full reports whether there was as much to read as was room for, so that
	// there may be more.
	full() bool
	// rest waits for the deadline however much comes, then polls; false if the
	// socket cannot.
	rest() ([]datagram, bool)
	// write sends what the outbox holds without waiting; what the kernel
	// does not take is told to failed.
	write(o *outbox, failed func(g *group, packets int, err error))
	setReadDeadline(t time.Time) error
	addr() netip.AddrPort
	// segments returns how many datagrams a group may hold.
	segments() int
	close() error
}

// packetSocket is the portable socket, over any net.PacketConn.
type packetSocket struct {
	conn net.PacketConn
	udp  *net.UDPConn // the same, if it is one
	in   [1]datagram
	buf  [maxDatagram]byte
}

func newPacketSocket(conn net.PacketConn) *packetSocket {
	udp, _ := conn.(*net.UDPConn)
	return &packetSocket{conn: conn, udp: udp}
}

func (p *packetSocket) read() ([]datagram, error) {
	n, remote, err := p.readFrom()
	if err != nil {
		return nil, err
	}
	p.in[0] = datagram{data: p.buf[:n], remote: netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())}
	return p.in[:], nil
}

func (p *packetSocket) poll() []datagram         { return nil }
func (p *packetSocket) full() bool               { return false }
func (p *packetSocket) rest() ([]datagram, bool) { return nil, false }

func (p *packetSocket) readFrom() (int, netip.AddrPort, error) {
	if p.udp != nil {
		return p.udp.ReadFromUDPAddrPort(p.buf[:])
	}
	n, addr, err := p.conn.ReadFrom(p.buf[:])
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	return n, addrPort(addr), nil
}

func (p *packetSocket) write(o *outbox, failed func(*group, int, error)) {
	for i := range o.groups {
		g := &o.groups[i]
		for j := g.first; j >= 0; j = o.slots[j].next {
			if err := p.writeTo(o.datagram(j), g.to.remote); err != nil {
				failed(g, 1, err)
			}
		}
	}
}

func (p *packetSocket) writeTo(b []byte, to netip.AddrPort) error {
	var err error
	if p.udp != nil {
		_, err = p.udp.WriteToUDPAddrPort(b, to)
	} else {
		_, err = p.conn.WriteTo(b, net.UDPAddrFromAddrPort(to))
	}
	return err
}

func (p *packetSocket) setReadDeadline(t time.Time) error { return p.conn.SetReadDeadline(t) }
func (p *packetSocket) addr() netip.AddrPort              { return addrPort(p.conn.LocalAddr()) }
func (p *packetSocket) segments() int                     { return 1 }
func (p *packetSocket) close() error                      { return p.conn.Close() }

// addrPort returns a UDP address without mapping IPv4 into IPv6.
func addrPort(a net.Addr) netip.AddrPort {
	udp, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := udp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// freePort makes sure that nobody else uses the port, and chooses one if it
// is 0. Sockets that share a port need both: a second process of the same
// user would silently take half of our packets, and the kernel chooses ports
// for them that others share already.
func freePort(listen netip.AddrPort) (netip.AddrPort, error) {
	conn, err := net.ListenPacket(network(listen), listenString(listen))
	if err != nil {
		return listen, fmt.Errorf("peer: open media socket: %w", err)
	}
	port := addrPort(conn.LocalAddr()).Port()
	if err := conn.Close(); err != nil {
		return listen, fmt.Errorf("peer: open media socket: %w", err)
	}
	return netip.AddrPortFrom(listen.Addr(), port), nil
}

// mark sets the type of service of all that is sent, as far as the system
// lets us: what the Linux socket does for each datagram.
func (p *packetSocket) mark(tos int) {
	if p.udp != nil && tos != 0 {
		_ = ipv4.NewPacketConn(p.udp).SetTOS(tos)
		_ = ipv6.NewPacketConn(p.udp).SetTrafficClass(tos)
	}
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// network returns the name under which package net opens a listening socket
// for the address: an unspecified address means both families.
func network(listen netip.AddrPort) string {
	switch a := listen.Addr(); {
	case !a.IsValid(), a == netip.IPv6Unspecified():
		return "udp"
	case a.Is4():
		return "udp4"
	}
	return "udp6"
}

// listenString is the address in package net's form.
func listenString(listen netip.AddrPort) string {
	if !listen.Addr().IsValid() {
		return net.JoinHostPort("", strconv.Itoa(int(listen.Port())))
	}
	return listen.String()
}

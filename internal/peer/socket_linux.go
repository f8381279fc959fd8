package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchSize is the number of datagrams per system call.
const batchSize = 64

// sharedPort says that several sockets can be bound to one port.
const sharedPort = true

// A kernelSocket is a Linux UDP socket that is read and written in batches
// (recvmmsg, sendmmsg), with the type of service and the source address of
// each datagram in control messages, and segmentation offload if the kernel
// has it.
type kernelSocket struct {
	conn *net.UDPConn
	raw  syscall.RawConn
	v6   bool
	gso  bool
	in   receiver
	out  sender
}

// openSocket opens a kernel socket, whose port others of ours may share. The
// second result is the size of its receive buffer as granted.
func openSocket(listen netip.AddrPort, batch int, shared bool) (socket, int, error) {
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
		if !shared {
			return nil
		}
		var err error
		if cerr := rc.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}); cerr != nil {
			return cerr
		}
		return err
	}}
	pc, err := lc.ListenPacket(context.Background(), network(listen), listenString(listen))
	if err != nil {
		return nil, 0, fmt.Errorf("peer: open media socket: %w", err)
	}
	conn := pc.(*net.UDPConn)
	k := &kernelSocket{conn: conn}
	granted := 0
	if k.raw, err = conn.SyscallConn(); err == nil {
		granted, err = k.configure()
	}
	if err != nil {
		_ = conn.Close()
		return nil, 0, fmt.Errorf("peer: set up media socket: %w", err)
	}
	k.in.init(batch)
	k.out.init(batch, k.v6)
	return k, granted, nil
}

// configure sets the socket's options and returns the size of its receive
// buffer.
func (k *kernelSocket) configure() (granted int, err error) {
	cerr := k.raw.Control(func(fdp uintptr) {
		fd := int(fdp)
		var domain int
		if domain, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil {
			return
		}
		k.v6 = domain == unix.AF_INET6
		granted = growBuffers(fd)
		if k.v6 {
			err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		} else {
			err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
		_, gsoErr := unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT)
		k.gso = gsoErr == nil
	})
	return granted, errors.Join(cerr, err)
}

// growBuffers asks for large buffers, beyond the system's limit where we are
// privileged, and returns the receive buffer's size as granted.
func growBuffers(fd int) int {
	for _, o := range []struct{ forced, plain int }{
		{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF},
		{unix.SO_SNDBUFFORCE, unix.SO_SNDBUF},
	} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, o.forced, wantedBuffers) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, o.plain, wantedBuffers)
		}
	}
	// The kernel reports twice the size, for its bookkeeping; see socket(7).
	doubled, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return doubled / 2
}

func (k *kernelSocket) setReadDeadline(t time.Time) error { return k.conn.SetReadDeadline(t) }
func (k *kernelSocket) addr() netip.AddrPort              { return addrPort(k.conn.LocalAddr()) }
func (k *kernelSocket) close() error                      { return k.conn.Close() }

func (k *kernelSocket) segments() int {
	if k.gso {
		return maxSegments
	}
	return 1
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// controlSize holds any control messages that we read or write: packet info
// of either family, type of service, segment size.
const controlSize = 96

// A receiver holds what recvmmsg fills.
type receiver struct {
	messages []mmsghdr
	iovecs   []unix.Iovec
	names    []unix.RawSockaddrInet6 // large enough for either family
	control  [][controlSize]byte
	buffers  [][maxDatagram]byte
	out      []datagram
	attempt  func(fd uintptr) bool // made once, so that reading does not allocate
	n        int
	errno    syscall.Errno
}

func (r *receiver) init(batch int) {
	*r = receiver{
		messages: make([]mmsghdr, batch),
		iovecs:   make([]unix.Iovec, batch),
		names:    make([]unix.RawSockaddrInet6, batch),
		control:  make([][controlSize]byte, batch),
		buffers:  make([][maxDatagram]byte, batch),
		out:      make([]datagram, 0, batch),
	}
	for i := range r.messages {
		r.iovecs[i].Base = &r.buffers[i][0]
		r.iovecs[i].SetLen(maxDatagram)
		h := &r.messages[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Iov = &r.iovecs[i]
		h.SetIovlen(1)
		h.Control = &r.control[i][0]
	}
	r.attempt = r.receive
}

func (r *receiver) receive(fd uintptr) bool {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd,
			uintptr(unsafe.Pointer(&r.messages[0])), uintptr(len(r.messages)), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		r.n, r.errno = int(n), errno
		return errno != unix.EAGAIN
	}
}

func (k *kernelSocket) read() ([]datagram, error) {
	r := &k.in
	for i := range r.messages { // lengths are in and out
		h := &r.messages[i].hdr
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlSize)
	}
	if err := k.raw.Read(r.attempt); err != nil {
		return nil, err
	}
	if r.errno != 0 {
		return nil, r.errno
	}
	r.out = r.out[:0]
	for i := range r.n {
		m := &r.messages[i]
		if m.hdr.Flags&unix.MSG_TRUNC != 0 {
			continue
		}
		r.out = append(r.out, datagram{
			data:   r.buffers[i][:m.n],
			remote: sockaddr(&r.names[i]),
			local:  packetInfo(r.control[i][:m.hdr.Controllen]),
		})
	}
	return r.out, nil
}

// sockaddr reads the address that the kernel wrote.
func sockaddr(sa *unix.RawSockaddrInet6) netip.AddrPort {
	port := (*[2]byte)(unsafe.Pointer(&sa.Port))
	n := uint16(port[0])<<8 | uint16(port[1])
	if sa.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), n)
	}
	addr := netip.AddrFrom16(sa.Addr).Unmap()
	if sa.Scope_id != 0 && addr.IsLinkLocalUnicast() && addr.Is6() {
		addr = addr.WithZone(strconv.FormatUint(uint64(sa.Scope_id), 10))
	}
	return netip.AddrPortFrom(addr, n)
}

// packetInfo finds the address that a datagram was sent to.
func packetInfo(control []byte) netip.Addr {
	for len(control) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
		if uint64(h.Len) < unix.SizeofCmsghdr || uint64(h.Len) > uint64(len(control)) {
			break
		}
		data := control[unix.CmsgLen(0):h.Len]
		switch {
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			return netip.AddrFrom16([16]byte(data[:16])).Unmap()
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			return netip.AddrFrom4([4]byte(data[8:12])) // ipi_addr
		}
		control = control[min(unix.CmsgSpace(len(data)), len(control)):]
	}
	return netip.Addr{}
}

// A sender holds what sendmmsg sends.
type sender struct {
	messages []mmsghdr
	iovecs   []unix.Iovec
	names    []unix.RawSockaddrInet6
	control  [][controlSize]byte
	v6       bool
	attempt  func(fd uintptr) bool
	from, to int // messages to send
	n        int
	errno    syscall.Errno
}

func (s *sender) init(batch int, v6 bool) {
	*s = sender{
		messages: make([]mmsghdr, batch),
		iovecs:   make([]unix.Iovec, maxQueued),
		names:    make([]unix.RawSockaddrInet6, batch),
		control:  make([][controlSize]byte, batch),
		v6:       v6,
	}
	for i := range s.messages {
		s.messages[i].hdr.Name = (*byte)(unsafe.Pointer(&s.names[i]))
	}
	s.attempt = s.send
}

func (s *sender) send(fd uintptr) bool {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd,
			uintptr(unsafe.Pointer(&s.messages[s.from])), uintptr(s.to-s.from), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		s.n, s.errno = int(n), errno
		return true // never wait for room: media that is late is of no use
	}
}

// write sends the groups, a batch of them at a time.
func (k *kernelSocket) write(o *outbox, failed func(*group, int, error)) {
	for at := 0; at < len(o.groups); at += len(k.out.messages) {
		k.writeBatch(o, o.groups[at:min(at+len(k.out.messages), len(o.groups))], failed)
	}
}

func (k *kernelSocket) writeBatch(o *outbox, groups []group, failed func(*group, int, error)) {
	s := &k.out
	vectors := 0
	for i := range groups {
		vectors = s.prepare(i, o, &groups[i], vectors)
	}
	for s.from, s.to = 0, len(groups); s.from < s.to; {
		err := k.raw.Write(s.attempt)
		if err == nil && s.errno == 0 && s.n > 0 {
			s.from += s.n
			continue
		}
		if err == nil {
			err = s.errno
		}
		g := &groups[s.from]
		switch {
		case g.count > 1 && s.errno == unix.EIO: // this kind of route never offloads
			k.gso = false
			k.writeSingly(o, g, failed)
		case g.count > 1 && s.errno == unix.EINVAL: // too large for this path's MTU
			k.writeSingly(o, g, failed)
		default:
			failed(g, g.count, err)
		}
		s.from++
		if s.errno == unix.EAGAIN || s.errno == unix.ENOBUFS {
			for ; s.from < s.to; s.from++ {
				failed(&groups[s.from], groups[s.from].count, err)
			}
		}
	}
}

// writeSingly sends the datagrams of a group without offload, fragmented if
// need be, when the kernel refuses to segment them.
func (k *kernelSocket) writeSingly(o *outbox, g *group, failed func(*group, int, error)) {
	for j := g.first; j >= 0; j = o.slots[j].next {
		b := o.slots[j].buf[:o.slots[j].n]
		if _, err := k.conn.WriteToUDPAddrPort(b, g.to.remote); err != nil {
			failed(g, 1, err)
		}
	}
}

// prepare fills message i with a group, whose vectors begin at v, and returns
// where the next group's begin.
func (s *sender) prepare(i int, o *outbox, g *group, v int) int {
	h := &s.messages[i].hdr
	h.Iov = &s.iovecs[v]
	h.SetIovlen(g.count)
	for j := g.first; j >= 0; j = o.slots[j].next {
		s.iovecs[v].Base = &o.slots[j].buf[0]
		s.iovecs[v].SetLen(o.slots[j].n)
		v++
	}
	h.Namelen = putSockaddr(&s.names[i], g.to.remote, s.v6)
	control := putControl(s.control[i][:0], g, s.v6)
	h.Control = nil
	if len(control) > 0 {
		h.Control = &s.control[i][0]
	}
	h.SetControllen(len(control))
	return v
}

// putSockaddr writes an address for a socket of the given family and returns
// its length.
func putSockaddr(sa *unix.RawSockaddrInet6, to netip.AddrPort, v6 bool) uint32 {
	port := (*[2]byte)(unsafe.Pointer(&sa.Port))
	port[0], port[1] = byte(to.Port()>>8), byte(to.Port())
	if !v6 {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		v4.Family = unix.AF_INET
		if !to.Addr().Is4() {
			v4.Family = unix.AF_INET6 // refused by the kernel: EAFNOSUPPORT
			return unix.SizeofSockaddrInet4
		}
		v4.Addr = to.Addr().As4()
		return unix.SizeofSockaddrInet4
	}
	sa.Family, sa.Addr, sa.Scope_id = unix.AF_INET6, to.Addr().As16(), 0
	if zone := to.Addr().Zone(); zone != "" {
		sa.Scope_id = scope(zone)
	}
	return unix.SizeofSockaddrInet6
}

// scope is the index of a zone, given by number or name.
func scope(zone string) uint32 {
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index)
	}
	return 0
}

// putControl appends the control messages of a group: type of service, source
// address and segment size. Where a v6 socket sends to an IPv4 address the
// kernel wants IPv4's type of service but IPv6's packet info.
func putControl(b []byte, g *group, v6 bool) []byte {
	is4 := g.to.remote.Addr().Is4()
	if g.tos != 0 {
		var data []byte
		if is4 {
			b, data = appendCmsg(b, unix.IPPROTO_IP, unix.IP_TOS, 4)
		} else {
			b, data = appendCmsg(b, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 4)
		}
		binary.NativeEndian.PutUint32(data, uint32(g.tos))
	}
	if g.to.local.IsValid() && g.to.local.Is4() == is4 {
		var data []byte
		if v6 {
			b, data = appendCmsg(b, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
			a := g.to.local.As16()
			copy(data, a[:])
		} else {
			b, data = appendCmsg(b, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
			a := g.to.local.As4()
			copy(data[4:8], a[:]) // ipi_spec_dst
		}
	}
	if g.count > 1 {
		var data []byte
		b, data = appendCmsg(b, unix.SOL_UDP, unix.UDP_SEGMENT, 2)
		binary.NativeEndian.PutUint16(data, uint16(g.size))
	}
	return b
}

// appendCmsg appends a zeroed control message of n data bytes and returns the
// whole and the data.
func appendCmsg(b []byte, level, kind int32, n int) (all, data []byte) {
	at := len(b)
	b = b[:at+unix.CmsgSpace(n)]
	clear(b[at:])
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[at]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(n))
	return b, b[at+unix.CmsgLen(0) : at+unix.CmsgLen(n)]
}

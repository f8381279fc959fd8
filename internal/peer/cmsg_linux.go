package peer

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

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

// parseControl finds the address that a message was sent to, and the size of
// the datagrams that were joined into it; 0 if it is one.
func parseControl(control []byte) (local netip.Addr, size int) {
	for len(control) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
		if uint64(h.Len) < unix.SizeofCmsghdr || uint64(h.Len) > uint64(len(control)) {
			break
		}
		data := control[unix.CmsgLen(0):h.Len]
		switch {
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			local = netip.AddrFrom16([16]byte(data[:16])).Unmap()
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			local = netip.AddrFrom4([4]byte(data[8:12])) // ipi_addr
		case h.Level == unix.SOL_UDP && h.Type == unix.UDP_GRO && len(data) >= 4:
			size = int(int32(binary.NativeEndian.Uint32(data)))
		}
		control = control[min(unix.CmsgSpace(len(data)), len(control)):]
	}
	return local, size
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

// putControl appends the control messages of a group: type of service, unless
// it is the socket's, source address and segment size. Where a v6 socket sends
// to an IPv4 address the kernel wants IPv4's type of service but IPv6's packet
// info. A single message without padding at its end is taken by the kernel
// without allocating room for it.
func putControl(b []byte, g *group, v6 bool, tos uint8) []byte {
	is4 := g.to.remote.Addr().Is4()
	if g.tos != tos {
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
	from := len(b)
	at := (from + unix.SizeofPtr - 1) &^ (unix.SizeofPtr - 1)
	b = b[:at+unix.CmsgLen(n)]
	clear(b[from:])
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[at]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(n))
	return b, b[at+unix.CmsgLen(0):]
}

package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// batchSize is the number of datagrams per system call.
const batchSize = 64

// sharedPort says that several sockets can be bound to one port.
const sharedPort = true

// A kernelSocket is a Linux UDP socket that is read and written in batches
// (recvmmsg, sendmmsg), with the type of service and the source address of
// each datagram in control messages, and offload of both directions if the
// kernel has it: one message then is a run of datagrams (UDP_SEGMENT, UDP_GRO).
//
// What comes wakes the reader through an epoll set of the socket's own, which
// the runtime's poller watches in the socket's place: so it can be muted.
type kernelSocket struct {
	file *os.File // not known to the runtime's poller
	raw  syscall.RawConn
	wake *waker
	at   netip.AddrPort
	v6   bool
	tos  uint8 // of what says nothing else
	gso  bool
	gro  bool
	in   receiver
	out  sender
	lone sender // for runs that the kernel does not take as one
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
	k := &kernelSocket{at: addrPort(pc.LocalAddr())}
	granted := 0
	if err = k.adopt(pc.(*net.UDPConn)); err == nil {
		granted, err = k.configure()
	}
	if err != nil {
		_ = k.close()
		return nil, 0, fmt.Errorf("peer: set up media socket: %w", err)
	}
	if k.gro { // a message may be a whole run, and needs the room for it
		k.in.init(max(1, batch/4), maxCoalesced)
	} else {
		k.in.init(batch, maxDatagram)
	}
	k.in.attempt = func(uintptr) bool { return k.glance() }
	k.out.init(batch, k.v6, k.tos)
	return k, granted, nil
}

// adopt takes the socket over from package net, out of the runtime's poller.
func (k *kernelSocket) adopt(conn *net.UDPConn) error {
	defer func() { _ = conn.Close() }()
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	fd := -1
	cerr := raw.Control(func(fdp uintptr) {
		// Blocking, which tells package os to leave it alone; every call of
		// ours says MSG_DONTWAIT.
		if fd, err = unix.FcntlInt(fdp, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			err = unix.SetNonblock(fd, false)
		}
	})
	if fd >= 0 {
		k.file = os.NewFile(uintptr(fd), "media socket")
	}
	if err := errors.Join(cerr, err); err != nil {
		return err
	}
	if k.raw, err = k.file.SyscallConn(); err != nil {
		return err
	}
	k.wake, err = newWaker(fd)
	return err
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
		k.tos = markSound(fd, k.v6)
		_, gsoErr := unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT)
		k.gso = gsoErr == nil
		k.gro = unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1) == nil
	})
	return granted, errors.Join(cerr, err)
}

// markSound makes sound's type of service the socket's, and returns what it is:
// most messages are sound, which goes one packet at a time.
func markSound(fd int, v6 bool) uint8 {
	const tos = expedited << 2
	if unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, tos) != nil {
		return 0
	}
	if v6 && unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, tos) != nil {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, 0)
		return 0
	}
	return tos
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

func (k *kernelSocket) setReadDeadline(t time.Time) error { return k.wake.file.SetReadDeadline(t) }
func (k *kernelSocket) addr() netip.AddrPort              { return k.at }

func (k *kernelSocket) close() error {
	var errs [2]error
	if k.wake != nil {
		errs[0] = k.wake.file.Close()
	}
	if k.file != nil {
		errs[1] = k.file.Close()
	}
	return errors.Join(errs[:]...)
}

func (k *kernelSocket) segments() int {
	if k.gso {
		return maxSegments
	}
	return 1
}

package peer

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Bytes that the kernel may hold unsent. What it holds cannot be shed any
// more; by default it would hold megabytes, which is seconds.
const (
	soundUnsent   = 4 << 10
	pictureUnsent = 16 << 10
)

// tune sets what a TCP socket that carries media needs: the type of service,
// no waiting for more, and little room in the kernel. What cannot be set does
// not matter enough to fail.
func tune(conn net.Conn, tos int, sound bool) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	unsent := pictureUnsent
	if sound {
		unsent = soundUnsent
	}
	_ = raw.Control(func(fdp uintptr) {
		fd := int(fdp)
		if tos != 0 {
			// A socket of both families heeds the one that it is in use for.
			_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, tos)
			_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, tos)
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)
	})
}

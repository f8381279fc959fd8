package turn

import (
	"net"

	"golang.org/x/sys/unix"
)

// hearClass has the kernel tell the traffic class of each packet.
func hearClass(c *net.UDPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		// A socket of both families hears of each by its own option.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1)
	})
}

// classOf finds the traffic class in what came with a packet; 0 if it does not
// say.
func classOf(control []byte) int {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0
	}
	for _, m := range messages {
		isClass := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_TOS ||
			m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_TCLASS
		if isClass && len(m.Data) > 0 {
			return int(m.Data[0])
		}
	}
	return 0
}

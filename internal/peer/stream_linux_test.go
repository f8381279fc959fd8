package peer

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// marked expects a type of service of an IPv4 socket, unless it is closed.
func marked(t *testing.T, conn net.Conn, want int) {
	t.Helper()
	if tos := option(t, conn, unix.IPPROTO_IP, unix.IP_TOS); tos >= 0 && tos != want {
		t.Errorf("type of service %d", tos)
	}
}

func TestTune(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		ln, err := net.Listen("tcp", address)
		must(t, err)
		conn, err := net.Dial("tcp", ln.Addr().String())
		must(t, err)
		tune(conn, 34<<2, false)
		level, name := unix.IPPROTO_IP, unix.IP_TOS
		if address[0] == '[' {
			level, name = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
		}
		if tos := option(t, conn, level, name); tos != 34<<2 {
			t.Errorf("%s: type of service %d", address, tos)
		}
		if unsent := option(t, conn, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT); unsent != pictureUnsent {
			t.Errorf("%s: %d bytes unsent", address, unsent)
		}
		must(t, conn.Close())
		tune(conn, 34<<2, false) // harmless
		must(t, ln.Close())
	}
	end, other := net.Pipe()
	tune(end, 34<<2, true)
	_, _ = end.Close(), other.Close()
}

// option reads a socket's option; -1 if the socket is closed.
func option(tb testing.TB, conn net.Conn, level, name int) int {
	tb.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		tb.Fatal(err)
	}
	value := -1
	_ = raw.Control(func(fd uintptr) {
		if value, err = unix.GetsockoptInt(int(fd), level, name); err != nil {
			tb.Error(err)
		}
	})
	return value
}

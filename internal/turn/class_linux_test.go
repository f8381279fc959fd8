package turn

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// What the router marks is marked on the browser's stream and towards the
// router, too.
func TestStreamTakesTheClassOfItsMedia(t *testing.T) {
	const class = 46 << 2
	// The library's client waits for 20 bytes before it looks at a frame.
	const ping, pong = "a packet of sound to the router", "a packet of sound from the router"
	router, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer router.Close()
	hearClass(router)
	if err := ipv4.NewConn(router).SetTOS(class); err != nil {
		t.Fatal(err)
	}
	s := start(t, router.LocalAddr().(*net.UDPAddr).AddrPort())
	u, p, err := s.Credentials("p1", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dial(t, s, u, p).Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b, oob := make([]byte, 100), make([]byte, 100)
	for i, want := range []int{0, class} { // the first is sent before anything was heard
		if _, err := conn.WriteTo([]byte(ping), net.UDPAddrFromAddrPort(advertised)); err != nil {
			t.Fatal(err)
		}
		n, control, _, from, err := router.ReadMsgUDPAddrPort(b, oob)
		if err != nil || string(b[:n]) != ping {
			t.Fatalf("%q, %v", b[:n], err)
		}
		if got := classOf(oob[:control]); got != want {
			t.Errorf("packet %d to the router has class %#x, want %#x", i, got, want)
		}
		if _, err := router.WriteToUDPAddrPort([]byte(pong), netip.AddrPortFrom(from.Addr().Unmap(), from.Port())); err != nil {
			t.Fatal(err)
		}
		if n, _, err := conn.ReadFrom(b); err != nil || string(b[:n]) != pong {
			t.Fatalf("%q, %v", b[:n], err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		raw, err := c.Conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		_ = raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS); err != nil || got != class {
				t.Errorf("the stream has class %#x, %v", got, err)
			}
		})
	}
}

func TestClassOf(t *testing.T) {
	for _, control := range [][]byte{nil, {1, 2, 3}, make([]byte, 24)} {
		if classOf(control) != 0 {
			t.Errorf("%x has a class", control)
		}
	}
}

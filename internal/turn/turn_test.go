package turn

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pion/logging"
	pion "github.com/pion/turn/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a router's media port that sends everything back.
func echo(t *testing.T) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var w sync.WaitGroup
	w.Go(func() {
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(b[:n], from)
		}
	})
	t.Cleanup(func() { _ = c.Close(); w.Wait() })
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// advertised is a router's media address as clients know it.
var advertised = netip.MustParseAddrPort("203.0.113.30:8801")

func start(t *testing.T, router netip.AddrPort) *Server {
	t.Helper()
	s, err := New(Config{
		Address: netip.MustParseAddr("203.0.113.30"),
		Allow: func(p netip.AddrPort) (netip.AddrPort, bool) {
			return router, p.Addr() == advertised.Addr() && (p.Port() == advertised.Port() || p.Port() == 0)
		},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// dial gives a TURN client on a stream of its own.
func dial(t *testing.T, s *Server, username, password string) *pion.Client {
	t.Helper()
	ours := stream(t, s)
	c, err := pion.NewClient(&pion.ClientConfig{
		TURNServerAddr: ours.RemoteAddr().String(), Conn: pion.NewSTUNConn(ours), Username: username, Password: password,
		Realm: realm, LoggerFactory: &logging.DefaultLoggerFactory{},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestRelayReachesTheRouterOnly(t *testing.T) {
	s := start(t, echo(t))
	stranger := echo(t)
	u, p, err := s.Credentials("p1", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dial(t, s, u, p).Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(advertised)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, from, err := conn.ReadFrom(b)
	if err != nil || string(b[:n]) != "hello" || from.String() != advertised.String() {
		t.Errorf("%q from %v, %v", b[:n], from, err)
	}
	if _, err := conn.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(stranger)); err == nil {
		t.Error("a permission for a stranger was given")
	}
}

func TestCredentialsAreChecked(t *testing.T) {
	s := start(t, echo(t))
	u, p, err := s.Credentials("p1", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	expired, expiredPassword, err := s.Credentials("p1", -time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string][2]string{
		"wrong password": {u, "x" + p}, "other user": {u + "2", p}, "expired": {expired, expiredPassword}, "nothing": {"", ""},
	} {
		if conn, err := dial(t, s, tc[0], tc[1]).Allocate(); err == nil {
			_ = conn.Close()
			t.Errorf("%s was taken", name)
		}
	}
}

func TestAllocationsPerUserAreBounded(t *testing.T) {
	s := start(t, echo(t))
	u, p, err := s.Credentials("p1", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for range perUser {
		conn, err := dial(t, s, u, p).Allocate()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if conn, err := dial(t, s, u, p).Allocate(); err == nil {
		_ = conn.Close()
		t.Error("one too many was taken")
	}
}

// TestAChangeOfSecretEndsCredentials, and allocations are made with new ones.
func TestAChangeOfSecretEndsCredentials(t *testing.T) {
	s := start(t, echo(t))
	u, p, err := s.Credentials("p1", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	s.cfg.Secret = func() []byte { return []byte("another") }
	if conn, err := dial(t, s, u, p).Allocate(); err == nil {
		_ = conn.Close()
		t.Error("what the old secret has signed counts")
	}
	if u, p, err = s.Credentials("p1", time.Minute); err != nil {
		t.Fatal(err)
	}
	conn, err := dial(t, s, u, p).Allocate()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

// TestSocketsWithoutAnAllocationAreForgotten when they are closed: the library
// opens such to find a free port.
func TestSocketsWithoutAnAllocationAreForgotten(t *testing.T) {
	r := newRelays(Config{})
	c, _, err := r.AllocatePacketConn(pion.AllocateListenerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if len(r.fresh) != 0 {
		t.Errorf("%d are remembered", len(r.fresh))
	}
}

func TestRelayDropsStrangersPackets(t *testing.T) {
	r, addr, err := newRelays(Config{
		Address: netip.MustParseAddr("203.0.113.30"),
		Allow:   func(netip.AddrPort) (netip.AddrPort, bool) { return echo(t), true },
	}).AllocatePacketConn(pion.AllocateListenerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: addr.(*net.UDPAddr).Port}
	stranger, err := net.DialUDP("udp", nil, to)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := stranger.Write([]byte("injected")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.WriteTo([]byte("wanted"), net.UDPAddrFromAddrPort(advertised)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, _, err := r.ReadFrom(b)
	if err != nil || string(b[:n]) != "wanted" {
		t.Errorf("%q, %v", b[:n], err)
	}
}

// stream gives the client's end of a stream that is served.
func stream(t *testing.T, s *Server) net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() { s.Serve(theirs) })
	t.Cleanup(func() { _ = ours.Close(); served.Wait() })
	return ours
}

// TestGarbageEnds holds that a stream of what is no STUN ends, and that others
// are not disturbed.
func TestGarbageEnds(t *testing.T) {
	s := start(t, echo(t))
	for _, sent := range map[string][]byte{
		"zeros":            make([]byte, 64<<10),
		"ones":             bytes.Repeat([]byte{0xff}, 64<<10),
		"huge STUN":        append([]byte("\x00\x01\xff\xfc\x21\x12\xa4\x42"), bytes.Repeat([]byte{0}, 1<<20)...),
		"huge ChannelData": append([]byte("\x40\x00\xff\xff"), bytes.Repeat([]byte{0}, 1<<20)...),
		"HTTP":             []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
	} {
		c := stream(t, s)
		_, _ = c.Write(sent) // may be cut off
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c) // ends by a close or a reset
	}
	u, p, err := s.Credentials("p1", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dial(t, s, u, p).Allocate()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

// TestStrangersAreSentAway holds that a client without an allocation is, and
// that one with is not.
func TestStrangersAreSentAway(t *testing.T) {
	s := start(t, echo(t))
	s.unknownFor = 50 * time.Millisecond
	for _, sent := range []string{"", "\x00", "\x00\x03\x00\x00\x21\x12\xa4\x42transaction."} {
		c := stream(t, s)
		_, _ = io.WriteString(c, sent)
		if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after %q: %v", sent, err)
		}
	}
	s.unknownFor = time.Hour
	u, p, err := s.Credentials("p1", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	client := dial(t, s, u, p)
	conn, err := client.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for from, c := range s.clients {
		if c.stranger.Stop() {
			t.Errorf("%s has an allocation and is still a stranger", from)
		}
	}
}

func TestClientsAreBounded(t *testing.T) {
	s := start(t, echo(t))
	s.cfg.Allocations = 2
	first := stream(t, s)
	await := func(n int) {
		t.Helper()
		for {
			s.mu.Lock()
			have := len(s.clients)
			s.mu.Unlock()
			if have == n {
				return
			}
			runtime.Gosched()
		}
	}
	for i := range 3 {
		stream(t, s)
		await(i + 2)
	}
	c := stream(t, s)
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("one too many is served")
	}
	_ = first.Close()
	await(3)
	stream(t, s)
	await(4)
}

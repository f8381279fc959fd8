package turn

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
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
	c, err := pion.NewClient(&pion.ClientConfig{
		TURNServerAddr: l.Addr().String(), Conn: pion.NewSTUNConn(ours), Username: username, Password: password,
		Realm: realm, LoggerFactory: &logging.DefaultLoggerFactory{},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); _ = ours.Close(); served.Wait() })
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

func TestRelayDropsStrangersPackets(t *testing.T) {
	r, addr, err := (&relays{cfg: Config{
		Address: netip.MustParseAddr("203.0.113.30"),
		Allow:   func(netip.AddrPort) (netip.AddrPort, bool) { return echo(t), true },
	}}).AllocatePacketConn(pion.AllocateListenerConfig{})
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

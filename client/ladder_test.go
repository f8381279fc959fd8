package client

import (
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"causeway/client/connect"
	"causeway/protocol"
)

// serveStreams takes media over TCP, or over TLS with certificates.
func (f *fakeSystem) serveStreams(transport protocol.Transport) string {
	f.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	address := ln.Addr().String()
	if transport == protocol.TLS {
		ln = tls.NewListener(ln, &tls.Config{Certificates: f.server.TLS.Certificates, NextProtos: []string{protocol.ALPNMedia}})
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { f.port.ServeStream(c, transport) })
		}
	})
	f.t.Cleanup(func() {
		_ = ln.Close()
		f.port.Close()
		running.Wait()
	})
	return address
}

// silent is a UDP address where nothing answers, refusing one where nothing
// listens.
func (f *fakeSystem) silent() netip.AddrPort {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	return netip.MustParseAddrPort(c.LocalAddr().String())
}

func refusing(t *testing.T, network string) netip.AddrPort {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		return netip.MustParseAddrPort(c.LocalAddr().String())
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	return netip.MustParseAddrPort(ln.Addr().String())
}

// A wire stands between the client and the router's UDP port; it can be cut.
type wire struct {
	net.PacketConn
	cut     atomic.Bool
	running sync.WaitGroup
	mu      sync.Mutex
	beyond  map[string]*net.UDPConn
}

func (f *fakeSystem) wire() *wire {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	w := &wire{PacketConn: c, beyond: map[string]*net.UDPConn{}}
	w.running.Go(func() { w.carry(f.port.Addr()) })
	f.t.Cleanup(func() {
		_ = c.Close()
		w.mu.Lock()
		for _, b := range w.beyond {
			_ = b.Close()
		}
		w.mu.Unlock()
		w.running.Wait()
	})
	return w
}

func (w *wire) carry(to netip.AddrPort) {
	b := make([]byte, 2048)
	for {
		n, from, err := w.ReadFrom(b)
		if err != nil {
			return
		}
		w.mu.Lock()
		out := w.beyond[from.String()]
		if out == nil {
			if out, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to)); err != nil {
				w.mu.Unlock()
				return
			}
			w.beyond[from.String()] = out
			w.running.Go(func() { w.back(out, from) })
		}
		w.mu.Unlock()
		if !w.cut.Load() {
			_, _ = out.Write(b[:n])
		}
	}
}

func (w *wire) back(out *net.UDPConn, to net.Addr) {
	b := make([]byte, 2048)
	for {
		n, err := out.Read(b)
		if err != nil {
			return
		}
		if !w.cut.Load() {
			_, _ = w.WriteTo(b[:n], to)
		}
	}
}

// mediaAttempts are those of phase 4 for sound, by transport.
func mediaAttempts(r protocol.Report) map[string]protocol.Attempt {
	list := map[string]protocol.Attempt{}
	for _, p := range r.Phases {
		for _, a := range p.Attempts {
			if p.Name == protocol.PhaseMedia && a.Media == string(protocol.Audio) {
				list[a.Transport] = a
			}
		}
	}
	return list
}

// TestLadder joins where one rung after the other is missing, silently or
// not, and sees and hears over the one that is left.
func TestLadder(t *testing.T) {
	for _, tc := range []struct {
		name  string
		only  protocol.Transport
		setUp func(f *fakeSystem)
		want  protocol.Transport
		tried string // of the report: transports that failed
	}{
		{"all there", "", func(*fakeSystem) {}, protocol.UDP, ""},
		{"UDP silent", "", func(f *fakeSystem) { f.udp = f.silent() }, protocol.TCP, "udp"},
		{"UDP refused", "", func(f *fakeSystem) { f.udp = refusing(f.t, "udp") }, protocol.TCP, "udp"},
		{"UDP silent, TCP refused", "", func(f *fakeSystem) {
			f.udp, f.tcp = f.silent(), []string{refusing(f.t, "tcp").String()}
		}, protocol.TLS, "udp tcp"},
		{"UDP silent, no TCP", "", func(f *fakeSystem) { f.udp, f.tcp = f.silent(), nil }, protocol.TLS, "udp"},
		{"TCP takes connections and says nothing", "", func(f *fakeSystem) {
			f.udp, f.tcp = f.silent(), []string{f.mute()}
		}, protocol.TLS, "udp tcp"},
		{"UDP alone", protocol.UDP, func(*fakeSystem) {}, protocol.UDP, ""},
		{"TCP alone", protocol.TCP, func(*fakeSystem) {}, protocol.TCP, ""},
		{"TLS alone", protocol.TLS, func(*fakeSystem) {}, protocol.TLS, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeSystem(t)
			f.tcp, f.tls = []string{f.serveStreams(protocol.TCP)}, f.serveStreams(protocol.TLS)
			tc.setUp(f)
			s := newSink()
			m := join(t, f, Options{Feed: TestCard(), Receive: s.take, Media: tc.only})
			s.await(t, "25 pictures", func(list []Frame) bool { return pictures(list) >= 25 })
			report := m.Report()
			m.Leave()
			for _, kind := range []protocol.MediaKind{protocol.Audio, protocol.Video, protocol.Content} {
				if got := report.Media[kind]; got.Transport != tc.want {
					t.Errorf("%s goes by %q to %s", kind, got.Transport, got.Remote)
				}
			}
			attempts := mediaAttempts(report)
			if a := attempts[string(tc.want)]; !a.OK || a.Error != "" || a.Via != "direct" || a.Target == "" {
				t.Errorf("%+v", a)
			}
			for _, failed := range strings.Fields(tc.tried) {
				if a := attempts[failed]; a.OK || a.Error == "" || a.Target == "" {
					t.Errorf("%s: %+v", failed, a)
				}
			}
			if tc.only != "" && len(attempts) != 1 {
				t.Errorf("attempts beside %s: %v", tc.only, attempts)
			}
		})
	}
}

// mute takes connections and says nothing, as some middleboxes do.
func (f *fakeSystem) mute() string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = ln.Close() })
	return ln.Addr().String() // the system takes them
}

// TestFallInMidCall cuts UDP while it carries a meeting.
func TestFallInMidCall(t *testing.T) {
	f := newFakeSystem(t)
	w := f.wire()
	f.udp, f.tcp = netip.MustParseAddrPort(w.LocalAddr().String()), []string{f.serveStreams(protocol.TCP)}
	s := newSink()
	m := join(t, f, Options{Feed: TestCard(), Receive: s.take})
	s.await(t, "10 pictures", func(list []Frame) bool { return pictures(list) >= 10 })
	if got := m.Report().Media[protocol.Audio].Transport; got != protocol.UDP {
		t.Fatalf("sound goes by %s", got)
	}
	w.cut.Store(true)
	var fell []string
	for len(fell) < 3 {
		if e := awaitEvent(t, m, MediaChanged); strings.Contains(e.Text, " fell ") {
			fell = append(fell, e.Text)
		}
	}
	slices.Sort(fell)
	if want := []string{"content fell from udp to tcp", "sound fell from udp to tcp", "video fell from udp to tcp"}; !slices.Equal(fell, want) {
		t.Errorf("told %q", fell)
	}
	s.mu.Lock()
	so := pictures(s.frames)
	s.mu.Unlock()
	s.await(t, "pictures after the fall", func(list []Frame) bool { return pictures(list) > so+25 })
	for _, e := range m.Report().Events {
		if strings.Contains(e.What, "reconnecting") {
			t.Errorf("event %q", e.What)
		}
	}
}

func TestNoRungLeft(t *testing.T) {
	f := newFakeSystem(t)
	_, err := Join(t.Context(), f.link(), Options{Name: "Ada", Roots: f.roots(), Media: protocol.TLS})
	if protocol.ProblemOf(err).Code != protocol.ProblemMediaFailed || !strings.Contains(err.Error(), "tls") {
		t.Errorf("error %v", err)
	}
	_, err = Join(t.Context(), f.link(), Options{Name: "Ada", Roots: f.roots(), Media: "pigeon"})
	if protocol.ProblemOf(err).Code != protocol.ProblemBadRequest {
		t.Errorf("error %v", err)
	}
}

func TestNewLadder(t *testing.T) {
	network, err := connect.NewNetwork(connect.Options{Proxy: connect.ProxyOptions{Proxy: "direct"}})
	if err != nil {
		t.Fatal(err)
	}
	defer network.Close()
	answer := protocol.JoinAnswer{
		MediaTCP: []string{"203.0.113.30:8801", "127.0.0.1:8801", "nonsense", "[2001:db8::1]:8801"}, MediaTLS: "mmr.example.org:443",
	}
	for _, tc := range []struct {
		rtt, delay time.Duration
	}{
		{0, 250 * time.Millisecond},
		{20 * time.Millisecond, 250 * time.Millisecond},
		{200 * time.Millisecond, 800 * time.Millisecond},
	} {
		l := newLadder(answer, "", tc.rtt, func() *connect.Network { return network })
		if l.delay != tc.delay || len(l.tcp) != 2 || l.tls != answer.MediaTLS {
			t.Errorf("%v: %+v", tc.rtt, l)
		}
	}
	l := newLadder(protocol.JoinAnswer{MediaTCP: []string{"127.0.0.1:8801"}}, "", 0, func() *connect.Network { return network })
	if len(l.tcp) != 1 || l.has(protocol.TLS) {
		t.Errorf("%+v", l)
	}
}

func TestAttemptsInWords(t *testing.T) {
	now := time.Now()
	for _, tc := range []struct {
		name    string
		opened  bool // a stream over TCP
		done    bool
		err     string
		cancel  bool
		carries protocol.Transport
		want    string // of the attempt over TCP
	}{
		{"carries", true, true, "", false, protocol.TCP, ""},
		{"UDP was quicker", true, true, "", false, protocol.UDP, "not needed: udp answered first"},
		{"UDP was much quicker", false, false, "", false, protocol.UDP, "not needed any more: udp answered"},
		{"opened in vain", true, true, "", false, protocol.TLS, "it was opened, but nothing answered on it"},
		{"nothing works", true, true, "", false, "", "it was opened, but nothing answered on it"},
		{"refused", false, true, "refused", false, protocol.TLS, "refused"},
		{"given up", false, true, "canceled", true, protocol.UDP, "not needed any more"},
		{"silence", false, false, "", false, protocol.TLS, "nothing answered"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var tries attempts
			end := tries.begin(protocol.TCP, "203.0.113.30:8801", now)
			if tc.done {
				end(protocol.Attempt{Target: "203.0.113.30:8801", Transport: "tcp", OK: tc.opened, Error: tc.err}, tc.cancel)
			}
			list := tries.list(tc.carries, time.Second, now.Add(time.Second))
			if len(list) != 1 || list[0].Error != tc.want || list[0].OK != (tc.want == "") {
				t.Errorf("%+v", list)
			}
			if !tc.done && list[0].ConnectMS != 1000 {
				t.Errorf("took %v ms", list[0].ConnectMS)
			}
		})
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	var tries attempts
	for range maxRungAttempts + 5 {
		tries.begin(protocol.TLS, "x", time.Now())(protocol.Attempt{}, false)
	}
	if n := len(tries.list("", 0, time.Now())); n != maxRungAttempts {
		t.Errorf("%d kept", n)
	}
}

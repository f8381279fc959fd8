package peer

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Ten seconds after the handshake nothing of it is left, and nothing was said
// to the remote; packets go on.
func TestHandshakeStateIsDropped(t *testing.T) {
	virtually(t, 10*time.Millisecond, 0, 0, 1, func(t *testing.T, v *virtualNetwork, p *Port) {
		c, atServer, atClient := connectReady(t, p, v.dialFrom(clientIP))
		time.Sleep(keepHandshake + time.Second)
		synctest.Wait()
		for _, conn := range []*Conn{c.server, c.client} {
			conn.Shard().Run(func() {
				if conn.handshake != nil {
					t.Error("the handshake is still there")
				}
			})
		}
		if stacks := bubbleStacks(); strings.Contains(stacks, "pion/dtls") {
			t.Errorf("DTLS goroutines are left:\n%s", stacks)
		}
		talk(t, c, 10)
		for _, r := range []*recorder{atServer, atClient} {
			if rtp, _, closed, _ := r.snapshot(); rtp != 10 || closed {
				t.Errorf("%d packets, closed %v", rtp, closed)
			}
		}
	})
}

func bubbleStacks() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}

// While DTLS lives, closing one side closes the other.
func TestCloseNotify(t *testing.T) {
	virtually(t, 10*time.Millisecond, 0, 0, 1, func(t *testing.T, v *virtualNetwork, p *Port) {
		c, atServer, _ := connectReady(t, p, v.dialFrom(clientIP))
		c.client.Close()
		<-c.client.Done()
		atServer.untilClosed()
		<-c.server.Done()
		if atServer.err != nil {
			t.Errorf("server closed with %v", atServer.err)
		}
		c, _, atClient := connectReady(t, p, v.dialFrom(clientIP))
		c.server.Close()
		atClient.untilClosed()
		if atClient.err != nil {
			t.Errorf("client closed with %v", atClient.err)
		}
	})
}

func TestContextEndsDial(t *testing.T) {
	certificate()
	synctest.Test(t, func(t *testing.T) {
		v := newVirtualNetwork(t, time.Millisecond, 0, 0, 1)
		defer v.stop(t)
		var cfg DialConfig
		v.dialFrom(clientIP)(nil, &cfg)
		r := newRecorder()
		cfg.Local, cfg.Remote, cfg.Handler = NewCredentials(), NewCredentials(), r
		cfg.Certificate, cfg.RemoteFingerprint = certificate(), certificate().Fingerprint()
		ctx, cancel := context.WithCancel(context.Background())
		c, err := Dial(ctx, cfg)
		must(t, err)
		time.Sleep(time.Second)
		cancel()
		<-c.Done()
		if !r.closed || r.err != nil {
			t.Errorf("closed %v with %v", r.closed, r.err)
		}
	})
}

func TestConfigurationsAreChecked(t *testing.T) {
	p := listenLoopback(t, 1, nil)
	good := AcceptConfig{Remote: NewCredentials(), RemoteFingerprint: p.Fingerprint(), Handler: quiet{}}
	for name, change := range map[string]func(*AcceptConfig){
		"no ufrag":             func(c *AcceptConfig) { c.Remote.Ufrag = "" },
		"short password":       func(c *AcceptConfig) { c.Remote.Pwd = "short" },
		"endless ufrag":        func(c *AcceptConfig) { c.Remote.Ufrag = strings.Repeat("a", 257) },
		"no fingerprint":       func(c *AcceptConfig) { c.RemoteFingerprint = "" },
		"SHA-1":                func(c *AcceptConfig) { c.RemoteFingerprint = "sha-1 " + strings.Repeat("AB:", 19) + "AB" },
		"cut-off fingerprint":  func(c *AcceptConfig) { c.RemoteFingerprint = c.RemoteFingerprint[:60] },
		"not a hex number":     func(c *AcceptConfig) { c.RemoteFingerprint = strings.ReplaceAll(c.RemoteFingerprint, ":", "x") },
		"fingerprint for SHA2": func(c *AcceptConfig) { c.RemoteFingerprint = strings.Replace(c.RemoteFingerprint, "256", "384", 1) },
	} {
		cfg := good
		change(&cfg)
		if _, err := p.Accept(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
		_, err := Dial(context.Background(), DialConfig{
			Local: NewCredentials(), Remote: cfg.Remote, RemoteFingerprint: cfg.RemoteFingerprint,
			Candidates: []netip.AddrPort{p.Addr()}, Handler: quiet{},
		})
		if err == nil {
			t.Errorf("%s: dialled", name)
		}
	}
	if _, err := Dial(context.Background(), DialConfig{Local: NewCredentials(), Remote: NewCredentials(), RemoteFingerprint: p.Fingerprint()}); err == nil {
		t.Error("dialled without a candidate")
	}
	for _, f := range []string{"SHA-256 ", " sha-256  "} {
		cfg := good
		cfg.RemoteFingerprint = strings.ToLower(strings.Replace(cfg.RemoteFingerprint, "sha-256 ", f, 1))
		if _, err := p.Accept(cfg); err != nil {
			t.Errorf("another spelling: %v", err)
		}
	}
}

func TestPortClose(t *testing.T) {
	p := listenLoopback(t, 2, nil)
	c, atServer, _ := connectReady(t, p)
	waiting := newRecorder()
	w, err := p.Accept(AcceptConfig{Remote: NewCredentials(), RemoteFingerprint: p.Fingerprint(), Handler: waiting})
	must(t, err)
	must(t, p.Close())
	for _, r := range []*recorder{atServer, waiting} {
		if _, _, closed, err := r.snapshot(); !closed || !errors.Is(err, ErrClosed) {
			t.Errorf("closed %v with %v", closed, err)
		}
	}
	<-w.Done()
	<-c.server.Done()
	must(t, p.Close())
	w.Close()
	if _, err := p.Accept(AcceptConfig{Remote: NewCredentials(), RemoteFingerprint: p.Fingerprint(), Handler: waiting}); !errors.Is(err, ErrClosed) {
		t.Errorf("accepted after closing: %v", err)
	}
	p.Shards()[0].Run(func() {}) // still harmless
}

// Close may be called from anywhere, many times, while packets fly.
func TestCloseFromEverywhere(t *testing.T) {
	p := listenLoopback(t, 2, nil)
	for range 20 {
		atServer, atClient := newRecorder(), newRecorder()
		atServer.onRTP = func(c *Conn, _ []byte) { c.Close(); c.Close() }
		c := connect(t, p, atServer, atClient)
		atServer.untilReady()
		atClient.untilReady()
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				c.client.Shard().Run(func() { _ = c.client.SendRTP(rtpPacket(1, 1, 10)) }) // it may be closed already
				c.server.Close()
			})
		}
		all.Wait()
		atServer.untilClosed()
		<-c.server.Done()
		atClient.untilClosed() // by close_notify
	}
	if n := p.Stats().Connections; n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

func TestListenFails(t *testing.T) {
	p := listenLoopback(t, 1, nil)
	if _, err := Listen(PortConfig{Listen: netip.MustParseAddrPort("192.0.2.1:0")}); err == nil {
		t.Error("listens on an address that is not ours")
	}
	if _, err := Listen(PortConfig{Listen: p.Addr()}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("shares a port with a stranger: %v", err)
	}
	broken := errors.New("broken")
	n := 0
	_, err := Listen(PortConfig{Shards: 3, ListenPacket: func(int) (net.PacketConn, error) {
		if n++; n == 3 {
			return nil, broken
		}
		return net.ListenPacket("udp4", "127.0.0.1:0")
	}})
	if !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
}

// More handshakes than allowed are refused; the peers' retransmissions find
// room later.
func TestHandshakesAreBounded(t *testing.T) {
	virtually(t, time.Millisecond, 0, 0, 1, func(t *testing.T, v *virtualNetwork, p *Port) {
		for range maxHandshakes {
			p.slots <- struct{}{}
		}
		atServer, atClient := newRecorder(), newRecorder()
		start := time.Now()
		connect(t, p, atServer, atClient, v.dialFrom(clientIP))
		time.Sleep(300 * time.Millisecond)
		if n := p.Stats().HandshakesRefused; n < 2 {
			t.Errorf("%d handshakes refused", n)
		}
		for range maxHandshakes {
			<-p.slots
		}
		atClient.untilReady()
		if took := time.Since(start); took > 1100*time.Millisecond {
			t.Errorf("ready after %v", took)
		}
	})
}

// Garbage of every kind, from strangers, does not disturb a connection and
// leaves nothing behind.
func TestGarbageFlood(t *testing.T) {
	p := listenLoopback(t, 1, nil)
	c, atServer, _ := connectReady(t, p)
	stranger := packetConn(t)
	dice := rand.New(rand.NewPCG(1, 2))
	to := net.UDPAddrFromAddrPort(p.Addr())
	for i := range 20000 {
		b := make([]byte, dice.IntN(200))
		for j := range b {
			b[j] = byte(dice.Uint32())
		}
		if len(b) > 20 && i%2 == 0 { // something like STUN
			copy(b, []byte{0, 1, 0, byte(len(b) - 20), 0x21, 0x12, 0xA4, 0x42})
		}
		if len(b) > 14 && i%5 == 0 { // something like a ClientHello
			copy(b, []byte{22, 254, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1})
		}
		_, _ = stranger.WriteToUDP(b, to)
	}
	send(t, c.client, rtpPacket(1, 1, 10))
	atServer.until(func() bool { return len(atServer.rtp) == 1 })
	if s := p.Stats(); s.Connections != 1 || s.BadChecks == 0 || s.UnknownAddress == 0 {
		t.Errorf("stats: %+v", s)
	}
	_ = stranger.SetReadDeadline(time.Unix(1, 0))
	if n, _, err := stranger.ReadFromUDP(make([]byte, 1)); err == nil {
		t.Errorf("the stranger was sent %d bytes", n)
	}
}

// An established idle connection costs memory only, and little of it.
func TestCostOfIdleConnections(t *testing.T) {
	const n = 500
	const goal = 30 << 10
	p := listenLoopback(t, 2, nil)
	established(t, p, sink, quiet{})
	before, goroutines := heap(), runtime.NumGoroutine()
	conns := make([]*Conn, n)
	for i := range conns {
		conns[i] = established(t, p, netip.AddrPortFrom(sink.Addr(), uint16(1000+i)), quiet{})
	}
	each := (int(heap()) - int(before)) / n
	t.Logf("%d bytes per established connection", each)
	if each > goal {
		t.Errorf("%d bytes per connection, more than %d", each, goal)
	}
	if more := runtime.NumGoroutine() - goroutines; more > 0 {
		t.Errorf("%d goroutines for %d connections", more, n)
	}
	runtime.KeepAlive(conns)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

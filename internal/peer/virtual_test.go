package peer

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/logging"
	"github.com/pion/transport/v5/vnet"
)

const serverIP, clientIP, otherIP = "10.0.0.1", "10.0.0.2", "10.0.0.3"

// A virtualNetwork is one subnet with delay, jitter (which reorders) and loss
// that a test can change as it goes. The clients' network lies behind a NAT
// if asked for.
type virtualNetwork struct {
	router *vnet.Router
	server *vnet.Net
	client *vnet.Net
	loss   atomic.Int64 // percent
	cut    atomic.Pointer[string]
	deaf   atomic.Pointer[string] // nothing from there arrives
	jitter time.Duration
	mu     sync.Mutex
	dice   *rand.Rand

	onlyChecks atomic.Bool  // nothing else passes
	hole       atomic.Int64 // larger datagrams do not pass; 0 for none
	policed    atomic.Int64 // one in so many datagrams of media passes; 0 for all
	passed     atomic.Int64

	ticks atomic.Int64 // of the port
}

// A shaky socket delays each datagram by a random time, so that they overtake
// each other. (The router's own jitter sleeps with its lock held: it neither
// reorders nor works in a bubble.)
type shaky struct {
	net.PacketConn
	v *virtualNetwork
}

func (s shaky) WriteTo(b []byte, to net.Addr) (int, error) {
	b = slices.Clone(b)
	time.AfterFunc(s.v.random(s.v.jitter), func() { _, _ = s.PacketConn.WriteTo(b, to) })
	return len(b), nil
}

func (v *virtualNetwork) random(below time.Duration) time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	return time.Duration(v.dice.Int64N(int64(below)))
}

// listenPacket opens a socket in the network.
func (v *virtualNetwork) listenPacket(n *vnet.Net, address string) (net.PacketConn, error) {
	c, err := n.ListenPacket("udp4", address)
	if err == nil && v.jitter > 0 {
		c = shaky{c, v}
	}
	return c, err
}

func quietLogger() logging.LoggerFactory {
	return &logging.DefaultLoggerFactory{Writer: discard{}, DefaultLogLevel: logging.LogLevelDisabled}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// newVirtualNetwork builds and starts the network. Call it in a synctest
// bubble, and stop it there.
func newVirtualNetwork(t *testing.T, delay, jitter time.Duration, loss int64, seed uint64) *virtualNetwork {
	t.Helper()
	v := &virtualNetwork{jitter: jitter, dice: rand.New(rand.NewPCG(seed, seed))}
	v.loss.Store(loss)
	var err error
	v.router, err = vnet.NewRouter(&vnet.RouterConfig{
		CIDR: "10.0.0.0/24", MinDelay: delay, LoggerFactory: quietLogger(), QueueSize: 10000,
	})
	must(t, err)
	v.server, err = vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{serverIP}})
	must(t, err)
	v.client, err = vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{clientIP, otherIP}})
	must(t, err)
	must(t, v.router.AddNet(v.server))
	must(t, v.router.AddNet(v.client))
	v.router.AddChunkFilter(func(c vnet.Chunk) bool {
		if ip := v.cut.Load(); ip != nil && (strings.HasPrefix(c.SourceAddr().String(), *ip) || strings.HasPrefix(c.DestinationAddr().String(), *ip)) {
			return false
		}
		if from := v.deaf.Load(); from != nil && strings.HasPrefix(c.SourceAddr().String(), *from) {
			return false
		}
		if v.onlyChecks.Load() && classify(c.UserData()) != kindSTUN {
			return false
		}
		if hole := v.hole.Load(); hole > 0 && int64(len(c.UserData())) > hole {
			return false
		}
		if n := v.policed.Load(); n > 0 && classify(c.UserData()) == kindRTP && v.passed.Add(1)%n != 0 {
			return false
		}
		return int64(v.random(100)) >= v.loss.Load()
	})
	must(t, v.router.Start())
	return v
}

func (v *virtualNetwork) stop(t *testing.T) { must(t, v.router.Stop()) }

// cutOff drops what goes to or comes from an address prefix.
func (v *virtualNetwork) cutOff(prefix string) { v.cut.Store(&prefix) }

// deafen drops what comes from an address prefix.
func (v *virtualNetwork) deafen(prefix string) { v.deaf.Store(&prefix) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// listen opens a port on the server.
func (v *virtualNetwork) listen(t *testing.T) *Port {
	t.Helper()
	p, err := Listen(PortConfig{
		Shards: 1, Certificate: certificate(), Tick: func(*Shard, time.Time) { v.ticks.Add(1) },
		ListenPacket: func(int) (net.PacketConn, error) { return v.listenPacket(v.server, serverIP+":8801") },
	})
	must(t, err)
	return p
}

// dialFrom makes a client open its sockets in the virtual network, on one
// address after the other.
func (v *virtualNetwork) dialFrom(addresses ...string) pairOption {
	return func(_ *AcceptConfig, d *DialConfig) {
		n := 0
		d.Candidates = []netip.AddrPort{netip.MustParseAddrPort(serverIP + ":8801")}
		d.ListenPacket = func() (net.PacketConn, error) {
			a := addresses[min(n, len(addresses)-1)]
			n++
			return v.listenPacket(v.client, a+":0")
		}
	}
}

// virtually runs a test in a bubble with a network, a port and a pair that is
// about to connect, and takes all down in order.
func virtually(t *testing.T, delay, jitter time.Duration, loss int64, seed uint64, f func(t *testing.T, v *virtualNetwork, p *Port)) {
	t.Helper()
	certificate() // outside of the bubble
	synctest.Test(t, func(t *testing.T) {
		v := newVirtualNetwork(t, delay, jitter, loss, seed)
		p := v.listen(t)
		defer func() {
			must(t, p.Close())
			v.stop(t)
		}()
		f(t, v, p)
	})
}

func TestVirtualLoss(t *testing.T) {
	for _, test := range []struct {
		name          string
		delay, jitter time.Duration
		loss          int64
		within        time.Duration // to connect
	}{
		{"clean", 20 * time.Millisecond, 0, 0, 130 * time.Millisecond},
		{"reordered", 20 * time.Millisecond, 15 * time.Millisecond, 0, 700 * time.Millisecond},
		{"5 percent lost", 20 * time.Millisecond, 5 * time.Millisecond, 5, 3 * time.Second},
		{"20 percent lost", 50 * time.Millisecond, 20 * time.Millisecond, 20, 10 * time.Second},
		{"long way", 300 * time.Millisecond, 0, 0, 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			for seed := range uint64(10) {
				virtually(t, test.delay, test.jitter, test.loss, seed, func(t *testing.T, v *virtualNetwork, p *Port) {
					start := time.Now()
					c, atServer, atClient := connectReady(t, p, v.dialFrom(clientIP))
					took := time.Since(start)
					if took > test.within {
						t.Errorf("seed %d: connected after %v", seed, took)
					}
					t.Logf("seed %d: connected after %v", seed, took)
					talk(t, c, 250)
					rtt := c.client.Stats().RTT
					if low := 2 * test.delay; rtt < low || rtt > low+2*test.jitter+tickInterval {
						t.Errorf("round trip measured as %v", rtt)
					}
					c.client.Close()
					<-c.client.Done()
					for _, r := range []*recorder{atServer, atClient} {
						rtp, paths, _, _ := r.snapshot()
						if low := 250 - 250*int(test.loss)*2/100 - 3; rtp < low {
							t.Errorf("seed %d: %d packets arrived of 250", seed, rtp)
						}
						if slices.Contains(paths, PathLost) {
							t.Errorf("seed %d: path %v", seed, paths)
						}
						if r.order[0] != "ready" {
							t.Errorf("seed %d: %v before ready", seed, r.order[0])
						}
					}
				})
			}
		})
	}
}

// talk sends packets both ways, 20 ms apart.
func talk(t *testing.T, c pair, packets int) {
	t.Helper()
	for seq := range packets {
		p := rtpPacket(uint16(65500+seq), 7, 200)
		send(t, c.client, p)
		send(t, c.server, p)
		time.Sleep(20 * time.Millisecond) // virtual
	}
	time.Sleep(time.Second)
}

// A shard without media ticks less often, and at once as ever when it has some.
func TestIdleTicks(t *testing.T) {
	virtually(t, time.Millisecond, 0, 0, 1, func(t *testing.T, v *virtualNetwork, p *Port) {
		c, atServer, _ := connectReady(t, p, v.dialFrom(clientIP))
		during := func(f func()) (ticks, ms int64) {
			ticks, start := v.ticks.Load(), time.Now()
			f()
			return v.ticks.Load() - ticks, time.Since(start).Milliseconds()
		}
		time.Sleep(5 * time.Second)
		if n, ms := during(func() { time.Sleep(10 * time.Second) }); n > ms/100+1 {
			t.Errorf("%d ticks in %d ms of nothing", n, ms)
		}
		for _, sender := range []*Conn{c.client, c.server} {
			send(t, sender, rtpPacket(1, 7, 10))
			if n, ms := during(func() { time.Sleep(500 * time.Millisecond) }); n < (ms-100)/25 {
				t.Errorf("%d ticks in the %d ms after a packet", n, ms)
			}
			if n, ms := during(func() { talk(t, c, 100) }); n < ms/25-3 {
				t.Errorf("%d ticks in %d ms of talk", n, ms)
			}
			time.Sleep(5 * time.Second)
		}
		if rtp, _, _, _ := atServer.snapshot(); rtp == 0 {
			t.Error("nothing was heard")
		}
	})
}

func TestWrongPassword(t *testing.T) {
	virtually(t, 10*time.Millisecond, 0, 0, 1, func(t *testing.T, v *virtualNetwork, p *Port) {
		start := time.Now()
		atServer, atClient := newRecorder(), newRecorder()
		wrong := NewCredentials()
		connect(t, p, atServer, atClient, v.dialFrom(clientIP), func(_ *AcceptConfig, d *DialConfig) {
			d.Remote = Credentials{"none", wrong.Pwd}
		})
		atClient.untilClosed()
		if took := time.Since(start); !errors.Is(atClient.err, ErrTimeout) || took < readyWithin || took > readyWithin+time.Second {
			t.Errorf("client closed with %v after %v", atClient.err, took)
		}
		atServer.untilClosed()
		if took := time.Since(start); !errors.Is(atServer.err, ErrTimeout) || took < readyWithin || took > readyWithin+time.Second {
			t.Errorf("server closed with %v after %v", atServer.err, took)
		}
		if s := p.Stats(); s.BadChecks == 0 || s.UnknownAddress == 0 || s.Connections != 0 {
			t.Errorf("port's stats: %+v", s)
		}
	})
}

func TestExpiry(t *testing.T) {
	virtually(t, 0, 0, 0, 1, func(t *testing.T, _ *virtualNetwork, p *Port) {
		start := time.Now()
		r := newRecorder()
		c, err := p.Accept(AcceptConfig{Remote: NewCredentials(), RemoteFingerprint: p.Fingerprint(), Handler: r})
		must(t, err)
		if c.Shard() != nil {
			t.Error("has a shard before a check came")
		}
		<-c.Done()
		if took := time.Since(start); !errors.Is(r.err, ErrTimeout) || took < readyWithin || took > readyWithin+time.Second {
			t.Errorf("closed with %v after %v", r.err, took)
		}
	})
}

func TestSilentAndLost(t *testing.T) {
	virtually(t, 10*time.Millisecond, 0, 0, 1, func(t *testing.T, v *virtualNetwork, p *Port) {
		_, atServer, atClient := connectReady(t, p, v.dialFrom(clientIP))
		time.Sleep(5 * time.Second)
		v.cutOff(clientIP)
		cut := time.Now()
		atServer.until(func() bool { return len(atServer.paths) == 1 })
		if took := time.Since(cut); took > silentAfter+sweepInterval+consentInterval {
			t.Errorf("server noticed silence after %v", took)
		}
		atServer.until(func() bool { return len(atServer.paths) == 2 })
		if took := time.Since(cut); took < lostAfter-consentInterval || took > lostAfter+sweepInterval {
			t.Errorf("server noticed loss after %v", took)
		}
		atClient.until(func() bool { return len(atClient.paths) == 2 })
		v.cutOff("none")
		healed := time.Now()
		for _, r := range []*recorder{atServer, atClient} {
			r.until(func() bool { return len(r.paths) == 3 })
			if want := []PathState{PathSilent, PathLost, PathActive}; !slices.Equal(r.paths, want) {
				t.Errorf("paths %v", r.paths)
			}
		}
		if took := time.Since(healed); took > lastProbe+tickInterval+50*time.Millisecond {
			t.Errorf("healed after %v", took)
		}
	})
}

// The client's network changes while media flows: its old address is dead.
func TestAddressChange(t *testing.T) {
	virtually(t, 20*time.Millisecond, 0, 0, 1, func(t *testing.T, v *virtualNetwork, p *Port) {
		c, atServer, atClient := connectReady(t, p, v.dialFrom(clientIP, otherIP))
		var seq uint16
		speak := func() {
			send(t, c.server, rtpPacket(seq, 7, 10))
			seq++
			time.Sleep(20 * time.Millisecond)
		}
		for range 100 {
			speak()
		}
		v.cutOff(clientIP)
		cut := time.Now()
		before, _, _, _ := atClient.snapshot()
		for after := before; after <= before+1; after, _, _, _ = atClient.snapshot() { // one was on its way
			speak()
		}
		if took := time.Since(cut); took > 700*time.Millisecond {
			t.Errorf("media came back after %v", took)
		}
		if s := c.server.Stats(); s.Remote.Addr().String() != otherIP {
			t.Errorf("server sends to %v", s.Remote)
		}
		if _, paths, _, _ := atServer.snapshot(); len(paths) > 0 {
			t.Errorf("server's path: %v", paths)
		}
	})
}

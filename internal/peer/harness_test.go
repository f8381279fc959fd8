package peer

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A recorder is a Handler that remembers, and can be waited for.
type recorder struct {
	mu     sync.Mutex
	cond   *sync.Cond
	ready  int
	rtp    [][]byte
	rtcp   [][]byte
	paths  []PathState
	closed bool
	err    error
	onRTP  func(c *Conn, p []byte)
	order  []string
}

func newRecorder() *recorder {
	r := &recorder{}
	r.cond = sync.NewCond(&r.mu)
	return r
}

func (r *recorder) note(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	r.cond.Broadcast()
}

func (r *recorder) Ready(*Conn, time.Time) {
	r.note(func() { r.ready++; r.order = append(r.order, "ready") })
}

func (r *recorder) RTP(c *Conn, p []byte, _ time.Time) {
	if r.onRTP != nil {
		r.onRTP(c, p)
	}
	r.note(func() { r.rtp = append(r.rtp, slices.Clone(p)); r.order = append(r.order, "rtp") })
}

func (r *recorder) RTCP(_ *Conn, p []byte, _ time.Time) {
	r.note(func() { r.rtcp = append(r.rtcp, slices.Clone(p)) })
}

func (r *recorder) Path(_ *Conn, s PathState, _ time.Time) {
	r.note(func() { r.paths = append(r.paths, s) })
}

func (r *recorder) Closed(_ *Conn, err error) {
	r.note(func() {
		if r.closed {
			panic("closed twice")
		}
		r.closed, r.err = true, err
	})
}

// until waits for the condition, which is asked with the recorder locked. It
// has no time limit of its own: go test has.
func (r *recorder) until(condition func() bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !condition() {
		r.cond.Wait()
	}
}

func (r *recorder) untilReady()  { r.until(func() bool { return r.ready > 0 || r.closed }) }
func (r *recorder) untilClosed() { r.until(func() bool { return r.closed }) }

// snapshot returns copies of what is safe to compare.
func (r *recorder) snapshot() (rtp int, paths []PathState, closed bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.rtp), slices.Clone(r.paths), r.closed, r.err
}

// quiet is a Handler that does nothing.
type quiet struct{}

func (quiet) Ready(*Conn, time.Time)           {}
func (quiet) RTP(*Conn, []byte, time.Time)     {}
func (quiet) RTCP(*Conn, []byte, time.Time)    {}
func (quiet) Path(*Conn, PathState, time.Time) {}
func (quiet) Closed(*Conn, error)              {}

// certificate is made once; tests are not about making it.
var certificate = sync.OnceValue(func() *Certificate {
	c, err := NewCertificate()
	if err != nil {
		panic(err)
	}
	return c
})

// listenLoopback opens a kernel port on 127.0.0.1.
func listenLoopback(tb testing.TB, shards int, change func(*PortConfig)) *Port {
	tb.Helper()
	cfg := PortConfig{
		Listen: netip.MustParseAddrPort("127.0.0.1:0"), Shards: shards, Certificate: certificate(),
	}
	if change != nil {
		change(&cfg)
	}
	p, err := Listen(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = p.Close() })
	return p
}

// A pair is an accepted and a dialled connection towards each other.
type pair struct {
	server, client     *Conn
	atServer, atClient Handler
}

// pairOption changes the configurations of a pair before it connects.
type pairOption func(*AcceptConfig, *DialConfig)

// connect starts a connection between a port and a new client.
func connect(tb testing.TB, p *Port, atServer, atClient Handler, options ...pairOption) pair {
	tb.Helper()
	local := NewCredentials()
	accept := AcceptConfig{
		Remote: local, RemoteFingerprint: certificate().Fingerprint(), TOS: 46 << 2, Handler: atServer,
	}
	dial := DialConfig{
		Local: local, Certificate: certificate(), RemoteFingerprint: p.Fingerprint(),
		Candidates: []netip.AddrPort{p.Addr()}, TOS: 46 << 2, Handler: atClient,
	}
	for _, o := range options {
		o(&accept, &dial)
	}
	server, err := p.Accept(accept)
	if err != nil {
		tb.Fatal(err)
	}
	if dial.Remote == (Credentials{}) {
		dial.Remote = Credentials{server.LocalUfrag(), server.LocalPwd()}
	}
	client, err := Dial(context.Background(), dial)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		client.Close()
		<-client.Done()
	})
	return pair{server, client, atServer, atClient}
}

// connectReady connects with recorders and waits until both are ready.
func connectReady(tb testing.TB, p *Port, options ...pairOption) (pair, *recorder, *recorder) {
	tb.Helper()
	atServer, atClient := newRecorder(), newRecorder()
	c := connect(tb, p, atServer, atClient, options...)
	atServer.untilReady()
	atClient.untilReady()
	if _, _, closed, err := atClient.snapshot(); closed {
		tb.Fatalf("client closed: %v", err)
	}
	if _, _, closed, err := atServer.snapshot(); closed {
		tb.Fatalf("server closed: %v", err)
	}
	return c, atServer, atClient
}

// rtpPacket is an RTP packet with a one-byte header extension.
func rtpPacket(seq uint16, ssrc uint32, payload int) []byte {
	p := make([]byte, 20+payload)
	copy(p, []byte{0x90, 111, byte(seq >> 8), byte(seq), 0, 0, 0, byte(seq), byte(ssrc >> 24), byte(ssrc >> 16), byte(ssrc >> 8), byte(ssrc)})
	copy(p[12:], []byte{0xBE, 0xDE, 0, 1, 0x10, 0x85, 0, 0})
	for i := range payload {
		p[20+i] = byte(i)
	}
	return p
}

// rtcpPacket is an empty receiver report.
func rtcpPacket(ssrc uint32) []byte {
	return []byte{0x80, 201, 0, 1, byte(ssrc >> 24), byte(ssrc >> 16), byte(ssrc >> 8), byte(ssrc)}
}

// send sends packets in one go.
func send(tb testing.TB, c *Conn, packets ...[]byte) {
	tb.Helper()
	c.Shard().Run(func() {
		for _, p := range packets {
			var err error
			if classify(p) == kindRTCP {
				err = c.SendRTCP(p)
			} else {
				err = c.SendRTP(p)
			}
			if err != nil {
				tb.Error(err)
			}
		}
	})
}

// packetConn opens a plain socket on loopback.
func packetConn(tb testing.TB) *net.UDPConn {
	tb.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

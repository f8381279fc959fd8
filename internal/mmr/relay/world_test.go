package relay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"causeway/internal/bus"
	"causeway/internal/media/header"
	"causeway/internal/media/offer"
	"causeway/internal/mmr/forward"
	"causeway/internal/peer"
	"causeway/protocol"

	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/transport/v5/vnet"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// A world is routers on a virtual network, in virtual time, and a bus between
// them that a test can cut. TCP is carried by pipes, which cuts of UDP leave
// alone.
type world struct {
	t     *testing.T
	net   *vnet.Router
	nodes []*node
	log   []string // requests over the bus
	mu    sync.Mutex
	start time.Time
	legs  int64 // that there ever were

	cut     atomic.Pointer[func(from, to string) bool] // datagrams
	noTCP   atomic.Bool
	busDown atomic.Bool

	busDelay time.Duration // one way
}

// node is a router with a leg of the meeting.
type node struct {
	*world
	name
	ip      string
	router  *forward.Router
	port    *peer.Port
	relays  *Relays
	loudest *forward.Loudest
	mesh    *Mesh
	own     []*forward.Source
	streams sync.WaitGroup
	premise bool
	speaker *mic
	gone    bool
	dead    bool
	silent  bool  // dead, as the bus tells
	began   int64 // when its leg did
}

// virtually runs a test with routers, whose names are ZONE/MMR with a * at
// those on premises.
func virtually(t *testing.T, names []string, f func(w *world)) {
	t.Helper()
	virtuallyFar(t, 20*time.Millisecond, 0, names, f)
}

// virtuallyFar does so with a time that datagrams take, and one that the bus
// does.
func virtuallyFar(t *testing.T, delay, bus time.Duration, names []string, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, start: time.Now(), busDelay: bus}
		var err error
		w.net, err = vnet.NewRouter(&vnet.RouterConfig{
			CIDR: "10.0.0.0/24", MinDelay: delay, QueueSize: 10000,
			LoggerFactory: &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled},
		})
		must(t, err)
		w.net.AddChunkFilter(func(c vnet.Chunk) bool {
			cut := w.cut.Load()
			host := func(a net.Addr) string { h, _, _ := net.SplitHostPort(a.String()); return h }
			return cut == nil || !(*cut)(host(c.SourceAddr()), host(c.DestinationAddr()))
		})
		for _, n := range names {
			w.add(n)
		}
		must(t, w.net.Start())
		for _, n := range w.nodes {
			n.open()
		}
		f(w)
		for _, n := range w.nodes {
			n.close()
		}
		must(t, w.net.Stop())
	})
}

func (w *world) add(called string) {
	zone, mmr, _ := strings.Cut(strings.TrimSuffix(called, "*"), "/")
	n := &node{
		world: w, name: name{Zone: zone, MMR: mmr}, premise: strings.HasSuffix(called, "*"),
		ip: fmt.Sprintf("10.0.0.%d", len(w.nodes)+1),
	}
	w.nodes = append(w.nodes, n)
}

// open starts the router.
func (n *node) open() {
	t := n.t
	virtual, err := vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{n.ip}})
	must(t, err)
	must(t, n.net.AddNet(virtual))
	n.router = forward.New(time.Now())
	n.port, err = peer.Listen(peer.PortConfig{
		Shards: 1, Log: quiet,
		ListenPacket: func(int) (net.PacketConn, error) { return virtual.ListenPacket("udp4", n.ip+":8801") },
		Tick:         func(s *peer.Shard, now time.Time) { n.router.Tick(s.Index(), now) },
		Delivered:    func(s *peer.Shard) { n.router.Deliver(s.Index()) },
		AfterBatch:   func(*peer.Shard) { n.router.Flush() },
	})
	must(t, err)
	n.router.Start([]forward.Shard{n.port.Shards()[0]})
	n.relays, err = New(Config{
		Zone: n.Zone, MMR: n.MMR, OnPremises: n.premise, Router: n.router, Port: n.port, Log: quiet,
		Ask:          n.ask,
		Addresses:    func() Addresses { return Addresses{UDP: []string{n.ip + ":8801"}, TCP: []string{n.ip + ":8801"}} },
		Dial:         n.dialTCP,
		ListenPacket: func() (net.PacketConn, error) { return virtual.ListenPacket("udp4", n.ip+":0") },
	})
	must(t, err)
	n.join()
}

// join makes a leg of the meeting.
func (n *node) join() {
	n.world.legs++
	n.began = n.world.legs
	n.loudest = n.router.NewLoudest(func() {})
	n.mesh = n.relays.Meeting("m", n.began, n.loudest, func() {})
}

func (n *node) close() {
	n.relays.Close()
	must(n.t, n.port.Close())
	n.streams.Wait()
}

// ask is the bus.
func (n *node) ask(ctx context.Context, zone, mmr string, q protocol.RelayRequest) (protocol.RelayAnswer, error) {
	var kinds []string
	for _, c := range q.Connections {
		kinds = append(kinds, string(c.Kind))
	}
	a, err := n.carry(ctx, name{Zone: zone, MMR: mmr}, q)
	result := "ok"
	var p *protocol.Problem
	switch {
	case errors.As(err, &p):
		result = string(p.Code)
	case err != nil:
		result = err.Error()
	}
	n.world.mu.Lock()
	defer n.world.mu.Unlock()
	n.log = append(n.log, fmt.Sprintf("%s/%s asks %s/%s: %s: %s", n.Zone, n.MMR, zone, mmr, strings.Join(kinds, " "), result))
	return a, err
}

func (n *node) carry(ctx context.Context, to name, q protocol.RelayRequest) (protocol.RelayAnswer, error) {
	if n.busDown.Load() {
		return protocol.RelayAnswer{}, bus.ErrNoResponder
	}
	for _, o := range n.nodes {
		if o.name == to {
			time.Sleep(n.busDelay) // virtual
			defer time.Sleep(n.busDelay)
			return o.relays.Answer(ctx, q)
		}
	}
	return protocol.RelayAnswer{}, bus.ErrNoResponder
}

// asked returns and forgets the requests so far.
func (w *world) asked() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	log := w.log
	w.log = nil
	slices.Sort(log)
	return log
}

func (n *node) dialTCP(_ context.Context, address string) (net.Conn, error) {
	if n.noTCP.Load() {
		return nil, errors.New("refused")
	}
	host, _, _ := net.SplitHostPort(address)
	for _, o := range n.nodes {
		if o.ip == host {
			near, far := net.Pipe()
			o.streams.Go(func() { o.port.ServeStream(far, protocol.TCP) })
			return near, nil
		}
	}
	return nil, errors.New("no such host")
}

// know tells all legs of all others, as the bus does.
func (w *world) know() { w.knowIf(func(*node, *node) bool { return true }) }

// knowIf tells legs of those others that they know.
func (w *world) knowIf(knows func(n, of *node) bool) {
	for _, n := range w.nodes {
		if !n.gone && !n.dead {
			n.hear(knows)
		}
	}
}

// hear tells a leg of those others that it knows.
func (n *node) hear(knows func(n, of *node) bool) {
	var legs []Leg
	for _, o := range n.nodes {
		if o != n && !o.gone && knows(n, o) {
			legs = append(legs, o.leg())
		}
	}
	n.mesh.Set(n.own, legs)
	for _, l := range legs {
		for _, s := range l.Streams {
			n.mesh.Source(l.Zone, l.MMR, s.ID).SetMuted(false)
		}
	}
}

// knowInTurn tells all legs of all others, each at a moment of its own, while
// some talk.
func (w *world) knowInTurn(dice *rand.Rand, within time.Duration, mics ...*mic) {
	order := dice.Perm(len(w.nodes))
	for _, i := range order {
		if n := w.nodes[i]; !n.gone && !n.dead {
			n.hear(func(*node, *node) bool { return true })
		}
		w.talk(time.Duration(dice.Int64N(int64(within)/int64(len(order)))), mics...)
	}
}

func (n *node) leg() Leg {
	l := Leg{Zone: n.Zone, MMR: n.MMR, OnPremises: n.premise, Fingerprint: n.relays.Fingerprint(), Epoch: n.began, Silent: n.silent}
	for _, s := range n.own {
		l.Streams = append(l.Streams, Stream{ID: s.Stream(), Owner: s.Owner(), Kind: s.Kind(), Codec: s.Codec()})
	}
	return l
}

// pass lets virtual time pass.
func (w *world) pass(d time.Duration) {
	time.Sleep(d) // virtual
	synctest.Wait()
}

// wire counts what is sent to a participant.
type wire struct {
	mu   sync.Mutex
	rtp  []header.Header
	said []uint32 // what the sound was
	rtcp []rtcp.Packet
}

func (w *wire) Prefetch(int) {}

func (w *wire) SendVerbatim(p []byte) error { return w.SendRTP(p) }

func (w *wire) SendRTP(p []byte) error {
	h, _ := header.Parse(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rtp = append(w.rtp, h)
	switch payload := h.Payload(p); {
	case len(payload) == 11: // sound: its number
		w.said = append(w.said, binary.BigEndian.Uint32(payload))
	case len(payload) > pictureAt+4: // a picture
		w.said = append(w.said, binary.BigEndian.Uint32(payload[pictureAt:]))
	}
	return nil
}

func (w *wire) SendRTCP(p []byte) error {
	packets, err := rtcp.Unmarshal(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rtcp = append(w.rtcp, packets...)
	return err
}

// pictureAt is where a picture's payload has its number.
const pictureAt = 20

// take returns and forgets what was sent.
func (w *wire) take() []header.Header {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.rtp
	w.rtp, w.said = nil, nil
	return out
}

// words returns and forgets what was said.
func (w *wire) words() []uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.said
	w.rtp, w.said = nil, nil
	return out
}

// mic publishes sound on a node.
type mic struct {
	*node
	link   *forward.Link
	source *forward.Source
	n      int
	level  byte
}

var (
	opus = offer.Codec{PayloadType: 111, Name: offer.Opus, ClockRate: 48000, Channels: 2}
	vp8  = offer.Codec{PayloadType: 96, Name: offer.VP8, ClockRate: 90000, RTX: 97}
)

func (n *node) mic(owner string) *mic {
	m := &mic{node: n, level: 20}
	m.source = n.router.NewSource(forward.SourceConfig{Owner: owner, Kind: protocol.Mic, Codec: opus, Clock: n.router.NewClock(), Loudest: n.loudest})
	m.source.SetMuted(false)
	m.link = n.router.NewLink(forward.LinkConfig{Kind: protocol.Audio, Notify: func() {}, Publish: []forward.Publish{{
		Source: m.source, Codecs: []offer.Codec{opus},
		Line: offer.Line{Extensions: []offer.Extension{{ID: 1, URI: offer.URIAudioLevel}}},
	}}})
	n.port.Shards()[0].Run(func() { m.link.Ready(0, &wire{}, time.Now()) })
	n.own = append(n.own, m.source)
	return m
}

// say sends 20 ms of sound.
func (m *mic) say() {
	m.n++
	p := []byte{0x90, 111, byte(m.n >> 8), byte(m.n), 0, 0, 0, 0, 0, 0, 0, 9, 0xBE, 0xDE, 0, 1, 0x10, 0x80 | m.level, 0, 0, 0, 0, 0, 0, 's', 'o', 'u', 'n', 'd', '!', '!'}
	binary.BigEndian.PutUint32(p[4:], uint32(m.n)*960)
	binary.BigEndian.PutUint32(p[20:], uint32(m.n))
	m.port.Shards()[0].Run(func() { m.link.RTP(p, time.Now()) })
	m.router.Flush()
}

// ear takes a source on a node.
func (n *node) ear(s *forward.Source) *wire {
	w := &wire{}
	link := n.router.NewLink(forward.LinkConfig{Kind: protocol.Audio, Notify: func() {}, Slots: []forward.SlotConfig{
		{ID: "a1", Kind: protocol.Mic, SSRC: 77, Codecs: []offer.Codec{opus}},
	}})
	n.port.Shards()[0].Run(func() { link.Ready(0, w, time.Now()) })
	n.router.Assign([]forward.Assignment{{Slot: link.Slots()[0], Source: s}}, time.Now())
	return w
}

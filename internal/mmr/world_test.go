package mmr

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"causeway/internal/bus"
	"causeway/internal/media/header"
	"causeway/internal/media/offer"
	"causeway/internal/media/twcc"
	"causeway/internal/peer"
	"causeway/internal/token"
	"causeway/protocol"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
	"github.com/pion/rtcp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if code, is := child(); is {
		os.Exit(code)
	}
	goleak.VerifyTestMain(m)
}

// patience bounds every wait of these tests; what they wait for takes
// milliseconds.
const patience = 20 * time.Second

// world is one router with a bus, keys and a web server around it.
type world struct {
	t      testing.TB
	hub    *bus.Server
	bus    *bus.Conn
	signer *token.Signer
	server *Server
	http   *httptest.Server
	base   string // of the control channel's address, ws://host:port
	cfg    Config
	tls    string // address of the TLS port, see openTLS
	roots  *tls.Config
	hosts  sync.Map // addresses of other routers' TLS ports, by host:port
	stop   func()   // stops the router and waits for it
}

func quiet() *slog.Logger {
	if os.Getenv("CAUSEWAY_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

func newWorld(t testing.TB, change func(*Config)) *world {
	t.Helper()
	hub, err := bus.StartHub(bus.HubConfig{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Stop)
	w := &world{t: t, hub: hub}
	w.bus = w.connect("test")
	if w.signer, err = token.NewSigner(token.NewSeed()); err != nil {
		t.Fatal(err)
	}
	keys, err := bus.Subscribe(w.bus, protocol.SubjectKeysAsk, func(string, protocol.Empty) {
		_ = bus.Publish(w.bus, protocol.SubjectKeys, w.signer.Public())
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keys.Stop)
	w.open(change)
	return w
}

// beside starts another router on the same bus.
func (w *world) beside(change func(*Config)) *world {
	w.t.Helper()
	other := &world{t: w.t, hub: w.hub, bus: w.bus, signer: w.signer}
	other.open(change)
	return other
}

// connect connects to the bus.
func (w *world) connect(name string) *bus.Conn {
	w.t.Helper()
	c, err := w.hub.Connect(name)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

// open makes the router and runs it.
func (w *world) open(change func(*Config)) {
	w.t.Helper()
	cfg := DefaultConfig()
	cfg.MediaListen, cfg.PublicAddresses = "127.0.0.1:0", []string{"127.0.0.1"}
	if change != nil {
		change(&cfg)
	}
	w.cfg = cfg
	var err error
	if w.server, err = New(cfg, Deps{Bus: w.connect("mmr"), Log: quiet(), Dial: w.dial}); err != nil {
		w.t.Fatal(err)
	}
	w.run()
}

// dial opens streams to other routers.
func (w *world) dial(ctx context.Context, address string) (net.Conn, error) {
	if at, known := w.hosts.Load(address); known {
		address = at.(string)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}

// run runs the router until the test ends, and waits until it is ready.
func (w *world) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.server.Run(ctx) }()
	w.http = httptest.NewServer(w.server.Handler())
	w.base = strings.Replace(w.http.URL, "http", "ws", 1)
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("run: %v", err)
		}
		w.http.Close()
	})
	w.t.Cleanup(w.stop)
	w.until("ready", func() bool { return w.server.Ready() == nil })
}

// until waits until something holds.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			w.t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (w *world) token(meeting, id string, role protocol.Role) string {
	w.t.Helper()
	raw, err := w.signer.Sign(claims(meeting, id, role, time.Now().Add(time.Hour)))
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

func claims(meeting, id string, role protocol.Role, expires time.Time) protocol.JoinClaims {
	return protocol.JoinClaims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: id, ExpiresAt: jwt.NewNumericDate(expires)},
		Meeting:          meeting, Number: "123456789", Name: "Name of " + id, Role: role,
	}
}

// admit asks the router over the bus, as a zone controller does.
func (w *world) admit(req protocol.AdmitRequest) (protocol.AdmitAnswer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return bus.Request[protocol.AdmitAnswer](ctx, w.bus, protocol.SubjectAdmit(w.cfg.Zone, w.cfg.ID), req)
}

// wish says what a client offers.
type wish struct {
	role         protocol.Role
	kinds        []protocol.MediaKind
	rids         []string
	videoCodecs  []offer.Codec
	videoSlots   int
	drop         func(slot protocol.SlotID, h header.Header) bool // induced loss, of what arrives
	discardMedia bool                                             // only counts it
	feedback     *atomic.Int64                                    // time.Duration between two of who only counts; nil: 50 ms
	via          protocol.Transport                               // the only rung; "" is UDP
	standby      bool
}

// client is a participant on real connections.
type client struct {
	*world
	meeting, id, token, session string
	conns                       map[protocol.MediaKind]*conn
	ws                          *websocket.Conn
	cancel                      context.CancelFunc

	mu    sync.Mutex
	heard []protocol.ControlMessage
	ended error
}

// conn is one of its media connections.
type conn struct {
	*client
	kind   protocol.MediaKind
	peer   *peer.Conn
	answer offer.Description
	drop   func(protocol.SlotID, header.Header) bool
	ready  chan struct{}
	first  chan struct{} // closed with the first packet
	counts bool          // and no more
	told   arrivals

	mu    sync.Mutex
	got   map[protocol.SlotID][]received
	rtcp  []rtcp.Packet
	n     int // packets
	media int // of them with more than padding
}

// received is a packet that arrived in a slot.
type received struct {
	header.Header
	raw []byte
	rtx bool
	at  time.Time
}

// mic, camera and so on are the SSRCs on which test clients publish.
const (
	micSSRC    = 1111
	cameraSSRC = 2222
	cameraRTX  = 2223
	screenSSRC = 3333
	soundSSRC  = 4444
)

func (x wish) lines(kind protocol.MediaKind) []offer.LineParams {
	audio := func(ssrc uint32) offer.LineParams {
		return offer.LineParams{Kind: offer.Audio, Direction: offer.SendOnly, SSRC: ssrc, Stream: "me"}
	}
	video := func(ssrc, rtx uint32) offer.LineParams {
		return offer.LineParams{Kind: offer.Video, Direction: offer.SendOnly, SSRC: ssrc, RTX: rtx, Stream: "me", Codecs: x.videoCodecs}
	}
	slot := func(kind offer.Kind) offer.LineParams {
		l := offer.LineParams{Kind: kind, Direction: offer.RecvOnly}
		if kind == offer.Video {
			l.Codecs = x.videoCodecs
		}
		return l
	}
	switch kind {
	case protocol.Audio:
		return []offer.LineParams{audio(micSSRC), slot(offer.Audio), slot(offer.Audio), slot(offer.Audio)}
	case protocol.Video:
		camera := video(cameraSSRC, cameraRTX)
		if x.rids != nil {
			camera.SSRC, camera.RTX, camera.RIDs = 0, 0, x.rids
		}
		lines := []offer.LineParams{camera}
		for range max(x.videoSlots, 1) {
			lines = append(lines, slot(offer.Video))
		}
		return lines
	}
	return []offer.LineParams{video(screenSSRC, 0), audio(soundSSRC), slot(offer.Video), slot(offer.Audio)}
}

// join admits a participant, dials its media and opens its control channel.
func (w *world) join(meeting, id string, x wish) *client {
	w.t.Helper()
	c := w.enter(meeting, id, x)
	c.control()
	c.waitReady()
	w.until("welcome to "+id, func() bool { return len(told[protocol.Welcome](c)) > 0 })
	return c
}

// enter admits a participant and dials its media.
func (w *world) enter(meeting, id string, x wish) *client {
	w.t.Helper()
	if x.role == "" {
		x.role = protocol.Guest
	}
	if x.kinds == nil {
		x.kinds = protocol.MediaKinds
	}
	c := &client{world: w, meeting: meeting, id: id, token: w.token(meeting, id, x.role), conns: map[protocol.MediaKind]*conn{}}
	certificate, err := peer.NewCertificate()
	if err != nil {
		w.t.Fatal(err)
	}
	credentials := map[protocol.MediaKind]peer.Credentials{}
	var offers protocol.Offers
	for _, kind := range x.kinds {
		credentials[kind] = peer.NewCredentials()
		offers.Set(kind, offer.New(offer.Params{
			Ufrag: credentials[kind].Ufrag, Pwd: credentials[kind].Pwd, Fingerprint: certificate.Fingerprint(), Lines: x.lines(kind),
		}).String())
	}
	answer, err := w.admit(protocol.AdmitRequest{Token: c.token, Offers: offers, Client: protocol.ClientInfo{Kind: "native"}, Standby: x.standby})
	if err != nil {
		w.t.Fatalf("admit %s: %v", id, err)
	}
	c.session = answer.Session
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	w.t.Cleanup(c.hangUp)
	for _, kind := range x.kinds {
		d, err := offer.Parse(answer.Answers.Of(kind))
		if err != nil {
			w.t.Fatalf("answer: %v", err)
		}
		k := &conn{
			client: c, kind: kind, answer: d, drop: x.drop, counts: x.discardMedia,
			ready: make(chan struct{}), first: make(chan struct{}), got: map[protocol.SlotID][]received{},
			told: newArrivals(&d, x.feedback),
		}
		dial := peer.DialConfig{
			Local: credentials[kind], Certificate: certificate,
			Remote: peer.Credentials{Ufrag: d.Ufrag, Pwd: d.Pwd}, RemoteFingerprint: d.Fingerprint,
			TOS: kind.DSCP() << 2, Handler: k, Log: quiet(),
		}
		if x.discardMedia {
			dial.ListenPacket = plainSocket
		}
		w.way(&dial, x.via, answer)
		k.peer, err = peer.Dial(ctx, dial)
		if err != nil {
			w.t.Fatal(err)
		}
		c.conns[kind] = k
	}
	return c
}

// way sets how a connection goes.
func (w *world) way(dial *peer.DialConfig, via protocol.Transport, answer protocol.AdmitAnswer) {
	at := netip.MustParseAddrPort(answer.MediaTCP[0]) // the same as for UDP
	switch via {
	case protocol.TCP:
		dial.TCP = []netip.AddrPort{at}
	case protocol.TLS:
		dial.Stream = func(ctx context.Context, t protocol.Transport) (net.Conn, error) {
			if t != protocol.TLS {
				return nil, errors.ErrUnsupported
			}
			return w.dialTLS(ctx, protocol.ALPNMedia)
		}
	default:
		dial.Candidates = []netip.AddrPort{at}
	}
}

// hangUp ends everything without a word, and waits for it.
func (c *client) hangUp() {
	c.cancel()
	for _, k := range c.conns {
		<-k.peer.Done()
	}
	if c.ws != nil {
		c.ws.CloseNow()
	}
}

// Ready implements peer.Handler.
func (k *conn) Ready(*peer.Conn, time.Time) { close(k.ready) }

// RTP implements peer.Handler.
func (k *conn) RTP(_ *peer.Conn, raw []byte, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.n++; k.n == 1 {
		close(k.first)
	}
	h, ok := header.Parse(raw)
	if ok && h.PayloadEnd > h.PayloadAt { // else padding
		k.media++
	}
	if ok && k.counts {
		k.told.tell(k.peer, &h, raw, now)
	}
	if !ok || k.counts {
		return
	}
	for _, l := range k.answer.Lines {
		if len(l.SSRCs) == 0 || l.SSRCs[0] != h.SSRC && l.RTXOf[l.SSRCs[0]] != h.SSRC {
			continue
		}
		id := protocol.SlotID(l.Stream)
		if k.drop != nil && k.drop(id, h) {
			return
		}
		k.got[id] = append(k.got[id], received{h, append([]byte(nil), raw...), l.SSRCs[0] != h.SSRC, now})
	}
}

// arrivals is the feedback of a client that counts: when packets came.
type arrivals struct {
	id       uint8
	recorder *twcc.Recorder
	every    *atomic.Int64
	next     time.Time
}

func newArrivals(answer *offer.Description, every *atomic.Int64) (a arrivals) {
	if a.every = every; every == nil {
		a.every = new(atomic.Int64)
		a.every.Store(int64(50 * time.Millisecond))
	}
	for i := range answer.Lines {
		if id := answer.Lines[i].ExtensionID(offer.URITransportCC); id != 0 {
			a.id, a.recorder = id, twcc.NewRecorder(1)
		}
	}
	return a
}

// tell notes a packet, and sends what there is to tell when it is time.
func (a *arrivals) tell(c *peer.Conn, h *header.Header, raw []byte, now time.Time) {
	if a.id == 0 {
		return
	}
	if n := h.Extension(raw, a.id); len(n) == 2 {
		a.recorder.Record(h.SSRC, binary.BigEndian.Uint16(n), now)
	}
	if now.Before(a.next) || !a.recorder.Pending() {
		return
	}
	a.next = now.Add(time.Duration(a.every.Load()))
	_ = c.SendRTCP(a.recorder.Append(nil))
}

// plainSocket opens a socket as other clients have it: without the kernel
// joining what comes in a run.
func plainSocket() (net.PacketConn, error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err == nil {
		_ = c.SetReadBuffer(1 << 20)
	}
	return c, err
}

// RTCP implements peer.Handler.
func (k *conn) RTCP(_ *peer.Conn, raw []byte, _ time.Time) {
	if k.counts {
		return
	}
	packets, err := rtcp.Unmarshal(raw)
	if err != nil {
		k.t.Errorf("the router sent bad RTCP: %v", err)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rtcp = append(k.rtcp, packets...)
}

// Path implements peer.Handler.
func (k *conn) Path(*peer.Conn, peer.PathState, time.Time) {}

// Closed implements peer.Handler.
func (k *conn) Closed(*peer.Conn, error) {}

func (k *conn) waitReady() {
	k.t.Helper()
	select {
	case <-k.ready:
	case <-time.After(patience):
		k.t.Fatalf("%s: the %s connection never became ready", k.id, k.kind)
	}
}

func (c *client) waitReady() {
	c.t.Helper()
	for _, k := range c.conns {
		k.waitReady()
	}
}

// in returns what arrived in a slot so far.
func (k *conn) in(slot protocol.SlotID) []received {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.got[slot]
}

// reports returns the RTCP packets of one type that arrived so far.
func reports[T rtcp.Packet](k *conn) []T {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []T
	for _, p := range k.rtcp {
		if t, ok := p.(T); ok {
			out = append(out, t)
		}
	}
	return out
}

func (k *conn) send(packet []byte) {
	k.peer.Shard().Run(func() { _ = k.peer.SendRTP(packet) })
}

func (k *conn) sendRTCP(p ...rtcp.Packet) {
	raw, err := rtcp.Marshal(p)
	if err != nil {
		k.t.Error(err)
		return
	}
	k.peer.Shard().Run(func() { _ = k.peer.SendRTCP(raw) })
}

// control opens the control channel, says hello and takes messages from then
// on.
func (c *client) control() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, c.base+protocol.PathControl, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	ws.SetReadLimit(1 << 20)
	c.ws = ws
	c.say(protocol.Hello{Session: c.session, Token: c.token})
	done := make(chan struct{})
	c.t.Cleanup(func() { ws.CloseNow(); <-done })
	go func() {
		defer close(done)
		for {
			_, data, err := ws.Read(context.Background())
			if err != nil {
				c.mu.Lock()
				c.ended = errors.Join(c.ended, err)
				c.mu.Unlock()
				return
			}
			m, err := protocol.DecodeFromRouter(data)
			c.mu.Lock()
			c.heard = append(c.heard, m)
			c.ended = errors.Join(c.ended, err)
			c.mu.Unlock()
		}
	}()
}

func (c *client) say(m protocol.ControlMessage) {
	c.t.Helper()
	data, err := protocol.EncodeControl(m)
	if err != nil {
		c.t.Fatal(err)
	}
	_ = c.ws.Write(context.Background(), websocket.MessageText, data)
}

// told returns the control messages of one type so far.
func told[T protocol.ControlMessage](c *client) []T {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []T
	for _, m := range c.heard {
		if t, ok := m.(any).(*T); ok {
			out = append(out, *t)
		}
	}
	return out
}

// slots returns what the client's slots carry, by what it was told.
func (c *client) slots() map[protocol.SlotID]protocol.SlotState {
	c.mu.Lock()
	defer c.mu.Unlock()
	states := map[protocol.SlotID]protocol.SlotState{}
	for _, m := range c.heard {
		var news []protocol.SlotState
		switch m := m.(type) {
		case *protocol.Welcome:
			news = m.Slots
		case *protocol.Slots:
			news = m.Slots
		}
		for _, s := range news {
			states[s.Slot] = s
		}
	}
	return states
}

// rtpPacket builds an RTP packet with one one-byte header extension.
func rtpPacket(pt uint8, seq uint16, ts, ssrc uint32, extID uint8, ext string, payload []byte) []byte {
	p := make([]byte, 12, 1400)
	p[0], p[1] = 0x90, pt
	binary.BigEndian.PutUint16(p[2:], seq)
	binary.BigEndian.PutUint32(p[4:], ts)
	binary.BigEndian.PutUint32(p[8:], ssrc)
	p = append(p, 0xBE, 0xDE, 0, byte((len(ext)+4)/4), extID<<4|byte(len(ext)-1))
	p = append(p, ext...)
	for len(p)%4 != 0 {
		p = append(p, 0)
	}
	return append(p, payload...)
}

// pump sends something at intervals until the test ends or it is stopped.
func (w *world) pump(every time.Duration, send func(n int)) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-quit:
				return
			case <-tick.C:
				send(n)
			}
		}
	}()
	var once sync.Once
	stop = func() { once.Do(func() { close(quit); <-done }) }
	w.t.Cleanup(stop)
	return stop
}

// talk sends sound at a level, 50 packets a second.
func (c *client) talk(level byte) (stop func()) {
	k := c.conns[protocol.Audio]
	return c.pump(20*time.Millisecond, func(n int) {
		k.send(rtpPacket(111, uint16(65500+n), uint32(n)*960, micSSRC, 1, string([]byte{0x80 | level}), []byte("sound of "+c.id)))
	})
}

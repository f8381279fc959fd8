package peer

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"causeway/protocol"
)

// A lane is one direction of a byte stream in memory, with delay, a rate and
// a bounded buffer, that a test can cut: what is on its way waits then, as
// TCP's retransmissions would.
type lane struct {
	delay    time.Duration
	rate     int // bytes per second, 0 for no limit
	capacity int

	mu            sync.Mutex
	cond          *sync.Cond
	chunks        []chunk
	size          int
	free          time.Time
	cut, closed   bool
	readBy, write time.Time // deadlines
}

type chunk struct {
	data []byte
	at   time.Time
}

func newLane(delay time.Duration, rate, capacity int) *lane {
	l := &lane{delay: delay, rate: rate, capacity: capacity}
	l.cond = sync.NewCond(&l.mu)
	return l
}

// set changes the lane and wakes who waits.
func (l *lane) set(f func()) {
	l.mu.Lock()
	f()
	l.mu.Unlock()
	l.cond.Broadcast()
}

func (l *lane) wakeAt(t time.Time) {
	if !t.IsZero() {
		time.AfterFunc(time.Until(t), func() { l.set(func() {}) })
	}
}

func past(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

func (l *lane) put(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for len(b) > 0 {
		piece := b[:min(len(b), 1400)]
		for l.size > 0 && l.size+len(piece) > l.capacity && !l.closed && !past(l.write) {
			l.cond.Wait()
		}
		if l.closed {
			return n, io.ErrClosedPipe
		}
		if past(l.write) {
			return n, os.ErrDeadlineExceeded
		}
		now := time.Now()
		if l.free.Before(now) {
			l.free = now
		}
		if l.rate > 0 {
			l.free = l.free.Add(time.Duration(len(piece)) * time.Second / time.Duration(l.rate))
		}
		at := l.free.Add(l.delay)
		l.chunks = append(l.chunks, chunk{slices.Clone(piece), at})
		l.size += len(piece)
		time.AfterFunc(at.Sub(now), func() { l.set(func() {}) })
		n += len(piece)
		b = b[len(piece):]
	}
	return n, nil
}

func (l *lane) get(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if past(l.readBy) {
			return 0, os.ErrDeadlineExceeded
		}
		if len(l.chunks) > 0 && !l.cut && !time.Now().Before(l.chunks[0].at) {
			break
		}
		if len(l.chunks) == 0 && l.closed {
			return 0, io.EOF
		}
		l.cond.Wait()
	}
	n := copy(b, l.chunks[0].data)
	if l.chunks[0].data = l.chunks[0].data[n:]; len(l.chunks[0].data) == 0 {
		l.chunks = l.chunks[1:]
	}
	l.size -= n
	l.cond.Broadcast()
	return n, nil
}

// A wireEnd is one end of a byte stream in memory.
type wireEnd struct {
	in, out       *lane
	local, remote string
}

func newWire(delay time.Duration, rate, capacity int) (client, server *wireEnd) {
	up, down := newLane(delay, rate, capacity), newLane(delay, rate, capacity)
	return &wireEnd{down, up, clientIP + ":5000", serverIP + ":8801"}, &wireEnd{up, down, serverIP + ":8801", clientIP + ":5000"}
}

func (e *wireEnd) Read(b []byte) (int, error)  { return e.in.get(b) }
func (e *wireEnd) Write(b []byte) (int, error) { return e.out.put(b) }

func (e *wireEnd) Close() error {
	e.in.set(func() { e.in.closed, e.in.chunks, e.in.cut = true, nil, false })
	e.out.set(func() { e.out.closed = true })
	return nil
}

func (e *wireEnd) LocalAddr() net.Addr  { return wireAddr(e.local) }
func (e *wireEnd) RemoteAddr() net.Addr { return wireAddr(e.remote) }

func (e *wireEnd) SetDeadline(t time.Time) error {
	return errors.Join(e.SetReadDeadline(t), e.SetWriteDeadline(t))
}

func (e *wireEnd) SetReadDeadline(t time.Time) error {
	e.in.set(func() { e.in.readBy = t })
	e.in.wakeAt(t)
	return nil
}

func (e *wireEnd) SetWriteDeadline(t time.Time) error {
	e.out.set(func() { e.out.write = t })
	e.out.wakeAt(t)
	return nil
}

type wireAddr string

func (wireAddr) Network() string  { return "tcp" }
func (a wireAddr) String() string { return string(a) }

// wires dials byte streams to a port, as a network's policy lets it.
type wires struct {
	delay          time.Duration
	rate, capacity int
	port           *Port

	mu      sync.Mutex
	policy  map[protocol.Transport]string // "", "drop", "refuse", "none"
	ends    map[protocol.Transport][]*wireEnd
	dialled []protocol.Transport
}

func newWires(p *Port, delay time.Duration) *wires {
	return &wires{
		delay: delay, capacity: 64 << 10, port: p,
		policy: map[protocol.Transport]string{}, ends: map[protocol.Transport][]*wireEnd{},
	}
}

func (w *wires) set(t protocol.Transport, policy string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.policy[t] = policy
}

var errRefused = errors.New("refused")

// stream is for DialConfig.Stream: TCP takes one round trip, TLS two more.
func (w *wires) stream(ctx context.Context, t protocol.Transport) (net.Conn, error) {
	w.mu.Lock()
	policy := w.policy[t]
	w.dialled = append(w.dialled, t)
	w.mu.Unlock()
	trips := map[protocol.Transport]time.Duration{protocol.TCP: 1, protocol.TLS: 3}[t]
	switch policy {
	case "none":
		return nil, errors.ErrUnsupported
	case "drop":
		<-ctx.Done()
		return nil, ctx.Err()
	case "refuse":
		trips = 1
	}
	select {
	case <-time.After(2 * w.delay * trips):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if policy == "refuse" {
		return nil, errRefused
	}
	client, server := newWire(w.delay, w.rate, w.capacity)
	w.mu.Lock()
	w.ends[t] = append(w.ends[t], server)
	w.mu.Unlock()
	go w.port.ServeStream(server, t)
	return client, nil
}

// cut stops the delivery on all streams of a transport, and of new ones.
func (w *wires) cut(t protocol.Transport) {
	w.set(t, "drop")
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.ends[t] {
		e.in.set(func() { e.in.cut = true })
		e.out.set(func() { e.out.cut = true })
	}
}

// reset ends all streams of a transport.
func (w *wires) reset(t protocol.Transport) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.ends[t] {
		_ = e.Close()
	}
}

func (w *wires) count(t protocol.Transport) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, x := range w.dialled {
		if x == t {
			n++
		}
	}
	return n
}

// option makes a client use the wires.
func (w *wires) option(_ *AcceptConfig, d *DialConfig) { d.Stream = w.stream }

// A climbing recorder is a Climber and Shedder, too.
type climbing struct {
	*recorder
	rungs []protocol.Transport
	shed  int
}

func newClimbing() *climbing { return &climbing{recorder: newRecorder()} }

func (r *climbing) Rung(_ *Conn, t protocol.Transport, _ time.Time) {
	r.note(func() { r.rungs = append(r.rungs, t) })
}

func (r *climbing) Shed(_ *Conn, n int, _ time.Time) { r.note(func() { r.shed += n }) }

func (r *climbing) shedding() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shed
}

func (r *climbing) told() []protocol.Transport {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.rungs)
}

// laddered runs a test with a port, its network and wires, and a pair.
func laddered(t *testing.T, delay time.Duration, change func(v *virtualNetwork, w *wires, d *DialConfig), f func(l *ladderWorld)) {
	t.Helper()
	ladderedOver(t, delay, 0, change, f)
}

// ladderedOver does so over a network with jitter.
func ladderedOver(t *testing.T, delay, jitter time.Duration, change func(v *virtualNetwork, w *wires, d *DialConfig), f func(l *ladderWorld)) {
	t.Helper()
	virtually(t, delay, jitter, 0, 1, func(t *testing.T, v *virtualNetwork, p *Port) {
		l := &ladderWorld{
			t: t, v: v, w: newWires(p, delay), port: p, atServer: newClimbing(), atClient: newClimbing(),
			began: time.Now(), size: 80,
		}
		l.pair = connect(t, p, l.atServer, l.atClient, v.dialFrom(clientIP), l.w.option, func(a *AcceptConfig, d *DialConfig) {
			change(v, l.w, d)
			a.TOS = d.TOS
		})
		f(l)
		l.client.Close()
		<-l.client.Done()
	})
}

// A ladderWorld is a pair on a ladder, and what its test knows.
type ladderWorld struct {
	pair
	t                  *testing.T
	v                  *virtualNetwork
	w                  *wires
	port               *Port
	atServer, atClient *climbing
	began              time.Time
	seq                int
	size               int // of a packet's payload
}

// ready waits until both sides are and returns how long it took.
func (l *ladderWorld) ready() time.Duration {
	l.t.Helper()
	l.atServer.untilReady()
	l.atClient.untilReady()
	if _, _, closed, err := l.atClient.snapshot(); closed {
		l.t.Fatalf("client closed: %v", err)
	}
	return time.Since(l.began)
}

// speak sends one packet each way, every 20 ms, for a while or until a
// condition holds, and returns how long that took.
func (l *ladderWorld) speak(d time.Duration, until func() bool) time.Duration {
	l.t.Helper()
	start := time.Now()
	for time.Since(start) < d && (until == nil || !until()) {
		p := rtpPacket(uint16(l.seq), 7, l.size)
		for _, c := range []*Conn{l.client, l.server} {
			c.Shard().Run(func() { must(l.t, c.SendRTP(p)) })
		}
		l.seq++
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(start)
}

// heard returns how many packets each side has.
func (l *ladderWorld) heard() (server, client int) {
	server, _, _, _ = l.atServer.snapshot()
	client, _, _, _ = l.atClient.snapshot()
	return server, client
}

// on tells whether both sides send by a transport.
func (l *ladderWorld) on(t protocol.Transport) bool {
	return l.client.Stats().Transport == t && l.server.Stats().Transport == t
}

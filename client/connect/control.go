package connect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"causeway/protocol"

	"github.com/coder/websocket"
)

const (
	controlBudget = 25 * time.Second // to open the channel, welcome included; the router keeps the session for 30 s
	pingEvery     = 2 * time.Second
	silenceLimit  = 5 * time.Second // nothing heard for this long: the channel is dead
	writeLimit    = 5 * time.Second // one message not taken for this long: the same
	controlQueue  = 64              // messages, in each direction
	flushLimit    = time.Second     // for what is queued when the channel is closed
)

// ErrSlow ends a control channel whose queue of outgoing messages is full:
// the network has taken nothing for a long time.
var ErrSlow = errors.New("the control channel takes no more messages")

// A Control is the control channel to a router. Send and Receive may be used
// at the same time. It owns two goroutines, which Close ends.
type Control struct {
	conn   *websocket.Conn
	out    chan protocol.ControlMessage
	in     chan protocol.ControlMessage
	ctx    context.Context // over when the channel is; its cause says why
	cancel context.CancelCauseFunc
	closed chan struct{} // Close was called
	once   sync.Once
	tasks  sync.WaitGroup

	pings    chan struct{} // a token: one is wanted now
	pingN    atomic.Int64  // the number of the last ping, and when it was sent
	pingedAt atomic.Int64  // nanoseconds since began
	heardAt  atomic.Int64  // of the last message, the same
	askedAt  atomic.Int64  // of the first ping since then, 0 if there was none
	rtt      atomic.Int64
	began    time.Time
}

// OpenControl opens the control channel at a join answer's ControlURL and
// says hello. It ends phase 3 in the report, which Join began. Problems:
// those of the router (session_unknown, token_…), control_failed,
// certificate_untrusted, proxy_….
func OpenControl(ctx context.Context, n *Network, controlURL string, hello protocol.Hello, rec *Recorder) (*Control, *protocol.Welcome, error) {
	c, welcome, err := openControl(ctx, n, controlURL, hello, new(timing), rec)
	rec.End(protocol.PhaseMMR, err, time.Now())
	return c, welcome, err
}

func openControl(
	ctx context.Context, n *Network, controlURL string, hello protocol.Hello, t *timing, rec *Recorder,
) (*Control, *protocol.Welcome, error) {
	opening, cancel := context.WithTimeout(ctx, controlBudget)
	defer cancel()
	conn, welcome, err := open(t.watch(opening), n, controlURL, hello)
	a := t.attempt(controlURL, n.Via(controlURL))
	if a.OK = err == nil; !a.OK {
		blame(&a, err, controlURL)
	}
	rec.Attempt(protocol.PhaseMMR, a)
	if err != nil {
		return nil, nil, problem(protocol.ProblemControlFailed, err, controlURL)
	}
	return newControl(conn), welcome, nil
}

// open dials, says hello and waits for the welcome.
func open(ctx context.Context, n *Network, controlURL string, hello protocol.Hello) (*websocket.Conn, *protocol.Welcome, error) {
	conn, resp, err := websocket.Dial(ctx, controlURL, &websocket.DialOptions{
		HTTPClient: n.webSocket,
		HTTPHeader: http.Header{"User-Agent": {n.options.UserAgent}},
	})
	if err != nil {
		return nil, nil, refusal(resp, err)
	}
	conn.SetReadLimit(protocol.MaxControlMessage)
	welcome, err := greet(ctx, conn, hello)
	if err != nil {
		_ = conn.CloseNow()
		return nil, nil, err
	}
	return conn, welcome, nil
}

// refusal is what an answer that was no WebSocket said.
func refusal(resp *http.Response, err error) error {
	if resp == nil || resp.StatusCode == http.StatusSwitchingProtocols {
		return err
	}
	var p protocol.Problem // the library leaves the beginning of the body
	if json.NewDecoder(resp.Body).Decode(&p) == nil && p.Code != "" {
		return &p
	}
	return fmt.Errorf("%w (%s, no WebSocket)", errForeign, resp.Status)
}

// greet exchanges hello and welcome.
func greet(ctx context.Context, conn *websocket.Conn, hello protocol.Hello) (*protocol.Welcome, error) {
	if err := write(ctx, conn, hello); err != nil {
		return nil, err
	}
	_, data, err := conn.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait for welcome: %w", err)
	}
	m, err := protocol.DecodeFromRouter(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errForeign, err)
	}
	switch m := m.(type) {
	case *protocol.Welcome:
		return m, complete(ctx, conn, m)
	case *protocol.Refusal:
		return nil, &m.Problem
	case *protocol.Farewell:
		return nil, fmt.Errorf("%w: it said farewell at once (%s)", errForeign, m.Reason)
	}
	return nil, fmt.Errorf("%w: %s instead of welcome", errForeign, m.ControlType())
}

// complete reads the rest of a welcome that did not fit into one message.
func complete(ctx context.Context, conn *websocket.Conn, w *protocol.Welcome) error {
	for ; w.Parts > 0; w.Parts-- {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return fmt.Errorf("wait for the rest of the welcome: %w", err)
		}
		m, err := protocol.DecodeFromRouter(data)
		if err != nil {
			return fmt.Errorf("%w: %w", errForeign, err)
		}
		r, is := m.(*protocol.Roster)
		if !is {
			return fmt.Errorf("%w: %s inside the welcome", errForeign, m.ControlType())
		}
		w.Participants = append(w.Participants, r.Changed...)
	}
	return nil
}

func newControl(conn *websocket.Conn) *Control {
	ctx, cancel := context.WithCancelCause(context.Background())
	c := &Control{
		conn: conn, ctx: ctx, cancel: cancel,
		out:    make(chan protocol.ControlMessage, controlQueue),
		in:     make(chan protocol.ControlMessage, controlQueue),
		closed: make(chan struct{}), pings: make(chan struct{}, 1), began: time.Now(),
	}
	c.tasks.Go(c.read)
	c.tasks.Go(c.write)
	return c
}

// Send queues a message. It never waits: a queue that is full means that the
// channel is dead, and ends it.
func (c *Control) Send(m protocol.ControlMessage) error {
	if c.ctx.Err() != nil {
		return c.Err()
	}
	select {
	case c.out <- m:
		return nil
	default:
		c.cancel(ErrSlow)
		return c.Err()
	}
}

// Receive returns the router's next message, a pointer to one of
// protocol.FromRouter, pongs left out. When the channel has ended it returns
// what is still queued, then the problem connection_lost, or net.ErrClosed
// after Close. Call it steadily: what is not fetched keeps the router waiting.
func (c *Control) Receive(ctx context.Context) (protocol.ControlMessage, error) {
	select { // what came before the end goes first
	case m, ok := <-c.in:
		if ok {
			return m, nil
		}
		return nil, c.Err()
	case <-ctx.Done():
		return nil, fmt.Errorf("receive: %w", ctx.Err())
	}
}

// RTT is the last measured round trip of the channel, 0 before the first.
func (c *Control) RTT() time.Duration { return time.Duration(c.rtt.Load()) }

// Ping asks the router for a sign of life, beside the pings that the channel
// sends anyway. It never waits.
func (c *Control) Ping() {
	select {
	case c.pings <- struct{}{}:
	default:
	}
}

// Heard tells when the router's last message came, and when the first ping
// was sent that it has not said anything since; zero if there is none.
func (c *Control) Heard() (last, asked time.Time) {
	last = c.began.Add(time.Duration(c.heardAt.Load()))
	if at := c.askedAt.Load(); at != 0 {
		asked = c.began.Add(time.Duration(at))
	}
	return last, asked
}

// Done is closed when the channel has ended, by either side.
func (c *Control) Done() <-chan struct{} { return c.ctx.Done() }

// Err says why the channel ended, nil while it has not.
func (c *Control) Err() error {
	if c.ctx.Err() == nil {
		return nil
	}
	return context.Cause(c.ctx)
}

// Close sends what is queued, for at most a second, closes the channel and
// returns when its goroutines have ended.
func (c *Control) Close() {
	c.once.Do(func() { close(c.closed) })
	c.tasks.Wait()
}

// Abort ends the channel at once, as when the network that it went by is gone.
func (c *Control) Abort() {
	c.fail(&failure{words: "the network that it went by is gone", err: net.ErrClosed})
}

// lost ends the channel for a reason that was not ours.
func (c *Control) lost(err error) {
	c.fail(&failure{words: explain(err, "the router"), err: err})
}

func (c *Control) fail(why *failure) { c.cancel(protocol.Wrap(protocol.ProblemConnectionLost, why)) }

// read hands on what comes. Every read has the silence limit of its own, so
// that time spent waiting for Receive is not taken for silence.
func (c *Control) read() {
	defer close(c.in)
	for {
		ctx, cancel := context.WithTimeout(c.ctx, silenceLimit)
		_, data, err := c.conn.Read(ctx)
		if err != nil && ctx.Err() != nil {
			err = ctx.Err() // rather than the closed connection it causes
		}
		cancel()
		if err != nil {
			c.lost(err)
			return
		}
		c.heardAt.Store(int64(time.Since(c.began)))
		c.askedAt.Store(0)
		m, err := protocol.DecodeFromRouter(data)
		if errors.Is(err, protocol.ErrUnknownMessage) {
			continue // a newer router: protocol/doc.go
		}
		if err != nil {
			c.lost(fmt.Errorf("%w: %w", errForeign, err))
			return
		}
		if pong, ok := m.(*protocol.Pong); ok {
			c.pong(pong)
			continue
		}
		select {
		case c.in <- m:
		case <-c.ctx.Done():
			return
		}
	}
}

func (c *Control) pong(p *protocol.Pong) {
	if p.N == c.pingN.Load() {
		c.rtt.Store(int64(time.Since(c.began)) - c.pingedAt.Load())
	}
}

// write sends what is queued, and a ping every two seconds or when asked to.
func (c *Control) write() {
	defer func() { _ = c.conn.CloseNow() }()
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for n := int64(1); ; {
		var m protocol.ControlMessage
		select {
		case m = <-c.out:
		case <-ticker.C:
			m, n = c.ping(n), n+1
		case <-c.pings:
			m, n = c.ping(n), n+1
		case <-c.closed:
			c.flush()
			c.cancel(net.ErrClosed)
			return
		case <-c.ctx.Done():
			return
		}
		ctx, cancel := context.WithTimeout(c.ctx, writeLimit)
		err := write(ctx, c.conn, m)
		cancel()
		if err != nil {
			c.lost(err)
			return
		}
	}
}

// ping makes the ping with a number and notes that it is sent.
func (c *Control) ping(n int64) protocol.Ping {
	now := int64(time.Since(c.began))
	c.pingedAt.Store(now)
	c.pingN.Store(n)
	c.askedAt.CompareAndSwap(0, now)
	return protocol.Ping{N: n}
}

// flush sends what is still queued.
func (c *Control) flush() {
	ctx, cancel := context.WithTimeout(c.ctx, flushLimit)
	defer cancel()
	for {
		select {
		case m := <-c.out:
			if write(ctx, c.conn, m) != nil {
				return
			}
		default:
			return
		}
	}
}

// write sends one message.
func write(ctx context.Context, conn *websocket.Conn, m protocol.ControlMessage) error {
	data, err := protocol.EncodeControl(m)
	if err != nil {
		return err
	}
	if err := conn.Write(ctx, websocket.MessageText, data); err != nil {
		return fmt.Errorf("send %s: %w", m.ControlType(), err)
	}
	return nil
}

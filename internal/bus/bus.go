// Package bus carries messages between Causeway's servers: NATS, embedded.
//
// Web nodes run the hub (StartHub); a zone's controllers each run a leaf
// (StartLeaf) that dials out to a hub and forms a cluster with the zone's
// other leaves; routers are clients of any of their zone's controllers, and
// tunnels of any hub (Dial). Servers in one process share one hub and connect
// to it without a network (Server.Connect). Every subject travels everywhere
// there is interest in it and the right to it, in both directions;
// protocol/bus.go lists the subjects.
//
// Between machines everything runs on the servers' TLS ports, by ALPN names of
// its own, so that port 443 is enough, also through a proxy. Both sides show
// certificates (package pki), and what somebody may say and hear follows from
// the identity in them (permissions.go). nats-server listens on this machine
// alone, behind a gate that knows who comes (gate.go).
//
// The bus keeps nothing: no JetStream, no consensus. A message to nobody is
// gone, a message sent while disconnected is refused rather than delivered
// late, and a request that nobody can answer fails at once. Owners of facts
// repeat them, so all of this heals by itself.
//
// Goroutines: a Server has those of nats-server, ended by Stop; a Conn has
// those of nats.go, ended by Close; each Subscription has one, which hands
// messages on in order, and one per running request up to maxRequests; Stop
// waits for all of them.
package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"causeway/protocol"
)

// ErrNoResponder says that a request reached nobody who would answer it:
// nobody is there, or this side is not connected to the bus.
var ErrNoResponder = errors.New("nobody there to answer")

// Headers of requests and answers.
const (
	headerProblem = "Causeway-Problem" // the answer is a Problem; value: its code
	headerTimeout = "Causeway-Timeout" // how long the asker waits, as Go writes durations
)

// requestTimeout bounds requests; contexts may end earlier.
const requestTimeout = 10 * time.Second

// A Conn is a connection to the bus. It is safe for concurrent use.
type Conn struct {
	nc      *nats.Conn
	log     *slog.Logger
	closed  chan struct{} // closed when nats.go has ended
	atClose func()

	mu    sync.Mutex
	alive context.Context // ends when the connection that stands now breaks
	end   context.CancelFunc
}

// Close ends the connection and waits for its goroutines. Subscriptions end
// with it, but only their Stop waits for their handlers.
func (c *Conn) Close() {
	c.atClose() // ends an attempt to connect
	c.nc.Close()
	<-c.closed
}

// Connected reports whether the connection stands now.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// broke tells the requests in flight that no answer will come.
func (c *Conn) broke() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end()
	c.alive, c.end = context.WithCancel(context.Background())
}

// untilBroken ends with ctx, and with the cause ErrNoResponder when the
// connection that stands now breaks.
func (c *Conn) untilBroken(ctx context.Context) (context.Context, context.CancelFunc) {
	c.mu.Lock()
	alive := c.alive
	c.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(alive, func() { cancel(ErrNoResponder) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// Publish sends v as JSON to whoever subscribes to the subject. It fails
// while disconnected; owners of facts repeat themselves, so they may ignore
// that.
func Publish[T any](c *Conn, subject string, v T) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("publish %s: %w", subject, err)
	}
	if err := c.nc.Publish(subject, data); err != nil {
		return fmt.Errorf("publish %s: %w", subject, err)
	}
	return nil
}

// Request sends q and waits for the answer. A problem that the other side
// answered with comes back as *protocol.Problem; when nobody is there the
// error wraps ErrNoResponder.
func Request[A, Q any](ctx context.Context, c *Conn, subject string, q Q) (A, error) {
	var answer A
	data, err := json.Marshal(q)
	if err != nil {
		return answer, fmt.Errorf("request %s: %w", subject, err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ctx, stop := c.untilBroken(ctx)
	defer stop()
	msg := nats.NewMsg(subject)
	msg.Data = data
	deadline, _ := ctx.Deadline()
	msg.Header.Set(headerTimeout, time.Until(deadline).Round(time.Millisecond).String())
	reply, err := c.nc.RequestMsgWithContext(ctx, msg)
	if err != nil {
		return answer, fmt.Errorf("request %s: %w", subject, requestError(ctx, err))
	}
	if reply.Header.Get(headerProblem) != "" {
		var p protocol.Problem
		if err := json.Unmarshal(reply.Data, &p); err != nil {
			return answer, fmt.Errorf("request %s: decode problem: %w", subject, err)
		}
		return answer, &p
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return answer, fmt.Errorf("request %s: decode answer: %w", subject, err)
	}
	return answer, nil
}

// requestError tells failures to reach anybody from other failures.
func requestError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, ErrNoResponder) {
		return cause
	}
	if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrReconnectBufExceeded) ||
		errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrDisconnected) {
		return fmt.Errorf("%w: %w", ErrNoResponder, err)
	}
	return err
}

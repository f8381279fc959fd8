package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"causeway/protocol"
)

const (
	// maxRequests bounds the requests that one Answer works on at a time;
	// further ones are refused at once, so that the asker can go elsewhere.
	maxRequests = 256
	// Limits of what waits for a subscription's handler; when they are
	// reached, further messages are dropped.
	maxWaiting      = 16 << 10
	maxWaitingBytes = 32 << 20
	// flushTimeout bounds how long a new subscription waits to be known.
	flushTimeout = time.Second
)

// A Subscription hands on the messages of a subject until it is stopped.
type Subscription struct {
	sub    *nats.Subscription
	conn   *Conn
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// Stop ends the subscription and waits for its handlers; a handler must not
// call it. What still waits is dropped.
func (s *Subscription) Stop() {
	s.cancel()
	_ = s.sub.Unsubscribe() // fails only when the connection is closed already
	s.done.Wait()
}

// Subscribe calls f for each message of the subject, which may hold
// wildcards. All calls come from one goroutine, in order. Messages that
// cannot be decoded are logged and dropped.
func Subscribe[T any](c *Conn, subject string, f func(subject string, v T)) (*Subscription, error) {
	return c.subscribe(subject, "", func(_ context.Context, m *nats.Msg) {
		var v T
		if err := decode(m.Data, &v); err != nil {
			c.log.Warn("bus: message dropped", "subject", m.Subject, "err", err)
			return
		}
		f(m.Subject, v)
	})
}

// Answer calls f for each request on the subject, each in a goroutine of its
// own, and sends back what it returns. An error that is no *protocol.Problem
// is logged and told as "internal". In a queue each request goes to one of
// its members; with the queue "" to every subscriber, and the first answer
// counts. The context of f ends when the asker has stopped waiting, and when
// the subscription stops.
func Answer[Q, A any](c *Conn, subject, queue string, f func(ctx context.Context, q Q) (A, error)) (*Subscription, error) {
	running := make(chan struct{}, maxRequests)
	var s *Subscription
	started := make(chan struct{}) // s is set
	handle := func(ctx context.Context, m *nats.Msg) {
		select {
		case running <- struct{}{}:
		default:
			c.refuse(m, protocol.NewProblem(protocol.ProblemRateLimited, "too many requests at a time"))
			return
		}
		<-started
		s.done.Go(func() {
			defer func() { <-running }()
			answer(ctx, c, m, f)
		})
	}
	s, err := c.subscribe(subject, queue, handle)
	close(started)
	return s, err
}

// answer works on one request.
func answer[Q, A any](ctx context.Context, c *Conn, m *nats.Msg, f func(context.Context, Q) (A, error)) {
	if d, err := time.ParseDuration(m.Header.Get(headerTimeout)); err == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	var q Q
	if err := decode(m.Data, &q); err != nil {
		c.refuse(m, protocol.Wrap(protocol.ProblemBadRequest, err))
		return
	}
	a, err := f(ctx, q)
	if err != nil {
		p := protocol.ProblemOf(err)
		if p.Code == protocol.ProblemInternal {
			c.log.Error("bus: request failed", "subject", m.Subject, "err", err)
		}
		c.refuse(m, p)
		return
	}
	data, err := json.Marshal(a)
	if err != nil {
		c.log.Error("bus: answer not encodable", "subject", m.Subject, "err", err)
		c.refuse(m, protocol.NewProblem(protocol.ProblemInternal, ""))
		return
	}
	c.respond(m, &nats.Msg{Data: data})
}

func (c *Conn) refuse(m *nats.Msg, p *protocol.Problem) {
	data, err := json.Marshal(p)
	if err != nil {
		c.log.Error("bus: problem not encodable", "subject", m.Subject, "err", err)
		return
	}
	reply := &nats.Msg{Data: data, Header: nats.Header{}}
	reply.Header.Set(headerProblem, string(p.Code))
	c.respond(m, reply)
}

func (c *Conn) respond(m, reply *nats.Msg) {
	if m.Reply == "" {
		return // published, not asked
	}
	if err := m.RespondMsg(reply); err != nil {
		c.log.Warn("bus: answer not sent", "subject", m.Subject, "err", err)
	}
}

// decode decodes a message; an empty one leaves v as it is.
func decode(data []byte, v any) error {
	if len(data) == 0 {
		return nil
	}
	return json.Unmarshal(data, v)
}

// subscribe starts the goroutine that hands messages to handle. When it
// returns, the server next to it knows of the subscription.
func (c *Conn) subscribe(subject, queue string, handle func(context.Context, *nats.Msg)) (*Subscription, error) {
	sub, err := c.nc.QueueSubscribeSync(subject, queue)
	if err != nil {
		return nil, fmt.Errorf("subscribe %s: %w", subject, err)
	}
	if err := sub.SetPendingLimits(maxWaiting, maxWaitingBytes); err != nil {
		return nil, fmt.Errorf("subscribe %s: %w", subject, err)
	}
	if c.nc.IsConnected() {
		_ = c.nc.FlushTimeout(flushTimeout) // otherwise known when the connection stands again
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Subscription{sub: sub, conn: c, cancel: cancel}
	s.done.Go(func() { s.loop(ctx, handle) })
	return s, nil
}

func (s *Subscription) loop(ctx context.Context, handle func(context.Context, *nats.Msg)) {
	for {
		m, err := s.sub.NextMsgWithContext(ctx)
		switch {
		case err == nil:
			handle(ctx, m)
		case errors.Is(err, nats.ErrSlowConsumer):
			s.conn.log.Warn("bus: messages dropped, handler too slow", "subject", s.sub.Subject)
		default:
			return // stopped, or the connection is closed
		}
	}
}

package mmr

import (
	"context"
	"sync"
	"time"

	"causeway/protocol"
)

// Bounds of what is remembered of requests.
const (
	onceFor = 10 * time.Second
	onceMax = 4096
)

// once answers a request that comes again as it answered it the first time.
// A controller asks again when the answer may have been lost on the way, as
// when another controller, by which it went, has died.
type once struct {
	mu    sync.Mutex
	calls map[string]*onceCall
	order []*onceCall // oldest first
}

// onceCall is one request. What it was answered may be read once done is
// closed.
type onceCall struct {
	id     string
	began  time.Time
	done   chan struct{}
	answer protocol.AdmitAnswer
	err    error
}

func newOnce() *once { return &once{calls: map[string]*onceCall{}} }

// do calls f for the first request with an id, and waits for what that
// returned for others. The id "" is no id.
func (o *once) do(ctx context.Context, id string, now time.Time, f func() (protocol.AdmitAnswer, error)) (protocol.AdmitAnswer, error) {
	if id == "" {
		return f()
	}
	c, first := o.call(id, now)
	if first {
		defer close(c.done)
		c.answer, c.err = f()
		return c.answer, c.err
	}
	select {
	case <-c.done:
		return c.answer, c.err
	case <-ctx.Done():
		return protocol.AdmitAnswer{}, ctx.Err()
	}
}

// call finds the request with an id, or begins it.
func (o *once) call(id string, now time.Time) (c *onceCall, first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c := o.calls[id]; c != nil {
		return c, false
	}
	for len(o.order) > 0 && (len(o.order) >= onceMax || now.Sub(o.order[0].began) > onceFor) {
		delete(o.calls, o.order[0].id)
		o.order = o.order[1:]
	}
	c = &onceCall{id: id, began: now, done: make(chan struct{})}
	o.calls[id] = c
	o.order = append(o.order, c)
	return c, true
}

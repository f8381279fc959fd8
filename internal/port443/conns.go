package port443

import (
	"context"
	"net"
	"sync"
)

// pending holds the connections that are not told apart yet, oldest first.
type pending struct {
	limit int

	mu    sync.Mutex
	conns []net.Conn
}

// add adds a connection, and closes the oldest when there are too many.
func (p *pending) add(c net.Conn) {
	p.mu.Lock()
	p.conns = append(p.conns, c)
	var oldest net.Conn
	if len(p.conns) > p.limit {
		oldest = p.conns[0]
		p.conns = p.conns[1:]
	}
	p.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close()
	}
}

func (p *pending) remove(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, other := range p.conns {
		if other == c {
			p.conns = append(p.conns[:i], p.conns[i+1:]...)
			return
		}
	}
}

func (p *pending) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// handoff is the listener from which http.Server gets its connections: the
// *tls.Conn themselves, as it finds HTTP/2 only in those.
type handoff struct {
	addr  net.Addr
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newHandoff(addr net.Addr) *handoff {
	return &handoff{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
}

// pass hands a connection on and reports whether it was taken.
func (h *handoff) pass(ctx context.Context, c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.done:
	case <-ctx.Done():
	}
	return false
}

// Accept implements net.Listener.
func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handoff) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr implements net.Listener.
func (h *handoff) Addr() net.Addr { return h.addr }

package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
)

// A complaint is why the bus is not connected. It is told once for as long as
// it stays the same, however often it is tried again.
type complaint struct {
	log  *slog.Logger
	mu   sync.Mutex
	told string
}

func (c *complaint) tell(ctx context.Context, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() == nil && err.Error() != c.told {
		c.told = err.Error()
		c.log.Warn("bus: not connected, trying again and again", "err", err)
	}
}

func (c *complaint) over() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = ""
}

// watch finds out whether the other side takes this server. In TLS 1.3 the
// handshake is over here before the certificate is looked at there, so who is
// refused hears of it when reading first. The other side speaks first.
func (c *complaint) watch(ctx context.Context, conn net.Conn) net.Conn {
	return &watched{Conn: conn, first: func(err error) {
		switch {
		case err == nil:
			c.over()
			return
		case errors.Is(err, net.ErrClosed): // by this side
			return
		}
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "read" {
			err = op.Err // without this side's port, which is another each time
		}
		c.tell(ctx, fmt.Errorf("%s does not take this server; if its identity was revoked, start it with a new token (%w)", conn.RemoteAddr(), err))
	}}
}

// watched tells how its first read went.
type watched struct {
	net.Conn
	read  atomic.Bool
	first func(error)
}

// Read implements net.Conn.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if !w.read.Load() && w.read.CompareAndSwap(false, true) {
		w.first(err)
	}
	return n, err
}

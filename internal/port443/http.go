package port443

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
	// grace is how long requests may go on when the port is closed.
	grace = 5 * time.Second
)

// Plain serves HTTP without TLS until ctx ends, for listeners that only this
// machine or its operators reach. It ends as Serve does.
func Plain(ctx context.Context, ln net.Listener, handler http.Handler, log *slog.Logger) error {
	s := newServer(handler, log)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	_ = ln.Close()
	s.shutdown()
	<-ended
	return nil
}

// A server is an http.Server with limits that ends without waiting for
// connections on which nothing was asked.
type server struct {
	http.Server
	log   *slog.Logger
	fresh fresh
}

func newServer(handler http.Handler, log *slog.Logger) *server {
	s := &server{log: log}
	s.Server = http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnState:         s.fresh.state,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s
}

// shutdown ends connections without a request at once, requests after grace.
func (s *server) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	s.fresh.closeAll()
	if err := s.Shutdown(ctx); err != nil {
		s.log.Warn("port443: requests cut off", "err", err)
		_ = s.Close()
	}
}

// fresh holds connections that have not brought a request yet. A graceful
// shutdown would wait for them, although nobody waits on them.
type fresh struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	over  bool
}

// state is http.Server's ConnState.
func (f *fresh) state(c net.Conn, s http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s != http.StateNew {
		delete(f.conns, c)
		return
	}
	if f.over {
		_ = c.Close()
		return
	}
	if f.conns == nil {
		f.conns = make(map[net.Conn]struct{})
	}
	f.conns[c] = struct{}{}
}

func (f *fresh) closeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	for c := range f.conns {
		_ = c.Close()
	}
}

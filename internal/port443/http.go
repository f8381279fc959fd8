package port443

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = time.Minute // the largest that anybody takes has 256 KiB
	// writeTimeout is how long a client may take for writeChunk bytes of an answer.
	writeTimeout = time.Minute
	writeChunk   = 32 << 10
	idleTimeout  = 2 * time.Minute
	maxHeader    = 64 << 10
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
	quiet quiet
}

func newServer(handler http.Handler, log *slog.Logger) *server {
	s := &server{log: log}
	s.Server = http.Server{
		Handler:           hurry(tellTLS(handler)),
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return remember(ctx, c) },
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnState:         s.quiet.state,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s
}

// hurry bounds the time that a request's body may take, and each part of its
// answer. Server.ReadTimeout and WriteTimeout would count while a handler works,
// or waits, and end that.
func hurry(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		_ = c.SetWriteDeadline(time.Time{}) // of the answer before, on the same connection
		w = hurriedAnswer{w, c}
		if r.ContentLength != 0 { // -1: it does not say
			if c.SetReadDeadline(time.Now().Add(bodyTimeout)) == nil {
				r.Body = hurried{r.Body, c}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// hurried is a body that has a deadline until its end.
type hurried struct {
	io.ReadCloser
	c *http.ResponseController
}

// Read implements io.Reader.
func (h hurried) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	if err == io.EOF {
		_ = h.c.SetReadDeadline(time.Time{})
	}
	return n, err
}

// hurriedAnswer is an answer whose client has to take it. A connection that
// becomes something else has no deadline any more.
type hurriedAnswer struct {
	http.ResponseWriter
	c *http.ResponseController
}

// Unwrap leads http.ResponseController, and who hijacks the connection, on.
func (h hurriedAnswer) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (h hurriedAnswer) WriteHeader(status int) {
	h.hurry()
	h.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (h hurriedAnswer) Write(p []byte) (n int, err error) {
	for {
		h.hurry()
		k, err := h.ResponseWriter.Write(p[n:min(n+writeChunk, len(p))])
		if n += k; err != nil || n == len(p) {
			return n, err
		}
	}
}

func (h hurriedAnswer) hurry() {
	_ = h.c.SetWriteDeadline(time.Now().Add(writeTimeout))
}

// shutdown ends connections without a request at once, requests after grace.
func (s *server) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	s.quiet.closeAll()
	if err := s.Shutdown(ctx); err != nil {
		s.log.Warn("port443: requests cut off", "err", err)
		_ = s.Close()
	}
}

// quiet holds connections on which nothing is asked: new ones and idle ones. A
// graceful shutdown would wait 5 s for a request on new ones, and 1 s for
// clients to take notice on those of HTTP/2, although nobody waits on them.
type quiet struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	over  bool
}

// state is http.Server's ConnState.
func (q *quiet) state(c net.Conn, s http.ConnState) {
	if q.note(c, s == http.StateNew || s == http.StateIdle) {
		_ = c.Close()
	}
}

// note remembers whether a connection is quiet, and reports whether it is to
// be closed for that.
func (q *quiet) note(c net.Conn, isQuiet bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !isQuiet {
		delete(q.conns, c)
		return false
	}
	if q.over {
		return true
	}
	if q.conns == nil {
		q.conns = make(map[net.Conn]struct{})
	}
	q.conns[c] = struct{}{}
	return false
}

func (q *quiet) closeAll() {
	q.mu.Lock()
	conns := slices.Collect(maps.Keys(q.conns))
	q.over = true
	q.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

package connect

import (
	"context"
	"crypto/tls"
	"net"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"causeway/protocol"
)

// connTimes is where the time of opening one connection went. It stays with
// the connection, so that whoever uses it later can tell.
type connTimes struct {
	dns     atomic.Int64 // nanoseconds
	dialled atomic.Int64 // name look-up and connect, proxy and tunnel included
	tls     atomic.Int64
}

// A timedConn is a connection that knows how long it took to open.
type timedConn struct {
	net.Conn
	times *connTimes
}

// timesOf finds a connection's times below TLS.
func timesOf(c net.Conn) *connTimes {
	for {
		switch v := c.(type) {
		case *timedConn:
			return v.times
		case interface{ NetConn() net.Conn }: // *tls.Conn
			c = v.NetConn()
		default:
			return nil
		}
	}
}

// A timing is where the time of one request went. Dialling may outlive the
// request that caused it, hence the lock.
type timing struct {
	mu    sync.Mutex
	conn  *connTimes    // of the connection used or, while there is none, being opened
	wait  time.Duration // request written to first byte of the answer
	http2 bool

	dnsAt, tlsAt time.Time
	sentAt       time.Time // the connection was there, then: the request was written
}

type timingKey struct{}

// dial times the dialling, whoever does it.
func (n *Network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	times := &connTimes{}
	if t, ok := ctx.Value(timingKey{}).(*timing); ok {
		t.set(func() { t.conn = times })
	}
	start := time.Now()
	c, err := n.open(ctx, network, address)
	times.dialled.Store(int64(time.Since(start)))
	if err != nil {
		return nil, err
	}
	return &timedConn{c, times}, nil
}

func (t *timing) set(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
}

// watch returns a context under which a request fills in t.
func (t *timing) watch(ctx context.Context) context.Context {
	ctx = context.WithValue(ctx, timingKey{}, t)
	done := func(what func(*connTimes) *atomic.Int64, since *time.Time) {
		t.set(func() {
			if t.conn != nil {
				what(t.conn).Store(int64(time.Since(*since)))
			}
		})
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { t.set(func() { t.dnsAt = time.Now() }) },
		DNSDone: func(httptrace.DNSDoneInfo) {
			done(func(c *connTimes) *atomic.Int64 { return &c.dns }, &t.dnsAt)
		},
		TLSHandshakeStart: func() { t.set(func() { t.tlsAt = time.Now() }) },
		TLSHandshakeDone: func(tls.ConnectionState, error) {
			done(func(c *connTimes) *atomic.Int64 { return &c.tls }, &t.tlsAt)
		},
		// On HTTP/2 the answer may be there before it is told that the
		// request was written, so the connection's time stands in for that.
		GotConn: func(info httptrace.GotConnInfo) {
			t.set(func() {
				t.sentAt = time.Now()
				if times := timesOf(info.Conn); times != nil {
					t.conn = times
				}
			})
		},
		WroteRequest:         func(httptrace.WroteRequestInfo) { t.set(func() { t.sentAt = time.Now() }) },
		GotFirstResponseByte: func() { t.set(func() { t.wait = time.Since(t.sentAt) }) },
	})
}

// attempt begins a report entry from what was timed. The transport is the
// scheme of the target's address. On a connection that was there already its
// own times are told.
func (t *timing) attempt(target, via string) protocol.Attempt {
	t.mu.Lock()
	defer t.mu.Unlock()
	transport, _, _ := strings.Cut(target, "://")
	a := protocol.Attempt{Target: target, Transport: transport, Via: via, RTTMS: millis(t.wait)}
	if t.conn != nil {
		dns := time.Duration(t.conn.dns.Load())
		a.DNSMS = millis(dns)
		a.ConnectMS = millis(max(time.Duration(t.conn.dialled.Load())-dns, 0)) // not dialled to the end: 0
		a.TLSMS = millis(time.Duration(t.conn.tls.Load()))
	}
	return a
}

// waited is how long the answer's first byte took.
func (t *timing) waited() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wait
}

// stands reports whether the connection is there, TLS included.
func (t *timing) stands() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.sentAt.IsZero()
}

// connected reports whether something has taken the connection; it may not
// have said anything yet.
func (t *timing) connected() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.conn != nil && t.conn.dialled.Load() > 0
}

// isHTTP2 reports whether many requests share the connection.
func (t *timing) isHTTP2() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.http2
}

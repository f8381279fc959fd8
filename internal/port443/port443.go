// Package port443 tells the users of one TLS port apart.
//
// Every server offers everything on one TCP port, because 443 is the port
// that networks let through. After the TLS handshake the protocol that ALPN
// agreed on (RFC 7301) says what the connection is: HTTP/1.1 and HTTP/2 are
// HTTP, WebSocket included; other names go to the stream of that name. Where
// nothing was agreed on, the first byte tells STUN, with which browsers begin
// TURN over TLS, from HTTP. Commands call Serve; it owns a goroutine per
// connection that is in its handshake or a stream, and those of one
// http.Server, and waits for all of them.
//
// Limits: a handshake may take handshakeTimeout, a first byte and a request's
// header headerTimeout, its body bodyTimeout, each part of an answer
// writeTimeout; at most Config.MaxPending connections are between their
// beginning and being told apart, and one more ends the oldest, so that
// connections that say nothing cannot keep others out.
package port443

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	handshakeTimeout = 20 * time.Second // as long as clients wait, when a crowd comes
	// DefaultMaxPending bounds handshakes unless configured otherwise.
	DefaultMaxPending = 1024
)

// Config says who gets the connections of a port.
type Config struct {
	TLS  *tls.Config  // certificates; NextProtos is set by Serve
	HTTP http.Handler // gets HTTP/1.1 and HTTP/2
	// Streams get connections by ALPN protocol name. A stream owns its
	// connection until it returns, which it does soon after ctx has ended.
	Streams map[string]func(ctx context.Context, c net.Conn)
	// Raw, if not nil, gets connections without ALPN that begin with STUN, and
	// those that agreed on ALPN "stun.turn" (RFC 7443). It owns them as a
	// stream does.
	Raw func(ctx context.Context, c net.Conn)
	// MaxPending bounds the connections that are not told apart yet.
	MaxPending int
	Log        *slog.Logger
}

// Serve accepts connections from ln until ctx ends; then it closes ln, lets
// running requests come to an end for a while, and returns when nothing is
// left. It returns an error when ln fails.
func Serve(ctx context.Context, ln net.Listener, cfg Config) error {
	p := newPort(ln.Addr(), cfg)
	ctx, stop := context.WithCancel(ctx)
	defer stop()

	var served sync.WaitGroup
	served.Go(func() {
		_ = p.server.Serve(p.http) // ends when p.http is closed
	})
	unlisten := context.AfterFunc(ctx, func() { _ = ln.Close() })
	err := p.accept(ctx, ln)
	stop()
	unlisten()
	_ = ln.Close() // again, should the one after ctx still be under way
	p.pending.closeAll()
	p.connections.Wait()
	_ = p.http.Close()
	p.server.shutdown()
	served.Wait()
	return err
}

type port struct {
	tls         *tls.Config
	streams     map[string]func(context.Context, net.Conn)
	raw         func(context.Context, net.Conn)
	server      *server
	http        *handoff
	pending     pending
	connections sync.WaitGroup
	log         *slog.Logger
}

func newPort(addr net.Addr, cfg Config) *port {
	p := &port{
		tls:     cfg.TLS.Clone(),
		streams: maps.Clone(cfg.Streams),
		raw:     cfg.Raw,
		http:    newHandoff(addr),
		pending: pending{limit: cfg.MaxPending},
		log:     cfg.Log,
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.pending.limit <= 0 {
		p.pending.limit = DefaultMaxPending
	}
	if cfg.Raw != nil {
		if p.streams == nil {
			p.streams = map[string]func(context.Context, net.Conn){}
		}
		p.streams[alpnTURN] = cfg.Raw
	}
	p.tls.NextProtos = []string{"h2", "http/1.1"}
	for name := range p.streams {
		p.tls.NextProtos = append(p.tls.NextProtos, name)
	}
	slices.Sort(p.tls.NextProtos[2:])
	p.server = newServer(cfg.HTTP, p.log)
	return p
}

// accept accepts connections until ctx ends or ln fails for good.
func (p *port) accept(ctx context.Context, ln net.Listener) error {
	const shortest, longest = 5 * time.Millisecond, time.Second
	wait := shortest
	for {
		c, err := ln.Accept()
		switch {
		case err == nil:
			wait = shortest
			p.pending.add(c) // here, so that they end in the order in which they came
			p.connections.Go(func() { p.connection(ctx, c) })
		case ctx.Err() != nil:
			return nil
		case passing(err):
			p.log.Warn("port443: accept", "err", err, "again_in", wait)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(wait):
			}
			wait = min(2*wait, longest)
		default:
			return fmt.Errorf("accept on %s: %w", ln.Addr(), err)
		}
	}
}

// passingErrors are errors of accept that pass by themselves: a client gone
// already, or too many open files.
var passingErrors = []error{syscall.ECONNABORTED, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}

func passing(err error) bool {
	return slices.ContainsFunc(passingErrors, func(e error) bool { return errors.Is(err, e) })
}

// connection shakes hands and passes the connection on.
func (p *port) connection(ctx context.Context, raw net.Conn) {
	c := tls.Server(raw, p.tls)
	handshake, cancel := context.WithTimeout(ctx, handshakeTimeout)
	err := c.HandshakeContext(handshake)
	cancel()
	if err != nil {
		p.pending.remove(raw)
		p.refuse(raw, err)
		return
	}
	name := c.ConnectionState().NegotiatedProtocol
	if stream, ok := p.streams[name]; ok {
		p.pending.remove(raw)
		defer func() { _ = c.Close() }()
		stream(ctx, c)
		return
	}
	if name == "" && p.raw != nil {
		p.unnamed(ctx, raw, c)
		return
	}
	p.pending.remove(raw)
	p.serveHTTP(ctx, c)
}

func (p *port) serveHTTP(ctx context.Context, c net.Conn) {
	if !p.http.pass(ctx, c) {
		_ = c.Close()
	}
}

// unnamed passes on a connection without ALPN by its first byte. It stays
// pending until that has come.
func (p *port) unnamed(ctx context.Context, raw net.Conn, c *tls.Conn) {
	b, err := firstByte(ctx, c)
	p.pending.remove(raw)
	switch {
	case err != nil:
		p.log.Debug("port443: nothing said", "remote", raw.RemoteAddr(), "err", err)
		_ = c.Close()
	case isSTUN(b):
		defer func() { _ = c.Close() }()
		p.raw(ctx, &peeked{Conn: c, first: b})
	default:
		p.serveHTTP(ctx, &peeked{Conn: c, first: b})
	}
}

// refuse ends a connection whose handshake failed. Who speaks plain HTTP is
// told to use https.
func (p *port) refuse(raw net.Conn, err error) {
	var header tls.RecordHeaderError
	if errors.As(err, &header) && header.Conn != nil && looksLikeHTTP(header.RecordHeader) {
		_ = raw.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = raw.Write([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" +
			"This port speaks HTTPS. Begin the address with https:// instead of http://.\n"))
	}
	p.log.Debug("port443: handshake failed", "remote", raw.RemoteAddr(), "err", err)
	_ = raw.Close()
}

func looksLikeHTTP(b [5]byte) bool {
	for _, method := range []string{"GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH", "CONNE"} {
		if string(b[:]) == method {
			return true
		}
	}
	return false
}

package main

import (
	"context"
	"os"

	"causeway/internal/base/pki"
	"causeway/internal/base/run"
	"causeway/internal/bus"
	"causeway/internal/token"
	"causeway/protocol"
)

// A busLink is how a server is on the bus.
type busLink struct {
	conn   *bus.Conn
	trust  *bus.Trust // nil with an outside NATS
	member *member    // nil for web, and with an outside NATS
	undo   []func()
}

// open opens the link by f, and undoes what that has done when it fails.
func (b *busLink) open(f func() error) error {
	err := f()
	if err != nil {
		b.close()
	}
	return err
}

// close undoes everything, last first.
func (b *busLink) close() {
	for i := len(b.undo) - 1; i >= 0; i-- {
		b.undo[i]()
	}
	b.undo = nil
}

// keys are those of join tokens that were known before the start; nil for
// none.
func (b *busLink) keys() *token.Verifier {
	if b.member == nil {
		return nil
	}
	return b.member.known.keys
}

// outside connects to an outside NATS.
func (b *busLink) outside(fields BusFields, s *served) error {
	conn, err := fields.dialOutside(*s)
	if err == nil {
		b.keep(conn, s)
	}
	return err
}

// keep takes up the connection.
func (b *busLink) keep(conn *bus.Conn, s *served) {
	b.conn = conn
	b.undo = append(b.undo, conn.Close)
	if b.member != nil {
		s.background = b.member.keep(conn)
	}
}

// join takes up the server's identity.
func (b *busLink) join(ctx context.Context, e Enrolled, flags enrolFlags, who pki.Identity, s *served) error {
	if flags.Enroll != "" {
		e.Enroll = flags.Enroll
	}
	m, err := e.join(ctx, who, s.log)
	if err != nil {
		return err
	}
	b.member, b.trust = m, m.trust
	b.undo = append(b.undo, m.close)
	return nil
}

// serve has the server's port take connections of the bus.
func (b *busLink) serve(server *bus.Server, s *served) {
	b.undo = append(b.undo, server.Stop)
	s.streams = server.Streams()
	s.tls.GetConfigForClient = b.trust.ServerTLS
}

// inProcess connects to an embedded server.
func (b *busLink) inProcess(server *bus.Server, s *served) error {
	conn, err := server.Connect(s.name)
	if err == nil {
		b.keep(conn, s)
	}
	return err
}

// connectClient connects a server that is a client of the bus.
func connectClient(ctx context.Context, s *served, fields BusFields, e Enrolled, flags enrolFlags, who pki.Identity, servers []string) (*busLink, error) {
	b := &busLink{}
	err := b.open(func() error {
		if len(fields.NATS) > 0 {
			return b.outside(fields, s)
		}
		if err := b.join(ctx, e, flags, who, s); err != nil {
			return err
		}
		cfg := bus.DialConfig{Name: s.name, Trust: b.trust, Servers: servers, Log: s.log}
		if who.Role == pki.RoleTunnel {
			cfg.Dial = b.member.dial // a router's controllers are in its own network
		}
		conn, err := bus.Dial(cfg)
		if err == nil {
			b.keep(conn, s)
		}
		return err
	})
	return b, err
}

// hostID names a server after its host.
func hostID(prefix string) string {
	host, _ := os.Hostname()
	return protocol.HostID(prefix, host)
}

// withBackground runs what a server does beside its work, and its work.
func (s served) withBackground() func(context.Context) error {
	if s.background == nil {
		return s.run
	}
	return func(ctx context.Context) error { return run.All(ctx, s.run, s.background) }
}

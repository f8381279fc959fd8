package bus

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"net"
	"sync"

	"github.com/nats-io/nats-server/v2/server"

	"causeway/internal/base/pki"
	"causeway/protocol"
)

// A gate stands before an embedded server. The server itself listens on this
// machine's loopback alone; a stream from another machine comes by the
// process's TLS port, is known by its certificate, and is passed on from a
// port that the gate remembers. So nats-server learns who speaks, and nobody
// else gets in.
type gate struct {
	inside string // the password of connections within the process
	trust  *Trust // nil: nobody comes from outside
	whom   map[string]admit

	mu     sync.Mutex
	guests map[string]guest // by the address that nats-server sees
	ns     *server.Server
}

// A guest is who stands behind a connection from the gate.
type guest struct {
	id     pki.Identity
	kind   int
	ticket string
}

func newGate(trust *Trust, whom map[string]admit) *gate {
	return &gate{inside: newTicket(), trust: trust, whom: whom, guests: map[string]guest{}}
}

// kinds are what connections are to nats-server, by ALPN name.
func kindOf(alpn string) int {
	switch alpn {
	case protocol.ALPNLeaf:
		return server.LEAF
	case protocol.ALPNRoute:
		return server.ROUTER
	}
	return server.CLIENT
}

// Check implements server.Authentication: it decides on whoever connects.
func (g *gate) Check(c server.ClientAuthentication) bool {
	password := c.GetOpts().Password
	if at := c.RemoteAddress(); at != nil && at.Network() != "pipe" {
		return g.checkGuest(c, at.String(), password)
	}
	if c.Kind() != server.CLIENT || !same(password, g.inside) {
		return false
	}
	c.RegisterUser(&server.User{Username: user})
	return true
}

func (g *gate) checkGuest(c server.ClientAuthentication, at, password string) bool {
	g.mu.Lock()
	who, ok := g.guests[at]
	ns := g.ns
	g.mu.Unlock()
	if !ok || who.kind != c.Kind() || !same(password, who.ticket) {
		return false
	}
	u := &server.User{Username: who.id.String()}
	switch who.kind {
	case server.ROUTER:
		return true // of the same cluster; routes have no rights to be held to
	case server.LEAF:
		u.Account = ns.GlobalAccount()
	}
	u.Permissions = permissions(who.id)
	c.RegisterUser(u)
	return true
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// Streams are what a server's TLS port passes to the bus, by ALPN name, for
// port443.Config.Streams; the port's TLS configuration is Trust.ServerTLS.
func (s *Server) Streams() map[string]func(context.Context, net.Conn) {
	streams := map[string]func(context.Context, net.Conn){}
	for alpn := range s.gate.whom {
		streams[alpn] = func(ctx context.Context, c net.Conn) { s.serve(ctx, alpn, c) }
	}
	return streams
}

// serve passes a stream on to nats-server until either ends.
func (s *Server) serve(ctx context.Context, alpn string, c net.Conn) {
	secure, ok := c.(*tls.Conn)
	if !ok {
		return
	}
	l, err := s.gate.trust.follow(secure, s.gate.whom[alpn].check)
	if err != nil {
		s.log.Warn("bus: connection refused", "remote", c.RemoteAddr(), "err", err)
		return
	}
	defer func() { _ = l.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	ticket, err := readTicket(l)
	if err != nil {
		s.log.Debug("bus: connection said nothing", "peer", l.peer, "err", err)
		return
	}
	in, err := net.Dial("tcp", s.addresses()[alpn])
	if err != nil {
		s.log.Warn("bus: connection not passed on", "peer", l.peer, "err", err)
		return
	}
	leave := s.gate.enter(in.LocalAddr().String(), guest{l.peer, kindOf(alpn), ticket})
	splice(ctx, l, &leaving{in, leave})
}

// enter lets a guest in; leave is for before its connection is closed, when
// its address may become somebody else's.
func (g *gate) enter(at string, who guest) (leave func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.guests[at] = who
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.guests, at)
	}
}

// leaving is a connection that leaves the gate before it is closed.
type leaving struct {
	net.Conn
	leave func()
}

// Close leaves and closes.
func (l *leaving) Close() error {
	l.leave()
	return l.Conn.Close()
}

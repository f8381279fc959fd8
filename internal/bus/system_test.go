package bus

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"causeway/internal/base/pki"
)

// A system has an authority, and servers that it knows.
type system struct {
	t      *testing.T
	issuer *pki.Issuer
}

func newSystem(t *testing.T) *system {
	t.Helper()
	issuer, err := pki.NewIssuer(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &system{t, issuer}
}

// trust gives somebody an identity.
func (s *system) trust(who string) *Trust { return s.trustFor(who, time.Hour) }

func (s *system) trustFor(who string, life time.Duration) *Trust {
	s.t.Helper()
	id, err := pki.ParseIdentity(who)
	if err != nil {
		s.t.Fatal(err)
	}
	if id.Role == pki.RoleWeb {
		c, err := s.issuer.Own(id.Name, life)
		if err != nil {
			s.t.Fatal(err)
		}
		return NewTrust(c)
	}
	key, err := pki.NewKey()
	if err != nil {
		s.t.Fatal(err)
	}
	csr, err := key.Request()
	if err != nil {
		s.t.Fatal(err)
	}
	der, err := s.issuer.Issue(csr, id, time.Now(), life)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := pki.NewCredentials(s.t.TempDir(), key, der, s.issuer.Authority())
	if err != nil {
		s.t.Fatal(err)
	}
	return NewTrust(c)
}

// A port is a server's TLS port, as package port443 serves it.
type port struct {
	t       *testing.T
	ln      net.Listener
	address string
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// listen opens a port, at which nobody answers yet.
func (s *system) listen(at string) *port {
	s.t.Helper()
	ln, err := net.Listen("tcp", at)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &port{t: s.t, ln: ln, address: ln.Addr().String()}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	s.t.Cleanup(p.close)
	return p
}

// serve passes the port's connections to a server.
func (p *port) serve(s *Server, trust *Trust) {
	streams := s.Streams()
	p.running.Go(func() {
		for {
			raw, err := p.ln.Accept()
			if err != nil {
				return
			}
			p.running.Go(func() {
				defer func() { _ = raw.Close() }()
				c := tls.Server(raw, &tls.Config{GetConfigForClient: trust.ServerTLS})
				if c.HandshakeContext(p.ctx) != nil {
					return
				}
				if stream, ok := streams[c.ConnectionState().NegotiatedProtocol]; ok {
					stream(p.ctx, c)
				}
			})
		}
	})
}

// close closes the port and its connections, as when its process is killed.
func (p *port) close() {
	p.cancel()
	_ = p.ln.Close()
	p.running.Wait()
}

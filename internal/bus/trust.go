package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"causeway/internal/base/pki"
	"causeway/protocol"
)

// DialFunc dials a byte stream: the network itself, or by way of a proxy.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// ErrRevoked says that a server's certificate was revoked.
var ErrRevoked = errors.New("the certificate was revoked")

// maxRevocations bounds those that are known.
const maxRevocations = 10_000

// Trust is who a server is on the bus, and whom it lets in. It knows what has
// been revoked and every connection of the bus to another machine, of either
// direction, so that revocation ends them at once. It is safe for concurrent
// use.
type Trust struct {
	creds *pki.Credentials

	mu      sync.Mutex
	revoked map[string]time.Time // certificates from before, by identity or zone/Z
	links   map[*link]struct{}
}

// A link is an authenticated connection to another server.
type link struct {
	net.Conn
	peer   pki.Identity
	issued time.Time
	trust  *Trust
	expiry *time.Timer
}

// NewTrust makes the trust of a server with these credentials.
func NewTrust(c *pki.Credentials) *Trust {
	return &Trust{creds: c, revoked: map[string]time.Time{}, links: map[*link]struct{}{}}
}

// Identity is who the server is.
func (t *Trust) Identity() pki.Identity { return t.creds.Identity() }

// Learn takes note of revocations and ends the connections that they concern.
// It reports whether any was new.
func (t *Trust) Learn(set protocol.RevocationSet) bool {
	t.mu.Lock()
	news := false
	for _, r := range set.Revocations {
		if old, known := t.revoked[r.Identity]; known && !r.Before.After(old) {
			continue
		}
		if len(t.revoked) >= maxRevocations {
			t.forgetOldest()
		}
		t.revoked[r.Identity] = r.Before
		news = true
	}
	var over []*link
	for l := range t.links {
		if t.isRevoked(l.peer, l.issued) {
			over = append(over, l)
		}
	}
	t.mu.Unlock()
	for _, l := range over {
		_ = l.Close()
	}
	return news
}

func (t *Trust) forgetOldest() {
	oldest := ""
	for id, before := range t.revoked {
		if oldest == "" || before.Before(t.revoked[oldest]) {
			oldest = id
		}
	}
	delete(t.revoked, oldest)
}

// Revoked is what Learn has learned.
func (t *Trust) Revoked() protocol.RevocationSet {
	t.mu.Lock()
	defer t.mu.Unlock()
	set := protocol.RevocationSet{Revocations: []protocol.Revocation{}}
	for _, id := range slices.Sorted(maps.Keys(t.revoked)) {
		set.Revocations = append(set.Revocations, protocol.Revocation{Identity: id, Before: t.revoked[id]})
	}
	return set
}

// isRevoked reports whether a certificate was revoked. The lock is held.
func (t *Trust) isRevoked(id pki.Identity, issued time.Time) bool {
	for _, key := range []string{id.String(), "zone/" + id.Zone} {
		if before, ok := t.revoked[key]; ok && !issued.After(before) {
			return true
		}
	}
	return false
}

// anyZone stands for all zones.
const anyZone = "*"

// admit says whom to connect with: roles of one zone, or of none.
type admit struct {
	roles []pki.Role
	zone  string
}

func (a admit) check(id pki.Identity) error {
	if !slices.Contains(a.roles, id.Role) || id.Zone != a.zone && a.zone != anyZone {
		return fmt.Errorf("%s has no business here", id)
	}
	return nil
}

// mutual is the TLS configuration of either side of a connection.
func (t *Trust) mutual(protocols []string, whom func(pki.Identity) error) *tls.Config {
	return t.creds.Mutual(protocols, func(id pki.Identity, issued time.Time) error {
		t.mu.Lock()
		revoked := t.isRevoked(id, issued)
		t.mu.Unlock()
		switch {
		case revoked:
			return fmt.Errorf("%s: %w", id, ErrRevoked)
		case id == t.Identity():
			return fmt.Errorf("two servers are called %s, or one was given its own address; give each server a name of its own", id)
		}
		return whom(id)
	})
}

// ServerTLS chooses the TLS configuration of a connection that a server's
// port accepts, for tls.Config.GetConfigForClient: for the bus, both sides
// show identities; who asks for pki.ServerName is shown this server's; nil for
// everybody else.
func (t *Trust) ServerTLS(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	for _, name := range hello.SupportedProtos {
		if strings.HasPrefix(name, protocol.ALPNBus) {
			// Who may do what is decided where the stream ends.
			anyone := func(pki.Identity) error { return nil }
			return t.mutual([]string{protocol.ALPNBus, protocol.ALPNLeaf, protocol.ALPNRoute}, anyone), nil
		}
	}
	if hello.ServerName == pki.ServerName {
		return t.creds.Known(), nil
	}
	return nil, nil
}

// follow makes a link of a connection whose handshake has been completed. It
// ends when the other's certificate does, and when that is revoked.
func (t *Trust) follow(c *tls.Conn, whom func(pki.Identity) error) (*link, error) {
	state := c.ConnectionState()
	if len(state.PeerCertificates) == 0 {
		return nil, errors.New("the other side shows no certificate")
	}
	cert := state.PeerCertificates[0]
	id, err := pki.IdentityOf(cert)
	if err == nil {
		err = whom(id)
	}
	if err != nil {
		return nil, err
	}
	l := &link{Conn: c, peer: id, issued: pki.IssuedAt(cert), trust: t}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.isRevoked(id, l.issued) {
		return nil, fmt.Errorf("%s: %w", id, ErrRevoked)
	}
	l.expiry = time.AfterFunc(time.Until(cert.NotAfter), func() { _ = l.Close() })
	t.links[l] = struct{}{}
	return l, nil
}

// Close closes the connection.
func (l *link) Close() error {
	l.trust.mu.Lock()
	delete(l.trust.links, l)
	l.trust.mu.Unlock()
	l.expiry.Stop()
	return l.Conn.Close()
}

package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"

	"causeway/internal/base/target"
	"causeway/internal/peer"
	"causeway/protocol"
)

// askTimeout bounds the request over the bus.
const askTimeout = 3 * time.Second

// dial opens the missing connections to a leg: it asks the other router to
// expect them, then dials all.
func (m *Mesh) dial(l *leg, kinds []protocol.MediaKind) {
	began := time.Now()
	conns, err := m.reach(l, kinds)
	m.mu.Lock()
	defer m.mu.Unlock()
	l.asking = false
	current := m.ctx.Err() == nil && m.legs[l.name] == l
	chance := rand.Float64() // the same for all, so that they are asked for together again
	for i, kind := range kinds {
		s := &l.sides[kindIndex(kind)]
		switch {
		case i >= len(conns):
			s.failed(time.Now(), chance)
		case !current || s.conn != nil:
			m.hangUp(&side{conn: conns[i]})
		default:
			s.conn = conns[i]
		}
	}
	if current {
		m.tellReached(l, err, began)
	}
	m.poke()
}

// tellReached notes whether an attempt that began then has reached a leg.
// m.mu is held.
func (m *Mesh) tellReached(l *leg, err error, began time.Time) {
	now := time.Now()
	switch {
	case err == nil:
		if l.heldUp {
			m.relays.settled(l.name, true, now)
		}
		l.failing, l.heldUp = time.Time{}, false
	case l.failing.IsZero():
		l.failing = began
		fallthrough
	default:
		if !l.heldUp && now.Sub(l.failing) >= heldUpAfter {
			l.heldUp = true
			m.relays.notReached(l.name, m.meeting, err, now)
		}
	}
}

// reach asks a router over the bus and dials it.
func (m *Mesh) reach(l *leg, kinds []protocol.MediaKind) ([]*connection, error) {
	r, to := m.relays, l.name
	q := protocol.RelayRequest{Meeting: m.meeting, Zone: r.cfg.Zone, MMR: r.cfg.MMR, Fingerprint: r.Fingerprint()}
	local := make([]peer.Credentials, len(kinds))
	for i, kind := range kinds {
		local[i] = peer.NewCredentials()
		q.Connections = append(q.Connections, protocol.RelayMember{Kind: kind, Ufrag: local[i].Ufrag, Pwd: local[i].Pwd})
	}
	ctx, cancel := context.WithTimeout(m.ctx, askTimeout)
	defer cancel()
	answer, err := r.cfg.Ask(ctx, to.Zone, to.MMR, q)
	if err != nil {
		return nil, fmt.Errorf("ask router %s of zone %s to take media: %w", to.MMR, to.Zone, err)
	}
	if len(answer.Connections) != len(kinds) {
		return nil, fmt.Errorf("router %s of zone %s answered with %d connections, not %d", to.MMR, to.Zone, len(answer.Connections), len(kinds))
	}
	answer.UDP, answer.TCP = r.elsewhere(answer.UDP), r.elsewhere(answer.TCP)
	var conns []*connection
	for i, kind := range kinds {
		c, err := m.call(l, kind, local[i], &answer, answer.Connections[i])
		if err != nil {
			return conns, fmt.Errorf("dial router %s of zone %s for %s: %w", to.MMR, to.Zone, kind, err)
		}
		conns = append(conns, c)
	}
	return conns, nil
}

// call dials one connection.
func (m *Mesh) call(l *leg, kind protocol.MediaKind, local peer.Credentials, a *protocol.RelayAnswer, remote protocol.RelayMember) (*connection, error) {
	r := m.relays
	c := m.connection(l, kind)
	c.home = r.home()
	var err error
	// Not of m.ctx: the mesh closes what it has dialled, and waits for it.
	c.peer, err = peer.Dial(context.Background(), peer.DialConfig{
		Local: local, Certificate: r.certificate,
		Remote: peer.Credentials{Ufrag: remote.Ufrag, Pwd: remote.Pwd}, RemoteFingerprint: a.Fingerprint,
		Candidates: addresses(a.UDP), Stream: r.streams(a),
		TOS: kind.DSCP() << 2, Handler: c, Home: c.home, MaxSources: maxSources,
		ListenPacket: r.cfg.ListenPacket, Log: r.cfg.Log,
	})
	if err != nil {
		return nil, err
	}
	r.dialled.Add(1)
	return c, nil
}

// elsewhere are the addresses that may be another router's: whoever tells all
// those of its machine tells loopback as well, which here is this one. They
// count where this router has no others itself.
func (r *Relays) elsewhere(list []string) []string {
	local := func(a string) bool { at, err := netip.ParseAddrPort(a); return err == nil && at.Addr().IsLoopback() }
	loopback := !slices.ContainsFunc(r.cfg.Addresses().UDP, func(a string) bool { return !local(a) })
	return slices.DeleteFunc(slices.Clone(list), func(a string) bool {
		at, err := netip.ParseAddrPort(a)
		return err != nil || !target.Allowed(at.Addr(), loopback)
	})
}

// addresses reads those that can be read.
func addresses(list []string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, a := range list {
		if at, err := netip.ParseAddrPort(a); err == nil {
			out = append(out, at)
		}
	}
	return out
}

// streams opens the rungs above UDP. Nothing depends on who the TLS server
// says it is: what is inside is encrypted to the certificate that the router
// told over the bus.
func (r *Relays) streams(a *protocol.RelayAnswer) func(context.Context, protocol.Transport) (net.Conn, error) {
	return func(ctx context.Context, t protocol.Transport) (net.Conn, error) {
		switch {
		case t == protocol.TCP && len(a.TCP) > 0:
			return peer.Race(ctx, a.TCP[:min(len(a.TCP), maxTCP)], r.cfg.Dial)
		case t == protocol.TLS && a.TLS != "":
			c, err := r.cfg.Dial(ctx, a.TLS)
			if err != nil {
				return nil, err
			}
			host, _, _ := net.SplitHostPort(a.TLS)
			secure := tls.Client(c, &tls.Config{
				ServerName: host, NextProtos: []string{protocol.ALPNMedia}, MinVersion: tls.VersionTLS13, InsecureSkipVerify: true,
			})
			if err := secure.HandshakeContext(ctx); err != nil {
				_ = c.Close()
				return nil, fmt.Errorf("TLS to %s: %w", a.TLS, err)
			}
			return secure, nil
		}
		return nil, errors.ErrUnsupported
	}
}

// maxTCP bounds the addresses that are dialled at once.
const maxTCP = 8

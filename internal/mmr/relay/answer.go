package relay

import (
	"context"
	"fmt"
	"time"

	"causeway/internal/peer"
	"causeway/protocol"
)

// Answer takes the connections of a router that dials: the answer to
// protocol.SubjectRelay. Its errors are *protocol.Problem.
func (r *Relays) Answer(_ context.Context, q protocol.RelayRequest) (protocol.RelayAnswer, error) {
	m := r.mesh(q.Meeting)
	if m == nil {
		return protocol.RelayAnswer{}, protocol.NewProblem(protocol.ProblemNotFound, "this router has no leg of the meeting")
	}
	a := r.cfg.Addresses()
	answer := protocol.RelayAnswer{Fingerprint: r.cfg.Port.Fingerprint(), UDP: a.UDP, TCP: a.TCP, TLS: a.TLS}
	var err error
	if answer.Connections, err = m.expect(&q); err != nil {
		return protocol.RelayAnswer{}, err
	}
	return answer, nil
}

// expect registers the connections of a router at the media port.
func (m *Mesh) expect(q *protocol.RelayRequest) ([]protocol.RelayMember, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.legs[name{Zone: q.Zone, MMR: q.MMR}]
	switch {
	case m.ctx.Err() != nil || l == nil || l.gone:
		// It may have begun just now; the other tries again.
		return nil, protocol.NewProblem(protocol.ProblemNotFound, "no leg of the meeting is known on that router yet")
	case l.fingerprint != q.Fingerprint:
		return nil, protocol.NewProblem(protocol.ProblemForbidden, "the certificate is not the one that the leg's router has told")
	case m.dials(l):
		return nil, protocol.NewProblem(protocol.ProblemBadRequest, "it is this router that dials")
	case len(q.Connections) == 0 || len(q.Connections) > len(protocol.MediaKinds):
		return nil, protocol.NewProblem(protocol.ProblemBadRequest, fmt.Sprintf("%d connections", len(q.Connections)))
	}
	l.until = time.Now().Add(answered)
	var members []protocol.RelayMember
	for _, k := range q.Connections {
		i := kindIndex(k.Kind)
		if i < 0 {
			return nil, protocol.NewProblem(protocol.ProblemBadRequest, "a connection of unknown kind")
		}
		c := m.connection(l, k.Kind)
		var err error
		c.peer, err = m.relays.cfg.Port.Accept(peer.AcceptConfig{
			Remote: peer.Credentials{Ufrag: k.Ufrag, Pwd: k.Pwd}, RemoteFingerprint: q.Fingerprint,
			TOS: k.Kind.DSCP() << 2, MaxSources: maxSources, Handler: c,
		})
		if err != nil {
			return nil, protocol.Wrap(protocol.ProblemBadRequest, fmt.Errorf("expect the %s connection: %w", k.Kind, err))
		}
		m.hangUp(&l.sides[i])
		l.sides[i].conn = c
		members = append(members, protocol.RelayMember{Kind: k.Kind, Ufrag: c.peer.LocalUfrag(), Pwd: c.peer.LocalPwd()})
	}
	m.poke()
	return members, nil
}

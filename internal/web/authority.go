package web

import (
	"context"
	"errors"
	"fmt"
	"time"

	"causeway/internal/base/pki"
	"causeway/internal/bus"
	"causeway/internal/store"
	"causeway/protocol"
)

const (
	// CertificateLife is how long a server's certificate is valid. It is
	// renewed after half of that, so that a zone that is cut off from web goes
	// on for the other half.
	CertificateLife = 14 * 24 * time.Hour
	// revokedEvery is how often revocations are repeated (protocol/servers.go).
	revokedEvery = 10 * time.Second
)

// Authority is the authority of servers' identities, which all web nodes of
// one database share. The first one makes it.
func Authority(ctx context.Context, keep *store.Store) (*pki.Issuer, error) {
	kept, err := keep.Authority(ctx)
	if err == nil && kept == "" {
		var first *pki.Issuer
		var pem []byte
		if first, err = pki.NewIssuer(time.Now()); err != nil {
			return nil, err
		}
		if pem, err = first.PEM(); err != nil {
			return nil, err
		}
		if err = keep.AddFirstAuthority(ctx, string(pem)); err == nil {
			kept, err = keep.Authority(ctx)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open authority of servers: %w", err)
	}
	return pki.ParseIssuer([]byte(kept))
}

// issue certifies a server's key. Certificates count seconds: one that is
// issued right after a revocation is dated so that it is not taken for an
// older one.
func (s *Server) issue(ctx context.Context, csr []byte, id pki.Identity, now time.Time) (protocol.Certificate, time.Time, error) {
	set, err := s.revocations(ctx, now)
	if err != nil {
		return protocol.Certificate{}, now, err
	}
	at := now
	for _, r := range set.Revocations {
		if (r.Identity == id.String() || r.Identity == "zone/"+id.Zone) && !at.Truncate(time.Second).After(r.Before) {
			at = r.Before.Truncate(time.Second).Add(time.Second)
		}
	}
	der, err := s.issuer.Issue(csr, id, at, CertificateLife)
	if err != nil {
		return protocol.Certificate{}, now, protocol.Wrap(protocol.ProblemBadRequest, err)
	}
	return protocol.Certificate{Certificate: der, Authority: s.issuer.Authority()}, at.Add(CertificateLife), nil
}

// renew answers a server that wants a new certificate.
func (s *Server) renew(ctx context.Context, q protocol.RenewRequest) (protocol.Certificate, error) {
	now := time.Now()
	cert, id, err := s.issuer.Verify(q.Certificate, now)
	if err != nil {
		return protocol.Certificate{}, protocol.Wrap(protocol.ProblemEnrolment, err)
	}
	if !pki.Signed(cert, q.CSR, q.Signature) {
		return protocol.Certificate{}, protocol.NewProblem(protocol.ProblemEnrolment, "the request is not signed by the server's key")
	}
	set, err := s.revocations(ctx, now)
	if err != nil {
		return protocol.Certificate{}, err
	}
	for _, r := range set.Revocations {
		if (r.Identity == id.String() || r.Identity == "zone/"+id.Zone) && !pki.IssuedAt(cert).After(r.Before) {
			return protocol.Certificate{}, protocol.NewProblem(protocol.ProblemEnrolment, id.String()+" was revoked")
		}
	}
	answer, expires, err := s.issue(ctx, q.CSR, id, now)
	if err != nil {
		return protocol.Certificate{}, err
	}
	err = s.store.RenewServer(ctx, id.String(), now, expires)
	if errors.Is(err, store.ErrNotFound) {
		err = protocol.NewProblem(protocol.ProblemEnrolment, id.String()+" is unknown")
	}
	if err != nil {
		return protocol.Certificate{}, err
	}
	s.log.Info("server's certificate renewed", "server", id.String(), "expires", expires)
	return answer, nil
}

// revocations are those of certificates that could still be valid.
func (s *Server) revocations(ctx context.Context, now time.Time) (protocol.RevocationSet, error) {
	set := protocol.RevocationSet{Revocations: []protocol.Revocation{}}
	all, err := s.store.Revocations(ctx, now.Add(-CertificateLife-time.Hour))
	for _, r := range all {
		set.Revocations = append(set.Revocations, protocol.Revocation{Identity: r.Identity, Before: r.RevokedAt})
	}
	return set, err
}

// repeatRevoked tells the revocations on the bus, at once, every 10 s, when
// asked and when there are new ones.
func (s *Server) repeatRevoked(ctx context.Context) error {
	tick := time.NewTicker(revokedEvery)
	defer tick.Stop()
	for {
		if err := s.tellRevoked(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("revocations not told", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.revoked:
		case <-tick.C:
		}
	}
}

func (s *Server) tellRevoked(ctx context.Context) error {
	set, err := s.revocations(ctx, time.Now())
	if err != nil {
		return err
	}
	if s.trust != nil {
		s.trust.Learn(set)
	}
	return bus.Publish(s.bus, protocol.SubjectRevoked, set)
}

// followRevoked hears what other nodes have revoked.
func (s *Server) followRevoked(ctx context.Context) error {
	if s.trust == nil {
		<-ctx.Done()
		return nil
	}
	return s.trust.Follow(ctx, s.bus, nil)
}

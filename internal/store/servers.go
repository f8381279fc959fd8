package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Authority is the authority of servers' identities, PEM, "" if there is none
// yet.
func (s *Store) Authority(ctx context.Context) (string, error) {
	found, err := collect(ctx, s, "find authority of servers", func(r row) (string, error) {
		var pem string
		err := r.Scan(&pem)
		return pem, err
	}, `SELECT pem FROM authority WHERE generation = 1`)
	if err != nil || len(found) == 0 {
		return "", err
	}
	return found[0], nil
}

// AddFirstAuthority keeps an authority if there is none yet, and does nothing
// otherwise: web nodes that begin at once end up with the same.
func (s *Store) AddFirstAuthority(ctx context.Context, pem string) error {
	_, err := s.exec(ctx, "keep authority of servers",
		`INSERT INTO authority (generation, pem) VALUES (1, $1) ON CONFLICT (generation) DO NOTHING`, pem)
	return err
}

// Zone is a zone that servers may enrol in.
type Zone struct {
	ID        string
	CreatedAt time.Time
}

// AddZone adds a zone. The error wraps ErrTaken when it is there already.
func (s *Store) AddZone(ctx context.Context, z Zone) error {
	n, err := s.exec(ctx, "add zone", `INSERT INTO zones (id, created_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, z.ID, stamp(z.CreatedAt))
	if err == nil && n == 0 {
		return fmt.Errorf("store: add zone %s: %w", z.ID, ErrTaken)
	}
	return err
}

// Zones lists the zones.
func (s *Store) Zones(ctx context.Context) ([]Zone, error) {
	return collect(ctx, s, "list zones", func(r row) (Zone, error) {
		var z Zone
		err := r.Scan(&z.ID, &z.CreatedAt)
		z.CreatedAt = z.CreatedAt.UTC()
		return z, err
	}, `SELECT id, created_at FROM zones ORDER BY id`)
}

// DeleteZone removes a zone, and with it the tokens to enrol in it.
func (s *Store) DeleteZone(ctx context.Context, id string) error {
	if _, err := s.exec(ctx, "remove zone's tokens", `DELETE FROM enrolments WHERE zone = $1`, id); err != nil {
		return err
	}
	n, err := s.exec(ctx, "remove zone", `DELETE FROM zones WHERE id = $1`, id)
	if err == nil && n == 0 {
		return fmt.Errorf("store: remove zone %s: %w", id, ErrNotFound)
	}
	return err
}

// Enrolment is an enrolment token without its secret, which is not kept.
type Enrolment struct {
	Role, Zone, Name string
	ExpiresAt        time.Time
}

// CreateEnrolment keeps a token that works once, and forgets those that no
// longer work.
func (s *Store) CreateEnrolment(ctx context.Context, e Enrolment, secret string, now time.Time) error {
	if _, err := s.exec(ctx, "forget enrolment tokens", `DELETE FROM enrolments WHERE expires_at < $1`, stamp(now)); err != nil {
		return err
	}
	_, err := s.exec(ctx, "create enrolment token", `INSERT INTO enrolments (hash, role, zone, name, expires_at) VALUES ($1, $2, $3, $4, $5)`,
		hashKey(secret), e.Role, e.Zone, e.Name, stamp(e.ExpiresAt))
	return err
}

// FindEnrolment finds a token that still works.
func (s *Store) FindEnrolment(ctx context.Context, secret string, now time.Time) (Enrolment, error) {
	return one(ctx, s, "find enrolment token", func(r row) (Enrolment, error) {
		var e Enrolment
		err := r.Scan(&e.Role, &e.Zone, &e.Name, &e.ExpiresAt)
		return e, err
	}, `SELECT role, zone, name, expires_at FROM enrolments WHERE hash = $1 AND used_at IS NULL AND expires_at >= $2`, hashKey(secret), stamp(now))
}

// UseEnrolment uses a token up. Of several that do so at once one succeeds;
// for the others the error wraps ErrNotFound.
func (s *Store) UseEnrolment(ctx context.Context, secret string, now time.Time) error {
	n, err := s.exec(ctx, "use enrolment token",
		`UPDATE enrolments SET used_at = $2 WHERE hash = $1 AND used_at IS NULL AND expires_at >= $2`, hashKey(secret), stamp(now))
	if err == nil && n == 0 {
		return fmt.Errorf("store: use enrolment token: %w", ErrNotFound)
	}
	return err
}

// EnrolledServer is a server with an identity.
type EnrolledServer struct {
	Identity, Zone                   string
	EnrolledAt, RenewedAt, ExpiresAt time.Time
	RevokedAt                        *time.Time
}

const serverColumns = `identity, zone, enrolled_at, renewed_at, expires_at, revoked_at`

func scanServer(r row) (EnrolledServer, error) {
	var e EnrolledServer
	var revoked sql.NullTime
	err := r.Scan(&e.Identity, &e.Zone, &e.EnrolledAt, &e.RenewedAt, &e.ExpiresAt, &revoked)
	e.EnrolledAt, e.RenewedAt, e.ExpiresAt, e.RevokedAt = e.EnrolledAt.UTC(), e.RenewedAt.UTC(), e.ExpiresAt.UTC(), timeOrNil(revoked)
	return e, err
}

// Servers lists all servers.
func (s *Store) Servers(ctx context.Context) ([]EnrolledServer, error) {
	return collect(ctx, s, "list servers", scanServer, `SELECT `+serverColumns+` FROM servers ORDER BY identity`)
}

// Server finds a server.
func (s *Store) Server(ctx context.Context, identity string) (EnrolledServer, error) {
	return one(ctx, s, "find server", scanServer, `SELECT `+serverColumns+` FROM servers WHERE identity = $1`, identity)
}

// EnrolServer keeps a server. One of the same identity whose certificate is
// still good is replaced only where that is wanted; otherwise the error wraps
// ErrTaken.
func (s *Store) EnrolServer(ctx context.Context, e EnrolledServer, replace bool) error {
	n, err := s.exec(ctx, "enrol server", `
		INSERT INTO servers (identity, zone, enrolled_at, renewed_at, expires_at) VALUES ($1, $2, $3, $3, $4)
		ON CONFLICT (identity) DO UPDATE SET zone = $2, enrolled_at = $3, renewed_at = $3, expires_at = $4, revoked_at = NULL
		WHERE servers.revoked_at IS NOT NULL OR servers.expires_at < $3 OR $5`,
		e.Identity, e.Zone, stamp(e.EnrolledAt), stamp(e.ExpiresAt), replace)
	if err == nil && n == 0 {
		return fmt.Errorf("store: enrol %s: %w", e.Identity, ErrTaken)
	}
	return err
}

// RenewServer notes that a server has a new certificate; the error wraps
// ErrNotFound for one that is unknown or revoked.
func (s *Store) RenewServer(ctx context.Context, identity string, now, expires time.Time) error {
	n, err := s.exec(ctx, "renew server", `UPDATE servers SET renewed_at = $2, expires_at = $3 WHERE identity = $1 AND revoked_at IS NULL`,
		identity, stamp(now), stamp(expires))
	if err == nil && n == 0 {
		return fmt.Errorf("store: renew %s: %w", identity, ErrNotFound)
	}
	return err
}

// RevokeServers revokes the certificates of a server, or with zone of all
// servers of that zone, that they have got until now, and returns how many
// servers that were.
func (s *Store) RevokeServers(ctx context.Context, identity, zone string, now time.Time) (int64, error) {
	_, err := s.exec(ctx, "revoke", `
		INSERT INTO revocations (identity, revoked_at) VALUES ($1, $2) ON CONFLICT (identity) DO UPDATE SET revoked_at = $2`,
		identity, stamp(now))
	if err != nil {
		return 0, err
	}
	if zone != "" {
		return s.exec(ctx, "revoke zone", `UPDATE servers SET revoked_at = $2 WHERE zone = $1 AND revoked_at IS NULL`, zone, stamp(now))
	}
	return s.exec(ctx, "revoke server", `UPDATE servers SET revoked_at = $2 WHERE identity = $1`, identity, stamp(now))
}

// Revocation takes certificates that were issued before away.
type Revocation struct {
	Identity  string
	RevokedAt time.Time
}

// Revocations lists the revocations since a time, and forgets those before,
// whose certificates have ended.
func (s *Store) Revocations(ctx context.Context, since time.Time) ([]Revocation, error) {
	if _, err := s.exec(ctx, "forget revocations", `DELETE FROM revocations WHERE revoked_at < $1`, stamp(since)); err != nil {
		return nil, err
	}
	return collect(ctx, s, "list revocations", func(r row) (Revocation, error) {
		var v Revocation
		err := r.Scan(&v.Identity, &v.RevokedAt)
		v.RevokedAt = v.RevokedAt.UTC()
		return v, err
	}, `SELECT identity, revoked_at FROM revocations ORDER BY identity`)
}

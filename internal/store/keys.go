package store

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"time"
)

// APIKey is an API key without the key itself, which is not kept.
type APIKey struct {
	ID        string
	Name      string
	CreatedAt time.Time
}

func scanAPIKey(r row) (APIKey, error) {
	var k APIKey
	err := r.Scan(&k.ID, &k.Name, &k.CreatedAt)
	k.CreatedAt = k.CreatedAt.UTC()
	return k, err
}

// hashKey is what is kept of a key. One SHA-256 is enough, since keys are 256
// random bits and cannot be guessed whatever the hash costs.
func hashKey(key string) string {
	h := sha256.Sum256([]byte(key))
	return hex.EncodeToString(h[:])
}

// CreateAPIKey adds a key, of which the hash is kept.
func (s *Store) CreateAPIKey(ctx context.Context, k APIKey, key string) error {
	_, err := s.exec(ctx, "create API key", `INSERT INTO api_keys (id, name, hash, created_at) VALUES ($1, $2, $3, $4)`,
		k.ID, k.Name, hashKey(key), stamp(k.CreatedAt))
	return err
}

// FindAPIKey finds out whose key this is.
func (s *Store) FindAPIKey(ctx context.Context, key string) (APIKey, error) {
	return one(ctx, s, "find API key", scanAPIKey, `SELECT id, name, created_at FROM api_keys WHERE hash = $1`, hashKey(key))
}

// APIKeys lists all keys, oldest first.
func (s *Store) APIKeys(ctx context.Context) ([]APIKey, error) {
	return collect(ctx, s, "list API keys", scanAPIKey, `SELECT id, name, created_at FROM api_keys ORDER BY created_at, id`)
}

// DeleteAPIKey revokes a key.
func (s *Store) DeleteAPIKey(ctx context.Context, id string) error {
	n, err := s.exec(ctx, "revoke API key", `DELETE FROM api_keys WHERE id = $1`, id)
	if err == nil && n == 0 {
		return fmt.Errorf("store: revoke API key %s: %w", id, ErrNotFound)
	}
	return err
}

// SigningKey is a key that signs join tokens.
type SigningKey struct {
	KID       string
	Seed      []byte // Ed25519 seed, 32 bytes
	CreatedAt time.Time
	RetiredAt *time.Time // no longer signs, still verifies
	RevokedAt *time.Time // verifies no longer
}

func scanSigningKey(r row) (SigningKey, error) {
	var k SigningKey
	var seed string
	var retired, revoked sql.NullTime
	if err := r.Scan(&k.KID, &seed, &k.CreatedAt, &retired, &revoked); err != nil {
		return k, err
	}
	b, err := hex.DecodeString(seed)
	if err != nil || len(b) != ed25519.SeedSize {
		return k, fmt.Errorf("signing key %s is damaged", k.KID)
	}
	k.Seed, k.CreatedAt, k.RetiredAt = b, k.CreatedAt.UTC(), timeOrNil(retired)
	k.RevokedAt = timeOrNil(revoked)
	return k, nil
}

// SigningKeys lists the keys that sign and verify join tokens, newest first.
func (s *Store) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	return collect(ctx, s, "list signing keys", scanSigningKey,
		`SELECT kid, seed, created_at, retired_at, revoked_at FROM signing_keys ORDER BY generation DESC`)
}

// AddFirstSigningKey keeps k if there is no key yet, and does nothing
// otherwise: web nodes that begin at once end up with the same key.
func (s *Store) AddFirstSigningKey(ctx context.Context, k SigningKey) error {
	_, err := s.exec(ctx, "create signing key",
		`INSERT INTO signing_keys (kid, generation, seed, created_at) VALUES ($1, 1, $2, $3) ON CONFLICT (generation) DO NOTHING`,
		k.KID, hex.EncodeToString(k.Seed), stamp(k.CreatedAt))
	return err
}

// AddSigningKey adds a key beside those that there are.
func (s *Store) AddSigningKey(ctx context.Context, k SigningKey) error {
	_, err := s.exec(ctx, "add signing key", `
		INSERT INTO signing_keys (kid, generation, seed, created_at)
		SELECT $1, COALESCE(max(generation), 0) + 1, $2, $3 FROM signing_keys`,
		k.KID, hex.EncodeToString(k.Seed), stamp(k.CreatedAt))
	return err
}

// RevokeSigningKeys revokes all keys but one: tokens that they have signed are
// not valid any more.
func (s *Store) RevokeSigningKeys(ctx context.Context, but string, now time.Time) error {
	_, err := s.exec(ctx, "revoke signing keys",
		`UPDATE signing_keys SET revoked_at = $2 WHERE kid <> $1 AND revoked_at IS NULL`, but, stamp(now))
	return err
}

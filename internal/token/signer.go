package token

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"causeway/protocol"

	"github.com/golang-jwt/jwt/v5"
)

// A Signer signs join tokens. It is safe for concurrent use.
type Signer struct {
	key    ed25519.PrivateKey
	id     string
	public protocol.KeySet
}

// NewSeed makes the seed of a new key. Whoever has it can sign tokens.
func NewSeed() []byte {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic("token: " + err.Error()) // crypto/rand does not fail
	}
	return key.Seed()
}

// NewSigner makes a signer that signs with the key of the first seed. The
// keys of the other seeds, older ones or one to come, are only made public,
// so that verifiers know them before and after their time.
func NewSigner(seeds ...[]byte) (*Signer, error) {
	if len(seeds) == 0 {
		return nil, errors.New("new signer: no key")
	}
	if len(seeds) > MaxKeys {
		return nil, fmt.Errorf("new signer: %d keys, more than %d", len(seeds), MaxKeys)
	}
	s := &Signer{public: protocol.KeySet{Keys: make(map[string][]byte, len(seeds))}}
	for i, seed := range seeds {
		if len(seed) != ed25519.SeedSize {
			return nil, fmt.Errorf("new signer: seed %d has %d bytes, not %d", i, len(seed), ed25519.SeedSize)
		}
		key := ed25519.NewKeyFromSeed(seed)
		public := key.Public().(ed25519.PublicKey)
		if i == 0 {
			s.key, s.id = key, KeyID(public)
		}
		s.public.Keys[KeyID(public)] = public
	}
	return s, nil
}

// KeyID names a public key: the first 12 bytes of its SHA-256 in base64url,
// so that two keys never share a name.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// Public returns the public keys, to be repeated on the bus.
func (s *Signer) Public() protocol.KeySet {
	keys := make(map[string][]byte, len(s.public.Keys))
	for id, key := range s.public.Keys {
		keys[id] = key
	}
	return protocol.KeySet{Keys: keys}
}

// Sign makes a token of claims. Issuer and audience are set here; the caller
// sets the rest, of which subject, meeting, role and expiry must be there.
func (s *Signer) Sign(claims protocol.JoinClaims) (string, error) {
	claims.Issuer = Issuer
	claims.Audience = jwt.ClaimStrings{protocol.JoinAudience}
	if err := complete(&claims); err != nil {
		return "", fmt.Errorf("sign join token: %w", err)
	}
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	t.Header["kid"] = s.id
	raw, err := t.SignedString(s.key)
	if err != nil {
		return "", fmt.Errorf("sign join token: %w", err)
	}
	if len(raw) > MaxLength {
		return "", fmt.Errorf("sign join token: %d bytes, more than %d", len(raw), MaxLength)
	}
	return raw, nil
}

// complete says what a join token's claims lack.
func complete(c *protocol.JoinClaims) error {
	switch {
	case c.Subject == "":
		return errors.New("no subject")
	case !protocol.ValidID(c.Meeting):
		return errors.New("no valid meeting id")
	case c.Kind != "" && c.Kind != protocol.KindMeeting && c.Kind != protocol.KindWebinar:
		return fmt.Errorf("unknown kind of meeting %q", c.Kind)
	case c.Role != protocol.Host && c.Role != protocol.Guest && (c.Role != protocol.Attendee || c.Kind != protocol.KindWebinar):
		return fmt.Errorf("unknown role %q", c.Role)
	case c.ExpiresAt == nil:
		return errors.New("no expiry")
	}
	return nil
}

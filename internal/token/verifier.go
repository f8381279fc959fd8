package token

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"causeway/protocol"

	"github.com/golang-jwt/jwt/v5"
)

// ErrUnknownKey is in the chain of the error for a token whose key the
// verifier has not learned.
var ErrUnknownKey = errors.New("signed with a key that is not known")

// A Verifier checks join tokens with the keys that it has learned; it keeps
// them for as long as it lives. It is safe for concurrent use.
type Verifier struct {
	mu      sync.RWMutex
	keys    map[string]ed25519.PublicKey
	order   []string // key ids, those heard last at the end
	revoked []string // key ids, the same
}

// NewVerifier makes a verifier that knows no key yet.
func NewVerifier() *Verifier {
	return &Verifier{keys: map[string]ed25519.PublicKey{}}
}

// Learn adds keys, and forgets those that were revoked, for good: who has not
// heard of it yet may still tell them. Those that are not Ed25519 public keys are
// passed over.
func (v *Verifier) Learn(set protocol.KeySet) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, key := range set.Keys {
		if id == "" || len(id) > 64 || len(key) != ed25519.PublicKeySize || slices.Contains(v.revoked, id) {
			continue
		}
		if _, known := v.keys[id]; known {
			v.order = slices.DeleteFunc(v.order, func(o string) bool { return o == id })
		}
		v.keys[id] = bytes.Clone(key)
		v.order = append(v.order, id)
		if len(v.order) > MaxKeys {
			delete(v.keys, v.order[0])
			v.order = v.order[1:]
		}
	}
	for _, id := range set.Revoked {
		delete(v.keys, id)
		same := func(o string) bool { return o == id }
		v.order, v.revoked = slices.DeleteFunc(v.order, same), append(slices.DeleteFunc(v.revoked, same), id)
		v.revoked = v.revoked[max(0, len(v.revoked)-maxRevoked):]
	}
}

// Knows reports whether any key is known, so that tokens can be verified.
func (v *Verifier) Knows() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.keys) > 0
}

// Verify checks a token and returns its claims. Its errors are the problems
// token_invalid and token_expired.
func (v *Verifier) Verify(raw string, now time.Time) (protocol.JoinClaims, error) {
	return v.VerifyExpired(raw, now, 0)
}

// VerifyExpired is Verify for tokens that may have expired up to grace ago:
// with one of those a participant that was away comes back as the same.
func (v *Verifier) VerifyExpired(raw string, now time.Time, grace time.Duration) (protocol.JoinClaims, error) {
	claims, err := v.parse(raw)
	if err == nil {
		err = checkClaims(&claims, now)
	}
	if err != nil {
		return protocol.JoinClaims{}, protocol.Wrap(protocol.ProblemTokenInvalid, err)
	}
	if late := now.Sub(claims.ExpiresAt.Time); late > grace+Leeway {
		return protocol.JoinClaims{}, protocol.NewProblem(protocol.ProblemTokenExpired,
			fmt.Sprintf("it expired %v ago", late.Round(time.Second)))
	}
	return claims, nil
}

// parse checks form and signature and nothing else.
func (v *Verifier) parse(raw string) (protocol.JoinClaims, error) {
	var claims protocol.JoinClaims
	if len(raw) > MaxLength {
		return claims, fmt.Errorf("%d bytes, more than %d", len(raw), MaxLength)
	}
	parser := jwt.NewParser(
		// RFC 8725 §3.1: never let the token choose its algorithm.
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithStrictDecoding(),
		jwt.WithoutClaimsValidation(), // times need a grace of their own: checkClaims
	)
	_, err := parser.ParseWithClaims(raw, &claims, func(t *jwt.Token) (any, error) {
		// RFC 7515 §4.1.11: what is critical and not understood must be refused.
		if _, ok := t.Header["crit"]; ok {
			return nil, errors.New("critical header not understood")
		}
		id, _ := t.Header["kid"].(string)
		v.mu.RLock()
		defer v.mu.RUnlock()
		key, ok := v.keys[id]
		if !ok {
			return nil, ErrUnknownKey
		}
		return key, nil
	})
	return claims, err
}

// checkClaims checks everything but expiry. RFC 7519 §4.1.
func checkClaims(c *protocol.JoinClaims, now time.Time) error {
	if err := complete(c); err != nil {
		return err
	}
	switch {
	case c.Issuer != Issuer:
		return errors.New("wrong issuer")
	case !slices.Contains(c.Audience, protocol.JoinAudience):
		return errors.New("not made for joining")
	case c.NotBefore != nil && c.NotBefore.After(now.Add(Leeway)):
		return errors.New("not valid yet")
	case c.IssuedAt != nil && c.IssuedAt.After(now.Add(Leeway)):
		return errors.New("issued in the future")
	}
	return nil
}

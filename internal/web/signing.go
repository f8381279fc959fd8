package web

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"causeway/internal/bus"
	"causeway/internal/store"
	"causeway/internal/token"
	"causeway/protocol"
)

const (
	// keysEvery is how often the public keys are repeated (protocol/bus.go).
	keysEvery = 10 * time.Second
	// keyAnnounced is for how long everybody has been told of a new key before
	// it signs.
	keyAnnounced = time.Minute
	// keyOutlives is for how long a key that no longer signs is repeated: as
	// long as anything that it has signed may count.
	keyOutlives = maxTokenLifetime + tokenGrace + time.Hour
)

// loadKeys reads the signing keys and makes the first one if there is none.
func (s *Server) loadKeys(ctx context.Context) error {
	keys, err := s.store.SigningKeys(ctx)
	if err == nil && len(keys) == 0 {
		seed := token.NewSeed()
		public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
		err = s.store.AddFirstSigningKey(ctx, store.SigningKey{KID: token.KeyID(public), Seed: seed, CreatedAt: time.Now()})
		if err == nil {
			keys, err = s.store.SigningKeys(ctx)
		}
	}
	if err != nil {
		return fmt.Errorf("load signing keys: %w", err)
	}
	secret := turnSecret(keys)
	s.turnSecret.Store(&secret)
	return s.useKeys(keys, time.Now())
}

// turnSecret makes the secret of TURN credentials of the oldest key that was
// not revoked, which all nodes have and keep.
func turnSecret(keys []store.SigningKey) []byte {
	good := slices.DeleteFunc(slices.Clone(keys), func(k store.SigningKey) bool { return k.RevokedAt != nil })
	if len(good) == 0 {
		good = keys
	}
	oldest := slices.MinFunc(good, func(a, b store.SigningKey) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.KID, b.KID))
	})
	mac := hmac.New(sha256.New, oldest.Seed)
	mac.Write([]byte("causeway TURN credentials"))
	return mac.Sum(nil)
}

// States of signing keys.
const (
	keyNext      = "next"      // announced, and about to sign
	keySigning   = "signing"   //
	keyVerifying = "verifying" // what it has signed may still count
	keyRetired   = "retired"
)

// statesOf says what each key, newest first, is for: the newest that has been
// announced for long enough signs.
func statesOf(keys []store.SigningKey, now time.Time) []string {
	states := make([]string, len(keys))
	signing := -1
	for i, k := range keys {
		usable := k.RetiredAt == nil && k.RevokedAt == nil
		if usable && (signing < 0 || keys[signing].CreatedAt.Add(keyAnnounced).After(now)) {
			signing = i
		}
	}
	until := now // when the key at hand was followed by another
	for i, k := range keys {
		switch {
		case k.RevokedAt != nil || i > signing && now.Sub(until) > keyOutlives:
			states[i] = keyRetired
		case i == signing:
			states[i] = keySigning
		case i < signing && k.RetiredAt == nil:
			states[i] = keyNext
		default:
			states[i] = keyVerifying
		}
		until = k.CreatedAt.Add(keyAnnounced)
	}
	return states
}

// useKeys signs and verifies with keys, newest first, according to their
// states.
func (s *Server) useKeys(keys []store.SigningKey, now time.Time) error {
	var seeds [][]byte
	var revoked []string
	states := statesOf(keys, now)
	for i, k := range keys {
		switch {
		case states[i] == keySigning:
			seeds = slices.Insert(seeds, 0, k.Seed) // the first one signs
		case states[i] != keyRetired && len(seeds) < token.MaxKeys:
			seeds = append(seeds, k.Seed)
		case k.RevokedAt != nil && now.Sub(*k.RevokedAt) < keyOutlives:
			revoked = append(revoked, k.KID)
		}
	}
	if !slices.Contains(states, keySigning) {
		return errors.New("load signing keys: every key is retired")
	}
	signer, err := token.NewSigner(seeds[:min(len(seeds), token.MaxKeys)]...)
	if err != nil {
		return fmt.Errorf("load signing keys: %w", err)
	}
	s.signer.Store(signer)
	set := signer.Public()
	set.Revoked = revoked
	s.public.Store(&set)
	s.verifier.Learn(set)
	return nil
}

// RotateKeys adds a key that signs join tokens from now on, once everybody has
// been told of it. With revokeOld the others count no longer, and the new one
// signs at once.
func RotateKeys(ctx context.Context, keep *store.Store, revokeOld bool, now time.Time) ([]protocol.SigningKeyInfo, error) {
	seed := token.NewSeed()
	kid := token.KeyID(ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey))
	if err := keep.AddSigningKey(ctx, store.SigningKey{KID: kid, Seed: seed, CreatedAt: now}); err != nil {
		return nil, err
	}
	if revokeOld {
		if err := keep.RevokeSigningKeys(ctx, kid, now); err != nil {
			return nil, err
		}
	}
	keys, err := keep.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	states := statesOf(keys, now)
	infos := make([]protocol.SigningKeyInfo, len(keys))
	for i, k := range keys {
		infos[i] = protocol.SigningKeyInfo{ID: k.KID, State: states[i], CreatedAt: k.CreatedAt, RetiredAt: k.RevokedAt}
	}
	return infos, nil
}

// repeatKeys tells the public keys on the bus, at once, every 10 s and when
// asked. It reads them anew each 10 s: another node may have changed them.
func (s *Server) repeatKeys(ctx context.Context, ask <-chan struct{}) error {
	tick := time.NewTicker(keysEvery)
	defer tick.Stop()
	for {
		if err := bus.Publish(s.bus, protocol.SubjectKeys, *s.public.Load()); err != nil {
			s.log.Warn("public keys not told", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ask:
			continue
		case <-s.keysChanged:
		case <-tick.C:
		}
		if err := s.loadKeys(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("signing keys not read again, going on with those known", "err", err)
		}
	}
}

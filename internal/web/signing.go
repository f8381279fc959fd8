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

// keysEvery is how often the public keys are repeated (protocol/bus.go).
const keysEvery = 10 * time.Second

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
	if s.turnSecret == nil && len(keys) > 0 {
		s.turnSecret = turnSecret(keys)
	}
	return s.useKeys(keys)
}

// turnSecret makes the secret of TURN credentials of the oldest key, which
// all nodes have and keep.
func turnSecret(keys []store.SigningKey) []byte {
	oldest := slices.MinFunc(keys, func(a, b store.SigningKey) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.KID, b.KID))
	})
	mac := hmac.New(sha256.New, oldest.Seed)
	mac.Write([]byte("causeway TURN credentials"))
	return mac.Sum(nil)
}

// useKeys signs with the newest key that is not retired; the others still
// verify.
func (s *Server) useKeys(keys []store.SigningKey) error {
	slices.SortStableFunc(keys, func(a, b store.SigningKey) int {
		switch {
		case a.RetiredAt == nil && b.RetiredAt != nil:
			return -1
		case a.RetiredAt != nil && b.RetiredAt == nil:
			return 1
		}
		return 0
	})
	if len(keys) == 0 || keys[0].RetiredAt != nil {
		return errors.New("load signing keys: every key is retired")
	}
	var seeds [][]byte
	for _, k := range keys[:min(len(keys), token.MaxKeys)] {
		seeds = append(seeds, k.Seed)
	}
	signer, err := token.NewSigner(seeds...)
	if err != nil {
		return fmt.Errorf("load signing keys: %w", err)
	}
	s.signer.Store(signer)
	s.verifier.Learn(signer.Public())
	return nil
}

// repeatKeys tells the public keys on the bus, at once, every 10 s and when
// asked. It reads them anew each 10 s: another node may have changed them.
func (s *Server) repeatKeys(ctx context.Context, ask <-chan struct{}) error {
	tick := time.NewTicker(keysEvery)
	defer tick.Stop()
	for {
		if err := bus.Publish(s.bus, protocol.SubjectKeys, s.signer.Load().Public()); err != nil {
			s.log.Warn("public keys not told", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ask:
		case <-tick.C:
			if err := s.loadKeys(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("signing keys not read again, going on with those known", "err", err)
			}
		}
	}
}

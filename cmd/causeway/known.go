package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"causeway/internal/base/run"
	"causeway/internal/bus"
	"causeway/internal/token"
	"causeway/protocol"
)

// askKeysEvery is how often the keys are asked for until they are heard.
const askKeysEvery = time.Second

// known is what a server has heard from web and needs when it starts while it
// is cut off: the keys of join tokens, and revocations. It is kept in the
// server's data folder.
type known struct {
	path string
	keys *token.Verifier
	log  *slog.Logger

	mu    sync.Mutex
	saved string
	facts facts
}

// facts are what the file holds.
type facts struct {
	Keys    protocol.KeySet        `json:"keys"`
	Revoked protocol.RevocationSet `json:"revoked"`
}

// openKnown reads the file, if there is one.
func openKnown(path string, trust *bus.Trust, log *slog.Logger) *known {
	k := &known{path: path, keys: token.NewVerifier(), log: log}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return k
	case err == nil:
		err = json.Unmarshal(data, &k.facts)
	}
	if err != nil {
		log.Warn("what was known is lost, it will be heard again", "file", path, "err", err)
		return k
	}
	k.saved = string(data)
	k.keys.Learn(k.facts.Keys)
	trust.Learn(k.facts.Revoked)
	return k
}

// follow keeps the file up to date, and the server's identity valid, until ctx
// ends.
func (k *known) follow(ctx context.Context, conn *bus.Conn, trust *bus.Trust) error {
	return run.All(ctx,
		func(ctx context.Context) error { return k.followKeys(ctx, conn) },
		func(ctx context.Context) error {
			return trust.Follow(ctx, conn, func(all protocol.RevocationSet) {
				k.change(func(f *facts) { f.Revoked = all })
			})
		},
		func(ctx context.Context) error { return trust.Renew(ctx, conn, k.log) },
	)
}

// followKeys keeps the keys that web repeats, and asks for them until it has
// heard them once.
func (k *known) followKeys(ctx context.Context, conn *bus.Conn) error {
	heard := make(chan struct{}, 1)
	sub, err := bus.Subscribe(conn, protocol.SubjectKeys, func(_ string, set protocol.KeySet) {
		k.keys.Learn(set)
		k.change(func(f *facts) { f.Keys = set })
		select {
		case heard <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	defer sub.Stop()
	tick := time.NewTicker(askKeysEvery)
	defer tick.Stop()
	for {
		_ = bus.Publish(conn, protocol.SubjectKeysAsk, protocol.Empty{}) // fails while the bus is away
		select {
		case <-heard:
			<-ctx.Done()
			return nil
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// change notes a fact and writes the file if it is new.
func (k *known) change(note func(*facts)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	note(&k.facts)
	data, err := json.Marshal(k.facts)
	if err != nil || string(data) == k.saved {
		return
	}
	if err := writeSecret(k.path, string(data)); err != nil {
		k.log.Warn("what is known is not kept for the next start", "err", err)
		return
	}
	k.saved = string(data)
}

package web

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"causeway/internal/bus"
	"causeway/internal/store"
	"causeway/internal/token"
	"causeway/protocol"
)

func TestKeysAreTold(t *testing.T) {
	hub, err := bus.StartHub(bus.HubConfig{Name: "hub"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Stop)
	listener := connect(t, hub, "zone")
	told := make(chan protocol.KeySet, 64)
	sub, err := bus.Subscribe(listener, protocol.SubjectKeys, func(_ string, k protocol.KeySet) { told <- k })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "web.db")
	n := startNodeOn(t, hub, dsn, testConfig())
	first := <-told // at once
	if err := bus.Publish(listener, protocol.SubjectKeysAsk, protocol.Empty{}); err != nil {
		t.Fatal(err)
	}
	asked := <-told // when asked
	other := startNodeOn(t, hub, dsn, testConfig())

	m := n.create(protocol.CreateMeeting{})
	for name, keys := range map[string]protocol.KeySet{"first": first, "asked": asked} {
		v := token.NewVerifier()
		v.Learn(keys)
		for _, node := range []*node{n, other} { // nodes of one database sign alike
			if _, err := v.Verify(node.signed(claimsFor(m, time.Now())), time.Now()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestRetiredKeysVerify(t *testing.T) {
	past := time.Now().Add(-time.Hour)
	key := func(b byte, retired bool) store.SigningKey {
		k := store.SigningKey{Seed: bytes.Repeat([]byte{b}, 32), CreatedAt: past}
		if retired {
			k.RetiredAt = &past
		}
		return k
	}
	sign := func(s *Server) string {
		return (&node{Server: s, t: t}).signed(claimsFor(protocol.Meeting{ID: "m", Number: "123456789"}, time.Now()))
	}
	before := &Server{verifier: token.NewVerifier()}
	if err := before.useKeys([]store.SigningKey{key(1, false)}, time.Now()); err != nil {
		t.Fatal(err)
	}
	after := &Server{verifier: token.NewVerifier()}
	if err := after.useKeys([]store.SigningKey{key(3, true), key(2, false), key(1, true)}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := after.verifier.Verify(sign(before), time.Now()); err != nil {
		t.Errorf("a token of a retired key: %v", err)
	}
	if _, err := before.verifier.Verify(sign(after), time.Now()); err == nil {
		t.Error("signed with a key that is not the newest active one")
	}
	for _, keys := range [][]store.SigningKey{nil, {key(1, true)}} {
		if err := after.useKeys(keys, time.Now()); err == nil {
			t.Errorf("%d keys, none to sign with, were taken", len(keys))
		}
	}
}

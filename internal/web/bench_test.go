package web

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"testing"

	"causeway/internal/bus"
	"causeway/internal/store"
	"causeway/protocol"
)

// BenchmarkLookup is a whole lookup on SQLite, without the network.
func BenchmarkLookup(b *testing.B) {
	cfg := testConfig()
	cfg.Limits.Lookups.Burst = 1 << 30
	n := startNode(b, "sqlite:"+filepath.Join(b.TempDir(), "web.db"), cfg)
	m := n.create(protocol.CreateMeeting{})
	body, err := json.Marshal(protocol.LookupRequest{Name: "A", Passcode: m.Passcode})
	if err != nil {
		b.Fatal(err)
	}
	r := request{method: "POST", path: lookupPath(m.Number), body: string(body)}
	b.ReportAllocs()
	for b.Loop() {
		n.open("eu") // or it falls silent
		if w := n.do(r); w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}

// BenchmarkNew is what making a web node adds to a start.
func BenchmarkNew(b *testing.B) {
	hub, err := bus.StartHub(bus.HubConfig{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(hub.Stop)
	log := slog.New(slog.DiscardHandler)
	st, err := store.Open(context.Background(), "sqlite:"+filepath.Join(b.TempDir(), "web.db"), log)
	if err != nil {
		b.Fatal(err)
	}
	conn := connect(b, hub, "web")
	for b.Loop() {
		if _, err := New(testConfig(), Deps{Store: st, Bus: conn, Log: log}); err != nil {
			b.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		b.Fatal(err)
	}
}

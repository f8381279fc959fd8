package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"causeway/internal/bus"
	"causeway/internal/store"
	"causeway/internal/store/storetest"
	"causeway/protocol"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

var postgres *storetest.Server

func TestMain(m *testing.M) {
	status := storetest.Main(m, &postgres)
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

// node is a web node under test.
type node struct {
	*Server
	t    testing.TB
	key  string    // an API key
	conn *bus.Conn // somebody else on its bus
}

// both runs a test on a node with each database.
func both(t *testing.T, f func(t *testing.T, dsn string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, "sqlite:"+filepath.Join(t.TempDir(), "web.db")) })
	t.Run("postgres", func(t *testing.T) { f(t, postgres.Database(t)) })
}

func testConfig() Config {
	cfg := DefaultConfig()
	cfg.PublicURL = "https://meet.example"
	cfg.Creation = CreationAnyone
	cfg.TrustedProxies = []string{"192.0.2.0/28"}
	return cfg
}

// startNode starts a node on a bus of its own.
func startNode(t testing.TB, dsn string, cfg Config) *node {
	t.Helper()
	hub, err := bus.StartHub(bus.HubConfig{Name: "hub", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Stop)
	return startNodeOn(t, hub, dsn, cfg)
}

func connect(t testing.TB, hub *bus.Server, name string) *bus.Conn {
	t.Helper()
	c, err := hub.Connect(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func startNodeOn(t testing.TB, hub *bus.Server, dsn string, cfg Config) *node {
	t.Helper()
	n := launch(t, connect(t, hub, "web"), dsn, cfg)
	await(t, "ready", func() bool { return n.Ready() == nil })
	n.conn = connect(t, hub, "other")
	return n
}

// launch runs a node, which may not be ready yet.
func launch(t testing.TB, conn *bus.Conn, dsn string, cfg Config) *node {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	st, err := store.Open(context.Background(), dsn, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := New(cfg, Deps{Store: st, Bus: conn, Log: log, Metrics: prometheus.NewPedanticRegistry(), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	key, err := s.EnsureAPIKey(context.Background(), "test")
	if err != nil {
		t.Fatal(err)
	}
	return &node{Server: s, t: t, key: key}
}

// await waits until something that happens elsewhere has happened.
func await(t testing.TB, what string, happened func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

// open lets the node hear of an open zone.
func (n *node) open(zones ...string) {
	n.t.Helper()
	for _, zone := range zones {
		s := protocol.ControllerState{
			ID: "c1", Zone: zone, ZoneName: "Zone " + zone, URL: "https://" + zone + ".example",
			LocalURL: "http://localhost:8080", State: protocol.ZoneOpen,
		}
		if err := n.zones.Hear(protocol.SubjectController(zone, "c1"), s, time.Now()); err != nil {
			n.t.Fatal(err)
		}
	}
}

// request is one HTTP request to a node.
type request struct {
	method, path string
	body         any // a string is sent as it is
	key          string
	from         string // IP address, "" some client
	header       map[string]string
	change       func(*http.Request) *http.Request
}

func (n *node) do(r request) *httptest.ResponseRecorder {
	n.t.Helper()
	var body io.Reader
	switch b := r.body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			n.t.Fatal(err)
		}
		body = bytes.NewReader(text)
	}
	req := httptest.NewRequest(r.method, r.path, body)
	req.RemoteAddr = "198.51.100.7:1234"
	if r.from != "" {
		req.RemoteAddr = r.from
	}
	if r.key != "" {
		req.Header.Set("Authorization", "Bearer "+r.key)
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	if r.change != nil {
		req = r.change(req)
	}
	w := httptest.NewRecorder()
	n.Handler().ServeHTTP(w, req)
	return w
}

// get sends a request and reads the answer into a T; status is what it must be.
func get[T any](n *node, status int, r request) T {
	n.t.Helper()
	w := n.do(r)
	var v T
	if w.Code != status {
		n.t.Fatalf("%s %s: status %d, want %d: %s", r.method, r.path, w.Code, status, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		n.t.Errorf("%s %s: content type %q", r.method, r.path, got)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		n.t.Fatalf("%s %s: %v: %s", r.method, r.path, err, w.Body)
	}
	return v
}

// fails sends a request that must be answered with a problem.
func (n *node) fails(code protocol.Code, r request) *protocol.Problem {
	n.t.Helper()
	w := n.do(r)
	var p protocol.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		n.t.Fatalf("%s %s: status %d, no problem: %s", r.method, r.path, w.Code, w.Body)
	}
	if p.Code != code {
		n.t.Fatalf("%s %s: status %d, problem %q (%s), want %q", r.method, r.path, w.Code, p.Code, p.Detail, code)
	}
	if w.Code != p.Status || p.Title == "" || p.Cause == "" || p.Remedy == "" {
		n.t.Errorf("%s %s: status %d with incomplete problem %s", r.method, r.path, w.Code, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		n.t.Errorf("%s %s: content type %q", r.method, r.path, got)
	}
	return &p
}

// create makes a meeting.
func (n *node) create(c protocol.CreateMeeting) protocol.Meeting {
	n.t.Helper()
	return get[protocol.Meeting](n, http.StatusCreated, request{method: "POST", path: protocol.PathMeetings, body: c})
}

func lookupPath(number string) string { return protocol.PathMeetings + "/" + number + "/lookup" }

package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"causeway/internal/base/local"
	"causeway/internal/base/pki"
	"causeway/internal/bus"
	"causeway/internal/port443"
	"causeway/internal/token"
	"causeway/protocol"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds waits for something that must happen; it is no measurement.
const patience = 30 * time.Second

// world is a gateway on a TLS port and a real bus, with a controller and a
// router behind it that speak TLS too.
type world struct {
	t          *testing.T
	gateway    *Server
	signer     *token.Signer
	bus        *bus.Conn
	registry   *prometheus.Registry
	address    string // of the port
	http       *http.Client
	trusted    *tls.Config
	controller *httptest.Server
	router     *httptest.Server
	media      netip.AddrPort // where a router's media really is
	stop       func()

	mu      sync.Mutex
	answer  func(w http.ResponseWriter, r *http.Request, body []byte) // of the controller
	channel func(ctx context.Context, c *websocket.Conn)              // of the router
}

// advertised is a router's media address as it is told.
var advertised = netip.MustParseAddrPort("203.0.113.30:8801")

func newWorld(t *testing.T, change func(*Config)) *world {
	t.Helper()
	w := &world{t: t, registry: prometheus.NewPedanticRegistry(), media: echo(t)}
	hub, err := bus.StartHub(bus.HubConfig{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Stop)
	if w.bus, err = hub.Connect("test"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.bus.Close)
	if w.signer, err = token.NewSigner(token.NewSeed()); err != nil {
		t.Fatal(err)
	}
	keys := token.NewVerifier()
	keys.Learn(w.signer.Public())
	w.startServers()

	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	roots := x509.NewCertPool()
	roots.AddCert(w.controller.Certificate())
	w.gateway = New(cfg, Deps{
		Bus: w.bus, Log: slog.New(slog.DiscardHandler), Metrics: w.registry, Keys: keys, Roots: roots,
		Client: func(context.Context) netip.Prefix { return netip.MustParsePrefix("198.51.100.7/32") },
		Secret: func() []byte { return []byte("a secret of web nodes") },
		Own: func(a netip.AddrPort) (netip.AddrPort, bool) {
			return w.media, a.Addr() == advertised.Addr() && (a.Port() == 0 || a.Port() == advertised.Port())
		},
	})
	w.run()
	w.heard(w.controller.URL, w.routerURL())
	return w
}

// startServers starts a controller and a router.
func (w *world) startServers() {
	w.controller = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		answer := w.answer
		w.mu.Unlock()
		answer(rw, r, body)
	}))
	w.t.Cleanup(w.controller.Close)
	w.answer = w.joined
	w.router = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(rw, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		c.SetReadLimit(protocol.MaxControlMessage)
		w.mu.Lock()
		channel := w.channel
		w.mu.Unlock()
		channel(r.Context(), c)
	}))
	w.t.Cleanup(w.router.Close)
	w.channel = parrot
}

// routerURL is the address of the router's control channel.
func (w *world) routerURL() string {
	return "wss" + strings.TrimPrefix(w.router.URL, "https") + protocol.PathControl
}

// joined answers as a controller does, with a field that nobody knows yet.
func (w *world) joined(rw http.ResponseWriter, r *http.Request, _ []byte) {
	rw.Header().Set("Content-Type", "application/json")
	if r.URL.Path == protocol.PathProbe {
		_, _ = io.WriteString(rw, `{"zone":"z1","controller":"c1","state":"open"}`)
		return
	}
	_ = json.NewEncoder(rw).Encode(map[string]any{
		"zone": "z1", "controller": "c1", "mmr": "m1", "session": "s1", "control_url": w.routerURL(),
		"turn": []protocol.TURNServer{{URLs: []string{"turns:router.example:443?transport=tcp"}}}, "later": 7,
	})
}

// parrot is a router that says everything again.
func parrot(ctx context.Context, c *websocket.Conn) {
	for {
		kind, data, err := c.Read(ctx)
		if err != nil || c.Write(ctx, kind, data) != nil {
			return
		}
	}
}

// run runs the gateway on a port as the command does.
func (w *world) run() {
	w.t.Helper()
	authority, err := pki.Open(w.t.TempDir(), []string{"127.0.0.1", "localhost"})
	if err != nil {
		w.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.address = ln.Addr().String()
	w.trusted = &tls.Config{RootCAs: authority.Pool(), ServerName: "127.0.0.1"}
	transport := &http.Transport{TLSClientConfig: w.trusted}
	w.http = &http.Client{Transport: transport}

	mux := http.NewServeMux()
	mux.Handle("/", w.gateway.Handler())
	mux.Handle("/local/", http.StripPrefix("/local", local.Mark(w.gateway.Handler())))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- w.gateway.Run(ctx) }()
	go func() {
		ended <- port443.Serve(ctx, ln, port443.Config{TLS: authority.TLSConfig(), HTTP: mux, Raw: w.gateway.ServeTURN})
	}()
	w.stop = sync.OnceFunc(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				w.t.Error(err)
			}
		}
		transport.CloseIdleConnections()
	})
	w.t.Cleanup(w.stop)
}

// heard announces servers until the gateway knows them and runs.
func (w *world) heard(controller, router string) {
	w.t.Helper()
	w.until("the servers are heard", func() bool {
		now := time.Now()
		w.gateway.Hear(protocol.ControllerState{ID: "c1", Zone: "z1", URL: controller})
		state := protocol.MMRState{ID: "m1", Zone: "z1", ControlURL: router, Media: []string{advertised.String()}}
		if err := bus.Publish(w.bus, protocol.SubjectMMRState("z1", "m1"), state); err != nil {
			w.t.Fatal(err)
		}
		t := w.gateway.targets
		return t.controllers.knows(controller, now) && t.routers.knows(router, now) && t.media.knows(advertised, now) && w.gateway.turn.Load() != nil
	})
}

func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			w.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// token makes a join token.
func (w *world) token(participant string, valid time.Duration) string {
	w.t.Helper()
	now := time.Now()
	raw, err := w.signer.Sign(protocol.JoinClaims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: participant, IssuedAt: jwt.NewNumericDate(now.Add(min(0, valid))), ExpiresAt: jwt.NewNumericDate(now.Add(valid))},
		Meeting:          "meeting", Number: "1234567890", Name: "Ann", Role: protocol.Guest,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

// echo is a router's media port that sends everything back.
func echo(t *testing.T) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(b[:n], from)
		}
	})
	t.Cleanup(func() { _ = c.Close(); served.Wait() })
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

package tunnel

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"causeway/internal/bus"
	"causeway/internal/route"
	"causeway/internal/token"
	"causeway/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a tunnel on a real bus with one server of the system behind it,
// which echoes.
type world struct {
	t      *testing.T
	server *Server
	http   *httptest.Server
	signer *token.Signer
	echo   net.Listener
	conn   *bus.Conn
}

func newWorld(t *testing.T, limits func(*Limits), wrap func(http.Handler) http.Handler) *world {
	t.Helper()
	w := &world{t: t}
	hub, err := bus.StartHub(bus.HubConfig{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Stop)
	if w.conn, err = hub.Connect("test"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.conn.Close)
	if w.signer, err = token.NewSigner(token.NewSeed()); err != nil {
		t.Fatal(err)
	}
	keys, err := bus.Subscribe(w.conn, protocol.SubjectKeysAsk, func(string, protocol.Empty) {
		_ = bus.Publish(w.conn, protocol.SubjectKeys, w.signer.Public())
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keys.Stop)
	w.startEcho()

	cfg := DefaultConfig()
	cfg.ID, cfg.URL = "t1", "https://localhost"
	if limits != nil {
		limits(&cfg.Limits)
	}
	if w.server, err = New(cfg, Deps{Bus: w.conn, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.server.Run(ctx) }()
	handler := w.server.Handler()
	if wrap != nil {
		handler = wrap(handler)
	}
	w.http = httptest.NewTLSServer(handler)
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		w.http.Close()
	})
	w.untilReady()
	return w
}

// startEcho starts the server behind the tunnel.
func (w *world) startEcho() {
	var err error
	if w.echo, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		w.t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := w.echo.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { defer c.Close(); _, _ = io.Copy(c, c) })
		}
	})
	w.t.Cleanup(func() { _ = w.echo.Close(); conns.Wait() })
}

// untilReady announces the echo server as a controller until the tunnel has
// heard of it and says itself that it is healthy.
func (w *world) untilReady() {
	w.t.Helper()
	healthy := make(chan struct{})
	var once sync.Once
	sub, err := bus.Subscribe(w.conn, protocol.SubjectTunnels, func(_ string, s protocol.TunnelState) {
		if s.Health == protocol.Healthy && w.server.targets.allows(w.echo.Addr().String(), time.Now()) {
			once.Do(func() { close(healthy) })
			return
		}
		if s.Health == protocol.Draining {
			w.t.Error("it is said to drain while it waits for servers to lead to")
		}
		_ = bus.Publish(w.conn, protocol.SubjectController("z", "c"), protocol.ControllerState{ID: "c", Zone: "z", URL: "https://" + w.echo.Addr().String()})
	})
	if err != nil {
		w.t.Fatal(err)
	}
	defer sub.Stop()
	_ = bus.Publish(w.conn, protocol.SubjectHubAsk, protocol.Empty{})
	<-healthy
}

func (w *world) token(participant string, expires time.Duration) string {
	w.t.Helper()
	now := time.Now()
	s, err := w.signer.Sign(protocol.JoinClaims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: participant, ExpiresAt: jwt.NewNumericDate(now.Add(expires)), IssuedAt: jwt.NewNumericDate(now)},
		Meeting:          "m1", Number: "1234567890", Name: "Ann", Role: protocol.Guest,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) client(token string) *route.Tunnel {
	c := route.NewTunnel(route.TunnelConfig{
		URL:  w.http.URL,
		Dial: (&net.Dialer{}).DialContext,
		TLS:  w.http.Client().Transport.(*http.Transport).TLSClientConfig.Clone(),
		Auth: func() string { return token },
	})
	w.t.Cleanup(c.Close)
	return c
}

// noWebSocket is a middlebox that refuses upgrades.
func noWebSocket(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			http.Error(w, "blocked by policy", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// lossy drops every third plain request's answer after it was carried out.
func lossy(next http.Handler) http.Handler {
	var mu sync.Mutex
	n := 0
	refuse := noWebSocket(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		drop := n%3 == 0 && strings.Contains(r.URL.Path, "/streams/")
		mu.Unlock()
		if !drop {
			refuse.ServeHTTP(w, r)
			return
		}
		refuse.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	})
}

func TestStreamsCarryBytes(t *testing.T) {
	for name, tc := range map[string]struct {
		wrap  func(http.Handler) http.Handler
		plain bool
	}{
		"WebSocket":                 {nil, false},
		"plain requests":            {noWebSocket, true},
		"plain requests, some lost": {lossy, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil, tc.wrap)
			tun := w.client(w.token("p1", time.Hour))
			if err := tun.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			c, err := tun.DialContext(t.Context(), "tcp", w.echo.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			sent := make([]byte, 300<<10)
			_, _ = rand.Read(sent)
			var writing sync.WaitGroup
			writing.Go(func() { _, _ = c.Write(sent) })
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(c, got); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(sent, got) {
				t.Error("other bytes came back")
			}
			writing.Wait()
			if tun.Plain() != tc.plain {
				t.Errorf("plain: %v", tun.Plain())
			}
			_ = c.Close()
		})
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t, func(l *Limits) { l.StreamsPerParticipant = 1 }, nil)
	echo := w.echo.Addr().String()
	other, err := token.NewSigner(token.NewSeed())
	if err != nil {
		t.Fatal(err)
	}
	mine := w.signer
	w.signer = other
	forged := w.token("p", time.Hour)
	w.signer = mine
	for name, tc := range map[string]struct {
		token, to string
		want      protocol.Code
	}{
		"no token":       {"", echo, protocol.ProblemTokenInvalid},
		"forged token":   {forged, echo, protocol.ProblemTokenInvalid},
		"expired token":  {w.token("p", -time.Hour), echo, protocol.ProblemTokenExpired},
		"somebody else":  {w.token("p", time.Hour), "127.0.0.1:22", protocol.ProblemTunnelRefused},
		"no target":      {w.token("p", time.Hour), "", protocol.ProblemTunnelRefused},
		"itself by name": {w.token("p", time.Hour), "localhost:443", protocol.ProblemTunnelRefused},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := w.client(tc.token).DialContext(t.Context(), "tcp", tc.to)
			if err == nil {
				_ = c.Close()
				t.Fatal("it connected")
			}
			if !errors.Is(err, protocol.NewProblem(tc.want, "")) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("one stream too many", func(t *testing.T) {
		tun := w.client(w.token("p2", time.Hour))
		c, err := tun.DialContext(t.Context(), "tcp", echo)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := tun.DialContext(t.Context(), "tcp", echo); !errors.Is(err, protocol.NewProblem(protocol.ProblemTunnelFull, "")) {
			t.Errorf("%v", err)
		}
	})
}

func TestDrainTakesNobodyNew(t *testing.T) {
	w := newWorld(t, nil, nil)
	tun := w.client(w.token("p1", time.Hour))
	c, err := tun.DialContext(t.Context(), "tcp", w.echo.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	drain := func(req protocol.DrainRequest) protocol.DrainState {
		t.Helper()
		st, err := bus.Request[protocol.DrainState](t.Context(), w.conn, protocol.SubjectDrainTunnel("t1"), req)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	states := make(chan protocol.TunnelState, 1024)
	sub, err := bus.Subscribe(w.conn, protocol.SubjectTunnels, func(_ string, s protocol.TunnelState) { states <- s })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	if st := drain(protocol.DrainRequest{}); !st.Draining || st.Left != 1 || st.DeadlineMS == 0 {
		t.Errorf("asked to drain: %+v", st)
	}
	if s := <-states; s.Health != protocol.Draining || s.Drain == nil || s.Drain.Left != 1 || s.Server.MaxOpenFiles == 0 {
		t.Errorf("the hub is told %+v", s)
	}
	if err := tun.Ping(t.Context()); !errors.Is(err, protocol.NewProblem(protocol.ProblemTunnelFull, "")) {
		t.Errorf("ping: %v", err)
	}
	if _, err := tun.DialContext(t.Context(), "tcp", w.echo.Addr().String()); err == nil {
		t.Error("a new stream was taken")
	}
	if _, err := c.Write([]byte("still here")); err != nil {
		t.Error(err)
	}
	got := make([]byte, len("still here"))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Errorf("the running stream: %v", err)
	}
	if st := drain(protocol.DrainRequest{Cancel: true}); st != (protocol.DrainState{}) {
		t.Errorf("cancelled: %+v", st)
	}
	if err := tun.Ping(t.Context()); err != nil {
		t.Errorf("ping after all: %v", err)
	}
	drain(protocol.DrainRequest{DeadlineMS: 1})
	for s := range states {
		if s.Health == protocol.Stopping { // its last word
			break
		}
	}
	if _, err := io.ReadFull(c, got); err == nil {
		t.Error("the stream goes on after the deadline")
	}
}

// TestEndedStreamsCount: what a client has not fetched yet of a stream that its
// target has ended takes room as before.
func TestEndedStreamsCount(t *testing.T) {
	w := newWorld(t, func(l *Limits) { l.StreamsPerParticipant = 2 }, nil)
	token := w.token("p1", time.Hour)
	ask := func(method, path string) (status int, body []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, w.http.URL+protocol.PathTunnelStreams+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := w.http.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err = io.ReadAll(resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, body
	}
	open := func() (int, protocol.TunnelStream) {
		t.Helper()
		var s protocol.TunnelStream
		status, body := ask(http.MethodPost, "?to="+url.QueryEscape(w.echo.Addr().String()))
		if status == http.StatusOK {
			if err := json.Unmarshal(body, &s); err != nil {
				t.Fatal(err)
			}
		}
		return status, s
	}
	var ids []string
	for range 2 {
		status, s := open()
		if status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		ids = append(ids, s.ID)
		w.server.polled.mu.Lock()
		p := w.server.polled.byID[s.ID]
		w.server.polled.mu.Unlock()
		_ = p.target.Close() // as the target does
		p.mu.Lock()
		for !p.ended {
			p.wait(t.Context(), nil)
		}
		p.mu.Unlock()
	}
	w.server.streams.Wait() // what read from the targets has ended
	if status, _ := open(); status == http.StatusOK {
		t.Error("a third stream was opened beside two that are not fetched yet")
	}
	for range 2 { // the first answer may be lost
		if status, _ := ask(http.MethodGet, "/"+ids[0]+"?offset=0"); status != http.StatusGone {
			t.Errorf("an ended stream: status %d", status)
		}
	}
	if status, _ := ask(http.MethodDelete, "/"+ids[1]); status != http.StatusNoContent {
		t.Errorf("close: status %d", status)
	}
	for range 2 {
		if status, _ := open(); status != http.StatusOK {
			t.Errorf("when both are gone: status %d", status)
		}
	}
	if n, _ := w.server.quotas.count(); n != 2 || len(w.server.polled.byID) != 2 {
		t.Errorf("%d streams are counted, %d kept", n, len(w.server.polled.byID))
	}
}

// held is a log that holds up whoever says that it was asked to drain.
type held struct {
	slog.Handler
	asked, release chan struct{}
}

func (h held) Enabled(context.Context, slog.Level) bool { return true }

func (h held) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "asked to drain") {
		close(h.asked)
		<-h.release
	}
	return nil
}

func TestTheLastWordIsTheLast(t *testing.T) {
	w := newWorld(t, nil, nil)
	log := held{slog.DiscardHandler, make(chan struct{}), make(chan struct{})}
	cfg := DefaultConfig()
	cfg.ID, cfg.URL = "t2", "https://tunnel.example.org"
	s, err := New(cfg, Deps{Bus: w.conn, Log: slog.New(log)})
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan protocol.TunnelState, 1024)
	sub, err := bus.Subscribe(w.conn, protocol.SubjectTunnel("t2"), func(_ string, s protocol.TunnelState) { said <- s })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var runs, asks sync.WaitGroup
	runs.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	<-said // its first word: it listens
	asks.Go(func() { s.Drain("test") })
	<-log.asked
	cancel()
	for (<-said).Health != protocol.Stopping {
	}
	close(log.release)
	asks.Wait()
	runs.Wait()
	end := protocol.TunnelState{ID: "the end"}
	if err := bus.Publish(w.conn, protocol.SubjectTunnel("t2"), end); err != nil {
		t.Fatal(err)
	}
	if s := <-said; s.ID != end.ID {
		t.Errorf("after its last word it says %+v", s)
	}
}

func TestRaceTakesTheFirstThatAnswers(t *testing.T) {
	w := newWorld(t, nil, nil)
	over := make(chan struct{}) // net/http goes on dialling after its request was given up
	t.Cleanup(func() { close(over) })
	silent := route.NewTunnel(route.TunnelConfig{
		URL: "https://silent.example", TLS: &tls.Config{}, Auth: func() string { return "" },
		Dial: func(context.Context, string, string) (net.Conn, error) { <-over; return nil, errors.New("over") },
	})
	broken := route.NewTunnel(route.TunnelConfig{
		URL: "https://broken.example", TLS: &tls.Config{}, Auth: func() string { return "" },
		Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") },
	})
	good := w.client(w.token("p1", time.Hour))
	got, err := route.Race(t.Context(), []*route.Tunnel{silent, broken, good}, (*route.Tunnel).Ping)
	if err != nil || got != good {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := route.Race(t.Context(), []*route.Tunnel{broken}, (*route.Tunnel).Ping); err == nil {
		t.Error("a race without a winner has no error")
	}
}

func TestTargets(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ts := newTargets()
	for _, base := range []string{"https://zc.example.org", "wss://mmr.example.org:8443/mmr/v1/control", "http://plain.example", "nonsense", "https://"} {
		ts.hear(base, now)
	}
	for address, want := range map[string]bool{
		"zc.example.org:443": true, "mmr.example.org:8443": true,
		"zc.example.org:22": false, "plain.example:80": false, "plain.example:443": false, ":443": false, "": false,
	} {
		if ts.allows(address, now) != want {
			t.Errorf("%q: %v", address, !want)
		}
	}
	if ts.allows("zc.example.org:443", now.Add(forget+time.Second)) {
		t.Error("a server that fell silent is still a target")
	}
	if ts.none(now) || !ts.none(now.Add(forget+time.Second)) {
		t.Error("there is a target when it is, and none when all are silent")
	}
}

// TestATunnelElsewhereLeavesItsMachineAlone, whatever a server announces.
func TestATunnelElsewhereLeavesItsMachineAlone(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for url, reached := range map[string]bool{"https://tunnel.example.org": false, "https://localhost:8443": true} {
		cfg := DefaultConfig()
		cfg.ID, cfg.URL = "t1", url
		s, err := New(cfg, Deps{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.dial(t.Context(), ln.Addr().String())
		if reached != (err == nil) {
			t.Errorf("of %s: %v", url, err)
		}
		if err == nil {
			_ = c.Close()
		}
	}
}

package zone

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"causeway/internal/base/local"
	"causeway/internal/bus"
	"causeway/internal/token"
	"causeway/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a bus in process with a signer that plays web.
type world struct {
	*testing.T
	hub    *bus.Server
	conn   *bus.Conn
	signer *token.Signer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	hub, err := bus.StartHub(bus.HubConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Stop)
	w := &world{T: t, hub: hub}
	w.conn = w.connect("web")
	if w.signer, err = token.NewSigner(token.NewSeed()); err != nil {
		t.Fatal(err)
	}
	on(w, w.conn, protocol.SubjectKeysAsk, func(string, protocol.Empty) {
		_ = bus.Publish(w.conn, protocol.SubjectKeys, w.signer.Public())
	})
	return w
}

func (w *world) connect(name string) *bus.Conn {
	w.Helper()
	conn, err := w.hub.Connect(name)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(conn.Close)
	return conn
}

// on subscribes until the test ends.
func on[T any](w *world, conn *bus.Conn, subject string, f func(string, T)) {
	w.Helper()
	sub, err := bus.Subscribe(conn, subject, f)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(sub.Stop)
}

// eventually waits until the condition holds; the conditions here become true
// by messages under way.
func (w *world) eventually(what string, holds func() bool) {
	w.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			w.Fatalf("never: %s", what)
		}
		runtime.Gosched()
	}
}

// controller starts a controller, by default of zone z.
func (w *world) controller(id string, change func(*Config, *Deps)) *Server {
	w.Helper()
	cfg := DefaultConfig()
	cfg.ID, cfg.Zone, cfg.URL = id, "z", "https://"+id+".example.org"
	deps := Deps{Bus: w.connect(id), Version: "test"}
	if change != nil {
		change(&cfg, &deps)
	}
	s, err := New(cfg, deps)
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	var once sync.Once
	w.Cleanup(func() {
		once.Do(cancel)
		if err := <-ended; err != nil {
			w.Errorf("Run: %v", err)
		}
	})
	w.eventually("ready", func() bool { return s.Ready() == nil })
	return s
}

// fakeRouter is a router as controllers see it.
type fakeRouter struct {
	id       string
	admitted atomic.Int64
	last     atomic.Pointer[protocol.AdmitRequest]
}

// router starts a router that answers zone.z.ask and, if admit is not nil,
// admissions.
func (w *world) router(id string, admit func(context.Context) error) *fakeRouter {
	w.Helper()
	r := &fakeRouter{id: id}
	conn := w.connect(id)
	said := protocol.MMRState{
		ID: id, Zone: "z", Health: protocol.Healthy,
		ControlURL: "wss://" + id + ".example.org/mmr/v1/control", LocalControlURL: "ws://localhost:8080/mmr/v1/control",
	}
	tell := func(string, protocol.Empty) { _ = bus.Publish(conn, protocol.SubjectMMRState("z", id), said) }
	on(w, conn, protocol.SubjectZoneAsk("z"), tell)
	if admit != nil {
		sub, err := bus.Answer(conn, protocol.SubjectAdmit("z", id), "", func(ctx context.Context, q protocol.AdmitRequest) (protocol.AdmitAnswer, error) {
			r.last.Store(&q)
			if err := admit(ctx); err != nil {
				return protocol.AdmitAnswer{}, err
			}
			n := r.admitted.Add(1)
			return protocol.AdmitAnswer{Session: fmt.Sprintf("%s-%d", id, n), Answers: protocol.Offers{Audio: "answer"}}, nil
		})
		if err != nil {
			w.Fatal(err)
		}
		w.Cleanup(sub.Stop)
	}
	tell("", protocol.Empty{})
	return r
}

func admits(context.Context) error { return nil }

func refuses(code protocol.Code) func(context.Context) error {
	return func(context.Context) error { return protocol.NewProblem(code, "") }
}

func deaf(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// knows waits until the controller has heard n routers.
func (w *world) knows(s *Server, n int) {
	w.Helper()
	w.eventually(fmt.Sprintf("%d routers known", n), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.state.routers) == n
	})
}

func (w *world) token(meeting string, life time.Duration) string {
	w.Helper()
	raw, err := w.signer.Sign(protocol.JoinClaims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: "p1", ExpiresAt: jwt.NewNumericDate(time.Now().Add(life))},
		Meeting:          meeting, Number: "123456789", Name: "Ada", Role: protocol.Guest,
	})
	if err != nil {
		w.Fatal(err)
	}
	return raw
}

const offer = `{"offers":{"audio":"offer"},"client":{"kind":"native"}}`

// post sends a join request as it is.
func post(h http.Handler, bearer, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, protocol.PathJoin, strings.NewReader(body))
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

// join joins and returns the answer or the problem.
func (w *world) join(s *Server, meeting string) (protocol.JoinAnswer, *protocol.Problem) {
	w.Helper()
	rec := post(s.Handler(), w.token(meeting, time.Hour), offer)
	if rec.Code != http.StatusOK {
		return protocol.JoinAnswer{}, w.problem(rec)
	}
	var a protocol.JoinAnswer
	if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil {
		w.Fatal(err)
	}
	return a, nil
}

func (w *world) problem(rec *httptest.ResponseRecorder) *protocol.Problem {
	w.Helper()
	var p protocol.Problem
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || p.Code == "" {
		w.Fatalf("status %d, not a problem: %s", rec.Code, rec.Body)
	}
	if rec.Code != protocol.Problems[p.Code].Status || rec.Header().Get("Content-Type") != "application/problem+json" {
		w.Errorf("problem %s with status %d, %s", p.Code, rec.Code, rec.Header().Get("Content-Type"))
	}
	return &p
}

func TestJoin(t *testing.T) {
	w := newWorld(t)
	r := w.router("mmr-1", admits)
	s := w.controller("zc-1", nil)
	w.knows(s, 1)
	a, p := w.join(s, "tea")
	if p != nil {
		t.Fatal(p)
	}
	want := protocol.JoinAnswer{
		Zone: "z", Controller: "zc-1", MMR: "mmr-1", Session: "mmr-1-1",
		ControlURL: "wss://mmr-1.example.org/mmr/v1/control", Answers: protocol.Offers{Audio: "answer"},
	}
	if a != want {
		t.Errorf("got %+v, want %+v", a, want)
	}
	q := r.last.Load()
	if q.Offers.Audio != "offer" || q.Client.Kind != "native" || q.Address != "192.0.2.1" || q.Token == "" {
		t.Errorf("router was asked %+v", q)
	}
}

func TestLocalJoinGetsLocalControlURL(t *testing.T) {
	w := newWorld(t)
	w.router("mmr-1", admits)
	s := w.controller("zc-1", nil)
	w.knows(s, 1)
	rec := post(local.Mark(s.Handler()), w.token("tea", time.Hour), offer)
	if !strings.Contains(rec.Body.String(), `"control_url":"ws://localhost:8080/mmr/v1/control"`) {
		t.Errorf("answer %s", rec.Body)
	}
}

func TestJoinRefused(t *testing.T) {
	w := newWorld(t)
	r := w.router("mmr-1", admits)
	s := w.controller("zc-1", nil)
	w.knows(s, 1)
	good := w.token("tea", time.Hour)
	foreign, _ := token.NewSigner(token.NewSeed())
	forged, _ := foreign.Sign(protocol.JoinClaims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: "p", ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))},
		Meeting:          "tea", Role: protocol.Host,
	})
	for _, c := range []struct {
		name, token, body string
		want              protocol.Code
	}{
		{"no token", "", offer, protocol.ProblemTokenInvalid},
		{"garbage token", "garbage", offer, protocol.ProblemTokenInvalid},
		{"forged token", forged, offer, protocol.ProblemTokenInvalid},
		{"expired token", w.token("tea", -time.Hour), offer, protocol.ProblemTokenExpired},
		{"no body", good, "", protocol.ProblemBadRequest},
		{"garbage body", good, "\x00\xff{", protocol.ProblemBadRequest},
		{"array", good, "[]", protocol.ProblemBadRequest},
		{"two values", good, offer + offer, protocol.ProblemBadRequest},
		{"no offers", good, "{}", protocol.ProblemBadOffer},
		{"too large", good, `{"offers":{"audio":"` + strings.Repeat("x", maxBody) + `"}}`, protocol.ProblemTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := *w
			w.T = t
			if p := w.problem(post(s.Handler(), c.token, c.body)); p.Code != c.want {
				t.Errorf("got %v, want %s", p, c.want)
			}
		})
	}
	if r.last.Load() != nil {
		t.Error("the router was asked")
	}
}

func TestLargestOfferPasses(t *testing.T) {
	w := newWorld(t)
	w.router("mmr-1", admits)
	s := w.controller("zc-1", nil)
	w.knows(s, 1)
	body := `{"offers":{"video":"` + strings.Repeat("x", maxBody-64) + `"}}`
	if rec := post(s.Handler(), w.token("tea", time.Hour), body); rec.Code != http.StatusOK {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
}

func TestBrokerGoesOn(t *testing.T) {
	nonsense := func(context.Context) error { return fmt.Errorf("boom") }
	for _, c := range []struct {
		name  string
		admit func(context.Context) error // of the favourite; nil: it is gone
	}{
		{"gone", nil},
		{"deaf", deaf},
		{"full", refuses(protocol.ProblemZoneFull)},
		{"unavailable", refuses(protocol.ProblemMMRUnavailable)},
		{"failing", nonsense},
		{"overrun", refuses(protocol.ProblemRateLimited)},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			f := place("tea", []candidate{{id: "mmr-1"}, {id: "mmr-2"}})
			w.router(f[0], c.admit)
			w.router(f[1], admits)
			s := w.controller("zc-1", nil)
			s.admitTimeout = 50 * time.Millisecond
			w.knows(s, 2)
			a, p := w.join(s, "tea")
			if p != nil || a.MMR != f[1] {
				t.Fatalf("joined %+v, %v; want %s", a, p, f[1])
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if l := s.state.legs["tea"]; len(l) != 1 || l[f[1]].participants != 1 {
				t.Errorf("legs %v, want one at %s", l, f[1])
			}
		})
	}
}

func TestBrokerStops(t *testing.T) {
	for _, c := range []struct {
		name   string
		first  func(context.Context) error
		second func(context.Context) error
		want   protocol.Code
	}{
		{"bad offer is bad everywhere", refuses(protocol.ProblemBadOffer), admits, protocol.ProblemBadOffer},
		{"meeting ended", refuses(protocol.ProblemMeetingEnded), admits, protocol.ProblemMeetingEnded},
		{"all full", refuses(protocol.ProblemZoneFull), refuses(protocol.ProblemZoneFull), protocol.ProblemZoneFull},
		{"full and gone", refuses(protocol.ProblemZoneFull), nil, protocol.ProblemMMRUnavailable},
		{"all deaf", deaf, deaf, protocol.ProblemMMRUnavailable},
		{"all gone", nil, nil, protocol.ProblemMMRUnavailable},
		{"a word without HTTP status", refuses(protocol.ProblemRemoved), admits, protocol.ProblemInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			f := place("tea", []candidate{{id: "mmr-1"}, {id: "mmr-2"}})
			w.router(f[0], c.first)
			w.router(f[1], c.second)
			s := w.controller("zc-1", nil)
			s.admitTimeout = 50 * time.Millisecond
			w.knows(s, 2)
			if _, p := w.join(s, "tea"); p == nil || p.Code != c.want {
				t.Errorf("problem %v, want %s", p, c.want)
			}
		})
	}
}

func TestNobodyToAsk(t *testing.T) {
	w := newWorld(t)
	s := w.controller("zc-1", nil)
	if _, p := w.join(s, "tea"); p == nil || p.Code != protocol.ProblemMMRUnavailable {
		t.Errorf("empty zone: %v", p)
	}
	full, draining := says("mmr-1", 1), says("mmr-2", 0)
	draining.Health = protocol.Draining
	s.hear("zone.z.mmr.mmr-2.state", draining)
	if _, p := w.join(s, "tea"); p == nil || p.Code != protocol.ProblemMMRUnavailable {
		t.Errorf("draining zone: %v", p)
	}
	s.hear("zone.z.mmr.mmr-1.state", full)
	if _, p := w.join(s, "tea"); p == nil || p.Code != protocol.ProblemZoneFull {
		t.Errorf("full zone: %v", p)
	}
}

func TestClientThatGoesIsNoFaultOfTheRouter(t *testing.T) {
	w := newWorld(t)
	asked := make(chan struct{})
	w.router("mmr-1", func(ctx context.Context) error { close(asked); return deaf(ctx) })
	s := w.controller("zc-1", nil)
	w.knows(s, 1)
	ctx, leave := context.WithCancel(context.Background())
	go func() { <-asked; leave() }()
	_, err := s.broker(ctx, "tea", protocol.AdmitRequest{})
	if err == nil || outcome(err) != "client_gone" {
		t.Errorf("error %v, outcome %s", err, outcome(err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.state.routers["mmr-1"].suspectUntil) {
		t.Error("the router is under suspicion")
	}
}

func TestTwoControllersAnswerAlike(t *testing.T) {
	w := newWorld(t)
	for i := range 4 {
		w.router(fmt.Sprintf("mmr-%d", i), admits)
	}
	one, two := w.controller("zc-1", nil), w.controller("zc-2", nil)
	w.knows(one, 4)
	w.knows(two, 4)
	places := map[string]int{}
	for i := range 40 {
		meeting := fmt.Sprintf("meeting-%d", i)
		var got [2]protocol.JoinAnswer
		var both sync.WaitGroup
		for j, s := range []*Server{one, two} {
			both.Go(func() { got[j], _ = w.join(s, meeting) })
		}
		both.Wait()
		if got[0].MMR == "" || got[0].MMR != got[1].MMR {
			t.Fatalf("%s: one sends to %q, the other to %q", meeting, got[0].MMR, got[1].MMR)
		}
		places[got[0].MMR]++
	}
	if len(places) < 3 {
		t.Errorf("40 meetings on %v", places)
	}
}

// The zone has run for long when the second controller starts: a moment
// later it knows routers, legs and keys.
func TestNewControllerKnowsEverything(t *testing.T) {
	w := newWorld(t)
	f := place("tea", []candidate{{id: "mmr-1"}, {id: "mmr-2"}})
	w.router("mmr-1", admits)
	w.router("mmr-2", admits)
	leg := w.connect("legs")
	on(w, leg, protocol.SubjectZoneAsk("z"), func(string, protocol.Empty) {
		_ = bus.Publish(leg, protocol.SubjectLeg("z", f[1]), protocol.LegState{MMR: f[1], Meeting: "tea", Participants: 3})
	})
	s := w.controller("zc-2", nil)
	w.knows(s, 2)
	w.eventually("leg known", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.state.legs["tea"][f[1]].participants == 3
	})
	if a, p := w.join(s, "tea"); p != nil || a.MMR != f[1] {
		t.Errorf("sent to %+v, %v; want the leg at %s", a, p, f[1])
	}
}

func TestTellsTheHub(t *testing.T) {
	w := newWorld(t)
	said := make(chan protocol.ControllerState, 64)
	on(w, w.conn, protocol.SubjectControllers, func(subject string, c protocol.ControllerState) {
		if subject != "hub.zone.z.controller.zc-1" {
			t.Errorf("subject %s", subject)
		}
		said <- c
	})
	cfg := DefaultConfig()
	cfg.ID, cfg.Zone, cfg.Name, cfg.URL, cfg.LocalURL = "zc-1", "z", "", "https://zc.example.org", "http://localhost:8080"
	cfg.Weight, cfg.Location, cfg.OnPremises, cfg.Networks = 3, &Location{Lat: 1, Lon: 2}, true, []string{"10.0.0.0/8"}
	s, err := New(cfg, Deps{Bus: w.connect("zc-1"), Version: "v"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	if c := <-said; c.State != protocol.ZoneEmpty || c.Routers != 0 {
		t.Errorf("first word %+v, want an empty zone", c)
	}
	w.router("mmr-1", nil)
	c := <-said
	for c.Routers == 0 {
		c = <-said
	}
	want := protocol.ControllerState{
		ID: "zc-1", Zone: "z", ZoneName: "z", URL: "https://zc.example.org", LocalURL: "http://localhost:8080",
		State: protocol.ZoneOpen, Weight: 3, Lat: 1, Lon: 2, Located: true, OnPremises: true,
		Networks: []string{"10.0.0.0/8"}, Routers: 1, Version: "v",
	}
	if fmt.Sprint(c) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
	if err := bus.Publish(w.conn, protocol.SubjectHubAsk, protocol.Empty{}); err != nil {
		t.Fatal(err)
	}
	<-said
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if s.Ready() == nil {
		t.Error("ready after the end")
	}
	for c.State != protocol.ZoneEmpty {
		c = <-said // hangs if there is no last word
	}
}

func TestRoutersSpeakForThemselvesOnly(t *testing.T) {
	w := newWorld(t)
	s := w.controller("zc-1", nil)
	s.hear("zone.z.mmr.other.state", says("mmr-1", 0))
	wrongZone := says("mmr-1", 0)
	wrongZone.Zone = "y"
	s.hear("zone.z.mmr.mmr-1.state", wrongZone)
	s.hear("zone.z", says("", 0))
	s.hearLeg("zone.z.mmr.other.leg", protocol.LegState{MMR: "mmr-1", Meeting: "m", Participants: 1})
	s.hearLeg("zone.z.mmr.mmr-1.leg", protocol.LegState{MMR: "mmr-1", Meeting: "*", Participants: 1})
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.state.routers)+len(s.state.legs) != 0 {
		t.Errorf("believed: %v %v", s.state.routers, s.state.legs)
	}
}

func TestProbe(t *testing.T) {
	w := newWorld(t)
	s := w.controller("zc-1", func(c *Config, _ *Deps) { c.Weight = 7 })
	probe := func() (protocol.ProbeAnswer, http.Header) {
		rec := httptest.NewRecorder()
		s.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, protocol.PathProbe, nil))
		var a protocol.ProbeAnswer
		if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		return a, rec.Header()
	}
	a, h := probe()
	if want := (protocol.ProbeAnswer{Zone: "z", Controller: "zc-1", State: protocol.ZoneEmpty, Weight: 7}); a != want {
		t.Errorf("got %+v, want %+v", a, want)
	}
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "*", "Timing-Allow-Origin": "*",
		"Cache-Control": "no-store", "Content-Type": "application/json",
	} {
		if h.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, h.Get(name), want)
		}
	}
	s.hear("zone.z.mmr.mmr-1.state", says("mmr-1", 0.5))
	if a, _ := probe(); a.State != protocol.ZoneOpen || a.Load != 0.5 {
		t.Errorf("got %+v, want an open zone of load 0.5", a)
	}
}

func TestPreflight(t *testing.T) {
	w := newWorld(t)
	s := w.controller("zc-1", nil)
	for _, path := range []string{protocol.PathProbe, protocol.PathJoin} {
		r := httptest.NewRequest(http.MethodOptions, path, nil)
		r.Header.Set("Access-Control-Request-Private-Network", "true")
		rec := httptest.NewRecorder()
		s.Handler().ServeHTTP(rec, r)
		h := rec.Header()
		if rec.Code != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != "*" ||
			!strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") ||
			!strings.Contains(h.Get("Access-Control-Allow-Methods"), "POST") ||
			h.Get("Access-Control-Max-Age") != "7200" || h.Get("Access-Control-Allow-Private-Network") != "true" {
			t.Errorf("%s: %d %v", path, rec.Code, h)
		}
	}
}

func TestProblemsCrossOrigins(t *testing.T) {
	w := newWorld(t)
	s := w.controller("zc-1", nil)
	if h := post(s.Handler(), "", "").Header(); h.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("a page could not read why: %v", h)
	}
}

func TestRateLimit(t *testing.T) {
	w := newWorld(t)
	w.router("mmr-1", admits)
	s := w.controller("zc-1", func(c *Config, _ *Deps) { c.JoinsPerMinute, c.JoinBurst = 1, 2 })
	w.knows(s, 1)
	for range 2 {
		if _, p := w.join(s, "tea"); p != nil {
			t.Fatal(p)
		}
	}
	if _, p := w.join(s, "tea"); p == nil || p.Code != protocol.ProblemRateLimited {
		t.Errorf("third join: %v", p)
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t)
	w.router("mmr-1", admits)
	reg := prometheus.NewRegistry()
	s := w.controller("zc-1", func(_ *Config, d *Deps) { d.Metrics = reg })
	w.knows(s, 1)
	_, _ = w.join(s, "tea")
	post(s.Handler(), "garbage", offer)
	s.repeat(time.Now())
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, f := range families {
		fmt.Fprintln(&text, f)
	}
	for _, want := range []string{"causeway_zone_joins_total", `value:"ok"`, `value:"token_invalid"`, "causeway_zone_broker_seconds", `value:"healthy"`} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %s in\n%s", want, &text)
		}
	}
	if _, err := New(s.config, Deps{Bus: w.conn, Metrics: reg}); err == nil {
		t.Error("two controllers on one registry")
	}
	if got := outcome(&protocol.Problem{Code: "from_the_future"}); got != "other" {
		t.Errorf("unknown code counted as %q", got)
	}
}

func TestNewRefuses(t *testing.T) {
	w := newWorld(t)
	cfg := DefaultConfig()
	if _, err := New(cfg, Deps{Bus: w.conn}); err == nil || !strings.Contains(err.Error(), "url") {
		t.Errorf("no url: %v", err)
	}
	cfg.URL = "https://zc.example.org"
	if _, err := New(cfg, Deps{}); err == nil {
		t.Error("no bus")
	}
}

func TestNotReady(t *testing.T) {
	w := newWorld(t)
	cfg := DefaultConfig()
	cfg.URL, cfg.Zone = "https://zc.example.org", "z"
	conn := w.connect("zc-1")
	s, err := New(cfg, Deps{Bus: conn})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "keys") {
		t.Errorf("without keys: %v", err)
	}
	if p := w.problem(post(s.Handler(), w.token("tea", time.Hour), offer)); p.Code != protocol.ProblemInternal {
		t.Errorf("join without keys: %v; a good token must not be called invalid", p)
	}
	conn.Close()
	if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "bus") {
		t.Errorf("without a bus: %v", err)
	}
	if err := s.Run(t.Context()); err == nil {
		t.Error("Run on a closed bus returned no error")
	}
}

// FuzzReadJoin checks that no body does harm.
func FuzzReadJoin(f *testing.F) {
	for _, seed := range []string{offer, "", "{}", "[]", `{"offers":null}`, `{"offers":{"audio":1}}`, offer + "x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		req, err := readJoin(strings.NewReader(body))
		if err == nil && req.Offers == (protocol.Offers{}) {
			t.Error("accepted without an offer")
		}
		if err != nil && protocol.ProblemOf(err).Status == 0 {
			t.Errorf("no HTTP problem: %v", err)
		}
	})
}

func BenchmarkProbe(b *testing.B) {
	s := &Server{config: DefaultConfig(), id: "zc", state: newState()}
	for i := range 50 {
		s.state.hear(says(fmt.Sprintf("mmr-%d", i), 0.5), time.Now())
	}
	h := s.Handler()
	r := httptest.NewRequest(http.MethodGet, protocol.PathProbe, nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}

package zone

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"causeway/internal/bus"
	"causeway/protocol"
)

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

// TestLostRequest asks again when no answer comes, in the same words.
func TestLostRequest(t *testing.T) {
	w := newWorld(t)
	var r *fakeRouter
	ids := make(chan string, 8)
	r = w.router("mmr-1", func(ctx context.Context) error {
		ids <- r.last.Load().ID
		if len(ids) == 1 {
			return deaf(ctx) // as if the answer were lost
		}
		return nil
	})
	s := w.controller("zc-1", nil)
	s.admitTimeout = time.Minute
	w.knows(s, 1)
	if a, p := w.join(s, "tea"); p != nil || a.MMR != "mmr-1" {
		t.Fatalf("joined %+v, %v", a, p)
	}
	one, two := <-ids, <-ids
	if one == "" || one != two {
		t.Errorf("asked as %q, then as %q", one, two)
	}
	w.join(s, "tea")
	if three := <-ids; three == one {
		t.Error("another join has the same id")
	}
}

// TestRouterComesBack asks for a router that is out of reach, as after the
// death of the controller that it was connected to, until it is there.
func TestRouterComesBack(t *testing.T) {
	w := newWorld(t)
	w.router("mmr-1", nil)
	s := w.controller("zc-1", nil)
	w.knows(s, 1)
	joined := make(chan protocol.JoinAnswer, 1)
	go func() {
		a, p := w.join(s, "tea")
		if p != nil {
			t.Errorf("refused: %v", p)
		}
		joined <- a
	}()
	w.eventually("asked in vain", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.state.routers["mmr-1"].suspectUntil.IsZero()
	})
	w.router("mmr-1", admits)
	if a := <-joined; a.MMR != "mmr-1" {
		t.Errorf("joined %+v", a)
	}
}

// TestStandby is asked of one router only, and its refusal is nothing against
// that one.
func TestStandby(t *testing.T) {
	w := newWorld(t)
	f := place("tea", []candidate{{id: "mmr-1"}, {id: "mmr-2"}})
	full := refuses(protocol.ProblemMMRUnavailable)
	var keeps atomic.Bool
	first := w.router(f[0], func(ctx context.Context) error {
		if keeps.Load() {
			return nil
		}
		return full(ctx)
	})
	second := w.router(f[1], admits)
	s := w.controller("zc-1", nil)
	w.knows(s, 2)
	ask := func() (a protocol.JoinAnswer, p *protocol.Problem) {
		rec := post(s.Handler(), w.token("tea", time.Hour), strings.Replace(offer, "{", `{"standby":true,`, 1))
		if rec.Code != http.StatusOK {
			return a, w.problem(rec)
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		return a, nil
	}
	if _, p := ask(); p == nil || p.Code != protocol.ProblemMMRUnavailable {
		t.Errorf("refused with %v", p)
	}
	if n := second.admitted.Load(); n != 0 {
		t.Errorf("another router was asked %d times", n)
	}
	keeps.Store(true)
	if a, p := ask(); p != nil || !a.Standby || a.MMR != f[0] || !first.last.Load().Standby {
		t.Errorf("%+v, %v", a, p)
	}
	if a, p := w.join(s, "tea"); p != nil || a.Standby || a.MMR != f[0] {
		t.Errorf("joined %+v, %v", a, p)
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
	_, err := s.broker(ctx, newcomer{meeting: "tea"})
	if err == nil || outcome(err) != "client_gone" {
		t.Errorf("error %v, outcome %s", err, outcome(err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.state.routers["mmr-1"].suspectUntil) {
		t.Error("the router is under suspicion")
	}
}

// TestResume: who comes from a router is sent to another, and that the router
// was dead to two of them is told to the hub.
func TestResume(t *testing.T) {
	w := newWorld(t)
	f := place("tea", []candidate{{id: "mmr-1"}, {id: "mmr-2"}})
	was, next := f[0], f[1]
	r := w.router(next, admits)
	w.router(was, admits)
	var told atomic.Pointer[protocol.ControllerState]
	on(w, w.conn, protocol.SubjectControllers, func(_ string, c protocol.ControllerState) { told.Store(&c) })
	s := w.controller("zc-1", nil)
	w.knows(s, 2)
	resume := func(participant, resume string) string {
		t.Helper()
		raw, err := w.signer.Sign(protocol.JoinClaims{
			RegisteredClaims: jwt.RegisteredClaims{Subject: participant, ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))},
			Meeting:          "tea", Role: protocol.Guest,
		})
		if err != nil {
			t.Fatal(err)
		}
		rec := post(s.Handler(), raw, `{"offers":{"audio":"offer"},"resume":`+resume+`}`)
		var a protocol.JoinAnswer
		if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil || rec.Code != http.StatusOK {
			t.Fatalf("status %d: %s", rec.Code, rec.Body)
		}
		return a.MMR
	}
	for _, c := range []struct{ name, participant, resume, want string }{
		{"drain", "p1", `{"session":"s","mmr":"` + was + `","reason":"drain"}`, next},
		{"not of this zone", "p2", `{"session":"s","zone":"y","mmr":"` + next + `","reason":"dead"}`, next},
		{"no router", "p3", `{"session":"s","mmr":"*","reason":"dead"}`, next},
		{"dead", "p4", `{"session":"s","zone":"z","mmr":"` + next + `","reason":"dead"}`, was},
		{"dead to another", "p5", `{"session":"s","mmr":"` + next + `","reason":"dead"}`, was},
	} {
		if got := resume(c.participant, c.resume); got != c.want {
			t.Errorf("%s: sent to %s, want %s", c.name, got, c.want)
		}
	}
	if q := r.last.Load(); q == nil || q.Resume == nil || q.Resume.Session != "s" {
		t.Errorf("the router was asked %+v", q)
	}
	w.eventually("the hub knows", func() bool {
		_ = bus.Publish(w.conn, protocol.SubjectHubAsk, protocol.Empty{})
		c := told.Load()
		return c != nil && c.Ailing[next] == protocol.AilsLeft && c.State == protocol.ZoneOpen
	})
}

// TestDrain: a controller that drains says so, serves who comes nevertheless,
// and ends.
func TestDrain(t *testing.T) {
	w := newWorld(t)
	w.router("mmr-1", admits)
	said := make(chan protocol.ControllerState, 1024)
	on(w, w.conn, protocol.SubjectControllers, func(_ string, c protocol.ControllerState) { said <- c })
	cfg := DefaultConfig()
	cfg.ID, cfg.Zone, cfg.URL = "zc-1", "z", "https://zc.example.org"
	s, err := New(cfg, Deps{Bus: w.connect("zc-1")})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	w.eventually("ready", func() bool { return s.Ready() == nil })
	w.knows(s, 1)
	ask := func(req protocol.DrainRequest) protocol.DrainState {
		t.Helper()
		st, err := bus.Request[protocol.DrainState](t.Context(), w.conn, protocol.SubjectDrainController("z", "zc-1"), req)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	state := func() protocol.ZoneStatus {
		rec := httptest.NewRecorder()
		s.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, protocol.PathProbe, nil))
		var a protocol.ProbeAnswer
		if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		return a.State
	}
	next := func(want protocol.Health) protocol.ControllerState {
		for c := range said {
			if c.Health == want {
				return c
			}
		}
		return protocol.ControllerState{}
	}
	next(protocol.Healthy)
	if st := ask(protocol.DrainRequest{By: "test"}); !st.Draining || st.DeadlineMS == 0 || st.DeadlineMS > cfg.Drain.Milliseconds() || st.Left != 0 {
		t.Errorf("asked to drain: %+v", st)
	}
	if c := next(protocol.Draining); c.Drain == nil || !c.Drain.Draining || c.State != protocol.ZoneOpen || c.Stopping {
		t.Errorf("the hub is told %+v", c)
	}
	if got := state(); got != protocol.ZoneDraining {
		t.Errorf("the probe says %s", got)
	}
	if _, p := w.join(s, "tea"); p != nil {
		t.Errorf("who comes nevertheless: %v", p)
	}
	if st := ask(protocol.DrainRequest{Cancel: true}); st != (protocol.DrainState{}) || state() != protocol.ZoneOpen {
		t.Errorf("cancelled: %+v, the probe says %s", st, state())
	}
	ask(protocol.DrainRequest{DeadlineMS: 1})
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	for c := next(protocol.Stopping); !c.Stopping; c = next(protocol.Stopping) {
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
	if c := <-said; c.State != protocol.ZoneEmpty || c.Routers != 0 || c.Stopping {
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
		Networks: []string{"10.0.0.0/8"}, Routers: 1, Version: "v", Health: protocol.Healthy,
	}
	c.Server, c.Load = protocol.Load{}, 0 // this machine's
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
	for c.State != protocol.ZoneEmpty || !c.Stopping || c.Health != protocol.Stopping {
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

// TestToldInOrder: whatever asks for the zone's state at the same time, what
// the hub hears last is what is true.
func TestToldInOrder(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	var told []protocol.ZoneStatus // without repeats
	on(w, w.conn, protocol.SubjectControllers, func(_ string, c protocol.ControllerState) {
		mu.Lock()
		defer mu.Unlock()
		if n := len(told); n == 0 || told[n-1] != c.State {
			told = append(told, c.State)
		}
	})
	last := func(want protocol.ZoneStatus) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(told) > 0 && told[len(told)-1] == want
		}
	}
	s := w.controller("zc-1", nil)
	w.eventually("told", last(protocol.ZoneEmpty))
	const rounds = 200
	want := []protocol.ZoneStatus{protocol.ZoneEmpty}
	asker := w.connect("asker")
	for range rounds {
		for _, health := range []protocol.Health{protocol.Healthy, protocol.Draining} {
			is := protocol.ZoneOpen
			if health == protocol.Draining {
				is = protocol.ZoneDraining
			}
			for range 4 {
				_ = bus.Publish(asker, protocol.SubjectHubAsk, protocol.Empty{})
			}
			m := says("mmr-1", 0)
			m.Health = health
			s.hear("zone.z.mmr.mmr-1.state", m)
			want = append(want, is)
			w.eventually(string(is), last(is))
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
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

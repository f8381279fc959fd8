package zone

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"causeway/internal/bus"
	"causeway/internal/token"
	"causeway/protocol"
)

func TestMain(m *testing.M) {
	if told, ok := os.LookupEnv(crowdController); ok { // see TestCrowdFull
		if err := runCrowdController(told); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

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
			return protocol.AdmitAnswer{
				Session: fmt.Sprintf("%s-%d", id, n), Standby: q.Standby, Answers: protocol.Offers{Audio: "answer"},
				MediaTCP: []string{"192.0.2.9:8801"}, MediaTLS: id + ".example.org:443", TURN: []protocol.TURNServer{{Username: "u"}},
			}, nil
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
	return w.tokenOf("p1", meeting, life)
}

func (w *world) tokenOf(participant, meeting string, life time.Duration) string {
	w.Helper()
	raw, err := w.signer.Sign(protocol.JoinClaims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: participant, ExpiresAt: jwt.NewNumericDate(time.Now().Add(life))},
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

package zone

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"causeway/internal/base/local"
	"causeway/internal/limit"
	"causeway/internal/token"
	"causeway/protocol"
)

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
		MediaTCP: []string{"192.0.2.9:8801"}, MediaTLS: "mmr-1.example.org:443", TURN: []protocol.TURNServer{{Username: "u"}},
	}
	if !reflect.DeepEqual(a, want) {
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
	a.Load = 0 // its own, next to nothing
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

// A participant is limited, whoever else comes from the same address.
func TestJoinsAreLimited(t *testing.T) {
	w := newWorld(t)
	w.router("mmr-1", admits)
	s := w.controller("zc-1", func(c *Config, _ *Deps) { c.JoinsPerMinute, c.JoinBurst = 1, 2 })
	w.knows(s, 1)
	for i, c := range []struct {
		participant, meeting string
		want                 int
	}{
		{"p1", "tea", http.StatusOK},
		{"p1", "tea", http.StatusOK},
		{"p1", "tea", http.StatusTooManyRequests},
		{"p2", "tea", http.StatusOK},
		{"p1", "cake", http.StatusOK}, // participants are of one meeting
	} {
		if rec := post(s.Handler(), w.tokenOf(c.participant, c.meeting, time.Hour), offer); rec.Code != c.want {
			t.Errorf("join %d: %d %s", i+1, rec.Code, rec.Body)
		}
	}
}

// Whoever comes without a good token, too often, is not looked at any more, and
// nobody is from the same address for a while.
func TestWrongJoinsAreLimited(t *testing.T) {
	w := newWorld(t)
	w.router("mmr-1", admits)
	s := w.controller("zc-1", nil)
	s.wrong = limit.NewTable[netip.Prefix](limit.Rate{PerMinute: 1, Burst: 3}, 8)
	w.knows(s, 1)
	good := w.token("tea", time.Hour)
	for i, c := range []struct {
		token, body string
		want        protocol.Code // "": joined
	}{
		{good, offer, ""},
		{"forged", offer, protocol.ProblemTokenInvalid},
		{"", offer, protocol.ProblemTokenInvalid},
		{good, offer, ""}, // what succeeds is not counted
		{good, "{", protocol.ProblemBadRequest},
		{"forged", offer, protocol.ProblemRateLimited},
		{good, offer, protocol.ProblemRateLimited},
	} {
		rec := post(s.Handler(), c.token, c.body)
		if c.want == "" && rec.Code == http.StatusOK {
			continue
		}
		if p := w.problem(rec); p.Code != c.want {
			t.Errorf("request %d: %v", i+1, p)
		}
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

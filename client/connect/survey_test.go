package connect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"causeway/protocol"
)

const ms = time.Millisecond

// survey probes and joins nothing yet; it is closed with the test.
func survey(t *testing.T, n *internet, list []protocol.Zone, previous string) (*Survey, *Recorder, error) {
	t.Helper()
	rec := NewRecorder(time.Now())
	s, err := ProbeZones(t.Context(), n.network(), list, previous, rec)
	if err == nil {
		t.Cleanup(s.Close)
	}
	return s, rec, err
}

func winner(t *testing.T, s *Survey) string {
	t.Helper()
	return s.winnerFirst(Choose(s.Records(), s.previous))[0].Controller.ID
}

// bubble runs a test in virtual time, each case with a network of its own.
func bubble(t *testing.T, name string, f func(t *testing.T, n *internet)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { f(t, newInternet(t)) })
	})
}

func TestOneZoneIsChosenAtItsFirstAnswer(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		a := &controller{zone: "a", id: "a1"}
		n.controller(a, 40*ms, serving{})
		start := time.Now()
		s, rec, err := survey(t, n, zones(a), "")
		if err != nil {
			t.Fatal(err)
		}
		// TCP, TLS 1.3 and one request: a round trip each.
		if took := time.Since(start); took != 120*ms {
			t.Errorf("took %v, want 120 ms", took)
		}
		if got := winner(t, s); got != "a1" {
			t.Errorf("chose %s", got)
		}
		p := rec.Report().Phases[0]
		got := p.Attempts[0]
		want := protocol.Attempt{
			Target: "https://a1.test", Transport: "https", Via: "direct", Zone: "a", OK: true,
			ConnectMS: 40, TLSMS: 40, RTTMS: 40, RTTMinMS: 40, ScoreMS: 40,
		}
		if !p.OK || p.DurationMS != 120 || got != want {
			t.Errorf("phase %+v, want attempt %+v", p, want)
		}
	})
}

func TestNearestZoneWinsWithoutWaitingForTheFar(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		near, far := &controller{zone: "near", id: "n1"}, &controller{zone: "far", id: "f1"}
		n.controller(near, 20*ms, serving{})
		n.controller(far, 300*ms, serving{})
		start := time.Now()
		s, rec, err := survey(t, n, zones(far, near), "")
		if err != nil {
			t.Fatal(err)
		}
		if got := winner(t, s); got != "n1" {
			t.Errorf("chose %s", got)
		}
		if took := time.Since(start); took > 200*ms {
			t.Errorf("took %v: the far zone was waited for", took)
		}
		if a := rec.Report().Phases[0].Attempts[0]; a.OK || !strings.Contains(a.Error, "f1.test had not answered when") {
			t.Errorf("far attempt %+v", a)
		}
	})
}

func TestBetterZoneThatAnswersLaterIsWaitedFor(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		// TLS of the near zone is slowed down by the dial; its round trip is
		// the better one all the same.
		loaded := &controller{zone: "loaded", id: "l1", answer: protocol.ProbeAnswer{Load: 1}}
		idle := &controller{zone: "idle", id: "i1"}
		n.controller(loaded, 30*ms, serving{})
		n.controller(idle, 50*ms, serving{})
		s, _, err := survey(t, n, zones(loaded, idle), "")
		if err != nil {
			t.Fatal(err)
		}
		if got := winner(t, s); got != "i1" {
			t.Errorf("chose %s", got)
		}
	})
}

func TestSilentZoneCostsLittle(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		a := &controller{zone: "a", id: "a1"}
		b := &controller{zone: "b", id: "b1"}
		n.controller(a, 20*ms, serving{})
		n.add("b1.test:443", &host{silent: true})
		start := time.Now()
		s, _, err := survey(t, n, zones(b, a), "")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); winner(t, s) != "a1" || took > 250*ms {
			t.Errorf("took %v", took)
		}
	})
}

func TestRefusedZoneCostsNothing(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		a, b := &controller{zone: "a", id: "a1"}, &controller{zone: "b", id: "b1"}
		n.controller(a, 20*ms, serving{})
		n.add("b1.test:443", &host{rtt: 5 * ms, dialErr: syscall.ECONNREFUSED})
		start := time.Now()
		_, rec, err := survey(t, n, zones(b, a), "")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 60*ms {
			t.Errorf("took %v, want 60 ms", took)
		}
		if got := rec.Report().Phases[0].Attempts[0].Error; got != "b1.test refused the connection" {
			t.Errorf("in words: %q", got)
		}
	})
}

func TestSecondControllerStandsIn(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		a1, a2 := &controller{zone: "a", id: "a1"}, &controller{zone: "a", id: "a2"}
		n.add("a1.test:443", &host{silent: true})
		n.controller(a2, 20*ms, serving{})
		start := time.Now()
		s, _, err := survey(t, n, zones(a1, a2), "")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); winner(t, s) != "a2" || took != 60*ms {
			t.Errorf("took %v, want 60 ms", took)
		}
	})
}

func TestNoZone(t *testing.T) {
	refused := &host{rtt: 10 * ms, dialErr: syscall.ECONNREFUSED}
	for _, c := range []struct {
		name string
		host *host
		took time.Duration
		say  string
	}{
		{"refused: ends at once", refused, 10 * ms, "a1.test refused the connection"},
		{"not found", nil, 0, "the name a1.test was not found"},
		{"reset", &host{rtt: 10 * ms, dialErr: syscall.ECONNRESET}, 10 * ms, "the connection to a1.test was reset"},
		{"no route", &host{dialErr: syscall.ENETUNREACH}, 0, "there is no route to a1.test"},
		{"silent: the whole budget", &host{silent: true}, 5500 * ms, "a1.test did not answer in time"},
	} {
		bubble(t, c.name, func(t *testing.T, n *internet) {
			a, b := &controller{zone: "a", id: "a1"}, &controller{zone: "b", id: "b1"}
			if c.host != nil {
				n.add("a1.test:443", c.host)
				n.add("b1.test:443", &host{rtt: c.host.rtt, dialErr: c.host.dialErr, silent: c.host.silent})
			}
			start := time.Now()
			_, rec, err := survey(t, n, zones(a, b), "")
			if took := time.Since(start); took != c.took {
				t.Errorf("took %v, want %v", took, c.took)
			}
			p := protocol.ProblemOf(err)
			if p.Code != protocol.ProblemZonesUnreachable || !strings.Contains(p.Detail, c.say) || !strings.Contains(p.Detail, "b1.test") {
				t.Errorf("problem %v", p)
			}
			r := rec.Report().Phases[0]
			if r.OK || r.Error == nil || len(r.Attempts) != 2 || r.Attempts[0].Error != c.say {
				t.Errorf("reported %+v", r)
			}
		})
	}
}

func TestZonesOfAnotherAuthority(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		a := &controller{zone: "a", id: "a1"}
		other := newInternet(t)
		other.hosts = n.hosts
		other.controller(a, 10*ms, serving{}) // signed by a CA that n does not trust
		_, _, err := survey(t, n, zones(a), "")
		p := protocol.ProblemOf(err)
		if p.Code != protocol.ProblemCertificate || !strings.Contains(p.Detail, `signed by "Test CA", which this device does not trust`) {
			t.Errorf("problem %v", p)
		}
	})
}

func TestStrangersAreNoZones(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<h1>Please log in</h1>")
	})
	portal := http.RedirectHandler("https://portal.test/login", http.StatusFound)
	huge := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(make([]byte, maxAnswer+1))
	})
	for name, c := range map[string]struct {
		h   http.Handler
		say string
	}{
		"web page":     {page, "(200 OK, a web page)"},
		"portal":       {portal, "(302 Found, to https://portal.test/login, a web page)"},
		"huge":         {huge, "(more than 1048576 bytes)"},
		"another zone": {&controller{zone: "b", id: "b1"}, `it is of zone "b", not "a"`},
		"not found":    {http.NotFoundHandler(), "(404 Not Found)"},
	} {
		bubble(t, name, func(t *testing.T, n *internet) {
			n.serve("a1.test:443", 10*ms, c.h, serving{})
			_, _, err := survey(t, n, zones(&controller{zone: "a", id: "a1"}), "")
			p := protocol.ProblemOf(err)
			if p.Code != protocol.ProblemZonesUnreachable || !strings.Contains(p.Detail, "a1.test answered, but not as a server of this system would") ||
				!strings.Contains(p.Detail, c.say) {
				t.Errorf("problem %v", p)
			}
		})
	}
}

func TestPreviousZoneIsKept(t *testing.T) {
	for _, c := range []struct {
		name     string
		old, new time.Duration
		want     string
	}{
		{"equal", 40 * ms, 40 * ms, "old1"},
		{"a little worse", 40 * ms, 31 * ms, "old1"},
		{"a third worse, but less than 10 ms", 24 * ms, 15 * ms, "old1"},
		{"10 ms worse, but less than a third", 140 * ms, 120 * ms, "old1"},
		{"much worse", 90 * ms, 40 * ms, "new1"},
	} {
		bubble(t, c.name, func(t *testing.T, n *internet) {
			old, better := &controller{zone: "old", id: "old1"}, &controller{zone: "new", id: "new1"}
			n.controller(old, c.old, serving{})
			n.controller(better, c.new, serving{})
			s, _, err := survey(t, n, zones(better, old), "old")
			if err != nil {
				t.Fatal(err)
			}
			if got := winner(t, s); got != c.want {
				t.Errorf("chose %s, want %s", got, c.want)
			}
		})
	}
}

func TestCallerGivesUp(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		n.add("a1.test:443", &host{silent: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		rec := NewRecorder(time.Now())
		_, err := ProbeZones(ctx, n.network(), zones(&controller{zone: "a", id: "a1"}), "", rec)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

func TestNoControllersAtAll(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		_, _, err := survey(t, n, nil, "")
		if p := protocol.ProblemOf(err); p.Code != protocol.ProblemNoZone {
			t.Errorf("problem %v", p)
		}
	})
}

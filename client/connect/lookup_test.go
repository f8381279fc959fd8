package connect

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"causeway/protocol"
)

// web is a web server as clients see it.
type web struct {
	pkg     protocol.Package
	refusal protocol.Code
	path    string
	request protocol.LookupRequest
}

func (w *web) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	w.path = r.Method + " " + r.URL.Path
	_ = json.NewDecoder(r.Body).Decode(&w.request)
	if w.refusal != "" {
		protocol.WriteProblem(out, protocol.NewProblem(w.refusal, ""))
		return
	}
	out.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(out).Encode(w.pkg)
}

func pkg() protocol.Package {
	return protocol.Package{
		Meeting: protocol.MeetingInfo{ID: "m1", Number: "123456789"}, Participant: protocol.Identity{ID: "p1", Name: "Ada"},
		Token: "token", Zones: zones(&controller{zone: "a", id: "a1"}),
	}
}

var link = Link{Base: "https://meet.test", Number: "123456789", Passcode: "pw", Invitation: "inv"}

func look(t *testing.T, n *internet) (protocol.Package, protocol.Report, error) {
	t.Helper()
	rec := NewRecorder(time.Now())
	p, err := Lookup(t.Context(), n.network(), link, protocol.LookupRequest{Name: "Ada", Token: "old"}, rec)
	return p, rec.Report(), err
}

func TestLookup(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		w := &web{pkg: pkg()}
		n.serve("meet.test:443", 30*ms, w, serving{})
		p, report, err := look(t, n)
		if err != nil {
			t.Fatal(err)
		}
		if p.Token != "token" || len(p.Zones) != 1 {
			t.Errorf("package %+v", p)
		}
		want := protocol.LookupRequest{Passcode: "pw", Invitation: "inv", Name: "Ada", Token: "old"}
		if w.path != "POST /api/v1/meetings/123456789/lookup" || w.request != want {
			t.Errorf("asked %s %+v", w.path, w.request)
		}
		ph := report.Phases[0]
		wantAttempt := protocol.Attempt{Target: "https://meet.test", Transport: "https", Via: "direct", ConnectMS: 30, TLSMS: 30, RTTMS: 30, OK: true}
		if report.Meeting != "123456789" || report.Participant != "p1" || !ph.OK || ph.Attempts[0] != wantAttempt {
			t.Errorf("report %+v", report)
		}
	})
}

func TestLookupFails(t *testing.T) {
	serve := func(h http.Handler, how serving) func(*internet) {
		return func(n *internet) { n.serve("meet.test:443", 30*ms, h, how) }
	}
	refuse := func(c protocol.Code) func(*internet) { return serve(&web{refusal: c}, serving{}) }
	add := func(o *host) func(*internet) { return func(n *internet) { n.add("meet.test:443", o) } }
	text := func(status int, kind, body string) func(*internet) {
		return serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}), serving{})
	}
	expired := func(n *internet) {
		n.serve("meet.test:443", 30*ms, &web{}, serving{expires: time.Now().Add(-time.Minute)})
	}
	for _, c := range []struct {
		name string
		set  func(*internet)
		code protocol.Code
		say  string
	}{
		{"wrong passcode", refuse(protocol.ProblemWrongPasscode), protocol.ProblemWrongPasscode, ""},
		{"meeting ended", refuse(protocol.ProblemMeetingEnded), protocol.ProblemMeetingEnded, ""},
		{"overrun", refuse(protocol.ProblemRateLimited), protocol.ProblemRateLimited, ""},
		{"no such name", func(*internet) {}, protocol.ProblemWebUnreachable, "the name meet.test was not found"},
		{"refused", add(&host{dialErr: syscall.ECONNREFUSED}), protocol.ProblemWebUnreachable, "meet.test refused the connection"},
		{"silent", add(&host{silent: true}), protocol.ProblemWebUnreachable, "meet.test did not answer in time"},
		{"plain HTTP there", serve(&web{}, serving{plain: true}), protocol.ProblemWebUnreachable, "meet.test does not speak TLS on this port"},
		{"another name", serve(&web{}, serving{name: "other.test"}), protocol.ProblemCertificate, "the certificate of meet.test is for another name"},
		{"expired", expired, protocol.ProblemCertificate, "the certificate of meet.test has expired, is not valid yet, or this device's clock is wrong"},
		{"portal", text(200, "text/html", "<p>"), protocol.ProblemWebUnreachable, "meet.test answered, but not as a server of this system would (200 OK, a web page)"},
		{"gateway", text(502, "text/plain", "bad"), protocol.ProblemWebUnreachable, "(502 Bad Gateway)"},
		{"not JSON", text(200, "application/json", "{"), protocol.ProblemWebUnreachable, "unexpected end of JSON input"},
		{"a problem without a code", text(500, "application/problem+json", "{}"), protocol.ProblemWebUnreachable, "(500 Internal Server Error)"},
		{"a problem from the future", text(409, "application/problem+json", `{"code":"new_one","title":"New."}`), "new_one", ""},
		{"no zones", serve(&web{}, serving{}), protocol.ProblemNoZone, ""},
	} {
		bubble(t, c.name, func(t *testing.T, n *internet) {
			c.set(n)
			p, report, err := look(t, n)
			problem := protocol.ProblemOf(err)
			if problem.Code != c.code || !strings.Contains(problem.Detail, c.say) {
				t.Errorf("problem %v", problem)
			}
			if ph := report.Phases[0]; ph.OK || ph.Error == nil || ph.Error.Code != c.code || len(ph.Attempts) != 1 {
				t.Errorf("reported %+v", ph)
			}
			if p.Token != "" {
				t.Errorf("package %+v", p)
			}
		})
	}
}

func TestUsable(t *testing.T) {
	at := func(urls ...string) protocol.Zone {
		z := protocol.Zone{ID: "z"}
		for _, u := range urls {
			z.Controllers = append(z.Controllers, protocol.Controller{URL: u})
		}
		return z
	}
	for _, c := range []struct {
		name, base string
		zone       protocol.Zone
		want       []string
	}{
		{"https", "https://m.test", at("https://a.test", "https://b.test:8443"), []string{"https://a.test", "https://b.test:8443"}},
		{"plain from afar", "https://m.test", at("http://a.test", "http://localhost:8080", "https://b.test"), []string{"https://b.test"}},
		{"plain on this machine", "http://localhost:8080", at("http://localhost:8080"), []string{"http://localhost:8080"}},
		{"plain elsewhere", "http://localhost:8080", at("http://a.test"), nil},
		{"nonsense", "https://m.test", at("", "://", "file:///etc/passwd", "https://u:p@a.test", "javascript:1"), nil},
		{"nothing", "https://m.test", at(), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, z := range usable([]protocol.Zone{c.zone}, c.base) {
				for _, k := range z.Controllers {
					got = append(got, k.URL)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestUsableIsBounded(t *testing.T) {
	var many []protocol.Zone
	for range 100 {
		many = append(many, protocol.Zone{Controllers: slices.Repeat([]protocol.Controller{{URL: "https://a.test"}}, 100)})
	}
	got := usable(many, "https://m.test")
	if len(got) != maxZones || len(got[0].Controllers) != maxControllers {
		t.Errorf("%d zones of %d controllers", len(got), len(got[0].Controllers))
	}
}

// One machine that is web and zone controller is connected to once.
func TestOneConnectionForAllPhases(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		c := &controller{zone: "z", id: "one"}
		p := pkg()
		p.Zones = zones(c)
		mux := http.NewServeMux()
		mux.Handle("/api/", &web{pkg: p})
		mux.Handle("/zone/", c)
		host := n.serve("one.test:443", 20*ms, mux, serving{})
		nw := n.network()
		rec := NewRecorder(time.Now())
		start := time.Now()
		got, err := Lookup(t.Context(), nw, Link{Base: "https://one.test", Number: "123456789"}, protocol.LookupRequest{Name: "Ada"}, rec)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ProbeZones(t.Context(), nw, got.Zones, "", rec)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := Join(t.Context(), s, got.Token, joinRequest, rec); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); host.accepted.Load() != 1 || took != 100*ms {
			t.Errorf("%d connections, %v; want one connection and five round trips of 20 ms", host.accepted.Load(), took)
		}
	})
}

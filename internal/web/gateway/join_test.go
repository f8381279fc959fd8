package gateway

import (
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"causeway/internal/bus"
	"causeway/protocol"

	"github.com/google/go-cmp/cmp"
)

// ask sends a request and gives status, content type and body.
func (w *world) ask(method, path, token, body string) (int, string, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "https://"+w.address+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := w.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), string(data)
}

// at is the path of an operation at a controller.
func at(path, controller string) string { return path + "?controller=" + url.QueryEscape(controller) }

func TestProbe(t *testing.T) {
	w := newWorld(t, nil)
	status, kind, body := w.ask("GET", at(protocol.PathGatewayProbe, w.controller.URL), "", "")
	var p protocol.ProbeAnswer
	if err := json.Unmarshal([]byte(body), &p); err != nil || status != 200 || kind != "application/json" || p.State != protocol.ZoneOpen {
		t.Errorf("%d %s %s", status, kind, body)
	}
}

func TestJoinLeadsThroughTheGateway(t *testing.T) {
	w := newWorld(t, nil)
	var got struct{ token, body, kind string }
	w.mu.Lock()
	w.answer = func(rw http.ResponseWriter, r *http.Request, body []byte) {
		got.token, got.body, got.kind = r.Header.Get("Authorization"), string(body), r.Header.Get("Content-Type")
		w.joined(rw, r, body)
	}
	w.mu.Unlock()
	token := w.token("ann", time.Hour)
	join := func(prefix string) (a protocol.JoinAnswer, later any) {
		status, kind, body := w.ask("POST", prefix+at(protocol.PathGatewayJoin, w.controller.URL), token, `{"offers":{"audio":"v=0"}}`)
		fields := map[string]any{}
		if json.Unmarshal([]byte(body), &a) != nil || json.Unmarshal([]byte(body), &fields) != nil || status != 200 || kind != "application/json" {
			t.Fatalf("%d %s %s", status, kind, body)
		}
		return a, fields["later"]
	}
	a, later := join("")
	if got.token != "Bearer "+token || got.body != `{"offers":{"audio":"v=0"}}` || got.kind != "application/json" {
		t.Errorf("the controller was asked %+v", got)
	}
	want := "wss://" + w.address + protocol.PathGatewayControl + "?to=" + url.QueryEscape(w.routerURL())
	if a.ControlURL != want || a.Session != "s1" || a.MMR != "m1" || later != 7. {
		t.Errorf("answer %+v, later %v; control_url should be %s", a, later, want)
	}
	if len(a.TURN) != 1 || a.TURN[0].Username == "" || a.TURN[0].Credential == "" {
		t.Fatalf("TURN %+v", a.TURN)
	}
	if diff := cmp.Diff([]string{"turns:" + w.address + "?transport=tcp"}, a.TURN[0].URLs); diff != "" {
		t.Error(diff)
	}
	// On this machine there is no TLS, and no TURN.
	a, _ = join("/local")
	if !strings.HasPrefix(a.ControlURL, "ws://"+w.address+protocol.PathGatewayControl) || a.TURN[0].URLs[0] != "turns:router.example:443?transport=tcp" {
		t.Errorf("on this machine: %+v", a)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t, nil)
	good := w.token("ann", time.Hour)
	strange := "https://controller.example"
	join := at(protocol.PathGatewayJoin, w.controller.URL)
	for _, c := range []struct {
		name, method, path, token, body string
		want                            protocol.Code
	}{
		{"no token", "POST", join, "", "{}", protocol.ProblemTokenInvalid},
		{"forged token", "POST", join, good + "x", "{}", protocol.ProblemTokenInvalid},
		{"expired token", "POST", join, w.token("ann", -time.Hour), "{}", protocol.ProblemTokenExpired},
		{"too long", "POST", join, good, strings.Repeat("a", maxRequest+1), protocol.ProblemTooLarge},
		{"stranger", "POST", at(protocol.PathGatewayJoin, strange), good, "{}", protocol.ProblemTunnelRefused},
		{"no controller", "POST", protocol.PathGatewayJoin, good, "{}", protocol.ProblemTunnelRefused},
		{"path at a controller", "POST", at(protocol.PathGatewayJoin, w.controller.URL+"/x"), good, "{}", protocol.ProblemTunnelRefused},
		{"user at a controller", "POST", at(protocol.PathGatewayJoin, strings.Replace(w.controller.URL, "://", "://a@", 1)), good, "{}", protocol.ProblemTunnelRefused},
		{"a router as controller", "GET", at(protocol.PathGatewayProbe, w.routerURL()), "", "", protocol.ProblemTunnelRefused},
		{"probe of a stranger", "GET", at(protocol.PathGatewayProbe, strange), "", "", protocol.ProblemTunnelRefused},
		{"control of a stranger", "GET", protocol.PathGatewayControl + "?to=wss://router.example" + protocol.PathControl, "", "", protocol.ProblemTunnelRefused},
		{"nothing there", "GET", protocol.PathGateway + "/other", "", "", protocol.ProblemNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, kind, body := w.ask(c.method, c.path, c.token, c.body)
			var p protocol.Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil || p.Code != c.want || p.Status != status || kind != "application/problem+json" {
				t.Errorf("%d %s %s, want %s", status, kind, body, c.want)
			}
		})
	}
}

// TestControllersAnswers holds that what a controller refuses is passed on,
// and that nothing else of it appears under web's own name.
func TestControllersAnswers(t *testing.T) {
	w := newWorld(t, nil)
	good := w.token("ann", time.Hour)
	for _, c := range []struct {
		name, kind, body string
		status           int
		want             protocol.Code
	}{
		{"full", "application/problem+json", `{"code":"zone_full","status":503}`, 503, protocol.ProblemZoneFull},
		{"ended", "application/problem+json", `{"code":"meeting_ended","status":410}`, 410, protocol.ProblemMeetingEnded},
		{"page", "text/html", "<script>", 200, protocol.ProblemGatewayFailed},
		{"error page", "text/html", "<h1>Oh no", 502, protocol.ProblemGatewayFailed},
		{"elsewhere", "text/html", "", 302, protocol.ProblemGatewayFailed},
		{"not JSON", "application/json", "hello", 200, protocol.ProblemGatewayFailed},
		{"null", "application/json", "null", 200, protocol.ProblemGatewayFailed},
		{"no control_url", "application/json", `{"session":"s"}`, 200, protocol.ProblemGatewayFailed},
		{"control_url is a number", "application/json", `{"control_url":1}`, 200, protocol.ProblemGatewayFailed},
		{"too long", "application/json", `"` + strings.Repeat("a", maxAnswer) + `"`, 200, protocol.ProblemGatewayFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.mu.Lock()
			w.answer = func(rw http.ResponseWriter, _ *http.Request, _ []byte) {
				rw.Header().Set("Content-Type", c.kind)
				rw.Header().Set("Location", "https://elsewhere.example")
				rw.Header().Set("Set-Cookie", "a=b")
				rw.WriteHeader(c.status)
				_, _ = io.WriteString(rw, c.body)
			}
			w.mu.Unlock()
			status, kind, body := w.ask("POST", at(protocol.PathGatewayJoin, w.controller.URL), good, "{}")
			var p protocol.Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil || p.Code != c.want || p.Status != status || kind != "application/problem+json" {
				t.Errorf("%d %s %s, want %s", status, kind, body, c.want)
			}
		})
	}
	t.Run("gone", func(t *testing.T) {
		w.controller.Close()
		if status, _, body := w.ask("POST", at(protocol.PathGatewayJoin, w.controller.URL), good, "{}"); status != 502 || strings.Contains(body, "127.0.0.1") {
			t.Errorf("%d %s", status, body)
		}
	})
}

// TestCertificatesAreVerified holds that a server on the bus is not believed
// without a certificate.
func TestCertificatesAreVerified(t *testing.T) {
	w := newWorld(t, nil)
	// The same server under a name that its certificate does not hold.
	other := strings.Replace(w.controller.URL, "127.0.0.1", "localhost", 1)
	w.heard(other, w.routerURL())
	if status, _, body := w.ask("GET", at(protocol.PathGatewayProbe, other), "", ""); status != 502 {
		t.Errorf("%d %s", status, body)
	}
}

func TestRequestsAreLimited(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Requests.PerMinute, c.Requests.Burst = 1, 2 })
	for i, want := range []int{200, 200, 429} {
		if status, _, body := w.ask("GET", at(protocol.PathGatewayProbe, w.controller.URL), "", ""); status != want {
			t.Errorf("%d: %d %s", i, status, body)
		}
	}
	found, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, f := range found {
		for _, m := range f.Metric {
			key := f.GetName()
			for _, l := range m.Label {
				key += " " + l.GetValue()
			}
			counts[key] = m.GetCounter().GetValue()
		}
	}
	want := map[string]float64{
		"causeway_gateway_requests_total probe ok": 2, "causeway_gateway_requests_total probe rate_limited": 1,
		"causeway_gateway_channels": 0, "causeway_gateway_relays": 0,
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Error(diff)
	}
}

func TestHosts(t *testing.T) {
	for host, want := range map[string]string{
		"meet.example.org": "turns:meet.example.org:443?transport=tcp", "meet.example.org:8443": "turns:meet.example.org:8443?transport=tcp",
		"192.0.2.1": "turns:192.0.2.1:443?transport=tcp", "[2001:db8::1]": "turns:[2001:db8::1]:443?transport=tcp",
		"[2001:db8::1]:8443": "turns:[2001:db8::1]:8443?transport=tcp", "meet.example.org:": "turns:meet.example.org:443?transport=tcp",
		"": "", "a b": "", "user@host": "", "host/path": "", "host?x": "", "host#x": "", "host:port": "", "ho%41st": "", "a\\b": "",
	} {
		got, err := hostOf(&http.Request{Host: host})
		if (err == nil) != (want != "") {
			t.Errorf("%q: %v", host, err)
		}
		if err == nil && turnURL(got) != want {
			t.Errorf("%q: %s", host, turnURL(got))
		}
	}
}

func TestConfigCheck(t *testing.T) {
	if issues := DefaultConfig().Check(); len(issues) > 0 {
		t.Errorf("defaults: %v", issues)
	}
	if issues := (Config{}).Check(); len(issues) != 5 {
		t.Errorf("nothing set: %v", issues)
	}
}

func TestTargets(t *testing.T) {
	now := time.Now()
	s := New(DefaultConfig(), Deps{})
	hear := func(media ...string) {
		s.targets.router(protocol.MMRState{ControlURL: "ws://plain.example", Media: media}, now)
	}
	hear("203.0.113.1:8801", "[2001:db8::1]:8801", "127.0.0.1:8801", "[::1]:8801", "169.254.1.1:8801", "[fe80::1]:8801",
		"0.0.0.0:8801", "224.0.0.1:8801", "10.0.0.1:8801", "203.0.113.9:0", "[fe80::1%eth0]:8801", "nonsense", "", "[::ffff:203.0.113.3]:8801")
	for address, want := range map[string]bool{
		"203.0.113.1:8801": true, "203.0.113.1:0": true, "203.0.113.1:53": false, "203.0.113.2:8801": false, "203.0.113.2:0": false,
		"[2001:db8::1]:8801": true, "10.0.0.1:8801": true, "203.0.113.3:8801": true,
		"127.0.0.1:8801": false, "[::1]:8801": false, "169.254.1.1:8801": false, "[fe80::1]:8801": false,
		"0.0.0.0:8801": false, "224.0.0.1:8801": false, "203.0.113.9:0": false,
	} {
		if real, got := s.allow(netip.MustParseAddrPort(address)); got != want || got && real.String() != address {
			t.Errorf("%s: %v, %v", address, real, got)
		}
	}
	if s.targets.routers.knows("ws://plain.example", now) {
		t.Error("a router without TLS is a target")
	}
	s.targets.controller(protocol.ControllerState{URL: "http://plain.example"}, now)
	if s.targets.controllers.knows("http://plain.example", now) {
		t.Error("a controller without TLS is a target")
	}
	if s.targets.hasMedia(netip.MustParseAddrPort("203.0.113.1:8801"), now.Add(forget+1)) || s.targets.hasMedia(netip.MustParseAddrPort("203.0.113.1:0"), now.Add(forget+1)) {
		t.Error("a router that fell silent is still a target")
	}
}

// TestRoutersAreAsked holds that the routers of a zone are asked to speak when
// the first of its controllers is heard, and only then.
func TestRoutersAreAsked(t *testing.T) {
	w := newWorld(t, nil)
	asked := make(chan struct{}, 16)
	sub, err := bus.Subscribe(w.bus, protocol.SubjectZoneAsk("z2"), func(string, protocol.Empty) { asked <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	for _, controller := range []string{"https://one.example", "https://one.example", "https://two.example"} {
		w.gateway.Hear(protocol.ControllerState{ID: "c", Zone: "z2", URL: controller})
	}
	<-asked
	w.until("all are heard", func() bool { return w.gateway.targets.controllers.knows("https://two.example", time.Now()) })
	if len(asked) > 0 {
		t.Error("asked again")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	now := time.Now()
	m := newMemory[int]()
	for i := range 4 * maxTargets {
		m.note(i, now)
	}
	if n := len(m.heard); n != maxTargets {
		t.Errorf("%d remembered", n)
	}
	m.note(-1, now.Add(forget+1))
	if !m.knows(-1, now.Add(forget+1)) || len(m.heard) != 1 {
		t.Errorf("%d remembered after silence", len(m.heard))
	}
}

// FuzzRedirect holds that whatever a controller answers, the control channel
// leads to the gateway, and other fields stay as they are.
func FuzzRedirect(f *testing.F) {
	f.Add(`{"control_url":"wss://m.example/mmr/v1/control","session":"s","later":{"a":[1]}}`)
	f.Add(`{"control_url":"","turn":null}`)
	f.Add(`{"control_url":"a","control_url":"b","CONTROL_URL":"c"}`)
	f.Add(`[]`)
	s := New(DefaultConfig(), Deps{})
	f.Fuzz(func(t *testing.T, joined string) {
		out, err := s.redirect([]byte(joined), "web.example", false, "p")
		if err != nil {
			return
		}
		var before, after map[string]any
		if err := json.Unmarshal(out, &after); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		_ = json.Unmarshal([]byte(joined), &before)
		control, _ := before["control_url"].(string)
		if after["control_url"] != "wss://web.example"+protocol.PathGatewayControl+"?to="+url.QueryEscape(control) {
			t.Errorf("%q became %q", control, after["control_url"])
		}
		delete(before, "control_url")
		delete(after, "control_url")
		if diff := cmp.Diff(before, after); diff != "" {
			t.Error(diff)
		}
	})
}

package web

import (
	"crypto/ed25519"
	"net/http"
	"strings"
	"testing"
	"time"

	"causeway/internal/base/local"
	"causeway/internal/bus"
	"causeway/internal/token"
	"causeway/protocol"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

func TestLookup(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		n := startNode(t, dsn, testConfig())
		n.open("eu")
		m := n.create(protocol.CreateMeeting{Topic: "Tea"})
		p := get[protocol.Package](n, 200, request{
			method: "POST", path: lookupPath(m.Number),
			body:   protocol.LookupRequest{Name: " Ada ", Passcode: m.Passcode, Client: protocol.ClientInfo{Kind: "native"}},
			header: map[string]string{"Via": "1.1 proxy", "X-Forwarded-For": "10.1.2.3"},
		})
		claims, err := n.verifier.Verify(p.Token, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if claims.Subject != p.Participant.ID || claims.Meeting != m.ID || claims.Number != m.Number || claims.Topic != "Tea" ||
			claims.Name != "Ada" || claims.Role != protocol.Guest || !claims.ExpiresAt.Equal(p.TokenExpiresAt) {
			t.Errorf("claims %+v of package %+v", claims, p)
		}
		if left := time.Until(p.TokenExpiresAt); left > 2*time.Hour || left < 2*time.Hour-time.Minute {
			t.Errorf("token valid for %v, want 2 h", left)
		}
		p.Token, p.TokenExpiresAt, p.Participant.ID = "", time.Time{}, ""
		want := protocol.Package{
			Meeting:     protocol.MeetingInfo{ID: m.ID, Number: m.Number, Topic: "Tea"},
			Participant: protocol.Identity{Name: "Ada", Role: protocol.Guest},
			Zones: []protocol.Zone{{
				ID: "eu", Name: "Zone eu", DistanceKM: -1,
				Controllers: []protocol.Controller{{ID: "c1", URL: "https://eu.example"}},
			}},
			Tunnels:   []protocol.Tunnel{},
			Gateway:   protocol.PathGateway,
			WebClient: m.JoinURL,
			Seen:      protocol.Seen{Address: "198.51.100.7", Forwarded: []string{"Via: 1.1 proxy", "X-Forwarded-For: 10.1.2.3"}},
		}
		if diff := cmp.Diff(want, p); diff != "" {
			t.Errorf("package (-want +got)\n%s", diff)
		}
	})
}

func TestLookupOnThisMachine(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	n.open("eu")
	here := func(r *http.Request) *http.Request {
		r.Host = "localhost:8080"
		var marked *http.Request
		local.Mark(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { marked = r })).ServeHTTP(nil, r)
		return marked
	}
	m := get[protocol.Meeting](n, 201, request{method: "POST", path: protocol.PathMeetings, body: `{}`, change: here})
	if !strings.HasPrefix(m.JoinURL, "http://localhost:8080/j/") || !strings.HasPrefix(m.HostURL, "http://localhost:8080/j/") {
		t.Errorf("links %s, %s", m.JoinURL, m.HostURL)
	}
	p := get[protocol.Package](n, 200, request{
		method: "POST", path: lookupPath(m.Number), change: here,
		body: protocol.LookupRequest{Name: "A", Passcode: m.Passcode},
	})
	if p.Zones[0].Controllers[0].URL != "http://localhost:8080" || p.WebClient != m.JoinURL {
		t.Errorf("package %+v", p)
	}
}

func TestWrongCredentials(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		cfg := testConfig()
		cfg.Limits.Wrong.Burst = 1000
		n := startNode(t, dsn, cfg)
		n.open("eu")
		m, other := n.create(protocol.CreateMeeting{}), n.create(protocol.CreateMeeting{})
		_, secret, _ := strings.Cut(m.HostURL, "&host=")
		_, wrong, _ := strings.Cut(other.HostURL, "&host=")
		for _, c := range []struct {
			name, number string
			body         protocol.LookupRequest
			want         protocol.Code // "" is let in
			role         protocol.Role
		}{
			{"passcode", m.Number, protocol.LookupRequest{Passcode: m.Passcode}, "", protocol.Guest},
			{"passcode with white space", m.Number, protocol.LookupRequest{Passcode: " " + m.Passcode + "\n"}, "", protocol.Guest},
			{"invitation", m.Number, protocol.LookupRequest{Invitation: secret}, "", protocol.Host},
			{"both", m.Number, protocol.LookupRequest{Passcode: m.Passcode, Invitation: secret}, "", protocol.Host},
			{"invitation, wrong passcode", m.Number, protocol.LookupRequest{Passcode: "x", Invitation: secret}, "", protocol.Host},
			{"nothing", m.Number, protocol.LookupRequest{}, protocol.ProblemWrongPasscode, ""},
			{"wrong passcode", m.Number, protocol.LookupRequest{Passcode: other.Passcode}, protocol.ProblemWrongPasscode, ""},
			{"part of passcode", m.Number, protocol.LookupRequest{Passcode: m.Passcode[:9]}, protocol.ProblemWrongPasscode, ""},
			{"longer passcode", m.Number, protocol.LookupRequest{Passcode: m.Passcode + "x"}, protocol.ProblemWrongPasscode, ""},
			{"invitation as passcode", m.Number, protocol.LookupRequest{Passcode: secret}, protocol.ProblemWrongPasscode, ""},
			{"wrong invitation", m.Number, protocol.LookupRequest{Passcode: m.Passcode, Invitation: wrong}, protocol.ProblemBadInvitation, ""},
			{"unknown number", "123456789", protocol.LookupRequest{Passcode: m.Passcode}, protocol.ProblemMeetingNotFound, ""},
			{"short number", "12345678", protocol.LookupRequest{Passcode: m.Passcode}, protocol.ProblemMeetingNotFound, ""},
			{"no number", "abc", protocol.LookupRequest{Passcode: m.Passcode}, protocol.ProblemMeetingNotFound, ""},
			{"NUL in number", "12345678%009", protocol.LookupRequest{Passcode: m.Passcode}, protocol.ProblemMeetingNotFound, ""},
		} {
			t.Run(c.name, func(t *testing.T) {
				n := &node{Server: n.Server, t: t}
				c.body.Name = "A"
				r := request{method: "POST", path: lookupPath(c.number), body: c.body}
				if c.want != "" {
					n.fails(c.want, r)
					return
				}
				if p := get[protocol.Package](n, 200, r); p.Participant.Role != c.role {
					t.Errorf("role %s, want %s", p.Participant.Role, c.role)
				}
			})
		}
	})
}

// signed makes a token with the node's own key.
func (n *node) signed(c protocol.JoinClaims) string {
	n.t.Helper()
	raw, err := n.signer.Load().Sign(c)
	if err != nil {
		n.t.Fatal(err)
	}
	return raw
}

func claimsFor(m protocol.Meeting, issued time.Time) protocol.JoinClaims {
	return protocol.JoinClaims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: "p-old", IssuedAt: jwt.NewNumericDate(issued), ExpiresAt: jwt.NewNumericDate(issued.Add(2 * time.Hour))},
		Meeting:          m.ID, Number: m.Number, Name: "Old", Role: protocol.Host,
	}
}

func TestComeBackWithToken(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	n.open("eu")
	m, other := n.create(protocol.CreateMeeting{}), n.create(protocol.CreateMeeting{})
	now := time.Now()
	foreign, err := token.NewSigner(make([]byte, ed25519.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	forged, err := foreign.Sign(claimsFor(m, now))
	if err != nil {
		t.Fatal(err)
	}
	fresh := n.signed(claimsFor(m, now))
	tampered := fresh[:len(fresh)-3] + "AAA"
	none := jwt.NewWithClaims(jwt.SigningMethodNone, claimsFor(m, now))
	unsigned, err := none.SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, token string
		alone       protocol.Code // with the token only; "" is let in as the same
		same        bool          // with token and passcode: as the same
	}{
		{"fresh", fresh, "", true},
		{"expired a while ago", n.signed(claimsFor(m, now.Add(-25*time.Hour))), "", true},
		{"expired long ago", n.signed(claimsFor(m, now.Add(-27*time.Hour))), protocol.ProblemTokenExpired, false},
		{"of another meeting", n.signed(claimsFor(other, now)), protocol.ProblemTokenInvalid, false},
		{"signed by somebody else", forged, protocol.ProblemTokenInvalid, false},
		{"tampered with", tampered, protocol.ProblemTokenInvalid, false},
		{"not signed", unsigned, protocol.ProblemTokenInvalid, false},
		{"garbage", "a.b.c", protocol.ProblemTokenInvalid, false},
		{"from the future", n.signed(claimsFor(m, now.Add(time.Hour))), protocol.ProblemTokenInvalid, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := &node{Server: n.Server, t: t}
			r := request{method: "POST", path: lookupPath(m.Number), body: protocol.LookupRequest{Name: "New", Token: c.token}}
			if c.alone != "" {
				n.fails(c.alone, r)
			} else if p := get[protocol.Package](n, 200, r); p.Participant.ID != "p-old" || p.Participant.Role != protocol.Host || strings.Contains(p.WebClient, "pwd") {
				t.Errorf("came back as %+v, %s", p.Participant, p.WebClient)
			}
			r.body = protocol.LookupRequest{Name: "New", Token: c.token, Passcode: m.Passcode}
			p := get[protocol.Package](n, 200, r)
			if same := p.Participant.ID == "p-old" && p.Participant.Role == protocol.Host; same != c.same || p.Participant.Name != "New" {
				t.Errorf("with passcode came back as %+v", p.Participant)
			}
		})
	}
}

func TestWrongPasscodesAreLimited(t *testing.T) {
	cfg := testConfig()
	cfg.Limits.Wrong.Burst, cfg.Limits.Wrong.PerMinute = 3, 0.001
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", cfg)
	n.open("eu")
	m, other := n.create(protocol.CreateMeeting{}), n.create(protocol.CreateMeeting{})
	try := func(m protocol.Meeting, passcode, from string) request {
		return request{method: "POST", path: lookupPath(m.Number), from: from, body: protocol.LookupRequest{Name: "A", Passcode: passcode}}
	}
	const mallory, neighbour = "[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff::]:2"
	for range 50 {
		get[protocol.Package](n, 200, try(m, m.Passcode, mallory)) // what is right is not counted
	}
	for range 3 {
		n.fails(protocol.ProblemWrongPasscode, try(m, "guess", mallory))
	}
	n.fails(protocol.ProblemRateLimited, try(m, "guess", mallory))
	n.fails(protocol.ProblemRateLimited, try(m, m.Passcode, mallory)) // nor is it told that this one is right
	n.fails(protocol.ProblemRateLimited, try(m, m.Passcode, neighbour))
	get[protocol.Package](n, 200, try(m, m.Passcode, "[2001:db8:1:3::1]:1"))
	get[protocol.Package](n, 200, try(other, other.Passcode, mallory)) // others behind the address go on
	for i := range 12 {
		number := string(rune('a'+i)) + "0"
		n.do(request{method: "POST", path: lookupPath(number), from: mallory, body: `{"name":"A"}`})
	}
	n.fails(protocol.ProblemRateLimited, try(other, other.Passcode, mallory)) // until the address has tried everywhere
}

func TestLookupsAreLimited(t *testing.T) {
	cfg := testConfig()
	cfg.Limits.Lookups.Burst, cfg.Limits.Lookups.PerMinute = 2, 0.001
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", cfg)
	n.open("eu")
	m := n.create(protocol.CreateMeeting{})
	r := request{method: "POST", path: lookupPath(m.Number), body: protocol.LookupRequest{Name: "A", Passcode: m.Passcode}}
	get[protocol.Package](n, 200, r)
	get[protocol.Package](n, 200, r)
	n.fails(protocol.ProblemRateLimited, r)
	r.header = map[string]string{"X-Forwarded-For": "203.0.113.9"}
	n.fails(protocol.ProblemRateLimited, r) // written by the client itself
	r.from = "192.0.2.1:80"
	get[protocol.Package](n, 200, r) // by a proxy that we trust
}

func TestNoZone(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	m := n.create(protocol.CreateMeeting{})
	r := request{method: "POST", path: lookupPath(m.Number), body: protocol.LookupRequest{Name: "A", Passcode: m.Passcode}}
	n.fails(protocol.ProblemNoZone, r)
	state := protocol.ControllerState{ID: "c1", Zone: "eu", URL: "https://eu.example"}
	for status, want := range map[protocol.ZoneStatus]protocol.Code{
		protocol.ZoneDraining: protocol.ProblemNoZone, protocol.ZoneEmpty: protocol.ProblemNoZone, protocol.ZoneFull: protocol.ProblemZoneFull,
	} {
		state.State = status
		n.hear(protocol.SubjectController("eu", "c1"), state)
		n.fails(want, r)
	}
}

// TestControllersAreHeard is about what goes over the bus: web asks everyone
// when it starts, and takes what they say.
func TestControllersAreHeard(t *testing.T) {
	hub, err := bus.StartHub(bus.HubConfig{Name: "hub"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Stop)
	controller := connect(t, hub, "controller")
	state := protocol.ControllerState{ID: "c1", Zone: "eu", URL: "https://eu.example", State: protocol.ZoneOpen}
	asked := make(chan error, 16)
	sub, err := bus.Subscribe(controller, protocol.SubjectHubAsk, func(string, protocol.Empty) {
		asked <- bus.Publish(controller, protocol.SubjectController("eu", "c1"), state)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	n := startNodeOn(t, hub, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	await(t, "zone heard", func() bool { return len(n.zones.Zones(time.Now())) == 1 })
}

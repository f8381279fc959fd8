//go:build linux

package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"causeway/client/connect"
	"causeway/internal/base/pki"
	"causeway/internal/media/offer"
	"causeway/internal/peer"
	"causeway/internal/store"
	"causeway/internal/token"
	"causeway/protocol"
)

// lookup is phase 1.
func (s *system) lookup(m created, passcode string) (int, string) {
	return s.post(s.url("web")+protocol.PathMeetings+"/"+m.Number+"/lookup", "", protocol.LookupRequest{Passcode: passcode, Name: "Eve"})
}

// refuses expects a problem as the body of an answer.
func refuses(t *testing.T, what string, code protocol.Code, status int, body string) {
	t.Helper()
	p := decode[protocol.Problem](t, body)
	if p.Code != code || status != protocol.Problems[code].Status || p.Title == "" || p.Cause == "" || p.Remedy == "" {
		t.Errorf("%s: %d %s, want %s", what, status, body, code)
	}
}

// TestRefusals asks for what is not to be had: each refusal has its code, a
// cause and a remedy.
func TestRefusals(t *testing.T) {
	s := newSystem(t)
	m := s.create("--topic", "Closed")
	t.Run("join", func(t *testing.T) { testJoinRefused(t, s, m) })
	t.Run("tokens", func(t *testing.T) { testTokensRefused(t, s, m) })
	t.Run("ended", func(t *testing.T) { testEnded(t, s, m) })
	t.Run("rates", func(t *testing.T) { testRates(t, s) })
}

// testJoinRefused is what people are told who may not come in.
func testJoinRefused(t *testing.T, s *system, m created) {
	link, _, _ := strings.Cut(m.JoinURL, "?")
	for _, c := range []struct {
		name string
		args []string
		code protocol.Code
	}{
		{"wrong passcode", []string{link + "?pwd=wrong", "--ca", s.ca}, protocol.ProblemWrongPasscode},
		{"no passcode", []string{link, "--ca", s.ca}, protocol.ProblemWrongPasscode},
		{"unknown number", []string{s.url("web") + "/j/987654321?pwd=x", "--ca", s.ca}, protocol.ProblemMeetingNotFound},
		{"not a meeting's link", []string{s.url("web") + "/about", "--ca", s.ca}, protocol.ProblemBadLink},
		{"unknown authority", []string{m.JoinURL}, protocol.ProblemCertificate},
		{"nobody there", []string{s.url("nobody") + "/j/987654321"}, protocol.ProblemWebUnreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, out, stderr := command(t, append([]string{"join", "--report", "-", "--duration", "1s"}, c.args...)...)
			want := protocol.Problems[c.code].Words[protocol.English]
			if status != 1 || !strings.Contains(stderr, strings.TrimSuffix(want.Title, ".")) || !strings.Contains(stderr, want.Remedy) {
				t.Errorf("status %d, said %q, want %q", status, stderr, want)
			}
			r := decode[protocol.Report](t, out)
			if last := len(r.Phases) - 1; r.OK || c.code != protocol.ProblemBadLink && (last < 0 || r.Phases[last].Error == nil || r.Phases[last].Error.Code != c.code) {
				t.Errorf("report %s", out)
			}
		})
	}
}

// tickets are join tokens of all sorts.
type tickets struct{ good, other, expired, forged, changed, unsigned string }

// makeTickets takes a good token and makes bad ones of it, some with the
// key that web itself signs with.
func makeTickets(t *testing.T, s *system, m created) tickets {
	t.Helper()
	var k tickets
	for _, into := range []*string{&k.good, &k.other} {
		_, body := s.lookup(m, m.Passcode)
		*into = decode[protocol.Package](t, body).Token
	}
	db, err := store.Open(t.Context(), s.database, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	keys, err := db.SigningKeys(t.Context())
	if err != nil || len(keys) == 0 {
		t.Fatalf("signing keys: %v, %v", keys, err)
	}
	signer, err := token.NewSigner(keys[0].Seed)
	if err != nil {
		t.Fatal(err)
	}
	v := token.NewVerifier()
	v.Learn(signer.Public())
	claims, err := v.Verify(k.good, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	forger, err := token.NewSigner(token.NewSeed())
	if err != nil {
		t.Fatal(err)
	}
	if k.forged, err = forger.Sign(claims); err != nil {
		t.Fatal(err)
	}
	// The router lets those back for a day whose session it knows.
	claims.IssuedAt.Time, claims.ExpiresAt.Time = time.Now().Add(-28*time.Hour), time.Now().Add(-26*time.Hour)
	if k.expired, err = signer.Sign(claims); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(k.good, ".")
	k.changed = parts[0] + "." + strings.Split(k.forged, ".")[1] + "x." + parts[2]
	k.unsigned = "eyJhbGciOiJub25lIn0." + parts[1] + "."
	return k
}

// testTokensRefused presents bad tokens to a zone controller and a router.
func testTokensRefused(t *testing.T, s *system, m created) {
	k := makeTickets(t, s, m)
	cred := peer.NewCredentials()
	request := protocol.JoinRequest{Offers: protocol.Offers{Audio: offer.New(offer.Params{
		Ufrag: cred.Ufrag, Pwd: cred.Pwd, Fingerprint: "sha-256 " + strings.TrimSuffix(strings.Repeat("AB:", 32), ":"),
		Lines: []offer.LineParams{{Kind: offer.Audio, Direction: offer.RecvOnly}},
	}).String()}}
	join := s.url("zc1") + protocol.PathJoin
	status, body := s.post(join, k.good, request)
	if status != 200 {
		t.Fatalf("a good token: %d %s", status, body)
	}
	answer := decode[protocol.JoinAnswer](t, body)
	bad := map[string]struct {
		token string
		code  protocol.Code
	}{
		"none":     {"", protocol.ProblemTokenInvalid},
		"garbage":  {"garbage", protocol.ProblemTokenInvalid},
		"forged":   {k.forged, protocol.ProblemTokenInvalid},
		"changed":  {k.changed, protocol.ProblemTokenInvalid},
		"unsigned": {k.unsigned, protocol.ProblemTokenInvalid},
		"huge":     {strings.Repeat("a.", 4000), protocol.ProblemTokenInvalid},
		"expired":  {k.expired, protocol.ProblemTokenExpired},
	}
	for name, c := range bad {
		status, body := s.post(join, c.token, request)
		refuses(t, "zone, token "+name, c.code, status, body)
		hello(t, s, "token "+name, protocol.Hello{Session: answer.Session, Token: c.token}, c.code)
	}
	status, body = s.post(join, k.good, protocol.JoinRequest{})
	refuses(t, "no offer", protocol.ProblemBadOffer, status, body)
	status, body = s.post(join, k.good, protocol.JoinRequest{Offers: protocol.Offers{Audio: "v=0\r\ngarbage"}})
	refuses(t, "garbage for an offer", protocol.ProblemBadOffer, status, body)

	hello(t, s, "unknown session", protocol.Hello{Session: "nosuchsession", Token: k.good}, protocol.ProblemSessionUnknown)
	hello(t, s, "no session", protocol.Hello{Token: k.good}, protocol.ProblemSessionUnknown)
	hello(t, s, "another's session", protocol.Hello{Session: answer.Session, Token: k.other}, protocol.ProblemSessionUnknown, protocol.ProblemTokenInvalid)
	hello(t, s, "a good token", protocol.Hello{Session: answer.Session, Token: k.good}, "")
}

// hello opens the control channel and expects a problem with one of codes.
func hello(t *testing.T, s *system, what string, h protocol.Hello, codes ...protocol.Code) {
	t.Helper()
	pool, err := pki.Pool(s.ca)
	if err != nil {
		t.Fatal(err)
	}
	n, err := connect.NewNetwork(connect.Options{TLS: &tls.Config{RootCAs: pool}, UserAgent: "e2e"})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, _, err := connect.OpenControl(ctx, n, "wss://"+s.address("mmr")+protocol.PathControl, h, connect.NewRecorder(time.Now()))
	if err == nil {
		c.Close()
	}
	if err == nil && codes[0] == "" {
		return
	}
	var p *protocol.Problem
	if !errors.As(err, &p) || p.Remedy == "" {
		t.Errorf("control channel, %s: %v", what, err)
		return
	}
	for _, code := range codes {
		if p.Code == code {
			return
		}
	}
	t.Errorf("control channel, %s: %s, want %s", what, p.Code, codes)
}

// testEnded ends a meeting while people are in it.
func testEnded(t *testing.T, s *system, m created) {
	person := join(t, s.ca, m.JoinURL, "Ada", true, false)
	settled := start(t, "settled robot", "join", m.JoinURL, "--ca", s.ca, "--name", "Settled", "--record", filepath.Join(t.TempDir(), "rec"))
	s.eventually("something is recorded", func() bool { return strings.Contains(settled.said.String(), "joined") })
	watcher := join(t, s.ca, m.JoinURL, "Watcher", false, true)
	watcher.watch(100, protocol.Mic) // 2 s
	robot := start(t, "robot", "join", m.JoinURL, "--ca", s.ca, "--name", "Robot", "--publish", "testcard", "--json")
	plain := start(t, "plain robot", "join", m.JoinURL, "--ca", s.ca, "--name", "Plain", "--publish", "testcard")
	robot.line(`"appeared"`, `"Plain"`)
	s.eventually("the last is in", func() bool { return strings.Contains(plain.said.String(), "joined") })

	s.api("meeting", "end", m.Number)
	select {
	case <-person.meeting.Done():
	case <-time.After(patience):
		t.Fatal("the meeting goes on")
	}
	if err := person.meeting.Err(); !errors.Is(err, protocol.NewProblem(protocol.ProblemMeetingEnded, "")) {
		t.Errorf("the meeting ended with %v", err)
	}
	over := robot.line(`"over"`)
	if !strings.Contains(over, `"reason":"ended"`) {
		t.Errorf("over: %s", over)
	}
	title := strings.TrimSuffix(protocol.Problems[protocol.ProblemMeetingEnded].Words[protocol.English].Title, ".")
	if status := settled.wait(); status != 0 || !strings.Contains(settled.said.String(), title) {
		t.Errorf("who took part until the end: status %d, said %s", status, settled.said.String())
	}
	// These had no time to be heard.
	if status := plain.wait(); status != 1 || !strings.Contains(plain.said.String(), "causeway: "+title) {
		t.Errorf("who had just come: status %d, said %s", status, plain.said.String())
	}
	robot.wait()
	status, body := s.lookup(m, m.Passcode)
	refuses(t, "lookup of a meeting that has ended", protocol.ProblemMeetingEnded, status, body)
	code, _, stderr := command(t, "join", m.JoinURL, "--ca", s.ca)
	if want := protocol.Problems[protocol.ProblemMeetingEnded].Words[protocol.English]; code != 1 || !strings.Contains(stderr, strings.TrimSuffix(want.Title, ".")) || !strings.Contains(stderr, want.Remedy) {
		t.Errorf("joining what has ended: status %d, said %q", code, stderr)
	}
}

// testRates does everything too often.
func testRates(t *testing.T, s *system) {
	m := s.create("--topic", "Guess")
	tooOften := func(what string, most int, ask func() (int, string)) {
		t.Helper()
		for range most {
			status, body := ask()
			if status == 429 {
				refuses(t, what, protocol.ProblemRateLimited, status, body)
				return
			}
		}
		t.Errorf("%s: %d times without being limited", what, most)
	}
	tooOften("wrong passcodes", 30, func() (int, string) { return s.lookup(m, "wrong") })
	status, body := s.lookup(m, m.Passcode)
	refuses(t, "the right passcode after many wrong ones", protocol.ProblemRateLimited, status, body)
	tooOften("joins", 6000, func() (int, string) {
		return s.post(s.url("zc2")+protocol.PathJoin, "garbage", protocol.JoinRequest{})
	})
	tooOften("bad API keys", 60, func() (int, string) {
		return s.post(s.url("web")+protocol.PathMeetings, "cwk_wrong", protocol.CreateMeeting{})
	})
}

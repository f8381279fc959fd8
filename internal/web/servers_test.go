package web

import (
	"context"
	"crypto/x509"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"causeway/internal/base/pki"
	"causeway/internal/bus"
	"causeway/internal/store"
	"causeway/internal/token"
	"causeway/protocol"
)

// ticket makes an enrolment token over the API.
func (n *node) ticket(c protocol.CreateEnrolment) pki.Ticket {
	n.t.Helper()
	e := get[protocol.Enrolment](n, http.StatusCreated, request{method: "POST", path: protocol.PathEnrolments, key: n.key, body: c})
	ticket, err := pki.ParseTicket(e.Token)
	if err != nil {
		n.t.Fatal(err)
	}
	return ticket
}

func (n *node) addZone(id string) {
	n.t.Helper()
	get[protocol.ZoneEntry](n, http.StatusCreated, request{method: "POST", path: protocol.PathZones, key: n.key, body: protocol.AddZone{ID: id}})
}

// enrollRequest is what a server sends, and the key that it keeps.
func enrollRequest(t testing.TB, secret, who string) (protocol.EnrollRequest, *pki.Key) {
	t.Helper()
	id, err := pki.ParseIdentity(who)
	if err != nil {
		t.Fatal(err)
	}
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := key.Request()
	if err != nil {
		t.Fatal(err)
	}
	return protocol.EnrollRequest{Secret: secret, Role: string(id.Role), Zone: id.Zone, Name: id.Name, CSR: csr}, key
}

func (n *node) enroll(secret, who string) (*pki.Credentials, protocol.Certificate) {
	n.t.Helper()
	q, key := enrollRequest(n.t, secret, who)
	c := get[protocol.Certificate](n, http.StatusOK, request{method: "POST", path: protocol.PathEnroll, body: q})
	creds, err := pki.NewCredentials(n.t.TempDir(), key, c.Certificate, c.Authority)
	if err != nil {
		n.t.Fatal(err)
	}
	return creds, c
}

func (n *node) refusesEnrolment(code protocol.Code, secret, who string) {
	n.t.Helper()
	q, _ := enrollRequest(n.t, secret, who)
	n.fails(code, request{method: "POST", path: protocol.PathEnroll, body: q, from: "203.0.113." + string(rune('0'+len(who)%10)) + ":1"})
}

func TestEnrol(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		n := startNode(t, dsn, testConfig())
		n.addZone("z")
		ticket := n.ticket(protocol.CreateEnrolment{Role: "mmr", Zone: "z"})
		if got := strings.Join(ticket.Hubs, " "); got != "meet.example:443" {
			t.Errorf("hubs %s", got)
		}
		creds, c := n.enroll(ticket.Secret, "zone/z/mmr/m")
		if got := creds.Identity().String(); got != "zone/z/mmr/m" {
			t.Errorf("enrolled as %s", got)
		}
		if left := time.Until(creds.Expires()); left < CertificateLife-time.Minute || left > CertificateLife {
			t.Errorf("valid for %v", left)
		}
		ca, err := x509.ParseCertificate(c.Authority)
		if err != nil || !ca.IsCA {
			t.Errorf("authority: %v", err)
		}
		n.refusesEnrolment(protocol.ProblemEnrolment, ticket.Secret, "zone/z/mmr/n") // used
		list := get[protocol.ServerList](n, 200, request{method: "GET", path: protocol.PathServers, key: n.key})
		if len(list.Servers) != 1 || list.Servers[0].Identity != "zone/z/mmr/m" || list.Servers[0].RevokedAt != nil {
			t.Errorf("servers %+v", list)
		}
	})
}

func TestEnrolRefuses(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	n.addZone("z")
	n.addZone("y")
	any := n.ticket(protocol.CreateEnrolment{Role: "mmr", Zone: "z"}).Secret
	named := n.ticket(protocol.CreateEnrolment{Role: "mmr", Zone: "z", Name: "m"}).Secret
	tunnel := n.ticket(protocol.CreateEnrolment{Role: "tunnel"}).Secret
	for _, c := range []struct{ secret, who string }{
		{"wrong", "zone/z/mmr/m"},
		{any, "zone/y/mmr/m"},
		{any, "zone/z/controller/m"},
		{any, "tunnel/m"},
		{named, "zone/z/mmr/other"},
		{tunnel, "zone/z/mmr/m"},
	} {
		n.refusesEnrolment(protocol.ProblemEnrolment, c.secret, c.who)
	}
	q, _ := enrollRequest(t, any, "zone/z/mmr/m")
	for name, change := range map[string]func(*protocol.EnrollRequest){
		"no request": func(q *protocol.EnrollRequest) { q.CSR = nil }, "web": func(q *protocol.EnrollRequest) { q.Role, q.Zone = "web", "" },
		"no name": func(q *protocol.EnrollRequest) { q.Name = "" }, "wildcard": func(q *protocol.EnrollRequest) { q.Name = "*" },
	} {
		bad := q
		change(&bad)
		if p := n.fails(protocol.ProblemBadRequest, request{method: "POST", path: protocol.PathEnroll, body: bad}); p.Status != 400 {
			t.Errorf("%s: %+v", name, p)
		}
	}
	// None of that has used the tokens up.
	n.enroll(any, "zone/z/mmr/m")
	n.refusesEnrolment(protocol.ProblemEnrolled, n.ticket(protocol.CreateEnrolment{Role: "mmr", Zone: "z"}).Secret, "zone/z/mmr/m")
	n.enroll(named, "zone/z/mmr/m") // its very own token takes its place
	for name, c := range map[string]protocol.CreateEnrolment{
		"web": {Role: "web"}, "router without zone": {Role: "mmr"}, "tunnel in a zone": {Role: "tunnel", Zone: "z"}, "bad name": {Role: "tunnel", Name: "T"}, "too long": {Role: "tunnel", TTLSeconds: 1e9},
	} {
		if p := n.fails(protocol.ProblemBadRequest, request{method: "POST", path: protocol.PathEnrolments, key: n.key, body: c}); p.Status != 400 {
			t.Errorf("%s: %+v", name, p)
		}
	}
	n.fails(protocol.ProblemNotFound, request{method: "POST", path: protocol.PathEnrolments, key: n.key, body: protocol.CreateEnrolment{Role: "mmr", Zone: "unknown"}})
}

// TestReplacingNeedsAGoodRequest: a server is not revoked for a request by which no other can take its place.
func TestReplacingNeedsAGoodRequest(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	n.addZone("z")
	own := protocol.CreateEnrolment{Role: "mmr", Zone: "z", Name: "m"}
	n.enroll(n.ticket(own).Secret, "zone/z/mmr/m")
	q, _ := enrollRequest(t, n.ticket(own).Secret, "zone/z/mmr/m")
	good := q.CSR
	q.CSR = []byte("none")
	n.fails(protocol.ProblemBadRequest, request{method: "POST", path: protocol.PathEnroll, body: q})
	if there, err := n.store.Server(t.Context(), "zone/z/mmr/m"); err != nil || there.RevokedAt != nil {
		t.Errorf("after a bad request: %+v, %v", there, err)
	}
	q.CSR = good // the token still works
	get[protocol.Certificate](n, http.StatusOK, request{method: "POST", path: protocol.PathEnroll, body: q})
	set, err := n.Server.revocations(t.Context(), time.Now())
	if err != nil || len(set.Revocations) != 1 {
		t.Errorf("the older certificate: %+v, %v", set, err)
	}
}

// TestEnrolmentExpires: a token works for as long as it says.
func TestEnrolmentExpires(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		n := startNode(t, dsn, testConfig())
		past := time.Now().Add(-2 * time.Hour)
		e, err := CreateEnrolment(t.Context(), n.store, protocol.CreateEnrolment{Role: "tunnel"}, []string{"a:1"}, past)
		if err != nil {
			t.Fatal(err)
		}
		ticket, err := pki.ParseTicket(e.Token)
		if err != nil {
			t.Fatal(err)
		}
		n.refusesEnrolment(protocol.ProblemEnrolment, ticket.Secret, "tunnel/t")
	})
}

// TestEnrolmentWorksOnce, also for two that come at once.
func TestEnrolmentWorksOnce(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		n := startNode(t, dsn, testConfig())
		secret := n.ticket(protocol.CreateEnrolment{Role: "tunnel"}).Secret
		var all sync.WaitGroup
		won := make(chan string, 8)
		for _, name := range []string{"a", "b", "c", "d"} {
			q, _ := enrollRequest(t, secret, "tunnel/"+name)
			all.Go(func() {
				if w := n.do(request{method: "POST", path: protocol.PathEnroll, body: q}); w.Code == 200 {
					won <- name
				}
			})
		}
		all.Wait()
		if len(won) != 1 {
			t.Errorf("%d servers enrolled with one token", len(won))
		}
	})
}

func TestServersNeedAKey(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	for _, r := range []request{
		{method: "GET", path: protocol.PathServers},
		{method: "POST", path: protocol.PathRevoke, body: protocol.Revoke{Identity: "tunnel/t"}},
		{method: "GET", path: protocol.PathZones},
		{method: "POST", path: protocol.PathZones, body: protocol.AddZone{ID: "z"}},
		{method: "DELETE", path: protocol.PathZones + "/z"},
		{method: "POST", path: protocol.PathEnrolments, body: protocol.CreateEnrolment{Role: "tunnel"}},
		{method: "POST", path: protocol.PathRotateKeys, body: protocol.RotateKeys{}},
	} {
		n.fails(protocol.ProblemUnauthorized, r)
	}
}

// renewed asks for a renewal over the bus.
func (n *node) renew(creds *pki.Credentials) (*pki.Key, protocol.Certificate, error) {
	n.t.Helper()
	key, err := pki.NewKey()
	if err != nil {
		n.t.Fatal(err)
	}
	csr, err := key.Request()
	if err != nil {
		n.t.Fatal(err)
	}
	signature, err := creds.Sign(csr)
	if err != nil {
		n.t.Fatal(err)
	}
	answer, err := bus.Request[protocol.Certificate](n.t.Context(), n.conn, protocol.SubjectRenew,
		protocol.RenewRequest{Certificate: creds.Certificate(), CSR: csr, Signature: signature})
	return key, answer, err
}

func (n *node) revokes(identity string) {
	n.t.Helper()
	if w := n.do(request{method: "POST", path: protocol.PathRevoke, key: n.key, body: protocol.Revoke{Identity: identity}}); w.Code != http.StatusNoContent {
		n.t.Fatalf("revoke %s: %d %s", identity, w.Code, w.Body)
	}
}

// TestRenewAndRevoke: a server renews until it is revoked, and comes back with
// a new token alone, with a certificate that the revocation does not concern.
func TestRenewAndRevoke(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		n := startNode(t, dsn, testConfig())
		n.addZone("z")
		enrol := func(who string) *pki.Credentials {
			id, _ := pki.ParseIdentity(who)
			c, _ := n.enroll(n.ticket(protocol.CreateEnrolment{Role: string(id.Role), Zone: id.Zone}).Secret, who)
			return c
		}
		m, other := enrol("zone/z/mmr/m"), enrol("zone/z/mmr/n")
		key, answer, err := n.renew(m)
		if err == nil {
			err = m.Renew(key, answer.Certificate)
		}
		if err != nil {
			t.Fatal(err)
		}
		told := make(chan protocol.RevocationSet, 64)
		sub, err := bus.Subscribe(n.conn, protocol.SubjectRevoked, func(_ string, set protocol.RevocationSet) { told <- set })
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Stop()
		n.revokes("zone/z/mmr/m")
		await(t, "the revocation is told", func() bool {
			select {
			case set := <-told:
				return len(set.Revocations) == 1 && set.Revocations[0].Identity == "zone/z/mmr/m"
			default:
				return false
			}
		})
		if _, _, err := n.renew(m); protocol.ProblemOf(err).Code != protocol.ProblemEnrolment {
			t.Errorf("renewed after revocation: %v", err)
		}
		if _, _, err := n.renew(other); err != nil {
			t.Errorf("another: %v", err)
		}
		back := enrol("zone/z/mmr/m")
		if _, _, err := n.renew(back); err != nil {
			t.Errorf("enrolled anew at once: %v", err)
		}
		if w := n.do(request{method: "DELETE", path: protocol.PathZones + "/z", key: n.key}); w.Code != http.StatusNoContent {
			t.Fatalf("remove zone: %d %s", w.Code, w.Body)
		}
		for _, c := range []*pki.Credentials{other, back} {
			if _, _, err := n.renew(c); protocol.ProblemOf(err).Code != protocol.ProblemEnrolment {
				t.Errorf("renewed after the zone's end: %v", err)
			}
		}
		n.fails(protocol.ProblemNotFound, request{method: "DELETE", path: protocol.PathZones + "/z", key: n.key})
		n.fails(protocol.ProblemNotFound, request{method: "POST", path: protocol.PathRevoke, key: n.key, body: protocol.Revoke{Identity: "tunnel/nobody"}})
		n.fails(protocol.ProblemBadRequest, request{method: "POST", path: protocol.PathRevoke, key: n.key, body: protocol.Revoke{Identity: "everybody"}})
	})
}

// TestRemoveZoneAgain: a removal that has failed half-way is not the end of it.
func TestRemoveZoneAgain(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	n.addZone("z")
	m, _ := n.enroll(n.ticket(protocol.CreateEnrolment{Role: "mmr", Zone: "z"}).Secret, "zone/z/mmr/m")
	if err := n.store.DeleteZone(t.Context(), "z"); err != nil {
		t.Fatal(err)
	}
	remove := request{method: "DELETE", path: protocol.PathZones + "/z", key: n.key}
	if w := n.do(remove); w.Code != http.StatusNoContent {
		t.Errorf("remove what is left of the zone: %d %s", w.Code, w.Body)
	}
	if _, _, err := n.renew(m); protocol.ProblemOf(err).Code != protocol.ProblemEnrolment {
		t.Errorf("renewed after the zone's end: %v", err)
	}
	n.fails(protocol.ProblemNotFound, remove)
}

func TestRenewRefuses(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	mine, _ := n.enroll(n.ticket(protocol.CreateEnrolment{Role: "tunnel"}).Secret, "tunnel/t")
	other, _ := n.enroll(n.ticket(protocol.CreateEnrolment{Role: "tunnel"}).Secret, "tunnel/u")
	_, csr := func() (*pki.Key, []byte) { q, k := enrollRequest(t, "", "tunnel/t"); return k, q.CSR }()
	sign := func(c *pki.Credentials) []byte {
		s, err := c.Sign(csr)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	stranger, err := pki.NewIssuer(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := stranger.Own("w", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := n.issuer.Own("unknown", time.Hour) // certified, but never enrolled
	if err != nil {
		t.Fatal(err)
	}
	for name, q := range map[string]protocol.RenewRequest{
		"nothing":          {},
		"another's key":    {Certificate: mine.Certificate(), CSR: csr, Signature: sign(other)},
		"another's system": {Certificate: foreign.Certificate(), CSR: csr, Signature: sign(foreign)},
		"never enrolled":   {Certificate: unknown.Certificate(), CSR: csr, Signature: sign(unknown)},
	} {
		if _, err := n.Server.renew(t.Context(), q); protocol.ProblemOf(err).Code != protocol.ProblemEnrolment {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOneAuthority: nodes that begin at once have one authority, and one node
// honours the token of another.
func TestOneAuthority(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		one := startNode(t, dsn, testConfig())
		two := startNode(t, dsn, testConfig())
		if one.issuer.Pin() != two.issuer.Pin() {
			t.Error("two authorities")
		}
		two.enroll(one.ticket(protocol.CreateEnrolment{Role: "tunnel"}).Secret, "tunnel/t")
	})
}

func TestKeyStates(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	revoked := ago(time.Hour)
	for name, c := range map[string]struct {
		keys []store.SigningKey
		want string
	}{
		"the first signs at once":     {[]store.SigningKey{{CreatedAt: now}}, "signing"},
		"a new one is announced":      {[]store.SigningKey{{CreatedAt: ago(keyAnnounced - time.Second)}, {CreatedAt: ago(time.Hour)}}, "next signing"},
		"and signs":                   {[]store.SigningKey{{CreatedAt: ago(keyAnnounced)}, {CreatedAt: ago(time.Hour)}}, "signing verifying"},
		"two new ones":                {[]store.SigningKey{{CreatedAt: now}, {CreatedAt: now}, {CreatedAt: ago(time.Hour)}}, "next next signing"},
		"an old one is not repeated":  {[]store.SigningKey{{CreatedAt: ago(keyOutlives + 2*keyAnnounced)}, {CreatedAt: ago(9999 * time.Hour)}}, "signing retired"},
		"but for as long as it lasts": {[]store.SigningKey{{CreatedAt: ago(keyOutlives)}, {CreatedAt: ago(9999 * time.Hour)}}, "signing verifying"},
		"after a revocation":          {[]store.SigningKey{{CreatedAt: now}, {CreatedAt: ago(time.Hour), RevokedAt: &revoked}}, "signing retired"},
		"retired by hand":             {[]store.SigningKey{{CreatedAt: ago(time.Hour)}, {CreatedAt: ago(2 * time.Hour), RetiredAt: &revoked}}, "signing verifying"},
	} {
		if got := strings.Join(statesOf(c.keys, now), " "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestTURNSecret stays when keys are rotated, and goes with a revoked key.
func TestTURNSecret(t *testing.T) {
	now := time.Now()
	first := store.SigningKey{KID: "a", Seed: []byte("a"), CreatedAt: now}
	second := store.SigningKey{KID: "b", Seed: []byte("b"), CreatedAt: now.Add(time.Second)}
	before := string(turnSecret([]store.SigningKey{first}))
	if string(turnSecret([]store.SigningKey{second, first})) != before {
		t.Error("a rotation changes it")
	}
	first.RevokedAt = &now
	if string(turnSecret([]store.SigningKey{second, first})) == before {
		t.Error("it outlives a revoked key")
	}
}

// TestRotateKeys: nobody notices, unless the old keys are revoked.
func TestRotateKeys(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		n := startNode(t, dsn, testConfig())
		v := token.NewVerifier()
		ctx, cancel := context.WithCancel(t.Context())
		var following sync.WaitGroup
		defer following.Wait()
		defer cancel()
		following.Go(func() { _ = token.Follow(ctx, n.conn, v) })
		await(t, "keys are known", v.Knows)
		m := n.create(protocol.CreateMeeting{})
		before := n.signed(claimsFor(m, time.Now()))
		rotate := func(revoke bool) []protocol.SigningKeyInfo {
			return get[protocol.SigningKeyList](n, 200, request{method: "POST", path: protocol.PathRotateKeys, key: n.key, body: protocol.RotateKeys{RevokeOld: revoke}}).Keys
		}
		if keys := rotate(false); len(keys) != 2 || keys[0].State != keyNext || keys[1].State != keySigning {
			t.Errorf("keys %+v", keys)
		}
		if _, err := v.Verify(n.signed(claimsFor(m, time.Now())), time.Now()); err != nil {
			t.Errorf("right after: %v", err)
		}
		relay := string(*n.turnSecret.Load())
		if keys := rotate(true); len(keys) != 3 || keys[0].State != keySigning || keys[1].State != keyRetired || keys[2].State != keyRetired {
			t.Errorf("keys %+v", keys)
		}
		await(t, "the old key is forgotten", func() bool {
			_, err := v.Verify(before, time.Now())
			return err != nil
		})
		await(t, "credentials of TURN end with the key", func() bool { return string(*n.turnSecret.Load()) != relay })
		await(t, "the new key signs", func() bool {
			_, err := v.Verify(n.signed(claimsFor(m, time.Now())), time.Now())
			return err == nil
		})
	})
}

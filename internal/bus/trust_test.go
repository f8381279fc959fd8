package bus

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"causeway/internal/base/pki"
	"causeway/protocol"
)

// hub starts a hub with a port.
func (s *system) hub(trust *Trust) (*Server, *port) {
	s.t.Helper()
	hub, err := StartHub(HubConfig{Name: trust.Identity().Name, Trust: trust})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(hub.Stop)
	at := s.listen("127.0.0.1:0")
	at.serve(hub, trust)
	return hub, at
}

func (s *system) tunnel(trust *Trust, at ...string) *Conn {
	s.t.Helper()
	c, err := Dial(DialConfig{Name: "t", Trust: trust, Servers: at})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for over := time.After(patience); !holds(); {
		select {
		case <-tick.C:
		case <-over:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// TestRevocationEndsConnections: of the server that was revoked, and of no
// other; and it does not come back, not even over a hub that has heard of it
// only by the bus.
func TestRevocationEndsConnections(t *testing.T) {
	s := newSystem(t)
	web := s.trust("web/w")
	hub, at := s.hub(web)
	bad, good := s.tunnel(s.trust("tunnel/bad"), at.address), s.tunnel(s.trust("tunnel/good"), at.address)
	await(t, "both are connected", func() bool { return bad.Connected() && good.Connected() })

	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel()
	kept := make(chan protocol.RevocationSet, 16)
	following.Go(func() {
		if err := web.Follow(ctx, connectTo(t, hub), func(all protocol.RevocationSet) { kept <- all }); err != nil {
			t.Error(err)
		}
	})
	teller := connectTo(t, hub)
	set := protocol.RevocationSet{Revocations: []protocol.Revocation{{Identity: "tunnel/bad", Before: time.Now()}}}
	await(t, "the connection ends", func() bool {
		if err := Publish(teller, protocol.SubjectRevoked, set); err != nil {
			t.Fatal(err)
		}
		return !bad.Connected()
	})
	if got := receive(t, kept); len(got.Revocations) != 1 || got.Revocations[0].Identity != "tunnel/bad" {
		t.Errorf("kept %v", got)
	}
	if !good.Connected() {
		t.Error("another's connection ended as well")
	}
	if c, err := s.trust("tunnel/bad").dial(t.Context(), dialler(nil), []string{at.address}, protocol.ALPNBus, newTicket(), admit{roles: []pki.Role{pki.RoleWeb}}); err == nil {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("who was revoked came back")
		}
		_ = c.Close()
	}
	// With a certificate from after the revocation it may.
	set.Revocations[0].Before = time.Now().Add(-time.Hour)
	again := NewTrust(web.creds)
	again.Learn(set)
	_, second := s.hub(again)
	back := s.tunnel(s.trust("tunnel/bad"), second.address)
	await(t, "who enrolled anew is connected", back.Connected)
}

// TestRefusedIsTold: a server that is refused after its handshake, as in TLS
// 1.3, says so, once however often it tries.
func TestRefusedIsTold(t *testing.T) {
	s := newSystem(t)
	web := s.trust("web/w")
	web.Learn(protocol.RevocationSet{Revocations: []protocol.Revocation{{Identity: "tunnel/bad", Before: time.Now().Add(time.Hour)}}})
	_, at := s.hub(web)
	tries := make(chan struct{}, 1)
	var said strings.Builder // written while a complaint is told, read when all are
	c, err := Dial(DialConfig{
		Name: "t", Trust: s.trust("tunnel/bad"), Servers: []string{at.address},
		Log: slog.New(slog.NewTextHandler(&said, nil)),
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			select {
			case tries <- struct{}{}:
			case <-ctx.Done():
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		<-tries
	}
	c.Close()
	if n := strings.Count(said.String(), "does not take this server"); n != 1 {
		t.Errorf("told %d times: %s", n, said.String())
	}
}

func TestRevocations(t *testing.T) {
	s := newSystem(t)
	trust := s.trust("web/w")
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	trust.Learn(protocol.RevocationSet{Revocations: []protocol.Revocation{
		{Identity: "zone/a", Before: at}, {Identity: "zone/b/mmr/m", Before: at}, {Identity: "tunnel/t", Before: at},
	}})
	if trust.Learn(trust.Revoked()) {
		t.Error("what is known is new")
	}
	if !trust.Learn(protocol.RevocationSet{Revocations: []protocol.Revocation{{Identity: "tunnel/t", Before: at.Add(time.Hour)}}}) {
		t.Error("a later revocation is not new")
	}
	for _, c := range []struct {
		who    string
		issued time.Time
		want   bool
	}{
		{"zone/a/mmr/m", at, true},
		{"zone/a/controller/c", at.Add(-time.Hour), true},
		{"zone/a/controller/c", at.Add(time.Second), false},
		{"zone/b/mmr/m", at, true},
		{"zone/b/mmr/n", at, false},
		{"zone/b/controller/m", at, false},
		{"tunnel/t", at.Add(time.Minute), true},
		{"web/w", at.Add(-time.Hour), false},
	} {
		id, err := pki.ParseIdentity(c.who)
		if err != nil {
			t.Fatal(err)
		}
		if got := trust.isRevoked(id, c.issued); got != c.want {
			t.Errorf("%s of %v: %v", c.who, c.issued, got)
		}
	}
}

// TestExpiryEndsConnection: the connection ends with the certificate, and
// stands again with the one that has been renewed meanwhile.
func TestExpiryEndsConnection(t *testing.T) {
	s := newSystem(t)
	_, at := s.hub(s.trust("web/w"))
	trust := s.trustFor("tunnel/t", 2*time.Second)
	c := s.tunnel(trust, at.address)
	await(t, "connected, or too late for it", func() bool { return c.Connected() || time.Now().After(trust.creds.Expires()) })
	await(t, "the connection ends", func() bool { return !c.Connected() && time.Now().After(trust.creds.Expires()) })
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := key.Request()
	if err != nil {
		t.Fatal(err)
	}
	der, err := s.issuer.Issue(csr, trust.Identity(), time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := trust.creds.Renew(key, der); err != nil {
		t.Fatal(err)
	}
	await(t, "connected with the new certificate", c.Connected)
}

// TestWhoMayConnectWhere is the table of identities and ways in.
func TestWhoMayConnectWhere(t *testing.T) {
	s := newSystem(t)
	_, hub := s.hub(s.trust("web/w"))
	trust := s.trust("zone/z/controller/c")
	leaf, err := StartLeaf(LeafConfig{Trust: trust})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(leaf.Stop)
	controller := s.listen("127.0.0.1:0")
	controller.serve(leaf, trust)
	all := map[string]*Trust{}
	for _, who := range []string{"web/v", "tunnel/t", "zone/z/controller/d", "zone/z/mmr/m", "zone/y/controller/c", "zone/y/mmr/m"} {
		all[who] = s.trust(who)
	}
	stranger := newSystem(t).trust("web/v")
	for _, c := range []struct {
		name  string
		at    *port
		alpn  string
		right []string
	}{
		{"hub, as a client", hub, protocol.ALPNBus, []string{"tunnel/t"}},
		{"hub, as a leaf", hub, protocol.ALPNLeaf, []string{"zone/z/controller/d", "zone/y/controller/c"}},
		{"hub, as a hub", hub, protocol.ALPNRoute, []string{"web/v"}},
		{"controller, as a client", controller, protocol.ALPNBus, []string{"zone/z/mmr/m"}},
		{"controller, as a leaf", controller, protocol.ALPNLeaf, nil},
		{"controller, as a controller", controller, protocol.ALPNRoute, []string{"zone/z/controller/d"}},
	} {
		for who, trust := range all {
			want := false
			for _, r := range c.right {
				want = want || r == who
			}
			if got := s.welcomed(trust, c.at, c.alpn); got != want {
				t.Errorf("%s: %s is let in: %v", c.name, who, got)
			}
		}
		if s.welcomed(stranger, c.at, c.alpn) {
			t.Errorf("%s: another system's server is let in", c.name)
		}
	}
}

// welcomed reports whether nats-server says hello to somebody.
func (s *system) welcomed(trust *Trust, at *port, alpn string) bool {
	s.t.Helper()
	raw, err := net.Dial("tcp", at.address)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	if err := raw.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	c := tls.Client(raw, trust.mutual([]string{alpn}, func(pki.Identity) error { return nil }))
	if c.Handshake() != nil {
		return false
	}
	if _, err := io.WriteString(c, newTicket()); err != nil {
		return false
	}
	hello := make([]byte, 5)
	_, err = io.ReadFull(c, hello)
	return err == nil && string(hello) == "INFO "
}

// TestOwnName: servers that were given one name, as by a copied file, do not
// take each other for themselves.
func TestOwnName(t *testing.T) {
	s := newSystem(t)
	_, hub := s.hub(s.trust("web/w"))
	_, err := s.trust("web/w").dial(t.Context(), dialler(nil), []string{hub.address}, protocol.ALPNRoute, newTicket(), admit{roles: []pki.Role{pki.RoleWeb}})
	if err == nil || !strings.Contains(err.Error(), "two servers are called web/w") {
		t.Errorf("%v", err)
	}
}

// TestOnlyThroughTheGate: another program of the same machine that finds
// nats-server's or a forwarder's port gets nowhere.
func TestOnlyThroughTheGate(t *testing.T) {
	s := newSystem(t)
	hub, at := s.hub(s.trust("web/w"))
	for _, alpn := range []string{protocol.ALPNBus, protocol.ALPNLeaf, protocol.ALPNRoute} {
		s.intrude("tcp "+alpn, hub.addresses()[alpn])
	}
	trust := s.trust("zone/z/controller/c")
	leaf, err := StartLeaf(LeafConfig{Trust: trust, Hubs: []string{at.address}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(leaf.Stop)
	s.intrude("the forwarder", leaf.ways[0].ln.Addr().String())
}

// intrude connects to a port of this machine with the user's name and a
// guessed password.
func (s *system) intrude(name, at string) {
	s.t.Helper()
	c, err := net.Dial("tcp", at)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	if _, err := io.WriteString(c, `CONNECT {"user":"`+user+`","pass":"`+newTicket()+`","name":"x","verbose":false}`+"\r\nPING\r\n"); err != nil {
		s.t.Fatal(err)
	}
	said, _ := io.ReadAll(c) // until it is closed
	if strings.Contains(string(said), "PONG") || !strings.Contains(string(said), "Authorization Violation") {
		s.t.Errorf("%s: said %q", name, said)
	}
}

// TestHubsStandInForEachOther: of three hubs one dies without a word, and one
// does not answer; zone and tunnel go on by the one that is left.
func TestHubsStandInForEachOther(t *testing.T) {
	s := newSystem(t)
	hubs, ports := [2]*Server{}, [2]*port{s.listen("127.0.0.1:0"), s.listen("127.0.0.1:0")}
	for i, name := range []string{"a", "b"} {
		trust := s.trust("web/" + name)
		hub, err := StartHub(HubConfig{Name: name, Trust: trust, Routes: []string{ports[1-i].address}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(hub.Stop)
		ports[i].serve(hub, trust)
		hubs[i] = hub
	}
	silent := s.listen("127.0.0.1:0") // takes connections and says nothing
	all := []string{silent.address, ports[0].address, ports[1].address}
	tunnel := s.tunnel(s.trust("tunnel/t"), all...)
	leaf, err := StartLeaf(LeafConfig{Trust: s.trust("zone/z/controller/c"), Hubs: all})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(leaf.Stop)
	controller := connectTo(t, leaf)
	heard := make(chan string, 1024)
	sub, err := Subscribe(tunnel, protocol.SubjectControllers, func(_ string, w word) { heard <- w.Text })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	untilHeard := func(text string) {
		t.Helper()
		await(t, text, func() bool {
			_ = Publish(controller, protocol.SubjectController("z", "c"), word{text})
			select {
			case h := <-heard:
				return h == text
			default:
				return false
			}
		})
	}
	untilHeard("by both hubs")
	ports[0].close()
	hubs[0].Stop()
	untilHeard("by the other hub")
}

// TestRenewOverBus renews when half of the life is over, and keeps the
// certificate when the answer is none.
func TestRenewOverBus(t *testing.T) {
	s := newSystem(t)
	hub, at := s.hub(s.trust("web/w"))
	web := connectTo(t, hub)
	asked := make(chan protocol.RenewRequest, 1)
	sub, err := Answer(web, protocol.SubjectRenew, protocol.QueueWeb, func(_ context.Context, q protocol.RenewRequest) (protocol.Certificate, error) {
		asked <- q
		cert, id, err := s.issuer.Verify(q.Certificate, time.Now())
		if err != nil || !pki.Signed(cert, q.CSR, q.Signature) {
			return protocol.Certificate{}, protocol.NewProblem(protocol.ProblemEnrolment, "")
		}
		der, err := s.issuer.Issue(q.CSR, id, time.Now(), time.Hour)
		return protocol.Certificate{Certificate: der, Authority: s.issuer.Authority()}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	trust := s.trust("tunnel/t")
	before := string(trust.creds.Certificate())
	c := s.tunnel(trust, at.address)
	await(t, "renewed", func() bool {
		err := trust.renewOnce(t.Context(), c)
		return err == nil
	})
	<-asked
	if string(trust.creds.Certificate()) == before || trust.Identity().String() != "tunnel/t" {
		t.Errorf("%v has the same certificate", trust.Identity())
	}

	// Renew looks at once, and finds that it is not due.
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- trust.Renew(ctx, c, slog.New(slog.DiscardHandler)) }()
	cancel()
	if err := receive(t, ended); err != nil || len(asked) > 0 {
		t.Errorf("%v, asked %d times", err, len(asked))
	}
}

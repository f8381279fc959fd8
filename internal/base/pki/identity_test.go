package pki

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const testLife = 14 * 24 * time.Hour

func newIssuer(t *testing.T) *Issuer {
	t.Helper()
	i, err := NewIssuer(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// enrol gives somebody credentials.
func enrol(t *testing.T, i *Issuer, dir, who string) *Credentials {
	t.Helper()
	id, err := ParseIdentity(who)
	if err != nil {
		t.Fatal(err)
	}
	key, csr := request(t)
	der, err := i.Issue(csr, id, time.Now(), testLife)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewCredentials(dir, key, der, i.Authority())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func request(t *testing.T) (*Key, []byte) {
	t.Helper()
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := key.Request()
	if err != nil {
		t.Fatal(err)
	}
	return key, csr
}

func TestParseIdentity(t *testing.T) {
	for _, good := range []string{"zone/z-1/controller/c", "zone/z/mmr/m2", "tunnel/t", "web/w"} {
		id, err := ParseIdentity(good)
		if err != nil || id.String() != good || id.URI().String() != "causeway://"+good {
			t.Errorf("%s: %v, %v, %v", good, id, id.URI(), err)
		}
	}
	for _, bad := range []string{
		"", "zone", "zone/z", "zone/z/web/w", "zone/z/mmr/", "zone/Z/mmr/m", "zone//mmr/m", "zone/z/mmr/m/x",
		"tunnel/", "tunnel/a.b", "mmr/m", "web/*", "zone/*/mmr/m", "zone/z/mmr/" + strings.Repeat("m", 64),
	} {
		if id, err := ParseIdentity(bad); err == nil {
			t.Errorf("%q is %v", bad, id)
		}
	}
}

func FuzzParseIdentity(f *testing.F) {
	f.Add("zone/z/mmr/m")
	f.Add("web/w")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseIdentity(s); err == nil && id.String() != s {
			t.Errorf("%q is %q", s, id)
		}
	})
}

func TestIssuerIsKept(t *testing.T) {
	i := newIssuer(t)
	data, err := i.PEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseIssuer(data)
	if err != nil {
		t.Fatal(err)
	}
	if again.Pin() != i.Pin() || len(i.Pin()) != 43 {
		t.Errorf("pin %q, want %q", again.Pin(), i.Pin())
	}
	other, _ := newIssuer(t).PEM()
	for name, bad := range map[string][]byte{"nothing": nil, "half": data[:len(data)/2], "mixed": append(data[:strings.Index(string(data), "-----BEGIN C")], other[strings.Index(string(other), "-----BEGIN C"):]...)} {
		if _, err := ParseIssuer(bad); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	i := newIssuer(t)
	_, csr := request(t)
	id := Identity{Role: RoleMMR, Zone: "z", Name: "m"}
	forged := append([]byte(nil), csr...)
	forged[len(forged)-1] ^= 1
	for name, c := range map[string]struct {
		csr []byte
		id  Identity
	}{
		"no identity":     {csr, Identity{}},
		"wildcard":        {csr, Identity{Role: RoleMMR, Zone: "*", Name: "m"}},
		"tunnel in zone":  {csr, Identity{Role: RoleTunnel, Zone: "z", Name: "t"}},
		"no request":      {nil, id},
		"forged":          {forged, id},
		"far too long":    {make([]byte, maxCSR+1), id},
		"nothing of that": {[]byte("x"), id},
	} {
		if _, err := i.Issue(c.csr, c.id, time.Now(), testLife); err == nil {
			t.Errorf("%s: issued", name)
		}
	}
}

func TestCredentialsAreKept(t *testing.T) {
	dir, i := t.TempDir(), newIssuer(t)
	if _, err := LoadCredentials(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("from an empty folder: %v", err)
	}
	first := enrol(t, i, dir, "zone/z/mmr/m")
	again, err := LoadCredentials(dir)
	if err != nil || again.Identity() != first.Identity() {
		t.Fatalf("%v, %v", again, err)
	}
	key, csr := request(t)
	der, err := i.Issue(csr, again.Identity(), time.Now(), testLife)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, identityCert))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Renew(key, der); err != nil {
		t.Fatal(err)
	}
	if c, err := LoadCredentials(dir); err != nil || string(c.Certificate()) != string(der) {
		t.Errorf("after renewal: %v", err)
	}
	// A crash between key and certificate leaves the old certificate.
	if err := os.WriteFile(filepath.Join(dir, identityCert), before, 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := LoadCredentials(dir); err != nil || string(c.Certificate()) != string(first.Certificate()) {
		t.Errorf("after a crash in the middle: %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, identityKey)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v", info.Mode(), err)
	}
	if err := again.Renew(key, first.Certificate()); err == nil {
		t.Error("took a certificate for another key")
	}
}

func TestRenewalOfIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		c, own := enrol(t, i, "", "tunnel/t"), own(t, i)
		if left := time.Until(c.RenewAt()); left < testLife/2-time.Second || left > testLife/2 {
			t.Errorf("to be renewed in %v", left)
		}
		first, _ := own.current()
		time.Sleep(testLife / 2)
		if second, err := own.current(); err != nil || second == first {
			t.Errorf("a web node's certificate is not renewed: %v", err)
		}
		time.Sleep(testLife/2 + time.Minute)
		if err := shake(t, own, c, allow); err == nil || !strings.Contains(err.Error(), "expired") {
			t.Errorf("with an expired certificate: %v", err)
		}
	})
}

// TestManyRenewAtOnce: each handshake that finds a web node's certificate due
// renews it, and there may be several.
func TestManyRenewAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := own(t, newIssuer(t))
		time.Sleep(testLife / 2)
		var handshakes sync.WaitGroup
		for range 8 {
			handshakes.Go(func() {
				if _, err := c.current(); err != nil {
					t.Error(err)
				}
			})
		}
		handshakes.Wait()
		if id := c.Identity(); id != (Identity{Role: RoleWeb, Name: "w"}) {
			t.Errorf("it is %v", id)
		}
	})
}

func own(t *testing.T, i *Issuer) *Credentials {
	t.Helper()
	c, err := i.Own("w", testLife)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func allow(Identity, time.Time) error { return nil }

// shake connects two servers and returns what the accepting one found wrong,
// or else the dialling one.
func shake(t *testing.T, accepts, dials *Credentials, check Check) error {
	t.Helper()
	return handshake(accepts.Mutual([]string{"x"}, check), dials.Mutual([]string{"x"}, allow))
}

func handshake(accepts, dials *tls.Config) error {
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	accepted := make(chan error, 1)
	go func() {
		c := tls.Server(a, accepts)
		err := c.Handshake()
		if err == nil {
			_, err = c.Write([]byte("x")) // TLS 1.3: the dialler learns only now that it was refused
		}
		accepted <- err
		_ = a.Close()
	}()
	c := tls.Client(b, dials)
	err := c.Handshake()
	if err == nil {
		_, err = c.Read(make([]byte, 1))
	}
	_ = b.Close()
	if failed := <-accepted; failed != nil && err != nil && !errors.Is(failed, net.ErrClosed) && !strings.Contains(failed.Error(), "closed pipe") {
		return failed
	}
	return err
}

func TestMutual(t *testing.T) {
	i := newIssuer(t)
	web, router, stranger := own(t, i), enrol(t, i, "", "zone/z/mmr/m"), enrol(t, newIssuer(t), "", "zone/z/mmr/m")
	var seen Identity
	note := func(id Identity, issued time.Time) error {
		seen = id
		if time.Since(issued).Abs() > time.Hour {
			t.Errorf("issued %v", issued)
		}
		return nil
	}
	if err := shake(t, web, router, note); err != nil || seen != router.Identity() {
		t.Errorf("%v: %v", seen, err)
	}
	if err := shake(t, web, stranger, allow); err == nil {
		t.Error("another system's server was let in")
	}
	if err := shake(t, stranger, router, allow); err == nil {
		t.Error("another system's server was believed")
	}
	refused := errors.New("refused")
	if err := shake(t, web, router, func(Identity, time.Time) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("a refusal: %v", err)
	}
	people := open(t, t.TempDir(), "localhost")
	cert, _ := people.GetCertificate(nil)
	visitor := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*cert}, NextProtos: []string{"x"}}
	if err := handshake(web.Mutual([]string{"x"}, allow), visitor); err == nil {
		t.Error("a certificate of another kind was let in")
	}
	visitor.Certificates = nil
	if err := handshake(web.Mutual([]string{"x"}, allow), visitor); err == nil {
		t.Error("somebody without a certificate was let in")
	}
}

func TestTicket(t *testing.T) {
	i := newIssuer(t)
	ticket := Ticket{Hubs: []string{"meet.example.org:443"}, Pin: i.Pin(), Secret: "s"}
	read, err := ParseTicket(" " + ticket.String() + "\n")
	if err != nil || read.String() != ticket.String() {
		t.Errorf("%+v, %v", read, err)
	}
	for _, bad := range []string{"", "cwe_", "cwe_e30", "x", ticket.String()[:20], strings.Repeat("x", 5000)} {
		if _, err := ParseTicket(bad); err == nil {
			t.Errorf("read %q", bad)
		}
	}
	if err := handshake(own(t, i).Known(), read.TLS()); err != nil {
		t.Errorf("its own system: %v", err)
	}
	if err := handshake(own(t, newIssuer(t)).Known(), read.TLS()); err == nil {
		t.Error("another system was believed")
	}
	// A router's certificate does not make a web server.
	if err := handshake(enrol(t, i, "", "zone/z/mmr/m").Known(), read.TLS()); err == nil {
		t.Error("a router was taken for web")
	}
}

func TestSigned(t *testing.T) {
	i := newIssuer(t)
	c := enrol(t, i, "", "tunnel/t")
	signature, err := c.Sign([]byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	cert, id, err := i.Verify(c.Certificate(), time.Now())
	if err != nil || id != c.Identity() {
		t.Fatal(id, err)
	}
	if !Signed(cert, []byte("data"), signature) || Signed(cert, []byte("other"), signature) {
		t.Error("a signature is misjudged")
	}
	if _, _, err := newIssuer(t).Verify(c.Certificate(), time.Now()); err == nil {
		t.Error("another authority's certificate was believed")
	}
}

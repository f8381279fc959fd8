package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var testNames = []string{"localhost", "127.0.0.1", "0:0::1", "meet.example.org", "localhost"}

func open(t *testing.T, dir string, names ...string) *Authority {
	t.Helper()
	a, err := Open(dir, names)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func leafOf(t *testing.T, a *Authority) *x509.Certificate {
	t.Helper()
	c, err := a.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf
}

// verify checks a server's certificate as a client at the moment does.
func verify(a *Authority, leaf *x509.Certificate, name string) error {
	_, err := leaf.Verify(x509.VerifyOptions{Roots: a.Pool(), DNSName: name, CurrentTime: time.Now()})
	return err
}

func TestNames(t *testing.T) {
	a := open(t, t.TempDir(), testNames...)
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "meet.example.org"} {
		if err := verify(a, leafOf(t, a), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"example.org", "127.0.0.2", "evil.localhost"} {
		if verify(a, leafOf(t, a), name) == nil {
			t.Errorf("%s is certified", name)
		}
	}
	if _, err := Open(t.TempDir(), nil); err == nil {
		t.Error("certified nobody")
	}
}

func TestOpenAgain(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir, testNames...)
	again := open(t, dir, "meet.example.org", "::1", "localhost", "127.0.0.1") // the same, otherwise written
	if !leafOf(t, first).Equal(leafOf(t, again)) {
		t.Error("a certificate was issued anew for the same names")
	}
	other := open(t, dir, "other.example.org")
	if leafOf(t, other).Equal(leafOf(t, first)) {
		t.Error("other names got the old certificate")
	}
	if err := verify(first, leafOf(t, other), "other.example.org"); err != nil {
		t.Errorf("who trusts the authority does not trust the new certificate: %v", err)
	}
}

func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, t.TempDir(), "localhost")
		first := leafOf(t, a)
		time.Sleep(leafLife - renewBefore - backdate)
		if !leafOf(t, a).Equal(first) {
			t.Error("renewed too early")
		}
		time.Sleep(2 * backdate)
		renewed := leafOf(t, a)
		if renewed.Equal(first) {
			t.Fatal("not renewed in time")
		}
		if err := verify(a, renewed, "localhost"); err != nil {
			t.Error(err)
		}
		if !leafOf(t, open(t, a.dir, "localhost")).Equal(renewed) {
			t.Error("the renewed certificate is not kept")
		}
	})
}

func TestRenewalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, filepath.Join(t.TempDir(), "pki"), "localhost")
		first := leafOf(t, a)
		if err := os.RemoveAll(a.dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(leafLife - renewBefore)
		if !leafOf(t, a).Equal(first) {
			t.Error("a valid certificate is not used when it cannot be renewed")
		}
		if err := os.MkdirAll(a.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if leafOf(t, a).Equal(first) {
			t.Error("not renewed when it could be")
		}
		if err := os.RemoveAll(a.dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(leafLife)
		if _, err := a.GetCertificate(nil); err == nil {
			t.Error("an expired certificate is used")
		}
	})
}

func TestAuthorityRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		first := open(t, dir, "localhost")
		time.Sleep(authorityLife - leafLife + time.Hour)
		again := open(t, dir, "localhost")
		if again.cert.Equal(first.cert) || !again.key.Equal(first.key) {
			t.Error("the authority is not renewed with the same key")
		}
		if err := verify(again, leafOf(t, again), "localhost"); err != nil {
			t.Error(err)
		}
	})
}

func TestInterruptedStart(t *testing.T) {
	for _, missing := range []string{"ca.pem", "server.pem", "server.key"} {
		dir := t.TempDir()
		first := open(t, dir, "localhost")
		if err := os.Remove(filepath.Join(dir, missing)); err != nil {
			t.Fatal(err)
		}
		again := open(t, dir, "localhost")
		if err := verify(again, leafOf(t, again), "localhost"); err != nil {
			t.Errorf("without %s: %v", missing, err)
		}
		if !again.key.Equal(first.key) {
			t.Errorf("without %s: the authority has a new key", missing)
		}
	}
}

func TestDamaged(t *testing.T) {
	other := open(t, t.TempDir(), "localhost")
	foreign, err := os.ReadFile(other.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, file, content, want string
	}{
		{"empty key", "ca.key", "", "no PEM block"},
		{"broken key", "ca.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "read key"},
		{"empty certificate", "ca.pem", "", "no PEM block"},
		{"broken certificate", "ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "read certificate"},
		{"another authority's", "ca.pem", string(foreign), "do not belong together"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			open(t, dir, "localhost")
			if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir, []string{"localhost"}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want something with %q", err, c.want)
			}
		})
	}
}

func TestSharedAuthority(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	authorities := make([]*Authority, 8)
	for i := range authorities {
		all.Go(func() {
			a, err := OpenFor(dir, string(rune('a'+i)), []string{"localhost"})
			if err != nil {
				t.Error(err)
				return
			}
			authorities[i] = a
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for i, a := range authorities {
		if err := verify(authorities[0], leafOf(t, a), "localhost"); err != nil {
			t.Errorf("server %d: %v", i, err)
		}
	}
}

func TestKeysArePrivate(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, "localhost")
	for _, name := range []string{"ca.key", "server.key"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %v", name, mode)
		}
	}
	if left, err := fs.Glob(os.DirFS(dir), "*.*.*"); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v %v", left, err)
	}
}

func TestPool(t *testing.T) {
	a := open(t, t.TempDir(), "localhost")
	pool, err := Pool(a.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leafOf(t, a).Verify(x509.VerifyOptions{Roots: pool, DNSName: "localhost"}); err != nil {
		t.Error(err)
	}
	if _, err := Pool(""); err != nil {
		t.Error(err)
	}
	if _, err := Pool(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("read a file that is not there")
	}
	if _, err := Pool(filepath.Join(a.dir, "ca.key")); err == nil {
		t.Error("took a key for a certificate")
	}
}

// copyPair copies a server's certificate and key.
func copyPair(t *testing.T, from *Authority, to string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		data, err := os.ReadFile(from.leafs + part)
		if err != nil {
			t.Fatal(err)
		}
		// A new file each time, as tools that renew certificates make it.
		if err := os.WriteFile(to+part+".new", data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(to+part+".new", to+part); err != nil {
			t.Fatal(err)
		}
		stamp := time.Now()
		if err := os.Chtimes(to+part, stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReloading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := open(t, t.TempDir(), "one.example.org"), open(t, t.TempDir(), "two.example.org")
		files := filepath.Join(t.TempDir(), "server")
		copyPair(t, one, files, ".pem", ".key")
		get, err := Reloading(files+".pem", files+".key")
		if err != nil {
			t.Fatal(err)
		}
		expect := func(when string, want *Authority) {
			t.Helper()
			c, err := get(nil)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(c.Certificate[0], leafOf(t, want).Raw) {
				t.Errorf("%s: the wrong certificate", when)
			}
		}
		expect("at first", one)
		time.Sleep(checkEvery)
		copyPair(t, two, files, ".pem")
		expect("certificate replaced, key not yet", one)
		copyPair(t, two, files, ".key")
		time.Sleep(checkEvery)
		expect("both replaced", two)
		if err := os.Remove(files + ".key"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(checkEvery)
		expect("key gone", two)
	})
}

func TestReloadingNothing(t *testing.T) {
	a := open(t, t.TempDir(), "localhost")
	for _, pair := range [][2]string{
		{"none.pem", "none.key"}, {a.CAFile(), "none.key"}, {a.CAFile(), a.leafs + ".key"},
	} {
		if _, err := Reloading(pair[0], pair[1]); err == nil {
			t.Errorf("loaded %v", pair)
		}
	}
}

func TestHandshake(t *testing.T) {
	a := open(t, t.TempDir(), "localhost")
	ln, err := tls.Listen("tcp", "127.0.0.1:0", a.TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	served := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			err = c.(*tls.Conn).Handshake()
			_ = c.Close()
		}
		served <- err
	}()
	c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{RootCAs: a.Pool(), ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	if v := c.ConnectionState().Version; v != tls.VersionTLS13 {
		t.Errorf("spoke %s", tls.VersionName(v))
	}
	_ = c.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

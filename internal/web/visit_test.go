package web

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClientAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	for _, c := range []struct {
		name, remote string
		header       []string
		want         string
	}{
		{"direct", "198.51.100.1:5", nil, "198.51.100.1"},
		{"IPv4 in IPv6", "[::ffff:198.51.100.1]:5", nil, "198.51.100.1"},
		{"not trusted", "198.51.100.1:5", []string{"203.0.113.1"}, "198.51.100.1"},
		{"trusted", "10.0.0.1:5", []string{"203.0.113.1"}, "203.0.113.1"},
		{"trusted, nothing said", "10.0.0.1:5", nil, "10.0.0.1"},
		{"trusted, garbage", "10.0.0.1:5", []string{"unknown"}, "10.0.0.1"},
		{"forged on the left", "10.0.0.1:5", []string{"1.1.1.1, 203.0.113.1"}, "203.0.113.1"},
		{"two proxies", "10.0.0.1:5", []string{"1.1.1.1, 203.0.113.1, 10.0.0.2"}, "203.0.113.1"},
		{"two headers", "10.0.0.1:5", []string{"203.0.113.1", "10.0.0.2"}, "203.0.113.1"},
		{"garbage in between", "10.0.0.1:5", []string{"203.0.113.1, x, 10.0.0.2"}, "10.0.0.2"},
		{"all trusted", "10.0.0.1:5", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"with port", "10.0.0.1:5", []string{"203.0.113.1:4711"}, "203.0.113.1"},
		{"IPv6", "[2001:db8::1]:5", []string{"2a00::1"}, "2a00::1"},
		{"IPv6 in brackets", "[2001:db8::1]:5", []string{"[2a00::1]"}, "2a00::1"},
		{"IPv6 with port", "[2001:db8::1]:5", []string{"[2a00::1]:4711"}, "2a00::1"},
		{"no address", "pipe", []string{"203.0.113.1"}, "invalid IP"},
	} {
		if got := clientAddress(c.remote, c.header, trusted).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func FuzzClientAddress(f *testing.F) {
	f.Add("10.0.0.1:5", "1.1.1.1, 203.0.113.1")
	f.Add("[::1]:1", "[2a00::1%eth0]:4711,,")
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, remote, header string) {
		got := clientAddress(remote, []string{header}, trusted)
		peer, err := netip.ParseAddrPort(remote)
		if err == nil && !trusted[0].Contains(peer.Addr().Unmap()) && got != peer.Addr().Unmap() {
			t.Errorf("peer %s, which is not trusted, became %s by %q", remote, got, header)
		}
		if got.Is4In6() {
			t.Errorf("%s was left IPv4 in IPv6", got)
		}
	})
}

func TestForwarded(t *testing.T) {
	h := http.Header{"Via": {"1.1 a", strings.Repeat("x", 600)}, "X-Forwarded-For": {"1.2.3.4"}, "Forwarded": {"for=1.2.3.4"}, "Cookie": {"secret"}}
	want := []string{"Via: 1.1 a", "Via: " + strings.Repeat("x", 512), "Forwarded: for=1.2.3.4", "X-Forwarded-For: 1.2.3.4"}
	if diff := cmp.Diff(want, forwarded(h)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for i := range 100 {
		h.Add("Via", fmt.Sprint(i))
	}
	if got := len(forwarded(h)); got != maxForwarded {
		t.Errorf("%d headers", got)
	}
}

func TestBase(t *testing.T) {
	for _, c := range []struct {
		name, public string
		local, tls   bool
		want         string
	}{
		{"configured", "https://meet.example/", false, true, "https://meet.example"},
		{"configured, on this machine", "https://meet.example", true, false, "http://host:8080"},
		{"not configured", "", false, true, "https://host:8080"},
		{"not configured, plain", "", false, false, "http://host:8080"},
	} {
		s := &Server{cfg: Config{PublicURL: c.public}}
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = "host:8080"
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if got := s.base(r, c.local); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

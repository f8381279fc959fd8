package target

import (
	"net"
	"net/netip"
	"testing"
)

func TestAllowed(t *testing.T) {
	for address, want := range map[string]struct{ elsewhere, here bool }{
		"192.0.2.1":              {true, true},
		"10.1.2.3":               {true, true},
		"2001:db8::1":            {true, true},
		"fd00::1":                {true, true},
		"127.0.0.1":              {false, true},
		"127.9.9.9":              {false, true},
		"::1":                    {false, true},
		"::ffff:127.0.0.1":       {false, true},
		"169.254.169.254":        {false, false},
		"::ffff:169.254.169.254": {false, false},
		"fe80::1":                {false, false},
		"fe80::1%eth0":           {false, false},
		"224.0.0.1":              {false, false},
		"ff02::1":                {false, false},
		"255.255.255.255":        {false, false},
		"0.0.0.0":                {false, false},
		"::":                     {false, false},
	} {
		a := netip.MustParseAddr(address)
		if got := Allowed(a, false); got != want.elsewhere {
			t.Errorf("%s elsewhere: %t", address, got)
		}
		if got := Allowed(a, true); got != want.here {
			t.Errorf("%s here: %t", address, got)
		}
	}
	if Allowed(netip.Addr{}, true) {
		t.Error("no address is allowed")
	}
}

func TestDialerLooksAtWhatANameLeadsTo(t *testing.T) {
	ln, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	if c, err := Dialer(false).DialContext(t.Context(), "tcp", "localhost:"+port); err == nil {
		_ = c.Close()
		t.Error("localhost is dialled")
	}
	c, err := Dialer(true).DialContext(t.Context(), "tcp", "localhost:"+port)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// TestDialFrom: who is reached by loopback finds others there, and everybody
// those of the same name.
func TestDialFrom(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	for _, c := range []struct {
		base, host string
		reached    bool
	}{
		{"https://localhost:8443", "127.0.0.1", true},
		{"https://127.0.0.1", "localhost", true},
		{"https://[::1]:8443", "127.0.0.1", true},
		{"https://192.0.2.1", "127.0.0.1", false},
		{"https://localhost.example.org", "localhost", false},
		{"https://LOCALHOST:8443", "LOCALHOST", true}, // a name like any other
		{"https://LOCALHOST:8443", "127.0.0.1", false},
		{"", "127.0.0.1", false},
		{"://", "127.0.0.1", false},
	} {
		conn, err := DialFrom(c.base)(t.Context(), "tcp", net.JoinHostPort(c.host, port))
		if reached := err == nil; reached != c.reached {
			t.Errorf("%s from %q: %v", c.host, c.base, err)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
}

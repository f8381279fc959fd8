package relay

import (
	"slices"
	"testing"
)

// TestElsewhere: another router is not looked for on this machine, nor where
// none can be.
func TestElsewhere(t *testing.T) {
	told := []string{"192.0.2.1:8801", "127.0.0.1:8801", "[::1]:8801", "169.254.169.254:80", "[fe80::1]:8801", "224.0.0.1:8801", "0.0.0.0:8801", "nowhere", "[2001:db8::1]:8801"}
	for name, tc := range map[string]struct{ own, want []string }{
		"a router":             {[]string{"192.0.2.9:8801", "127.0.0.1:8801"}, []string{"192.0.2.1:8801", "[2001:db8::1]:8801"}},
		"a router on loopback": {[]string{"127.0.0.1:8801"}, []string{"192.0.2.1:8801", "127.0.0.1:8801", "[::1]:8801", "[2001:db8::1]:8801"}},
	} {
		r := &Relays{cfg: Config{Addresses: func() Addresses { return Addresses{UDP: tc.own} }}}
		if got := r.elsewhere(told); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

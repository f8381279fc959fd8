package main

import (
	"strings"
	"testing"
)

func TestBrowserCommand(t *testing.T) {
	for _, c := range []struct{ system, env, want string }{
		{"linux", "DISPLAY", "xdg-open"},
		{"linux", "WAYLAND_DISPLAY", "xdg-open"},
		{"freebsd", "DISPLAY", "xdg-open"},
		{"linux", "", ""}, // a server: nobody looks
		{"darwin", "", "open"},
		{"windows", "", "rundll32 url.dll,FileProtocolHandler"},
	} {
		tool, args := browserCommand(c.system, func(name string) string {
			if name == c.env {
				return ":0"
			}
			return ""
		})
		if got := strings.Join(append([]string{tool}, args...), " "); strings.TrimSpace(got) != c.want {
			t.Errorf("%s with %q: %q, want %q", c.system, c.env, got, c.want)
		}
	}
}

// TestOnlyWebAddressesAreOpened: the address comes from a server.
func TestOnlyWebAddressesAreOpened(t *testing.T) {
	for _, address := range []string{"", "file:///etc/passwd", "javascript:alert(1)", "--help", "https://", "ms-settings:"} {
		if openBrowser(t.Context(), address) {
			t.Errorf("%q was opened", address)
		}
	}
}

package connect

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"causeway/protocol"
)

var annAnswers = ProxyOptions{Proxy: "proxy.test:3128", User: "ann:secret"}

// TestGrid runs a whole join in every kind of network; each cell names the
// path that it ends on, or the problem.
func TestGrid(t *testing.T) {
	socks := ProxyOptions{Proxy: "socks5://proxy.test:3128", User: "ann:secret"}
	none := ProxyOptions{}
	for _, c := range []struct {
		name    string
		block   func(string) error
		scheme  string // of the proxy
		behind  func(string) error
		options ProxyOptions
		path    string
		problem protocol.Code
		reached time.Duration // when at most
	}{
		{name: "open", options: none, path: "direct", reached: 600 * ms},
		{name: "proxy only", block: passing(errSilent, "proxy.test"), options: annAnswers, path: "proxy http", reached: 700 * ms},
		{name: "proxy only, Basic", block: passing(errSilent, "proxy.test"), scheme: "basic", options: annAnswers, path: "proxy http", reached: 700 * ms},
		{name: "proxy only, Digest", block: passing(errSilent, "proxy.test"), scheme: "digest", options: annAnswers, path: "proxy http", reached: 700 * ms},
		{name: "proxy only, NTLM", block: passing(errSilent, "proxy.test"), scheme: "ntlm", options: annAnswers, path: "proxy http", reached: 800 * ms},
		{name: "proxy only, SOCKS5", block: passing(errSilent, "proxy.test"), scheme: "socks5", options: socks, path: "proxy socks5", reached: 900 * ms},
		{name: "proxy only, not named", block: passing(errSilent, "proxy.test"), options: none, problem: protocol.ProblemWebUnreachable},
		{name: "proxy only, no credentials", scheme: "basic", options: ProxyOptions{Proxy: "proxy.test:3128"}, problem: protocol.ProblemProxyAuthNeeded},
		{name: "proxy only, wrong credentials", scheme: "digest", options: ProxyOptions{Proxy: "proxy.test:3128", User: "bob:x"}, problem: protocol.ProblemProxyAuthFailed},
		{name: "proxy forbids", scheme: "forbids", options: annAnswers, problem: protocol.ProblemProxyRefused},
		{name: "proxy gone", options: ProxyOptions{Proxy: "gone.test:3128"}, problem: protocol.ProblemProxyUnreachable},
		{name: "no such script", options: ProxyOptions{PAC: "/nonexistent.pac"}, problem: protocol.ProblemPACFailed},
		{name: "proxy only, controllers refused", block: passing(errSilent, "proxy.test"), behind: blocking(syscall.ECONNREFUSED, "a1."), options: annAnswers, path: "tunnel_over_proxy http https://near.test", reached: 1500 * ms},
		{name: "proxy only, controllers silent", block: passing(errSilent, "proxy.test"), behind: blocking(errSilent, "a1."), options: annAnswers, path: "tunnel_over_proxy http https://near.test", reached: 6900 * ms},
		{name: "proxy only, passes web only", block: passing(errSilent, "proxy.test"), behind: passing(syscall.ECONNREFUSED, "meet."), scheme: "ntlm", options: annAnswers, path: "tunnel_over_proxy http https://meet.test", reached: 3 * time.Second},
		{name: "controllers silent", block: blocking(errSilent, "a1."), options: none, path: "tunnel https://near.test", reached: 6500 * ms},
		{name: "controllers refusing", block: blocking(syscall.ECONNREFUSED, "a1."), options: none, path: "tunnel https://near.test", reached: 1200 * ms},
		{name: "controllers silent, one tunnel silent", block: blocking(errSilent, "a1.", "near."), options: none, path: "tunnel https://far.test", reached: 7500 * ms},
		{name: "everything but web silent", block: passing(errSilent, "meet."), options: none, path: "tunnel https://meet.test", reached: 7500 * ms},
		{name: "everything but web refused", block: passing(syscall.ECONNREFUSED, "meet."), options: none, path: "tunnel https://meet.test", reached: 2 * time.Second},
		{name: "routers blocked", block: blocking(errSilent, "mmr-1."), options: none, path: "tunnel https://near.test", reached: 600 * ms},
		{name: "web blocked too", block: blocking(errSilent, ""), options: none, problem: protocol.ProblemWebUnreachable},
		{name: "tunnels blocked too", block: blocking(errSilent, "a1.", "near.", "far."), options: none, path: "tunnel https://meet.test", reached: 7500 * ms},
	} {
		bubble(t, c.name, func(t *testing.T, n *internet) {
			newSystem(n)
			n.proxy(c.scheme, c.behind)
			v := n.visitor(c.block)
			s, err := v.enter(t, v.network(c.options))
			if c.problem != "" {
				p := protocol.ProblemOf(err)
				if err == nil || p.Code != c.problem || p.Detail == "" || p.Remedy == "" {
					t.Fatalf("%v, want %s", err, c.problem)
				}
				t.Logf("%s", p.Error())
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := s.path(); got != c.path {
				t.Errorf("ended on %q, want %q", got, c.path)
			}
			if s.reached > c.reached {
				t.Errorf("the zones were reached after %v", s.reached)
			}
			t.Logf("%s; zones after %v, joined after %v", s.path(), s.reached, s.joined)
			if strings.Contains(c.path, "proxy") && !slices.Equal(v.only(), []string{"proxy.test:3128"}) {
				t.Errorf("dialled %v besides the proxy", v.only())
			}
		})
	}
}

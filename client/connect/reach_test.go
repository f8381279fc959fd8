package connect

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"causeway/protocol"
)

// from the lookup's end on, in the system of newSystem.
const lookedUp = 3 * 120 * ms

func TestSilentControllersLeadToTunnelsAfterTheBudget(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		newSystem(n)
		v := n.visitor(blocking(errSilent, "a1."))
		s, err := v.enter(t, v.network(ProxyOptions{}))
		if err != nil {
			t.Fatal(err)
		}
		for _, tunnel := range []string{"near.test:443", "far.test:443"} {
			if at, _ := v.dialledAt(tunnel); at != lookedUp+5500*ms {
				t.Errorf("%s was dialled after %v", tunnel, at-lookedUp)
			}
		}
		if took := s.joined - lookedUp - 5500*ms; took > 2*time.Second {
			t.Errorf("in the meeting %v after the tunnel was tried", took)
		}
		r := s.rec.Report()
		second := r.Phases[2]
		last := second.Attempts[len(second.Attempts)-1]
		if r.Phases[1].OK || r.Phases[1].Attempts[0].Via != "direct" || !strings.Contains(r.Phases[1].Attempts[0].Error, "did not answer in time") {
			t.Errorf("first %+v", r.Phases[1])
		}
		if !second.OK || last.Target != "https://a1.test" || last.Via != "https://near.test" || !last.OK || last.RTTMS != 80 {
			t.Errorf("second %+v", second)
		}
		ping := second.Attempts[0]
		if ping.Target != "https://near.test" || ping.Via != "direct" || !ping.OK || ping.ConnectMS != 30 || ping.TLSMS != 30 || ping.RTTMS != 30 {
			t.Errorf("ping %+v", ping)
		}
		mmr := r.Phases[3]
		if !mmr.OK || mmr.Attempts[1].Target != controlURL || mmr.Attempts[1].Via != "https://near.test" {
			t.Errorf("control %+v", mmr)
		}
	})
}

func TestRefusingControllersLeadToTunnelsAtOnce(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		newSystem(n)
		v := n.visitor(blocking(syscall.ECONNREFUSED, "a1."))
		if _, err := v.enter(t, v.network(ProxyOptions{})); err != nil {
			t.Fatal(err)
		}
		if at, _ := v.dialledAt("near.test:443"); at != lookedUp+ms {
			t.Errorf("the tunnel was dialled %v after the refusal", at-lookedUp-ms)
		}
	})
}

func TestTunnelOverProxy(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		newSystem(n)
		n.proxy("basic", blocking(syscall.ECONNREFUSED, "a1."))
		v := n.visitor(passing(errSilent, "proxy.test"))
		s, err := v.enter(t, v.network(annAnswers))
		if err != nil {
			t.Fatal(err)
		}
		r := s.rec.Report()
		if a := r.Phases[1].Attempts[0]; a.OK || a.Error != "the proxy proxy.test:3128 could not reach a1.test (503)" {
			t.Errorf("direct attempt %+v", a)
		}
		if a := r.Phases[2].Attempts[0]; a.Via != "http://proxy.test:3128" || a.Target != "https://near.test" {
			t.Errorf("ping %+v", a)
		}
		if r.Route != "tunnel_over_proxy" {
			t.Errorf("route %s", r.Route)
		}
	})
}

// The first tunnel to answer does not lead to the zones; the next one does.
func TestNextTunnelWhenOneLeadsNowhere(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		sys := newSystem(n)
		sys.near.refuse = protocol.ProblemTunnelFull
		v := n.visitor(blocking(syscall.ECONNREFUSED, "a1."))
		s, err := v.enter(t, v.network(ProxyOptions{}))
		if err != nil {
			t.Fatal(err)
		}
		if s.path() != "tunnel https://far.test" {
			t.Errorf("path %s", s.path())
		}
		failed := s.rec.Report().Phases[2].Attempts
		if a := failed[len(failed)-1]; a.OK || !strings.Contains(a.Error, "by the tunnel: near.test answered: The tunnel is full") {
			t.Errorf("%+v", a)
		}
	})
}

func TestNothingWorksIsSaidInWords(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		sys := newSystem(n)
		sys.onWeb.refuse = protocol.ProblemTunnelRefused
		v := n.visitor(func(address string) error {
			switch {
			case strings.HasPrefix(address, "a1."), strings.HasPrefix(address, "far."):
				return errSilent
			case strings.HasPrefix(address, "near."):
				return syscall.ECONNREFUSED
			}
			return nil
		})
		_, err := v.enter(t, v.network(ProxyOptions{}))
		p := protocol.ProblemOf(err)
		if p.Code != protocol.ProblemZonesUnreachable {
			t.Fatalf("%v", err)
		}
		for _, want := range []string{
			"a1.test did not answer in time", "by the tunnel: meet.test answered: The tunnel does not lead there",
			"the tunnel near.test refused the connection", "the tunnel far.test did not answer in time",
		} {
			if !strings.Contains(p.Detail, want) {
				t.Errorf("%q lacks %q", p.Detail, want)
			}
		}
		if strings.Contains(p.Detail, "\n") {
			t.Errorf("not one line: %q", p.Detail)
		}
	})
}

// The tunnel dies in mid-call: the control channel ends, and comes back by the
// next one within two seconds.
func TestTunnelDeath(t *testing.T) {
	for name, c := range map[string]struct {
		unblock bool
		path    string
	}{
		"the next one":          {false, "tunnel https://far.test"},
		"direct is quicker now": {true, "direct"},
	} {
		bubble(t, name, func(t *testing.T, n *internet) {
			sys := newSystem(n)
			v := n.visitor(passing(syscall.ECONNREFUSED, "meet.", "near.", "far."))
			s, err := v.enter(t, v.network(ProxyOptions{}))
			if err != nil || s.path() != "tunnel https://near.test" {
				t.Fatalf("%s, %v", s.path(), err)
			}
			if c.unblock {
				v.setBlock(nil)
			}
			sys.near.die()
			<-s.control.Done()
			start := time.Now()
			control, _, way, err := Attach(t.Context(), s.way, controlURL, protocol.Hello{Session: "s", Token: "t"}, s.rec)
			if err != nil {
				t.Fatal(err)
			}
			defer control.Close()
			if s.way = way; s.path() != c.path {
				t.Errorf("came back by %s, want %s", s.path(), c.path)
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("came back after %v", took)
			}
			events := s.rec.Report().Events
			if e := events[len(events)-1]; !strings.HasPrefix(e.What, "the control channel goes by ") {
				t.Errorf("events %v", events)
			}
		})
	}
}

// A router that answers no is asked once, whatever ways there are.
func TestAttachTakesNoForAnAnswer(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		newSystem(n)
		v := n.visitor(nil)
		nw := v.network(ProxyOptions{})
		nw.learn(protocol.Package{Token: "token", Tunnels: []protocol.Tunnel{{URL: "https://near.test"}}})
		_, _, way, err := Attach(t.Context(), nw, controlURL, protocol.Hello{Session: "another"}, NewRecorder(time.Now()))
		if err == nil || way != nw {
			t.Fatalf("%v", err)
		}
	})
}

// A controller that takes connections and is slow to answer is waited for while
// the tunnels are tried: what it has done for us so far is not lost.
func TestSlowControllersAreWaitedFor(t *testing.T) {
	const slow = 9 * time.Second
	for name, refuse := range map[string]protocol.Code{
		"the tunnels are full":      protocol.ProblemTunnelFull,
		"it is slow by tunnels too": "",
	} {
		bubble(t, name, func(t *testing.T, n *internet) {
			sys := newSystem(n)
			sys.zone.slow = slow
			for _, t := range []*tunnel{sys.near, sys.far, sys.onWeb} {
				t.refuse = refuse
			}
			v := n.visitor(nil)
			nw, rec := v.network(ProxyOptions{}), NewRecorder(time.Now())
			pkg, err := Lookup(t.Context(), nw, link, protocol.LookupRequest{Name: "Ada"}, rec)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			s, err := Reach(t.Context(), nw, pkg, "", rec)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if took := time.Since(start); took < slow || took > slow+500*ms {
				t.Errorf("took %v", took)
			}
			if s.Network() != nw {
				t.Errorf("by %s", s.Network().Via(sys.zone.url()))
			}
			r := rec.Report()
			if first, last := r.Phases[1], r.Phases[len(r.Phases)-1]; first.OK || !last.OK || last.Attempts[0].Via != "direct" || r.Route != "direct" {
				t.Errorf("first %+v, last %+v, by %s", first, last, r.Route)
			}
		})
	}
}

// A router that is only slow is not left for another way.
func TestAttachWaitsForASlowRouter(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		const slow = otherWaysAfter + slowRouter - time.Second
		n.router(func(ctx context.Context, c *websocket.Conn) {
			hear(ctx, c)
			if wait(ctx, slow) == nil {
				tell(ctx, c, protocol.Welcome{Participant: "p1"})
			}
		})
		n.tunnel("near", 30*ms)
		v := n.visitor(nil)
		nw := v.network(ProxyOptions{})
		nw.learn(protocol.Package{Token: "token", Tunnels: []protocol.Tunnel{{URL: "https://near.test"}}})
		control, _, way, err := Attach(t.Context(), nw, controlURL, protocol.Hello{Session: "s", Token: "t"}, NewRecorder(time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		defer control.Close()
		if way != nw {
			t.Errorf("by %s", way.Via(controlURL))
		}
		if _, times := v.dialledAt("near.test:443"); times > 0 {
			t.Error("a tunnel was asked")
		}
	})
}

// Whoever came through a tunnel and comes back does not wait for the whole
// budget again, and goes directly if that works by now.
func TestComingBackAfterATunnel(t *testing.T) {
	for name, c := range map[string]struct {
		unblock bool
		path    string
		least   time.Duration
		most    time.Duration
	}{
		"still blocked": {false, "tunnel https://near.test", headStart, headStart + 500*ms},
		"open now":      {true, "direct", 0, 200 * ms},
	} {
		bubble(t, name, func(t *testing.T, n *internet) {
			newSystem(n)
			v := n.visitor(blocking(errSilent, "a1."))
			s, err := v.enter(t, v.network(ProxyOptions{}))
			if err != nil {
				t.Fatal(err)
			}
			if c.unblock {
				v.setBlock(nil)
			}
			pkg, err := Lookup(t.Context(), s.base, link, protocol.LookupRequest{Name: "Ada"}, s.rec)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			survey, err := Reach(t.Context(), s.base, pkg, "a", s.rec)
			if err != nil {
				t.Fatal(err)
			}
			defer survey.Close()
			s.way = survey.Network()
			if took := time.Since(start); took < c.least || took > c.most {
				t.Errorf("took %v", took)
			}
			if s.path() != c.path {
				t.Errorf("path %s", s.path())
			}
		})
	}
}

// A person is asked when the proxy asks; the time it takes them counts for
// nothing, and mistakes may be corrected.
func TestPersonIsAsked(t *testing.T) {
	for name, c := range map[string]struct {
		answers []string
		problem protocol.Code
	}{
		"at once":      {answers: []string{"ann:secret"}},
		"third time":   {answers: []string{"ann:x", "ann:y", "ann:secret"}},
		"never":        {answers: []string{"a:1", "a:2", "a:3", "a:4"}, problem: protocol.ProblemProxyAuthFailed},
		"does not say": {problem: protocol.ProblemProxyAuthNeeded},
	} {
		bubble(t, name, func(t *testing.T, n *internet) {
			newSystem(n)
			n.proxy("basic", nil)
			v := n.visitor(passing(errSilent, "proxy.test"))
			asked := 0
			s, err := v.enter(t, v.network(ProxyOptions{Proxy: "proxy.test:3128", Password: func(proxy string) (string, string, bool) {
				if proxy != "http://proxy.test:3128" {
					t.Errorf("asked for %s", proxy)
				}
				_ = wait(t.Context(), time.Minute)
				if asked == len(c.answers) {
					return "", "", false
				}
				asked++
				user, password, _ := strings.Cut(c.answers[asked-1], ":")
				return user, password, true
			}}))
			if c.problem != "" {
				if protocol.ProblemOf(err).Code != c.problem || asked > maxAsked {
					t.Errorf("%v after %d questions", err, asked)
				}
				return
			}
			if err != nil || s.path() != "proxy http" || asked != len(c.answers) {
				t.Errorf("%s, %v after %d questions", s.path(), err, asked)
			}
		})
	}
}

func TestProxyAttemptsAreReported(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		newSystem(n)
		n.proxy("", nil)
		v := n.visitor(passing(errSilent, "proxy.test"))
		s, err := v.enter(t, v.network(ProxyOptions{Proxy: "proxy.test:3128"}))
		if err != nil {
			t.Fatal(err)
		}
		r := s.rec.Report()
		if want := (protocol.ProxyReport{Kind: "http", Address: "proxy.test:3128", Origin: "flag"}); r.Proxy != want || r.Route != "proxy" {
			t.Errorf("report %+v %s", r.Proxy, r.Route)
		}
		for _, p := range r.Phases {
			for _, a := range p.Attempts {
				if a.Via != "http://proxy.test:3128" || !a.OK || a.ConnectMS == 0 {
					t.Errorf("%s: %+v", p.Name, a)
				}
			}
		}
		// The proxy is 10 ms away; the CONNECT takes a round trip to it and
		// its own to the server.
		if a := r.Phases[1].Attempts[0]; a.ConnectMS != 10+10+50 || a.TLSMS != 60 || a.RTTMS != 60 {
			t.Errorf("attempt %+v", a)
		}
	})
}

// A proxy of the environment or system is not asked for loopback addresses.
func TestLoopbackIsNeverProxied(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		v := n.visitor(nil)
		nw := v.network(ProxyOptions{Proxy: "proxy.test:3128"})
		for _, address := range []string{"localhost:8080", "127.0.0.1:443", "[::1]:443"} {
			_, _ = nw.StreamDial(t.Context(), address)
		}
		if got := v.only(); slices.Contains(got, "proxy.test:3128") || len(got) != 3 {
			t.Errorf("dialled %v", got)
		}
	})
}

func TestProxySettingsAreChecked(t *testing.T) {
	for name, p := range map[string]ProxyOptions{
		"scheme":   {Proxy: "gopher://x"},
		"no file":  {CredentialsFile: "/nonexistent"},
		"no host":  {Proxy: "http://"},
		"bad port": {Proxy: "http://a:b:c"},
	} {
		_, err := NewNetwork(Options{Proxy: p})
		if q := protocol.ProblemOf(err); err == nil || q.Code != protocol.ProblemProxySettings {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Streams for media go the way that was found.
func TestMediaDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newInternet(t)
		newSystem(n)
		n.proxy("", nil)
		v := n.visitor(passing(errSilent, "proxy.test"))
		nw := v.network(ProxyOptions{Proxy: "proxy.test:3128"})
		if _, _, err := nw.MediaDial(t.Context(), protocol.TLS, "mmr-1.test:443"); err == nil {
			t.Errorf("a port without media: %v", err)
		}
		c, err := nw.StreamDial(t.Context(), "mmr-1.test:443")
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		if got := v.only(); !slices.Equal(got, []string{"proxy.test:3128"}) {
			t.Errorf("dialled %v", got)
		}
	})
}

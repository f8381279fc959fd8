package connect

import (
	"context"
	"net/http"
	"time"

	"causeway/protocol"
)

// This file is for package check, which looks at each step by itself.

// A Visit is what was found at a web server's door.
type Visit struct {
	Attempt protocol.Attempt
	Issuer  string            // who signed the certificate
	Expires time.Time         // the certificate
	Opened  bool              // something on the way opens TLS: the issuer is its authority
	Date    time.Time         // what the server's clock said, zero if it did not
	Skew    time.Duration     // how much this device's clock is ahead of it
	Problem *protocol.Problem // nil: it answered as it should
}

// Visit asks the web server at base for its configuration, which anybody may
// have. As in Lookup, a person is asked for a proxy's credentials.
func (n *Network) Visit(ctx context.Context, base string) Visit {
	if err := n.prepare(ctx); err != nil {
		return Visit{Problem: protocol.ProblemOf(err)}
	}
	for asked := 0; ; asked++ {
		v, err := n.visit(ctx, base)
		if err == nil || asked == maxAsked || !n.Ask(err) {
			return v
		}
	}
}

func (n *Network) visit(ctx context.Context, base string) (Visit, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupBudget)
	defer cancel()
	var v Visit
	var t timing
	err := n.knockAt(t.watch(ctx), base, &v)
	v.Attempt = t.attempt(base, n.Via(base))
	if v.Attempt.OK = err == nil; err != nil {
		blame(&v.Attempt, err, base)
		v.Problem = problem(protocol.ProblemWebUnreachable, err, base)
	}
	return v, err
}

func (n *Network) knockAt(ctx context.Context, base string, v *Visit) error {
	req, err := n.request(ctx, call{method: http.MethodGet, url: base + protocol.PathConfig})
	if err != nil {
		return err
	}
	asked := time.Now()
	resp, err := n.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answered := time.Now()
	if resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 {
		leaf := resp.TLS.PeerCertificates[0]
		v.Issuer, v.Expires = leaf.Issuer.String(), leaf.NotAfter
		mark := resp.Header.Get(protocol.HeaderTLSMark)
		v.Opened = mark != "" && mark != protocol.TLSMark(resp.TLS)
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		// The header has whole seconds, cut off: its middle is half a second on.
		middle := asked.Add(answered.Sub(asked) / 2)
		v.Date, v.Skew = date, middle.Sub(date.Add(time.Second/2))
	}
	var config protocol.SiteConfig
	return readAnswer(resp, &config)
}

// ProxyTo tells which proxy is on the way to a target.
func (n *Network) ProxyTo(target string) protocol.ProxyReport {
	way := n.route.Via(addressOf(target))
	return protocol.ProxyReport{Kind: string(way.Kind), Address: way.Address, Origin: string(way.Origin)}
}

// ProbeAll probes all controllers of all zones to the end and tells how each
// attempt went.
func (n *Network) ProbeAll(ctx context.Context, zones []protocol.Zone) []protocol.Attempt {
	ctx, cancel := context.WithTimeout(ctx, zonesBudget)
	defer cancel()
	s := newSurvey(ctx, n, zones, "")
	s.probers.Wait()
	defer s.Close()
	return s.attempts()
}

// ExamineTunnel pings a tunnel of the latest package and opens a stream
// through it to address, one of the system's servers. plain says that
// WebSocket did not get through and plain requests did.
func (n *Network) ExamineTunnel(ctx context.Context, tunnel, address string) (a protocol.Attempt, plain bool) {
	var way *Network
	for _, w := range n.overTunnels() {
		if w.tunnel.URL() == tunnel {
			way = w
		}
	}
	if way == nil {
		return protocol.Attempt{Target: tunnel, Via: "direct", Error: "not a tunnel of the package"}, false
	}
	var t timing
	err := way.tunnel.Ping(t.watch(ctx))
	a = t.attempt(tunnel, n.base.Via(tunnel))
	if err == nil {
		conn, e := way.tunnel.DialContext(untraced{ctx}, "tcp", address)
		if err = e; err == nil {
			_ = conn.Close()
		}
	}
	if a.OK = err == nil; err != nil {
		blame(&a, err, tunnel)
	}
	return a, way.tunnel.Plain()
}

// Knock asks for any answer of the router at a control URL.
func (n *Network) Knock(ctx context.Context, controlURL string) protocol.Attempt {
	ctx, cancel := context.WithTimeout(ctx, controlBudget)
	defer cancel()
	var t timing
	err := n.knock(t.watch(ctx), controlURL)
	a := t.attempt(controlURL, n.Via(controlURL))
	if a.OK = err == nil; err != nil {
		blame(&a, err, controlURL)
	}
	return a
}

// Tunneled reports whether this network goes through a tunnel.
func (n *Network) Tunneled() bool { return n.tunnel != nil }

// Explain says in words what happened to a target.
func Explain(err error, target string) string { return explain(err, target) }

package connect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"causeway/internal/route"
	"causeway/protocol"
)

const (
	lookupBudget = 30 * time.Second // of phase 1
	maxAsked     = 3                // times that a person is asked for a proxy's credentials
)

// Limits of a package; what is beyond them is left out.
const (
	maxZones       = 32
	maxControllers = 8 // per zone
	maxTunnels     = 6
)

// Lookup is phase 1: it asks web for the package of a meeting. Link's
// passcode and invitation are filled into req; req.Token is an earlier join
// token when a participant comes back. Which proxy there is turns out here,
// and all that follows goes by it at once. Problems: those of web
// (wrong_passcode and its like), web_unreachable, certificate_untrusted,
// no_zone, proxy_… and pac_failed.
func Lookup(ctx context.Context, n *Network, link Link, req protocol.LookupRequest, rec *Recorder) (protocol.Package, error) {
	rec.Begin(protocol.PhaseLookup, time.Now())
	rec.Set(func(r *protocol.Report) { r.Meeting = link.Number })
	err := n.prepare(ctx)
	var pkg protocol.Package
	for asked := 0; err == nil; asked++ {
		if pkg, err = lookup(ctx, n, link, req, rec); err == nil || asked == maxAsked || !n.Ask(err) {
			break
		}
		err = nil
	}
	n.reportProxy(link.Base, rec)
	rec.End(protocol.PhaseLookup, err, time.Now())
	if err != nil {
		return protocol.Package{}, err
	}
	rec.Set(func(r *protocol.Report) { r.Participant = pkg.Participant.ID })
	n.learn(pkg)
	return pkg, nil
}

// prepare gets what is needed to know the way out.
func (n *Network) prepare(ctx context.Context) error {
	if err := n.finder.Check(ctx); err != nil {
		return protocol.Wrap(protocol.ProblemPACFailed, err)
	}
	return nil
}

// Ask asks a person for the credentials that a proxy misses, if that is what
// err says, and reports whether there are new ones. It takes as long as the
// person does, so no budget should run meanwhile.
func (n *Network) Ask(err error) bool {
	var proxy *route.ProxyError
	var refused *route.RefusedError
	if n.options.Proxy.Password == nil || !errors.As(err, &proxy) || !errors.As(err, &refused) ||
		refused.Status != http.StatusProxyAuthRequired || len(refused.Foreign) > 0 {
		return false
	}
	user, password, ok := n.options.Proxy.Password(proxy.Proxy.String())
	if !ok {
		return false
	}
	if user == "" {
		user, _, _ = strings.Cut(n.options.Proxy.User, ":")
	}
	n.route.Login(proxy.Proxy, user, password)
	return true
}

// reportProxy tells the report which proxy is on the way to a target.
func (n *Network) reportProxy(target string, rec *Recorder) {
	way := n.route.Via(addressOf(target))
	rec.Set(func(r *protocol.Report) {
		r.Proxy = protocol.ProxyReport{Kind: string(way.Kind), Address: way.Address, Origin: string(way.Origin)}
		if r.Route = "direct"; way.Kind != route.Direct {
			r.Route = "proxy"
		}
	})
}

func lookup(ctx context.Context, n *Network, link Link, req protocol.LookupRequest, rec *Recorder) (protocol.Package, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupBudget)
	defer cancel()
	req.Passcode, req.Invitation = link.Passcode, link.Invitation
	var pkg protocol.Package
	var t timing
	err := n.do(ctx, call{
		method: http.MethodPost, in: req,
		url: link.Base + protocol.PathMeetings + "/" + link.Number + "/lookup",
	}, &pkg, &t)
	a := t.attempt(link.Base, n.Via(link.Base))
	if a.OK = err == nil; !a.OK {
		blame(&a, err, link.Base)
	}
	rec.Attempt(protocol.PhaseLookup, a)
	if err != nil {
		return pkg, problem(protocol.ProblemWebUnreachable, err, link.Base)
	}
	pkg.Tunnels = usableTunnels(pkg.Tunnels, link.Base)
	if pkg.Zones = usable(pkg.Zones, link.Base); len(pkg.Zones) == 0 {
		return pkg, protocol.NewProblem(protocol.ProblemNoZone, "")
	}
	return pkg, nil
}

// usable keeps zones and controllers whose addresses may be used, within the
// limits.
func usable(zones []protocol.Zone, base string) []protocol.Zone {
	var kept []protocol.Zone
	for _, z := range zones {
		var controllers []protocol.Controller
		for _, c := range z.Controllers {
			if checkServer(c.URL, base) == nil && len(controllers) < maxControllers {
				controllers = append(controllers, c)
			}
		}
		if z.Controllers = controllers; len(controllers) > 0 && len(kept) < maxZones {
			kept = append(kept, z)
		}
	}
	return kept
}

// usableTunnels keeps tunnels whose addresses may be used, within the limit.
func usableTunnels(tunnels []protocol.Tunnel, base string) []protocol.Tunnel {
	var kept []protocol.Tunnel
	for _, t := range tunnels {
		if checkServer(t.URL, base) == nil && len(kept) < maxTunnels {
			kept = append(kept, t)
		}
	}
	return kept
}

// checkServer accepts the address of a server that another server told of.
// Tokens are sent there: plain HTTP is for a link of this machine only.
func checkServer(address, told string) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("address of a server: %w", err)
	}
	if err := checkBase(u); err != nil {
		return fmt.Errorf("address of a server: %w", err)
	}
	from, err := url.Parse(told)
	if err != nil {
		return fmt.Errorf("address of a server: %w", err)
	}
	if secure(from) && !secure(u) {
		return errors.New("address of a server: plain, although this one was not")
	}
	return nil
}

func secure(u *url.URL) bool { return u.Scheme == "https" || u.Scheme == "wss" }

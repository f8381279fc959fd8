package connect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"causeway/protocol"
)

// lookupBudget bounds phase 1.
const lookupBudget = 15 * time.Second

// Limits of a package; what is beyond them is left out.
const (
	maxZones       = 32
	maxControllers = 8 // per zone
)

// Lookup is phase 1: it asks web for the package of a meeting. Link's
// passcode and invitation are filled into req; req.Token is an earlier join
// token when a participant comes back. Problems: those of web (wrong_passcode
// and its like), web_unreachable, certificate_untrusted, no_zone.
func Lookup(ctx context.Context, n *Network, link Link, req protocol.LookupRequest, rec *Recorder) (protocol.Package, error) {
	rec.Begin(protocol.PhaseLookup, time.Now())
	rec.Set(func(r *protocol.Report) { r.Meeting = link.Number })
	pkg, err := lookup(ctx, n, link, req, rec)
	rec.End(protocol.PhaseLookup, err, time.Now())
	if err != nil {
		return protocol.Package{}, err
	}
	rec.Set(func(r *protocol.Report) { r.Participant = pkg.Participant.ID })
	return pkg, nil
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
	a := t.attempt(link.Base, n.options.Via)
	if a.OK = err == nil; !a.OK {
		a.Error = explain(err, link.Base)
	}
	rec.Attempt(protocol.PhaseLookup, a)
	if err != nil {
		return pkg, problem(protocol.ProblemWebUnreachable, err, link.Base)
	}
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

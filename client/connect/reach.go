package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"causeway/internal/route"
	"causeway/protocol"
)

const (
	// tunnelsBudget bounds all that is tried through tunnels.
	tunnelsBudget = 20 * time.Second
	// headStart is what the direct way gets when the zones were reached
	// through a tunnel last time.
	headStart = time.Second
)

// Reach is phase 2 with its special case. It probes the zones as ProbeZones
// does; when no controller has answered after 5.5 s, or as soon as all have
// definitely failed, it pings the tunnels of the package and probes the zones
// through the first that answers, and so on until none is left. The survey's
// Network is the way that worked.
func Reach(ctx context.Context, n *Network, pkg protocol.Package, previous string, rec *Recorder) (*Survey, error) {
	n.learn(pkg)
	direct := newSurvey(ctx, n.base, pkg.Zones, previous)
	decided := make(chan error, 1)
	go func() { decided <- direct.decide(ctx) }()
	finish := func(err error) (*Survey, error) {
		rec.Begin(protocol.PhaseZone, direct.start)
		direct.record(rec, err)
		if err != nil {
			direct.Close()
			return nil, err
		}
		n.remember(false)
		direct.reportRoute(rec)
		return direct, nil
	}
	if n.wasTunneled() && len(pkg.Tunnels) > 0 {
		select {
		case err := <-decided:
			decided <- err
		case <-time.After(headStart):
			if s, err := n.tunnelled(ctx, pkg.Zones, previous, rec); err == nil {
				direct.Close()
				<-decided
				_, _ = finish(protocol.NewProblem(protocol.ProblemZonesUnreachable, "given up: a tunnel was quicker"))
				s.reportRoute(rec)
				return s, nil
			}
			return finish(<-decided)
		}
	}
	s, err := finish(<-decided)
	if err == nil || len(pkg.Tunnels) == 0 || ctx.Err() != nil || protocol.ProblemOf(err).Code == protocol.ProblemNoZone {
		return s, err
	}
	rec.Event("no zone controller was reached; asking the tunnels", time.Now())
	s, more := n.tunnelled(ctx, pkg.Zones, previous, rec)
	if more != nil {
		return nil, bothWays(err, more)
	}
	s.reportRoute(rec)
	return s, nil
}

// bothWays joins why the zones were reached neither directly nor through a
// tunnel.
func bothWays(direct, tunnels error) error {
	p := protocol.ProblemOf(direct)
	return protocol.Wrap(p.Code, &failure{words: onceEach(p.Detail + "\n" + tunnels.Error()), err: errors.Join(direct, tunnels)})
}

// onceEach puts reasons, one a line, into one, each once: what keeps us from
// the zones themselves may be the same behind a tunnel.
func onceEach(reasons string) string {
	var all []string
	for reason := range strings.SplitSeq(reasons, "\n") {
		if !slices.Contains(all, reason) {
			all = append(all, reason)
		}
	}
	return strings.Join(all, "; ")
}

// tunnelled reaches the zones through tunnels: the first that answers, then
// the first of the others, until one leads there.
func (n *Network) tunnelled(ctx context.Context, zones []protocol.Zone, previous string, rec *Recorder) (*Survey, error) {
	deciding, cancel := context.WithTimeout(ctx, tunnelsBudget)
	defer cancel()
	left := n.overTunnels()
	var reasons []string
	for len(left) > 0 {
		rec.Begin(protocol.PhaseZone, time.Now())
		way, err := race(deciding, left, rec)
		if err != nil {
			rec.End(protocol.PhaseZone, protocol.Wrap(protocol.ProblemZonesUnreachable, err), time.Now())
			reasons = append(reasons, err.Error())
			break
		}
		rec.Event("through the tunnel "+way.tunnel.URL(), time.Now())
		s := newSurvey(ctx, way, zones, previous)
		err = s.decide(deciding)
		s.record(rec, err)
		if err == nil {
			n.remember(true)
			return s, nil
		}
		s.Close()
		reasons = append(reasons, protocol.ProblemOf(err).Detail)
		left = without(left, way)
	}
	return nil, errors.New(strings.Join(reasons, "; "))
}

// race pings tunnels; the first to answer wins.
func race(ctx context.Context, ways []*Network, rec *Recorder) (*Network, error) {
	byTunnel := map[*route.Tunnel]*Network{}
	var tunnels []*route.Tunnel
	for _, w := range ways {
		byTunnel[w.tunnel] = w
		tunnels = append(tunnels, w.tunnel)
	}
	failed := make(chan error, len(tunnels))
	winner, err := route.Race(ctx, tunnels, func(t *route.Tunnel, ctx context.Context) error {
		var took timing
		err := t.Ping(took.watch(ctx))
		a := took.attempt(t.URL(), byTunnel[t].base.Via(t.URL()))
		if a.OK = err == nil; !a.OK {
			blame(&a, err, t.URL())
			failed <- errors.New("the tunnel " + a.Error)
		}
		rec.Attempt(protocol.PhaseZone, a)
		return err
	})
	if err == nil {
		return byTunnel[winner], nil
	}
	close(failed)
	var words []string
	for err := range failed {
		words = append(words, err.Error())
	}
	return nil, &failure{words: strings.Join(words, "; "), err: fmt.Errorf("tunnels: %w", err)}
}

// without drops one way from a list.
func without(ways []*Network, way *Network) []*Network {
	var left []*Network
	for _, w := range ways {
		if w != way {
			left = append(left, w)
		}
	}
	return left
}

// reportRoute tells the report by which way the zones were reached.
func (s *Survey) reportRoute(rec *Recorder) {
	s.network.reportRoute(s.winnerFirst(Choose(s.Records(), s.previous))[0].Controller.URL, rec)
}

// reportRoute tells the report by which way a target was reached. Web may
// have been reached through a proxy that this target did not need.
func (n *Network) reportRoute(target string, rec *Recorder) {
	if n.tunnel != nil {
		target = n.tunnel.URL()
	}
	way := n.route.Via(addressOf(target))
	rec.Set(func(r *protocol.Report) {
		if way.Kind != route.Direct {
			r.Proxy = protocol.ProxyReport{Kind: string(way.Kind), Address: way.Address, Origin: string(way.Origin)}
		}
		switch {
		case n.tunnel != nil && way.Kind != route.Direct:
			r.Route = "tunnel_over_proxy"
		case n.tunnel != nil:
			r.Route = "tunnel"
		case way.Kind != route.Direct || r.Proxy.Kind != string(route.Direct):
			r.Route = "proxy"
		default:
			r.Route = "direct"
		}
	})
}

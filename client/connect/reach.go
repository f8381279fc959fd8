package connect

import (
	"cmp"
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
// through the first that answers, and so on until none is left. Controllers
// that have taken the connection meanwhile go on being probed, and may be the
// first to answer after all. The survey's Network is the way that worked.
func Reach(ctx context.Context, n *Network, pkg protocol.Package, previous string, rec *Recorder) (*Survey, error) {
	n.learn(pkg)
	direct := newSurvey(ctx, n.base, pkg.Zones, previous)
	decided := make(chan error, 1)
	go func() { decided <- direct.decide(ctx, zonesBudget) }()
	if n.wasTunneled() && len(pkg.Tunnels) > 0 {
		select {
		case err := <-decided:
			decided <- err
		case <-time.After(headStart):
			if s, err := n.tunnelled(ctx, ctx, pkg.Zones, previous, rec); err == nil {
				direct.Close()
				<-decided
				direct.tell(direct.start, protocol.NewProblem(protocol.ProblemZonesUnreachable, "given up: a tunnel was quicker"), rec)
				s.reportRoute(rec)
				return s, nil
			}
			return direct.reached(direct.start, <-decided, rec)
		}
	}
	err := <-decided
	if err == nil || ctx.Err() != nil || protocol.ProblemOf(err).Code == protocol.ProblemNoZone || len(pkg.Tunnels) == 0 && !direct.promising() {
		return direct.reached(direct.start, err, rec)
	}
	direct.tell(direct.start, err, rec)
	return n.late(ctx, direct, err, pkg, rec)
}

// late reaches the zones through a tunnel or, if that comes first, directly
// after all: direct goes on, although it has failed in time because of err.
func (n *Network) late(ctx context.Context, direct *Survey, err error, pkg protocol.Package, rec *Recorder) (*Survey, error) {
	trying, stop := context.WithCancel(ctx)
	defer stop()
	type outcome struct {
		survey *Survey
		err    error
	}
	begun := time.Now()
	answered, tunnelled := make(chan error, 1), make(chan outcome, 1)
	go func() { answered <- direct.decide(trying, lateBudget) }()
	go func() {
		if len(pkg.Tunnels) == 0 {
			tunnelled <- outcome{err: err}
			return
		}
		rec.Event("no zone controller was reached; asking the tunnels", begun)
		s, err := n.tunnelled(ctx, trying, pkg.Zones, direct.previous, rec)
		tunnelled <- outcome{s, err}
	}()
	var by outcome
	var slow error // why the direct way has failed for good
	select {
	case by = <-tunnelled:
		if by.err != nil && direct.promising() {
			slow = <-answered
		} else {
			stop()
			slow = cmp.Or(<-answered, err)
		}
	case slow = <-answered:
		if slow == nil {
			stop()
		}
		by = <-tunnelled
	}
	switch {
	case slow == nil:
		if by.survey != nil {
			by.survey.Close()
		}
		return direct.reached(begun, nil, rec)
	case by.err == nil:
		direct.Close()
		by.survey.reportRoute(rec)
		return by.survey, nil
	}
	direct.Close()
	if len(pkg.Tunnels) == 0 {
		return nil, slow
	}
	return nil, bothWays(err, by.err)
}

// reached is the end of phase 2 by the direct way, which was begun then.
func (s *Survey) reached(begun time.Time, err error, rec *Recorder) (*Survey, error) {
	s.tell(begun, err, rec)
	if err != nil {
		s.Close()
		return nil, err
	}
	s.network.remember(false)
	s.reportRoute(rec)
	return s, nil
}

// tell tells the report of the phase.
func (s *Survey) tell(begun time.Time, err error, rec *Recorder) {
	rec.Begin(protocol.PhaseZone, begun)
	s.record(rec, err)
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
// the first of the others, until one leads there or trying ends. ctx is the
// survey's.
func (n *Network) tunnelled(ctx, trying context.Context, zones []protocol.Zone, previous string, rec *Recorder) (*Survey, error) {
	deciding, cancel := context.WithTimeout(trying, tunnelsBudget)
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
		err = s.decide(deciding, zonesBudget)
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

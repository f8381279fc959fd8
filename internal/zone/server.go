package zone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"causeway/internal/base/run"
	"causeway/internal/bus"
	"causeway/internal/drain"
	"causeway/internal/limit"
	"causeway/internal/load"
	"causeway/internal/token"
	"causeway/protocol"
)

const (
	repeatEvery = time.Second     // how often a controller repeats its zone's state to the hub
	drainQuiet  = 5 * time.Second // a controller that nobody asks for so long has drained
)

// Bounds of what is remembered for the limits.
const (
	maxClients      = 1 << 16 // addresses
	maxParticipants = 1 << 17
)

// wrongRate is how many requests of one address may come without a good token:
// checking one costs more than refusing it. Behind an address there may be a
// whole company, with tokens that have expired.
var wrongRate = limit.Rate{PerMinute: 600, Burst: 1000}

// Deps are what a controller is given.
type Deps struct {
	Bus     *bus.Conn
	Log     *slog.Logger          // nil: none
	Metrics prometheus.Registerer // nil: none
	Version string
	// Keys verify join tokens; nil begins with none and learns them.
	Keys *token.Verifier
}

// A Server is a zone controller.
type Server struct {
	config   Config
	id       string
	deps     Deps
	keys     *token.Verifier
	joins    *limit.Table[string]       // of participants; nil: no limit
	wrong    *limit.Table[netip.Prefix] // requests of client addresses that nobody vouches for
	metrics  *metrics
	load     *load.Meter
	drain    *drain.Drain
	stopping atomic.Bool
	joining  atomic.Int64  // requests under way
	tell     chan struct{} // a token when the hub is to hear at once

	admitTimeout time.Duration // shorter in tests

	mu    sync.Mutex
	state *state
	told  protocol.ZoneStatus // status last told to the hub
}

// New makes a controller. Nothing happens before Run.
func New(cfg Config, d Deps) (*Server, error) {
	if issues := cfg.Check(); len(issues) > 0 {
		return nil, fmt.Errorf("new zone controller: %s %s; %s", issues[0].Field, issues[0].Problem, issues[0].Remedy)
	}
	if d.Bus == nil {
		return nil, errors.New("new zone controller: no bus")
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	m, err := newMetrics(d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("new zone controller: %w", err)
	}
	if cfg.Name == "" {
		cfg.Name = cfg.Zone
	}
	if cfg.ID == "" {
		host, _ := os.Hostname()
		cfg.ID = protocol.HostID("", host)
	}
	s := &Server{
		config: cfg, id: cfg.ID, deps: d, metrics: m, state: newState(),
		keys: cmp.Or(d.Keys, token.NewVerifier()), wrong: limit.NewTable[netip.Prefix](wrongRate, maxClients),
		drain: drain.New(cfg.Drain, drainQuiet), admitTimeout: admitTimeout,
		tell: make(chan struct{}, 1),
	}
	if cfg.JoinsPerMinute > 0 {
		s.joins = limit.NewTable[string](limit.Rate{PerMinute: float64(cfg.JoinsPerMinute), Burst: cfg.JoinBurst}, maxParticipants)
	}
	if s.load, err = load.NewMeter(cfg.Limits.Of()); err != nil {
		return nil, fmt.Errorf("new zone controller: %w", err)
	}
	s.deps.Log = d.Log.With("zone", cfg.Zone, "controller", s.id)
	return s, nil
}

// Ready says what is missing to serve joins: the bus, the keys of tokens.
func (s *Server) Ready() error {
	switch {
	case s.stopping.Load():
		return errors.New("zone controller: stopping")
	case !s.deps.Bus.Connected():
		return errors.New("zone controller: not connected to the bus")
	case !s.keys.Knows():
		return errors.New("zone controller: web has not told the keys of join tokens yet")
	}
	return nil
}

// Run hears the zone's routers and repeats the zone's state until ctx ends or
// the controller has drained.
func (s *Server) Run(ctx context.Context) error {
	stop, err := s.subscribe()
	if err != nil {
		return fmt.Errorf("run zone controller: %w", err)
	}
	defer stop()
	s.ask()
	s.deps.Log.Info("zone controller runs")
	err = run.All(ctx,
		func(ctx context.Context) error { return token.Follow(ctx, s.deps.Bus, s.keys) },
		s.tick,
		func(ctx context.Context) error { return s.drain.Wait(ctx, s.underWay) },
	)
	s.lastWord()
	if err != nil {
		return fmt.Errorf("run zone controller: %w", err)
	}
	return nil
}

// underWay is how many joins are.
func (s *Server) underWay() int { return int(s.joining.Load()) }

// tick tells the hub the zone's state every second, and when there is cause. It
// alone does until the last word, so that what the hub hears last is what was
// true last.
func (s *Server) tick(ctx context.Context) error {
	ticker := time.NewTicker(repeatEvery)
	defer ticker.Stop()
	connected := s.deps.Bus.Connected()
	s.load.Measure(time.Now(), load.Carried{})
	for {
		s.repeat(time.Now())
		select {
		case <-s.tell:
		case now := <-ticker.C:
			s.load.Measure(now, load.Carried{})
			s.mu.Lock()
			s.state.sweep(now)
			s.mu.Unlock()
		case <-ctx.Done():
			return ctx.Err()
		}
		if c := s.deps.Bus.Connected(); c != connected {
			if connected = c; c {
				s.ask() // what was said meanwhile was missed
			}
		}
	}
}

// tellHub lets the hub hear the zone's state at once.
func (s *Server) tellHub() {
	select {
	case s.tell <- struct{}{}:
	default: // about to
	}
}

// subscribe begins to hear the zone.
func (s *Server) subscribe() (stop func(), err error) {
	var subs []*bus.Subscription
	stop = func() {
		for _, sub := range subs {
			sub.Stop()
		}
	}
	add := func(sub *bus.Subscription, e error) {
		if e != nil {
			err = errors.Join(err, e)
			return
		}
		subs = append(subs, sub)
	}
	add(bus.Subscribe(s.deps.Bus, protocol.SubjectMMRState(s.config.Zone, "*"), s.hear))
	add(bus.Subscribe(s.deps.Bus, protocol.SubjectLeg(s.config.Zone, "*"), s.hearLeg))
	add(bus.Subscribe(s.deps.Bus, protocol.SubjectHubAsk, func(string, protocol.Empty) { s.tellHub() }))
	add(bus.Answer(s.deps.Bus, protocol.SubjectDrainController(s.config.Zone, s.id), "", s.askedToDrain))
	if err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// Drain takes the controller out of service, as a request on the bus does: Run
// returns when that is done.
func (s *Server) Drain(by string) {
	_, _ = s.askedToDrain(context.Background(), protocol.DrainRequest{By: by}) // never fails
}

// askedToDrain takes the controller out of service, or back into it.
func (s *Server) askedToDrain(_ context.Context, req protocol.DrainRequest) (protocol.DrainState, error) {
	now := time.Now()
	st := s.drain.Ask(req, s.underWay(), now)
	s.deps.Log.Info("zone controller was asked to drain", "draining", st.Draining, "deadline_ms", st.DeadlineMS, "by", req.By)
	s.tellHub()
	return st, nil
}

// ask lets the zone's routers repeat themselves at once.
func (s *Server) ask() {
	if err := bus.Publish(s.deps.Bus, protocol.SubjectZoneAsk(s.config.Zone), protocol.Empty{}); err != nil {
		s.deps.Log.Warn("zone: routers could not be asked, they repeat themselves", "err", err)
	}
}

// hear takes in a router's state and, when that changes the zone's status,
// tells the hub at once.
func (s *Server) hear(subject string, m protocol.MMRState) {
	now := time.Now()
	if id := routerOf(subject); m.ID != id || m.Zone != s.config.Zone || !protocol.ValidID(id) {
		s.deps.Log.Warn("zone: router's state is not its own", "subject", subject, "id", m.ID, "its_zone", m.Zone)
		return
	}
	s.mu.Lock()
	known := s.state.routers[m.ID] != nil
	changed := s.state.hear(m, now) && s.state.glance(now).status != s.told
	s.mu.Unlock()
	if !known {
		s.deps.Log.Info("zone: router heard", "mmr", m.ID, "health", m.Health, "version", m.Version)
	}
	if changed {
		s.tellHub()
	}
}

// hearLeg takes in what a router says of a leg.
func (s *Server) hearLeg(subject string, l protocol.LegState) {
	if l.MMR != routerOf(subject) || !protocol.ValidID(l.Meeting) {
		s.deps.Log.Warn("zone: router's leg is not its own", "subject", subject, "mmr", l.MMR, "meeting", l.Meeting)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.hearLeg(l, time.Now())
}

// routerOf is M of zone.Z.mmr.M.… .
func routerOf(subject string) string {
	parts := strings.Split(subject, ".")
	if len(parts) < 4 {
		return ""
	}
	return parts[3]
}

// repeat tells the hub what the zone's state is now.
func (s *Server) repeat(now time.Time) {
	s.mu.Lock()
	sum := s.state.summary(now)
	s.told = sum.status
	s.mu.Unlock()
	s.metrics.zone(sum)
	s.publish(sum, now)
}

// lastWord tells the hub to forget this controller. It must not say that the
// zone drains: that would hold for the zone's other controllers too.
func (s *Server) lastWord() {
	s.stopping.Store(true)
	now := time.Now()
	s.mu.Lock()
	sum := s.state.summary(now)
	s.mu.Unlock()
	sum.status = protocol.ZoneEmpty // for who does not know Stopping
	s.publish(sum, now)
	s.deps.Log.Info("zone controller stops")
}

func (s *Server) publish(sum summary, now time.Time) {
	c := s.config
	st := protocol.ControllerState{
		ID: s.id, Zone: c.Zone, ZoneName: c.Name, URL: c.URL, LocalURL: c.LocalURL,
		State: sum.status, Load: sum.load, Weight: c.Weight,
		OnPremises: c.OnPremises, Networks: c.Networks,
		Routers: sum.routers, Participants: sum.participants, Ailing: sum.ailing,
		Health: protocol.Healthy, Server: s.load.Latest(), Drain: s.drain.State(s.underWay(), now),
		Version: s.deps.Version, Stopping: s.stopping.Load(),
	}
	switch {
	case st.Stopping:
		st.Health = protocol.Stopping
	case st.Drain != nil:
		st.Health = protocol.Draining
	}
	if c.Location != nil {
		st.Lat, st.Lon, st.Located = c.Location.Lat, c.Location.Lon, true
	}
	// It fails while the bus is away; the next second repeats it.
	_ = bus.Publish(s.deps.Bus, protocol.SubjectController(c.Zone, s.id), st)
}

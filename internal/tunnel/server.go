package tunnel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"causeway/internal/base/run"
	"causeway/internal/base/target"
	"causeway/internal/bus"
	"causeway/internal/drain"
	"causeway/internal/load"
	"causeway/internal/token"
	"causeway/protocol"
)

// dialTimeout bounds the connecting to one of our own servers.
const dialTimeout = 5 * time.Second

// readyPoll is how soon a tunnel that has become ready says so.
const readyPoll = 20 * time.Millisecond

// drainQuiet: a tunnel without a stream for so long has drained.
const drainQuiet = 5 * time.Second

// Deps are what a tunnel is given to work with.
type Deps struct {
	Bus     *bus.Conn
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Version string
	// Dial connects to a target; nil is target.DialFrom where the tunnel is.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Keys verify join tokens; nil begins with none and learns them.
	Keys *token.Verifier
}

// A Server is an HTTP tunnel.
type Server struct {
	cfg     Config
	deps    Deps
	keys    *token.Verifier
	targets *targets
	quotas  *quotas
	polled  *polledStreams
	metrics *tunnelMetrics
	load    *load.Meter
	drain   *drain.Drain
	packets atomic.Uint64 // carried so far: reads that led to a write
	bytes   atomic.Uint64
	tell    chan struct{} // a token when the hub is to hear at once

	// life ends with Run and takes every stream along; streams counts them.
	life    context.Context
	end     context.CancelFunc
	streams sync.WaitGroup
}

// New makes a tunnel.
func New(cfg Config, d Deps) (*Server, error) {
	if issues := cfg.Check(); len(issues) > 0 {
		return nil, fmt.Errorf("tunnel: %s: %s; %s", issues[0].Field, issues[0].Problem, issues[0].Remedy)
	}
	if cfg.ID == "" {
		host, _ := os.Hostname()
		cfg.ID = protocol.HostID("", host)
	}
	cfg.URL = strings.TrimSuffix(cfg.URL, "/")
	if d.Dial == nil {
		d.Dial = target.DialFrom(cfg.URL)
	}
	most := cfg.Limits.Process.Of()
	most.MaxEgressBPS = cfg.Limits.EgressBPS
	meter, err := load.NewMeter(most)
	if err != nil {
		return nil, fmt.Errorf("tunnel: %w", err)
	}
	s := &Server{
		cfg: cfg, deps: d, keys: cmp.Or(d.Keys, token.NewVerifier()), targets: newTargets(), quotas: newQuotas(cfg.Limits),
		load: meter, drain: drain.New(cfg.Drain, drainQuiet), tell: make(chan struct{}, 1),
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.polled = newPolledStreams()
	s.metrics = newMetrics(d.Metrics, s.quotas)
	return s, nil
}

// Handler serves the tunnel's paths.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+protocol.PathTunnelPing, s.ping)
	mux.HandleFunc("GET "+protocol.PathTunnelConnect, s.connect)
	mux.HandleFunc("POST "+protocol.PathTunnelStreams, s.openPolled)
	mux.HandleFunc("POST "+protocol.PathTunnelStreams+"/{id}", s.sendPolled)
	mux.HandleFunc("GET "+protocol.PathTunnelStreams+"/{id}", s.receivePolled)
	mux.HandleFunc("DELETE "+protocol.PathTunnelStreams+"/{id}", s.closePolled)
	return mux
}

// Ready returns nil when the tunnel can carry streams.
func (s *Server) Ready() error {
	switch {
	case !s.deps.Bus.Connected():
		return errors.New("the bus is not connected")
	case !s.keys.Knows():
		return errors.New("no keys of join tokens are known yet")
	}
	return nil
}

// Drain takes the tunnel out of service, as a request on the bus does: Run
// returns when that is done.
func (s *Server) Drain(by string) {
	_, _ = s.askedToDrain(context.Background(), protocol.DrainRequest{By: by}) // never fails
}

// askedToDrain takes the tunnel out of service, or back into it: it takes no
// new streams, those it has go on until the deadline.
func (s *Server) askedToDrain(_ context.Context, req protocol.DrainRequest) (protocol.DrainState, error) {
	st := s.drain.Ask(req, s.left(), time.Now())
	s.deps.Log.Info("tunnel was asked to drain", "draining", st.Draining, "deadline_ms", st.DeadlineMS, "by", req.By)
	s.tellHub()
	return st, nil
}

// left is how many streams there are.
func (s *Server) left() int {
	n, _ := s.quotas.count()
	return n
}

// Run follows the bus and repeats the tunnel's state until ctx ends or the
// tunnel has drained, then closes all streams and waits for them.
func (s *Server) Run(ctx context.Context) error {
	defer s.streams.Wait()
	defer s.end()
	controllers, err := bus.Subscribe(s.deps.Bus, protocol.SubjectControllers, s.targets.controller)
	if err != nil {
		return fmt.Errorf("follow the controllers: %w", err)
	}
	defer controllers.Stop()
	routers, err := bus.Subscribe(s.deps.Bus, protocol.SubjectMMRState("*", "*"), s.targets.router)
	if err != nil {
		return fmt.Errorf("follow the routers: %w", err)
	}
	defer routers.Stop()
	ask, err := bus.Subscribe(s.deps.Bus, protocol.SubjectHubAsk, func(string, protocol.Empty) { s.tellHub() })
	if err != nil {
		return fmt.Errorf("listen for questions: %w", err)
	}
	defer ask.Stop()
	asked, err := bus.Answer(s.deps.Bus, protocol.SubjectDrainTunnel(s.cfg.ID), "", s.askedToDrain)
	if err != nil {
		return fmt.Errorf("listen for drains: %w", err)
	}
	defer asked.Stop()
	// Else they speak within a second.
	_ = bus.Publish(s.deps.Bus, protocol.SubjectHubAsk, protocol.Empty{})
	return run.All(ctx,
		func(ctx context.Context) error { return token.Follow(ctx, s.deps.Bus, s.keys) },
		s.repeat,
		func(ctx context.Context) error { s.polled.sweep(ctx); return nil },
		func(ctx context.Context) error { return s.drain.Wait(ctx, s.left) },
	)
}

// repeat tells the hub the tunnel's state every second, and when there is
// cause. It alone does, so that its last word is the last.
func (s *Server) repeat(ctx context.Context) error {
	tick, soon := time.NewTicker(time.Second), time.NewTicker(readyPoll)
	defer tick.Stop()
	defer soon.Stop()
	for {
		s.publish(s.health())
		if !s.wait(ctx, tick.C, soon) {
			s.publish(protocol.Stopping)
			return nil
		}
	}
}

// tellHub lets the hub hear the tunnel's state at once.
func (s *Server) tellHub() {
	select {
	case s.tell <- struct{}{}:
	default: // about to
	}
}

// wait waits for the next repetition, but no longer than until there is cause
// for one or the tunnel is ready for the first time; false at the end of ctx.
func (s *Server) wait(ctx context.Context, tick <-chan time.Time, soon *time.Ticker) bool {
	for {
		select {
		case <-tick:
			return true
		case <-s.tell:
			return true
		case <-soon.C:
			if s.Ready() == nil {
				soon.Stop()
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
}

func (s *Server) health() protocol.Health {
	switch {
	case s.drain.On():
		return protocol.Draining
	case s.Ready() != nil || s.targets.none(time.Now()):
		return protocol.Waiting // it leads nowhere
	}
	return protocol.Healthy
}

func (s *Server) publish(h protocol.Health) {
	streams, participants := s.quotas.count()
	now := time.Now()
	used := s.load.Measure(now, load.Carried{Packets: s.packets.Load(), BytesOut: s.bytes.Load(), Participants: participants})
	state := protocol.TunnelState{
		ID: s.cfg.ID, URL: s.cfg.URL, LocalURL: s.cfg.LocalURL, Health: h, Version: s.deps.Version,
		Load: max(float64(streams)/float64(s.cfg.Limits.Streams), used.Value()), Streams: streams, Participants: participants,
		Server: used, Drain: s.drain.State(streams, now),
	}
	if err := bus.Publish(s.deps.Bus, protocol.SubjectTunnel(s.cfg.ID), state); err != nil {
		s.deps.Log.Debug("repeat the tunnel's state", "err", err)
	}
}

// count returns what counts bytes carried in a direction.
func (s *Server) count(direction string) func(n int) {
	c := s.metrics.bytes.WithLabelValues(direction)
	return func(n int) {
		c.Add(float64(n))
		s.packets.Add(1)
		s.bytes.Add(uint64(n))
	}
}

// ping says whether the tunnel takes streams. It needs no token: it tells
// nothing and costs nothing.
func (s *Server) ping(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	if h := s.health(); h != protocol.Healthy {
		protocol.WriteProblem(w, protocol.NewProblem(protocol.ProblemTunnelFull, string(h)))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// claim is what a request to open a stream is granted.
type claim struct {
	participant string
	meeting     string
	target      string
	quota       *quota
}

// admit checks the token, the target and the quota of a new stream. release
// must be called when the stream has ended.
func (s *Server) admit(r *http.Request) (c claim, release func(), err error) {
	now := time.Now()
	raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return c, nil, protocol.NewProblem(protocol.ProblemTokenInvalid, "no bearer token")
	}
	claims, err := s.keys.Verify(raw, now)
	if err != nil {
		return c, nil, err
	}
	c = claim{participant: claims.Subject, meeting: claims.Meeting, target: r.URL.Query().Get("to")}
	if !s.targets.allows(c.target, now) {
		return c, nil, protocol.NewProblem(protocol.ProblemTunnelRefused, "")
	}
	if s.drain.On() {
		return c, nil, protocol.NewProblem(protocol.ProblemTunnelFull, "draining")
	}
	if c.quota, err = s.quotas.take(c.participant); err != nil {
		return c, nil, err
	}
	return c, func() { s.quotas.release(c.participant) }, nil
}

func (s *Server) dial(ctx context.Context, target string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return s.deps.Dial(ctx, "tcp", target)
}

// refuse answers a request whose stream could not be opened.
func (s *Server) refuse(w http.ResponseWriter, err error) {
	p := protocol.ProblemOf(err)
	s.metrics.opened.WithLabelValues(string(p.Code)).Inc()
	protocol.WriteProblem(w, p)
}

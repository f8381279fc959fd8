// Package gateway is the last way in for browsers: whoever can load the page
// can join. Where neither zone controllers nor routers can be reached, the web
// node that served the page passes on phases 2 and 3 to a controller, the
// control channel to a router, and media by TURN over TLS.
//
// It leads to the system's own servers and to nothing else: they are known
// from the bus, not from the client, and their certificates are verified. A
// join token is needed for all but the probe.
//
// Web makes a Server, mounts its Handler, calls Run, and gives it the streams
// of TURN. Run owns the subscriptions to the bus, the TURN server, and two
// goroutines for each control channel; it waits for all of them. Requests are
// limited per client address; channels and relays in all, per address and per
// participant; messages in size; silent channels are closed.
package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"causeway/internal/base/config"
	"causeway/internal/base/target"
	"causeway/internal/bus"
	"causeway/internal/limit"
	"causeway/internal/token"
	"causeway/internal/turn"
	"causeway/protocol"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	dialTimeout = 5 * time.Second
	idleConns   = 2 * time.Minute
	// perParticipant bounds the control channels of one participant: one, and
	// some that break without a word and are opened anew.
	perParticipant = 8
	// maxClients bounds the client addresses that the limit remembers.
	maxClients = 1 << 16
)

// Config is how much the gateway carries.
type Config struct {
	// Requests are probes, joins and openings of control channels, of one
	// client address, behind which there may be a whole company.
	Requests limit.Rate `yaml:"requests"`
	// Channels bounds control channels in all, ChannelsPerAddress those of one
	// client address.
	Channels           int `yaml:"channels"`
	ChannelsPerAddress int `yaml:"channels_per_address"`
	// Relays bounds the TURN allocations, of which a participant has three.
	Relays int `yaml:"relays"`
}

// DefaultConfig is what a gateway carries unless told otherwise.
func DefaultConfig() Config {
	return Config{
		Requests: limit.Rate{PerMinute: 3000, Burst: 3000},
		Channels: 2000, ChannelsPerAddress: 1000, Relays: 6000,
	}
}

// Check returns everything that is wrong with the configuration.
func (c Config) Check() []config.Issue {
	var issues []config.Issue
	add := func(field, remedy string) {
		issues = append(issues, config.Issue{Field: field, Problem: "is not positive", Remedy: remedy})
	}
	if !(c.Requests.PerMinute > 0) {
		add("requests.per_minute", "use how many are allowed in a minute")
	}
	if c.Requests.Burst < 1 {
		add("requests.burst", "use how many are allowed at once")
	}
	for _, f := range []struct {
		name  string
		value int
	}{{"channels", c.Channels}, {"channels_per_address", c.ChannelsPerAddress}, {"relays", c.Relays}} {
		if f.value < 1 {
			add(f.name, "leave it out to have the default")
		}
	}
	return issues
}

// Deps are what a gateway is given to work with.
type Deps struct {
	Bus     *bus.Conn
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: none
	// Keys verify join tokens.
	Keys *token.Verifier
	// Client tells whom a request is counted as.
	Client func(context.Context) netip.Prefix
	// Roots are trusted for controllers and routers; nil is the system's.
	Roots *x509.CertPool
	// Dial connects to them; nil is the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Secret is what signs TURN credentials now. Web nodes that clients reach by
	// one name share it.
	Secret func() []byte
	// Address is told to browsers as that of their relay; nobody dials it.
	Address netip.Addr
	// Own tells whether an address is one of a router in this process, and
	// where it really is; nil: there is none.
	Own func(media netip.AddrPort) (netip.AddrPort, bool)
}

// A Server is a gateway.
type Server struct {
	cfg       Config
	deps      Deps
	targets   *targets
	requests  *limit.Table[netip.Prefix]
	addresses *quota[netip.Prefix]
	persons   *quota[string]
	metrics   *metrics
	turn      atomic.Pointer[turn.Server] // nil while Run does not run

	helloTimeout, silence time.Duration // shorter in tests

	http *http.Client // to controllers
	ws   *http.Client // to routers: WebSocket needs HTTP/1.1

	mu       sync.Mutex
	life     context.Context // of Run; nil before and after
	channels sync.WaitGroup
}

// New makes a gateway. Nothing happens before Run.
func New(cfg Config, d Deps) *Server {
	if d.Dial == nil {
		// Whatever is on this machine: what has no certificate for the name that
		// was announced hears nothing.
		dialer := target.Dialer(true)
		dialer.Timeout = dialTimeout
		d.Dial = dialer.DialContext
	}
	if !d.Address.IsValid() {
		d.Address = netip.AddrFrom4([4]byte{192, 0, 0, 8}) // RFC 7600: a dummy address
	}
	s := &Server{
		cfg: cfg, deps: d, targets: newTargets(),
		requests:  limit.NewTable[netip.Prefix](cfg.Requests, maxClients),
		addresses: newQuota[netip.Prefix](cfg.Channels, cfg.ChannelsPerAddress),
		persons:   newQuota[string](cfg.Channels, perParticipant),

		helloTimeout: helloTimeout, silence: silence,
	}
	s.http, s.ws = s.client("h2", "http/1.1"), s.client("http/1.1")
	s.metrics = newMetrics(d.Metrics, s)
	return s
}

// client makes an HTTP client that follows no redirection: it would lead
// where the bus has not said.
func (s *Server) client(protocols ...string) *http.Client {
	t := &http.Transport{
		DialContext:         s.deps.Dial,
		TLSClientConfig:     &tls.Config{RootCAs: s.deps.Roots, NextProtos: protocols, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: dialTimeout,
		ForceAttemptHTTP2:   len(protocols) > 1,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     idleConns,
		// A controller has brokerBudget for its answer; then some.
		ResponseHeaderTimeout: joinTimeout,
	}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Handler serves the gateway's paths.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+protocol.PathGatewayProbe, s.counted("probe", s.probe))
	mux.HandleFunc("POST "+protocol.PathGatewayJoin, s.counted("join", s.join))
	mux.HandleFunc("GET "+protocol.PathGatewayControl, s.counted("control", s.control))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		protocol.WriteProblem(w, protocol.NewProblem(protocol.ProblemNotFound, ""))
	})
	return mux
}

// counted limits an operation and counts its outcomes. The operation answers
// by itself unless it returns an error.
func (s *Server) counted(operation string, do func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		var err error = protocol.NewProblem(protocol.ProblemRateLimited, "")
		if s.requests.Allow(s.deps.Client(r.Context()), time.Now()) {
			err = do(w, r)
		}
		outcome := "ok"
		if err != nil {
			p := protocol.ProblemOf(err)
			outcome = string(p.Code)
			if r.Context().Err() == nil {
				s.deps.Log.Debug("gateway: refused", "operation", operation, "err", err)
			}
			protocol.WriteProblem(w, p)
		}
		s.metrics.requests.WithLabelValues(operation, outcome).Inc()
	}
}

// Hear takes a controller's state from web, which hears all of them, before
// web offers it to anyone. When it hears of a zone it asks the zone's routers to
// speak: a browser may come before they repeat themselves.
func (s *Server) Hear(state protocol.ControllerState) {
	if s.targets.controller(state, time.Now()) {
		_ = bus.Publish(s.deps.Bus, protocol.SubjectZoneAsk(state.Zone), protocol.Empty{}) // else they speak within a second
	}
}

// Run follows the bus and carries channels and relays until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	routers, err := s.targets.follow(s.deps.Bus)
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	defer routers.Stop()
	relay, err := turn.New(turn.Config{
		Address: s.deps.Address, Allow: s.allow, Secret: s.deps.Secret, Allocations: s.cfg.Relays, Log: s.deps.Log,
	})
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	s.turn.Store(relay)
	s.mu.Lock()
	s.life = ctx
	s.mu.Unlock()

	<-ctx.Done()
	s.mu.Lock()
	s.life = nil
	s.mu.Unlock()
	s.channels.Wait()
	s.turn.Store(nil)
	err = relay.Close()
	s.http.CloseIdleConnections()
	s.ws.CloseIdleConnections()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("gateway: close TURN: %w", err)
	}
	return nil
}

package web

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"causeway/internal/base/pki"
	"causeway/internal/base/run"
	"causeway/internal/bus"
	"causeway/internal/limit"
	"causeway/internal/store"
	"causeway/internal/token"
	"causeway/internal/web/delivery"
	"causeway/internal/web/gateway"
	"causeway/internal/web/status"
	"causeway/protocol"

	"github.com/prometheus/client_golang/prometheus"
)

// maxClients bounds the client addresses that each limit remembers.
const maxClients = 1 << 16

// Deps are what a web node is given to work with.
type Deps struct {
	Store   *store.Store
	Bus     *bus.Conn
	Trust   *bus.Trust // learns what is revoked; may be nil
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Version string

	// The rest is for the gateway; see gateway.Deps. The zero values do.
	Roots        *x509.CertPool
	Dial         func(ctx context.Context, network, address string) (net.Conn, error)
	TURNSecret   func() []byte // nil: one that all nodes of this database share
	RelayAddress netip.Addr
	OwnMedia     func(media netip.AddrPort) (netip.AddrPort, bool)
}

// Server is a web node.
type Server struct {
	cfg     Config
	store   *store.Store
	bus     *bus.Conn
	log     *slog.Logger
	version string
	metrics *metrics

	proxies   []netip.Prefix
	zones     *delivery.Table
	tunnels   *delivery.Tunnels
	listening time.Time // since when controllers are heard
	board     *status.Board
	gateway   *gateway.Server
	locator   *delivery.Locator
	limits    limits
	signer    atomic.Pointer[token.Signer]
	public    atomic.Pointer[protocol.KeySet] // what is told of the keys
	issuer    *pki.Issuer                     // of servers' identities
	trust     *bus.Trust                      // may be nil
	// keysChanged and revoked ask for what has changed to be told at once.
	keysChanged, revoked chan struct{}
	// unswept counts new reports, sweepSoon asks for old ones to be forgotten.
	unswept   unswept
	sweepSoon chan struct{}
	// turnSecret signs TURN credentials, the same on all nodes.
	turnSecret atomic.Pointer[[]byte]
	verifier   *token.Verifier
	running    atomic.Bool
	handler    http.Handler
}

// limits count what clients do.
type limits struct {
	lookups, creations, reports, keys *limit.Table[netip.Prefix]
	wrong                             *limit.Table[netip.Prefix]
	wrongMeeting                      *limit.Table[attempt]
}

// attempt is what wrong lookups are counted by: client and meeting.
type attempt struct {
	client netip.Prefix
	number string
}

// New makes a web node. It reads the signing keys, and makes the first one in
// a new database. Run must be called for it to do its work.
func New(cfg Config, d Deps) (*Server, error) {
	for _, issue := range cfg.Check() {
		return nil, fmt.Errorf("new web server: %s: %s; %s", issue.Field, issue.Problem, issue.Remedy)
	}
	cfg.ID = cmp.Or(cfg.ID, "web")
	s := &Server{
		cfg: cfg, store: d.Store, bus: d.Bus, trust: d.Trust, log: d.Log, version: d.Version,
		keysChanged: make(chan struct{}, 1), revoked: make(chan struct{}, 1), sweepSoon: make(chan struct{}, 1),
		listening: time.Now(), zones: delivery.NewTable(), tunnels: delivery.NewTunnels(), board: status.NewBoard(d.Log), verifier: token.NewVerifier(),
		limits: limits{
			lookups:      limit.NewTable[netip.Prefix](cfg.Limits.Lookups, maxClients),
			creations:    limit.NewTable[netip.Prefix](cfg.Limits.Creations, maxClients),
			reports:      limit.NewTable[netip.Prefix](cfg.Limits.Reports, maxClients),
			keys:         limit.NewTable[netip.Prefix](cfg.Limits.Keys, maxClients),
			wrong:        limit.NewTable[netip.Prefix](limit.Rate{PerMinute: 5 * cfg.Limits.Wrong.PerMinute, Burst: 5 * cfg.Limits.Wrong.Burst}, maxClients),
			wrongMeeting: limit.NewTable[attempt](cfg.Limits.Wrong, maxClients),
		},
	}
	for _, cidr := range cfg.TrustedProxies {
		s.proxies = append(s.proxies, netip.MustParsePrefix(cidr).Masked()) // checked above
	}
	known := map[netip.Prefix]delivery.Place{}
	for cidr, at := range cfg.Networks {
		known[netip.MustParsePrefix(cidr)] = at // checked above
	}
	var err error
	if s.locator, err = delivery.NewLocator(known, cfg.GeoIP); err != nil {
		return nil, fmt.Errorf("new web server: %w", err)
	}
	s.metrics = newMetrics(d.Metrics, s.zones)
	if err = s.loadKeys(context.Background()); err == nil {
		s.issuer, err = Authority(context.Background(), d.Store)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("new web server: %w", err), s.locator.Close())
	}
	secret := d.TURNSecret
	if secret == nil {
		secret = func() []byte { return *s.turnSecret.Load() }
	}
	s.gateway = gateway.New(cfg.Gateway, gateway.Deps{
		Bus: d.Bus, Log: d.Log, Metrics: d.Metrics, Keys: s.verifier,
		Client: func(ctx context.Context) netip.Prefix { return visitOf(ctx).client },
		Roots:  d.Roots, Dial: d.Dial, Secret: secret, Address: d.RelayAddress, Own: d.OwnMedia,
	})
	if s.handler, err = s.routes(); err != nil {
		return nil, errors.Join(fmt.Errorf("new web server: %w", err), s.locator.Close())
	}
	return s, nil
}

// Handler serves the site, the API and the gateway: everything but /zone/,
// /mmr/ and /tunnel/.
func (s *Server) Handler() http.Handler { return s.handler }

// ServeTURN speaks TURN on a stream, for browsers of the gateway, until the
// stream or ctx ends.
func (s *Server) ServeTURN(ctx context.Context, c net.Conn) { s.gateway.ServeTURN(ctx, c) }

// Run listens to the bus and repeats the public keys until ctx ends. It
// returns when all goroutines have ended. It can be called once.
func (s *Server) Run(ctx context.Context) error {
	defer func() {
		if err := s.locator.Close(); err != nil {
			s.log.Warn("Geo-IP database not closed", "err", err)
		}
	}()
	ask, askEnded, askState := make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	stop, err := s.listen(ask, askEnded, askState)
	defer stop()
	if err != nil {
		return fmt.Errorf("run web server: %w", err)
	}
	s.running.Store(true)
	defer s.running.Store(false)
	return run.All(ctx,
		func(ctx context.Context) error { return s.repeatKeys(ctx, ask) },
		func(ctx context.Context) error { return s.repeatEnded(ctx, askEnded) },
		func(ctx context.Context) error { return s.announce(ctx, askState) },
		s.repeatRevoked,
		s.followRevoked,
		s.sweep,
		s.gateway.Run,
	)
}

// listen subscribes to what web hears on the bus and asks everyone to speak.
// stop ends what has begun, also after an error.
func (s *Server) listen(ask, askEnded, askState chan<- struct{}) (stop func(), err error) {
	var subscriptions []*bus.Subscription
	stop = func() {
		for _, b := range subscriptions {
			b.Stop()
		}
	}
	keep := func(b *bus.Subscription, failed error) {
		if failed != nil {
			err = errors.Join(err, failed)
			return
		}
		subscriptions = append(subscriptions, b)
	}
	keep(bus.Subscribe(s.bus, protocol.SubjectControllers, s.hear))
	keep(bus.Subscribe(s.bus, protocol.SubjectTunnels, s.hearTunnel))
	s.watch(keep)
	keep(bus.Subscribe(s.bus, protocol.SubjectHubAsk, func(string, protocol.Empty) { signal(askState) }))
	keep(bus.Subscribe(s.bus, protocol.SubjectKeysAsk, func(string, protocol.Empty) { signal(ask) }))
	keep(bus.Subscribe(s.bus, protocol.SubjectMeetingsEndedAsk, func(string, protocol.Empty) { signal(askEnded) }))
	keep(bus.Subscribe(s.bus, protocol.SubjectRevokedAsk, func(string, protocol.Empty) { signal(s.revoked) }))
	keep(bus.Answer(s.bus, protocol.SubjectMeetingEnded, protocol.QueueWeb, s.meetingEnded))
	keep(bus.Answer(s.bus, protocol.SubjectRenew, protocol.QueueWeb, s.renew))
	if err != nil {
		return stop, err
	}
	if err := bus.Publish(s.bus, protocol.SubjectHubAsk, protocol.Empty{}); err != nil {
		s.log.Debug("controllers not asked, they will speak by themselves", "err", err) // the bus is not there yet
	}
	return stop, nil
}

// hear takes a controller's state.
func (s *Server) hear(subject string, state protocol.ControllerState) {
	s.gateway.Hear(state)
	if err := s.zones.Hear(subject, state, time.Now()); err != nil {
		s.log.Debug("controller ignored", "err", err)
	}
}

// hearTunnel takes a tunnel's state.
func (s *Server) hearTunnel(subject string, state protocol.TunnelState) {
	if err := s.tunnels.Hear(subject, state, time.Now()); err != nil {
		s.log.Debug("tunnel ignored", "err", err)
	}
}

// signal tells a goroutine that it was asked.
func signal(asked chan<- struct{}) {
	select {
	case asked <- struct{}{}:
	default: // an answer is on its way already
	}
}

// sweep forgets what is old, at once, each hour, and when many reports have come.
func (s *Server) sweep(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		now := time.Now()
		s.unswept.reset()
		n, err := s.store.DeleteReports(ctx, now.Add(-s.cfg.ReportRetention), s.cfg.ReportCount, s.cfg.ReportBytes)
		s.swept(ctx, "reports", n, err)
		n, err = s.store.ForgetEnded(ctx, now.Add(-maxTokenLifetime-time.Hour))
		s.swept(ctx, "ends of deleted meetings", n, err)
		select {
		case <-ctx.Done():
			return nil
		case <-s.sweepSoon:
		case <-tick.C:
		}
	}
}

func (s *Server) swept(ctx context.Context, what string, n int64, err error) {
	switch {
	case err != nil && ctx.Err() == nil:
		s.log.Warn("not swept", "what", what, "err", err)
	case n > 0:
		s.log.Info("swept", "what", what, "count", n)
	}
}

// Open is nil when a lookup finds a zone that takes participants.
func (s *Server) Open() error {
	_, err := s.offer(visit{}, time.Now())
	return err
}

// Ready is nil when the node can serve: it runs, and database and bus answer.
// Zones are not needed, since meetings can be made without.
func (s *Server) Ready() error {
	if !s.running.Load() {
		return errors.New("web has not started")
	}
	if !s.bus.Connected() {
		return errors.New("web is not connected to the bus")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return s.store.Ping(ctx)
}

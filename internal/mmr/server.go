package mmr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"causeway/internal/bus"
	"causeway/internal/drain"
	"causeway/internal/media/offer"
	"causeway/internal/mmr/control"
	"causeway/internal/mmr/forward"
	"causeway/internal/mmr/legs"
	"causeway/internal/mmr/meeting"
	"causeway/internal/mmr/relay"
	"causeway/internal/peer"
	"causeway/internal/token"
	"causeway/protocol"

	"github.com/prometheus/client_golang/prometheus"
)

// Deps are what a router is given to work with.
type Deps struct {
	Bus     *bus.Conn
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: none
	Version string
	// Dial opens byte streams to other routers, through a proxy if need be;
	// nil means directly.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// TURNSecret signs TURN credentials, for another TURN server that is to
	// take them; nil makes one.
	TURNSecret func() []byte
	// Keys verify join tokens; nil begins with none and learns them.
	Keys *token.Verifier
}

// A Server is a multimedia router.
type Server struct {
	cfg       Config
	deps      Deps
	version   string
	log       *slog.Logger
	verifier  *token.Verifier
	router    *forward.Router
	port      *peer.Port
	streams   *streams
	relays    *relay.Relays
	browsers  turnRelay
	load      meter
	reach     *reach
	once      *once
	registry  *registry
	standbys  standbys
	keeping   sync.Mutex // of kept
	kept      int        // places for admissions that are being made
	announcer *announcer
	endings   *endings
	metrics   *metrics
	control   control.Server

	doing    chan struct{}  // a token for each request to another leg
	requests sync.WaitGroup // those
	drain    *drain.Drain
	draining chan struct{} // a token when asked to drain, or not to
	attached attached

	mediaCandidates atomic.Pointer[[]offer.Candidate]

	// Control channels belong to Run: stopping ends them, channels waits.
	mu       sync.Mutex
	stopping context.Context // nil while the router does not run
	channels sync.WaitGroup
}

// New makes a router and opens its media port. Run must be called, or Close.
func New(cfg Config, d Deps) (*Server, error) {
	if issues := cfg.Check(); len(issues) > 0 {
		return nil, fmt.Errorf("router: %s %s; %s", issues[0].Field, issues[0].Problem, issues[0].Remedy)
	}
	if d.Log == nil {
		d.Log = slog.Default()
	}
	s := &Server{cfg: cfg, deps: d, version: d.Version, log: d.Log.With("mmr", cfg.ID), verifier: cmp.Or(d.Keys, token.NewVerifier())}
	var err error
	if s.load, err = newMeter(cfg.Limits); err != nil {
		return nil, err
	}
	s.reach, s.once = newReach(), newOnce()
	s.registry = newRegistry(s.newMeeting, s.span)
	s.doing = make(chan struct{}, maxDoing)
	s.announcer = newAnnouncer(s)
	s.drain, s.draining = drain.New(cfg.Drain, 0), make(chan struct{}, 1)
	s.endings = newEndings(d.Bus, s.log)
	if err := s.openPort(); err != nil {
		return nil, err
	}
	s.metrics = newMetrics(d.Metrics, s.router, s.port, s.registry, &s.standbys)
	s.control = control.Server{Hello: s.hello, NowMS: func() float64 { return s.router.Milliseconds(time.Now()) }, Log: s.log}
	return s, nil
}

// openPort opens the media port and makes the packet path on its shards.
func (s *Server) openPort() error {
	listen, err := parseListen(s.cfg.MediaListen)
	if err != nil {
		return err
	}
	s.router = forward.New(time.Now())
	port, tcp, err := s.openMedia(peer.PortConfig{
		Listen:    listen,
		Shards:    s.cfg.Shards,
		Tick:      func(sh *peer.Shard, now time.Time) { s.router.Tick(sh.Index(), now) },
		Delivered: func(sh *peer.Shard) { s.router.Deliver(sh.Index()) },
		// After its own packets a shard hands over those for others.
		AfterBatch: func(*peer.Shard) { s.router.Flush() },
		Log:        s.log,
	})
	if err != nil {
		return fmt.Errorf("open the media port %s: %w", s.cfg.MediaListen, err)
	}
	s.port, s.streams = port, newStreams(port, tcp, s.cfg.Limits.Participants)
	shards := make([]forward.Shard, 0, len(s.port.Shards()))
	for _, sh := range s.port.Shards() {
		shards = append(shards, sh)
	}
	s.router.Start(shards)
	err = s.findCandidates()
	if err == nil {
		err = s.openTURN()
	}
	if err == nil {
		err = s.openRelays()
	}
	if err != nil {
		_ = s.streams.close()
	}
	return err
}

// findCandidates works out under which addresses clients reach the port.
func (s *Server) findCandidates() error {
	found, err := mediaCandidates(s.cfg.PublicAddresses, s.port.Addr())
	if err != nil {
		return err
	}
	s.mediaCandidates.Store(&found)
	return nil
}

func (s *Server) candidates() []offer.Candidate { return *s.mediaCandidates.Load() }

// mediaAddresses lists where clients reach the port, ip:port.
func (s *Server) mediaAddresses() []string {
	var addrs []string
	for _, c := range s.candidates() {
		addrs = append(addrs, c.Addr.String())
	}
	return addrs
}

// newMeeting makes a meeting that tells the router what the router tells
// others.
func (s *Server) newMeeting(ctx context.Context, info protocol.MeetingInfo) *meeting.Meeting {
	return meeting.New(meeting.Config{
		Info:   info,
		Router: s.router,
		Self:   s.self(), OnPremises: s.cfg.OnPremises, Relays: s.relays, Leaving: s.drain.On,
		Publish: func(out legs.Out) { s.publish(info.ID, out) },
		Do: func(leg legs.Address, d protocol.LegDo, failed func(*protocol.Problem)) {
			s.do(ctx, leg, d, failed)
		},
		Log:  s.log.With("meeting", info.ID),
		Gone: s.registry.dropSession,
		Count: func(n int) {
			s.registry.setCount(info.ID, n)
			signal(s.announcer.legs)
		},
		Ended: func(byHost string) { s.ended(info.ID, byHost) },
	})
}

// ended makes a meeting's end known: here at once, to its other legs, and to
// web if it was a host on this router who ended it.
func (s *Server) ended(id, byHost string) {
	now := time.Now()
	s.registry.end(id, now)
	if byHost == "" {
		return
	}
	_ = bus.Publish(s.deps.Bus, protocol.SubjectMeetingCommand(id), protocol.MeetingCommand{End: true, By: byHost})
	s.endings.add(protocol.MeetingEnded{Meeting: id, By: byHost, At: now.UTC()})
}

// Handler serves the control channel at protocol.PathControl.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+protocol.PathControl, s.serveControl)
	return mux
}

func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	stopping := s.stopping
	if stopping == nil || stopping.Err() != nil {
		s.mu.Unlock()
		protocol.WriteProblem(w, protocol.NewProblem(protocol.ProblemMMRUnavailable, "the router is not running"))
		return
	}
	s.channels.Add(1)
	s.mu.Unlock()
	serve := s.control.Upgrade(w, r)
	if serve == nil {
		s.channels.Done()
		return
	}
	s.metrics.channels.Inc()
	go func() {
		defer s.channels.Done()
		defer s.metrics.channels.Dec()
		serve(stopping)
	}()
}

// hello leads a control channel to its session. The session is the credential;
// the token only has to be the same participant's, and may have expired while
// the meeting went on.
func (s *Server) hello(ctx context.Context, ch *control.Channel, hello protocol.Hello) (control.Session, error) {
	claims, err := s.verifier.VerifyExpired(hello.Token, time.Now(), tombstoneFor)
	if err != nil {
		return nil, err
	}
	if keeps, ok := s.standbys.attach(hello.Session, claims.Meeting, claims.Subject, ch, time.Now()); ok {
		ch.Send(protocol.Standby{ForMS: keeps.Milliseconds()})
		return &lobby{server: s, session: hello.Session}, nil
	}
	e, ok := s.registry.session(hello.Session)
	if !ok || e.id != claims.Meeting || e.participant != claims.Subject {
		return nil, protocol.NewProblem(protocol.ProblemSessionUnknown, "")
	}
	return s.follow(ctx, e.meeting, hello.Session, ch)
}

// follow makes ch the control channel of a session in m.
func (s *Server) follow(ctx context.Context, m *meeting.Meeting, session string, ch *control.Channel) (control.Session, error) {
	s.reach.attached(session, time.Now())
	in, err := m.Attach(ctx, session, ch)
	if err != nil {
		return nil, overIsUnknown(err)
	}
	return s.attached.add(session, ch, in), nil
}

// overIsUnknown says of a meeting that is over that its sessions are.
func overIsUnknown(err error) error {
	if errors.Is(err, meeting.ErrOver) {
		return protocol.NewProblem(protocol.ProblemSessionUnknown, "the meeting is over")
	}
	return err
}

// Run admits participants and hosts meetings until ctx ends or the router has
// drained; it returns when all its goroutines have ended and the media port is
// closed.
func (s *Server) Run(ctx context.Context) error {
	defer s.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.registry.start(ctx)
	var running sync.WaitGroup
	var follow error
	running.Go(func() {
		defer cancel()
		follow = token.Follow(ctx, s.deps.Bus, s.verifier)
	})
	running.Go(func() { s.endings.run(ctx) })
	running.Go(func() { s.streams.accept(ctx) })
	// Who hears of this router may ask it at once: subscribe before announcing.
	subs, err := s.subscribe(ctx)
	if err != nil {
		cancel()
	}
	running.Go(func() { s.announcer.run(ctx) })
	running.Go(func() {
		defer cancel()
		s.drained(ctx)
	})
	s.mu.Lock()
	s.stopping = ctx
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	s.stopping = nil // no channel comes any more: channels is waited for
	s.mu.Unlock()
	for _, sub := range subs {
		sub.Stop()
	}
	s.standbys.end(true)
	s.registry.stop()
	s.requests.Wait()
	s.channels.Wait()
	running.Wait()
	if err != nil {
		return fmt.Errorf("router: subscribe: %w", err)
	}
	if follow != nil && !errors.Is(follow, context.Canceled) {
		return fmt.Errorf("router: follow the keys: %w", follow)
	}
	return nil
}

// Close closes the media port. Run calls it; who never runs the router must.
func (s *Server) Close() error {
	s.relays.Close()
	return errors.Join(s.browsers.turn.Close(), s.streams.close())
}

// Ready returns nil when the router can take participants: its media port is
// open, the bus is connected and the keys of join tokens are known.
func (s *Server) Ready() error {
	s.mu.Lock()
	running := s.stopping != nil && s.stopping.Err() == nil
	s.mu.Unlock()
	switch {
	case !running:
		return errors.New("the router is not running")
	case !s.deps.Bus.Connected():
		return errors.New("the bus is not connected")
	case !s.verifier.Knows():
		return errors.New("the keys of join tokens are not known yet")
	}
	return nil
}

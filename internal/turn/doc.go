// Package turn relays media between browsers and the system's own routers,
// for networks that let nothing out but TLS on port 443. A browser can speak
// TURN over TLS (RFC 8656, RFC 5928) and nothing else there; our own clients
// need no TURN.
//
// It is no open relay: credentials are short-lived and made for one
// participant, and an allocation reaches only the addresses that Allow lets
// pass, which are routers' media addresses.
//
// Each allocation has a UDP socket and a goroutine of the TURN library;
// allocations are bounded in all and per user. Clients are bounded in all, and
// one that has no allocation after a while is sent away. Close ends all of
// them.
package turn

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/pion/logging"
	pion "github.com/pion/turn/v5"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// realm is what clients hash their password with.
	realm = "causeway"
	// silence closes a client's connection that sends nothing: clients
	// check their consent every few seconds (RFC 7675).
	silence = time.Minute
	// unknownFor is how long a client may be without an allocation: two or
	// three round trips, and some for one that was lost.
	unknownFor = 10 * time.Second
	// perUser is a browser's need: one allocation for each media connection,
	// and as many again while it reconnects.
	perUser = 8
)

// Config is what a Server needs.
type Config struct {
	// Address is advertised as the relay's own; nobody dials it.
	Address netip.Addr
	// Allow says whether a peer address may be reached and where it really
	// is: a router's own relay sends to the loopback interface.
	Allow func(peer netip.AddrPort) (to netip.AddrPort, ok bool)
	// Secret is what signs credentials now; servers that share one accept each
	// other's, and credentials end when it changes. nil makes one that stays.
	Secret func() []byte
	// Allocations bounds them in all.
	Allocations int
	Log         *slog.Logger
	Metrics     prometheus.Registerer
}

// A Server is a TURN server for streams that somebody else accepted.
type Server struct {
	cfg    Config
	turn   *pion.Server
	accept *acceptQueue

	unknownFor time.Duration // shorter in tests

	mu          sync.Mutex
	allocations int
	users       map[string]int
	clients     map[string]*client // by remote address
}

// New makes a server; Close ends it.
func New(cfg Config) (*Server, error) {
	if cfg.Secret == nil {
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never fails
		cfg.Secret = func() []byte { return secret }
	}
	if cfg.Allocations <= 0 {
		cfg.Allocations = 3000
	}
	s := &Server{cfg: cfg, accept: newAcceptQueue(), unknownFor: unknownFor, users: map[string]int{}, clients: map[string]*client{}}
	if cfg.Metrics != nil {
		cfg.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "causeway_turn_allocations", Help: "TURN allocations of browsers now.",
		}, func() float64 { return float64(s.Allocations()) }))
	}
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	made := newRelays(cfg)
	var err error
	s.turn, err = pion.NewServer(pion.ServerConfig{
		Realm:         realm,
		LoggerFactory: quiet,
		AuthHandler:   s.authenticate(quiet.NewLogger("turn")),
		QuotaHandler:  s.quota,
		EventHandler: pion.EventHandler{
			OnAllocationCreated: func(from, _ net.Addr, _, username, _ string, at net.Addr, _ int) {
				s.count(username, 1)
				s.welcome(from, made.take(at))
			},
			OnAllocationDeleted: func(_, _ net.Addr, _, username, _ string) { s.count(username, -1) },
		},
		ListenerConfigs: []pion.ListenerConfig{{
			Listener:              s.accept,
			RelayAddressGenerator: made,
			PermissionHandler:     s.permit,
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("turn: %w", err)
	}
	return s, nil
}

// Close ends all allocations.
func (s *Server) Close() error { return s.turn.Close() }

// Allocations counts the allocations.
func (s *Server) Allocations() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.allocations
}

// authenticate knows who has credentials of the secret of now.
func (s *Server) authenticate(log logging.LeveledLogger) pion.AuthHandler {
	return func(r *pion.RequestAttributes) (userID string, key []byte, ok bool) {
		return pion.LongTermTURNRESTAuthHandler(string(s.cfg.Secret()), log)(r)
	}
}

// Credentials makes a user name and password for one participant.
func (s *Server) Credentials(participant string, valid time.Duration) (username, password string, err error) {
	username, password, err = pion.GenerateLongTermTURNRESTCredentials(string(s.cfg.Secret()), participant, valid)
	if err != nil {
		return "", "", fmt.Errorf("turn: credentials: %w", err)
	}
	return username, password, nil
}

// Serve speaks TURN on a stream until it ends.
func (s *Server) Serve(conn net.Conn) {
	c := newClient(conn)
	if !s.enter(c) {
		_ = conn.Close()
		return
	}
	defer s.leave(c)
	c.stranger = time.AfterFunc(s.unknownFor, func() { _ = c.Close() })
	defer c.stranger.Stop()
	if !s.accept.put(c) {
		_ = c.Close()
		return
	}
	<-c.ended
}

// enter counts a client in. There may be as many as allocations, and as many
// again that have none yet.
func (s *Server) enter(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := c.RemoteAddr().String()
	if len(s.clients) >= 2*s.cfg.Allocations || s.clients[from] != nil {
		return false
	}
	s.clients[from] = c
	return true
}

func (s *Server) leave(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c.RemoteAddr().String())
}

// welcome lets a client that has an allocation stay.
func (s *Server) welcome(from net.Addr, allocated *relay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[from.String()]; c != nil {
		c.stranger.Stop()
		if allocated != nil {
			allocated.client = c.Conn
		}
	}
}

// quota bounds allocations.
func (s *Server) quota(username, _ string, _ net.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.allocations < s.cfg.Allocations && s.users[user(username)] < perUser
}

func (s *Server) count(username string, by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := user(username)
	s.allocations += by
	if s.users[u] += by; s.users[u] <= 0 {
		delete(s.users, u)
	}
}

// user is the participant in a credential's "expiry:participant".
func user(username string) string {
	_, u, _ := strings.Cut(username, ":")
	return u
}

// permit refuses permissions for addresses that no router has. The port is
// checked when a packet is sent.
func (s *Server) permit(_ net.Addr, peer net.IP) bool {
	a, ok := netip.AddrFromSlice(peer)
	if !ok {
		return false
	}
	_, ok = s.cfg.Allow(netip.AddrPortFrom(a.Unmap(), 0))
	return ok
}

// acceptQueue is a listener of streams that came another way.
type acceptQueue struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newAcceptQueue() *acceptQueue {
	return &acceptQueue{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (q *acceptQueue) put(c net.Conn) bool {
	select {
	case q.conns <- c:
		return true
	case <-q.closed:
		return false
	}
}

// Accept waits for the next stream.
func (q *acceptQueue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (q *acceptQueue) Close() error { q.once.Do(func() { close(q.closed) }); return nil }

// Addr is nothing in particular.
func (q *acceptQueue) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero} }

// errTCP refuses what RFC 6062 would allow.
var errTCP = errors.New("turn: only UDP is relayed")

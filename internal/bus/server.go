package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"causeway/internal/base/pki"
	"causeway/protocol"
)

const (
	loopback      = "127.0.0.1"
	leafReconnect = 250 * time.Millisecond
	startTimeout  = 5 * time.Second
	// infoTimeout is how long another server may take to say its first word:
	// through a proxy and half-way round the world.
	infoTimeout = 10 * time.Second
	// reportEvery is how many failed attempts to reach another server make
	// one line in the log.
	reportEvery = 40
	// nowhere is the address that servers of a cluster tell each other, so
	// that they keep to those that they were told of.
	nowhere = "cluster.invalid:1"
)

// HubConfig describes the hub that a web node runs. The empty HubConfig is a
// hub for one process.
type HubConfig struct {
	Name   string   // of this node, unique among hubs; "": random
	Trust  *Trust   // nil: nobody comes from outside of the process
	Routes []string // the other hubs, host:port of their TLS port
	Dial   DialFunc // how they are reached; nil is the network
	Log    *slog.Logger
}

// LeafConfig describes the leaf that a zone controller runs.
type LeafConfig struct {
	Trust  *Trust   // it says which controller this is, and of which zone
	Hubs   []string // the hubs, host:port of their TLS port, any of which will do
	Routes []string // the zone's other controllers, host:port of their TLS port
	Dial   DialFunc // how they are reached; nil is the network
	Log    *slog.Logger
}

// A Server is an embedded NATS server.
type Server struct {
	ns      *server.Server
	options *server.Options // as nats-server has completed them when it was ready
	gate    *gate
	inbox   string // prefix of inboxes of connections within the process
	ways    []*forwarder
	log     *slog.Logger
}

// StartHub starts a hub.
func StartHub(cfg HubConfig) (*Server, error) {
	s := &Server{log: logger(cfg.Log)}
	s.gate = newGate(cfg.Trust, map[string]admit{
		protocol.ALPNBus:   {roles: []pki.Role{pki.RoleTunnel}},
		protocol.ALPNLeaf:  {roles: []pki.Role{pki.RoleController}, zone: anyZone},
		protocol.ALPNRoute: {roles: []pki.Role{pki.RoleWeb}},
	})
	if cfg.Name == "" {
		cfg.Name = nuid.Next()
	}
	o := s.baseOptions(cfg.Name)
	if cfg.Trust != nil {
		s.inbox = inbox(cfg.Trust.Identity())
		listenLeaves(o)
		if err := s.cluster(o, "hub", cfg.Trust, dialler(cfg.Dial), cfg.Routes); err != nil {
			return nil, s.abort(err)
		}
	}
	return s.start(o)
}

// StartLeaf starts a leaf, which goes on trying to reach a hub for as long as
// it runs; its zone works without.
func StartLeaf(cfg LeafConfig) (*Server, error) {
	id := cfg.Trust.Identity()
	if id.Role != pki.RoleController {
		return nil, fmt.Errorf("start bus: %s is not a zone controller", id)
	}
	s := &Server{log: logger(cfg.Log), inbox: inbox(id)}
	s.gate = newGate(cfg.Trust, map[string]admit{
		protocol.ALPNBus:   {roles: []pki.Role{pki.RoleMMR}, zone: id.Zone},
		protocol.ALPNRoute: {roles: []pki.Role{pki.RoleController}, zone: id.Zone},
	})
	o := s.baseOptions("zone-" + id.Zone + "-" + id.Name)
	if err := s.cluster(o, "zone-"+id.Zone, cfg.Trust, dialler(cfg.Dial), cfg.Routes); err != nil {
		return nil, s.abort(err)
	}
	if len(cfg.Hubs) > 0 {
		way, err := cfg.Trust.forward(dialler(cfg.Dial), cfg.Hubs, protocol.ALPNLeaf, admit{roles: []pki.Role{pki.RoleWeb}}, s.log)
		if err != nil {
			return nil, s.abort(err)
		}
		s.ways = append(s.ways, way)
		remote := &server.RemoteLeafOpts{FirstInfoTimeout: infoTimeout}
		remote.URLs = append(remote.URLs, way.url())
		remote.Compression.Mode = server.CompressionOff
		o.LeafNode.Remotes = []*server.RemoteLeafOpts{remote}
	}
	return s.start(o)
}

// abort ends what has begun of a server that cannot start.
func (s *Server) abort(err error) error {
	s.closeWays()
	return fmt.Errorf("start bus: %w", err)
}

func (s *Server) closeWays() {
	for _, w := range s.ways {
		w.close()
	}
}

func dialler(d DialFunc) DialFunc {
	if d == nil {
		return (&net.Dialer{}).DialContext
	}
	return d
}

// Connect connects to the server within the process.
func (s *Server) Connect(name string) (*Conn, error) {
	options := []nats.Option{nats.InProcessServer(s.ns), nats.UserInfo(user, s.gate.inside)}
	if s.inbox != "" {
		options = append(options, nats.CustomInboxPrefix(s.inbox))
	}
	return connect(name, s.log, options...)
}

// Stop ends the server and waits for its goroutines. Streams that were passed
// to it end as well.
func (s *Server) Stop() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
	s.closeWays()
}

// addresses are where nats-server listens on this machine, by ALPN name of
// the streams that belong there.
func (s *Server) addresses() map[string]string {
	a := map[string]string{}
	if addr := s.ns.Addr(); addr != nil {
		a[protocol.ALPNBus] = addr.String()
	}
	if addr := s.ns.ClusterAddr(); addr != nil {
		a[protocol.ALPNRoute] = addr.String()
	}
	if l := s.options.LeafNode; l.Port != 0 {
		a[protocol.ALPNLeaf] = net.JoinHostPort(l.Host, strconv.Itoa(l.Port))
	}
	return a
}

func (s *Server) baseOptions(name string) *server.Options {
	return &server.Options{
		ServerName:                 name,
		DontListen:                 true,
		NoSigs:                     true,
		NoSystemAccount:            true,
		CustomClientAuthentication: s.gate,
		CustomRouterAuthentication: s.gate,
		PingInterval:               pingInterval,
		MaxPingsOut:                pingsOut,
		MaxClosedClients:           16,
		ConnectErrorReports:        reportEvery,
		ReconnectErrorReports:      reportEvery,
		LeafNode:                   server.LeafNodeOpts{ReconnectInterval: leafReconnect},
	}
}

func listenLeaves(o *server.Options) {
	l := &o.LeafNode
	l.Host, l.Port = loopback, server.RANDOM_PORT
	l.NoAdvertise = true
	l.Compression.Mode = server.CompressionOff
}

// cluster makes the server one of several, that connect to each other.
func (s *Server) cluster(o *server.Options, name string, trust *Trust, dial DialFunc, routes []string) error {
	// nats-server begins its cluster only once it listens for clients.
	o.DontListen, o.Host, o.Port = false, loopback, server.RANDOM_PORT
	c := &o.Cluster
	c.Name = name
	c.Host, c.Port = loopback, server.RANDOM_PORT
	c.Advertise = nowhere
	c.NoAdvertise = true
	c.PoolSize = -1 // one connection keeps all subjects in order
	c.PingInterval, c.MaxPingsOut = pingInterval, pingsOut
	c.Compression.Mode = server.CompressionOff
	for _, r := range routes {
		way, err := trust.forward(dial, []string{r}, protocol.ALPNRoute, s.gate.whom[protocol.ALPNRoute], s.log)
		if err != nil {
			return err
		}
		s.ways = append(s.ways, way)
		o.Routes = append(o.Routes, way.url())
	}
	return nil
}

func (s *Server) start(o *server.Options) (*Server, error) {
	ns, err := server.NewServer(o)
	if err != nil {
		return nil, s.abort(err)
	}
	s.ns, s.options = ns, o
	s.gate.mu.Lock()
	s.gate.ns = ns
	s.gate.mu.Unlock()
	out := &serverLog{log: s.log.With("bus", o.ServerName), fatal: make(chan string, 1)}
	ns.SetLoggerV2(out, s.log.Enabled(context.Background(), slog.LevelDebug), false, false)
	ns.Start()
	if err := waitReady(ns, out.fatal); err != nil {
		s.Stop()
		return nil, fmt.Errorf("start bus: %w", err)
	}
	return s, nil
}

// waitReady waits until the server listens, or has said why it cannot.
func waitReady(ns *server.Server, fatal <-chan string) error {
	const step = 26 * time.Millisecond // below 25 ms nats-server spins
	for range startTimeout / step {
		select {
		case text := <-fatal:
			return errors.New(text)
		default:
		}
		if ns.ReadyForConnections(step) {
			return nil
		}
	}
	return errors.New("not ready in time")
}

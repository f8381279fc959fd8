package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

const (
	leafReconnect = 250 * time.Millisecond
	startTimeout  = 5 * time.Second
	// reportEvery is how many failed attempts to reach another server make
	// one line in the log.
	reportEvery = 40
)

// HubConfig describes the hub that a web node runs. Listen addresses are
// host:port; empty ones are not listened on, so that the empty HubConfig is a
// hub for one process.
type HubConfig struct {
	Name          string      // of this node, unique among hubs; "": random
	Listen        string      // for clients over the network
	LeafListen    string      // for zone controllers
	ClusterListen string      // for other hubs
	Routes        []string    // the other hubs, host:port of their ClusterListen
	TLS           *tls.Config // of all listeners and, with its RootCAs, of Routes
	Secret        string      // shared by all parts of the system
	Log           *slog.Logger
}

// LeafConfig describes the leaf that a zone controller runs.
type LeafConfig struct {
	Name          string      // of this controller, unique in its zone; "": random
	Zone          string      // names the cluster of the zone's controllers
	Hubs          []string    // host:port of LeafListen of the hubs, any of which will do
	Listen        string      // for the zone's routers
	ClusterListen string      // for the zone's other controllers
	Routes        []string    // the zone's other controllers, host:port of their ClusterListen
	TLS           *tls.Config // of all listeners and, with its RootCAs, of Hubs and Routes
	Secret        string
	Log           *slog.Logger
}

// A Server is an embedded NATS server.
type Server struct {
	ns      *server.Server
	options *server.Options // as nats-server has completed them when it was ready
	secret  string
	log     *slog.Logger
}

// StartHub starts a hub.
func StartHub(cfg HubConfig) (*Server, error) {
	o := baseOptions(cfg.Name, cfg.Secret)
	err := errors.Join(
		listenClients(o, cfg.Listen, cfg.TLS),
		listenLeaves(o, cfg.LeafListen, cfg.TLS, cfg.Secret),
		joinCluster(o, "hub", cfg.ClusterListen, cfg.Routes, cfg.TLS, cfg.Secret),
	)
	if err != nil {
		return nil, fmt.Errorf("start bus hub: %w", err)
	}
	return start(o, cfg.Secret, cfg.Log)
}

// StartLeaf starts a leaf, which goes on trying to reach a hub for as long as
// it runs; its zone works without.
func StartLeaf(cfg LeafConfig) (*Server, error) {
	o := baseOptions(cfg.Name, cfg.Secret)
	err := errors.Join(
		listenClients(o, cfg.Listen, cfg.TLS),
		joinCluster(o, "zone-"+cfg.Zone, cfg.ClusterListen, cfg.Routes, cfg.TLS, cfg.Secret),
	)
	if len(cfg.Hubs) > 0 {
		remote := &server.RemoteLeafOpts{TLS: cfg.TLS != nil, TLSConfig: cfg.TLS}
		for _, hub := range cfg.Hubs {
			remote.URLs = append(remote.URLs, address(hub, cfg.Secret))
		}
		remote.Compression.Mode = server.CompressionOff
		o.LeafNode.Remotes = []*server.RemoteLeafOpts{remote}
	}
	if err != nil {
		return nil, fmt.Errorf("start bus leaf: %w", err)
	}
	return start(o, cfg.Secret, cfg.Log)
}

// Connect connects to the server within the process.
func (s *Server) Connect(name string) (*Conn, error) {
	return connect(name, s.secret, s.log, nats.InProcessServer(s.ns))
}

// Stop ends the server and waits for its goroutines.
func (s *Server) Stop() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
}

// Addresses are where a server listens, host:port; "" where it does not.
type Addresses struct{ Clients, Leaves, Cluster string }

// Addresses tells where the server listens, with the ports it was given for
// port 0.
func (s *Server) Addresses() Addresses {
	var a Addresses
	if addr := s.ns.Addr(); addr != nil {
		a.Clients = addr.String()
	}
	if addr := s.ns.ClusterAddr(); addr != nil {
		a.Cluster = addr.String()
	}
	if l := s.options.LeafNode; l.Port != 0 {
		a.Leaves = net.JoinHostPort(l.Host, strconv.Itoa(l.Port))
	}
	return a
}

func baseOptions(name, secret string) *server.Options {
	if name == "" {
		name = nuid.Next()
	}
	return &server.Options{
		ServerName:            name,
		DontListen:            true,
		NoSigs:                true,
		NoSystemAccount:       true,
		Username:              user,
		Password:              secret,
		PingInterval:          pingInterval,
		MaxPingsOut:           pingsOut,
		MaxClosedClients:      16,
		ConnectErrorReports:   reportEvery,
		ReconnectErrorReports: reportEvery,
		LeafNode:              server.LeafNodeOpts{ReconnectInterval: leafReconnect},
	}
}

func listenClients(o *server.Options, listen string, tls *tls.Config) error {
	if listen == "" {
		return nil
	}
	var err error
	o.DontListen = false
	o.Host, o.Port, err = split(listen)
	o.TLSConfig = tls
	o.Cluster.NoAdvertise = true // clients keep to the addresses they are given
	return err
}

func listenLeaves(o *server.Options, listen string, tls *tls.Config, secret string) error {
	if listen == "" {
		return nil
	}
	var err error
	l := &o.LeafNode
	l.Host, l.Port, err = split(listen)
	l.TLSConfig = tls
	l.Username, l.Password = user, secret
	l.NoAdvertise = true
	l.Compression.Mode = server.CompressionOff
	return err
}

func joinCluster(o *server.Options, name, listen string, routes []string, tls *tls.Config, secret string) error {
	if listen == "" {
		return nil
	}
	var err error
	c := &o.Cluster
	c.Name = name
	c.Host, c.Port, err = split(listen)
	c.TLSConfig = tls
	c.Username, c.Password = user, secret
	c.NoAdvertise = true
	c.PoolSize = -1 // one connection keeps all subjects in order
	c.PingInterval, c.MaxPingsOut = pingInterval, pingsOut
	c.Compression.Mode = server.CompressionOff
	if o.DontListen {
		// nats-server begins its cluster only once it listens for clients.
		o.DontListen, o.Host, o.Port = false, "127.0.0.1", server.RANDOM_PORT
	}
	for _, r := range routes {
		o.Routes = append(o.Routes, address(r, secret))
	}
	return err
}

// address makes the URL of another server.
func address(hostport, secret string) *url.URL {
	return &url.URL{Scheme: "nats", Host: hostport, User: url.UserPassword(user, secret)}
}

// split takes host:port apart; port 0 is any free port.
func split(listen string) (string, int, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, fmt.Errorf("listen on %q: %w", listen, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("listen on %q: port is not a number from 0 to 65535", listen)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	if n == 0 {
		return host, server.RANDOM_PORT, nil
	}
	return host, int(n), nil
}

func start(o *server.Options, secret string, log *slog.Logger) (*Server, error) {
	ns, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("start bus: %w", err)
	}
	s := &Server{ns: ns, options: o, secret: secret, log: logger(log)}
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

package main

import (
	"context"
	"net/http"
	"os"
	"strings"

	"causeway/internal/base/config"
	"causeway/internal/base/metrics"
	"causeway/internal/base/run"
	"causeway/internal/bus"
	"causeway/internal/store"
	"causeway/internal/tunnel"
	"causeway/internal/web"
)

// webFile is the file of a web server.
type webFile struct {
	Common   `yaml:",inline"`
	Database string        `yaml:"database"`
	Bus      webBus        `yaml:"bus"`
	Web      web.Config    `yaml:"web"`
	Tunnel   tunnel.Config `yaml:"tunnel"`
}

type webBus struct {
	BusFields     `yaml:",inline"`
	ZonesListen   string   `yaml:"zones_listen"`   // for zone controllers
	TunnelsListen string   `yaml:"tunnels_listen"` // for HTTP tunnels
	ClusterListen string   `yaml:"cluster_listen"` // for other web servers
	Cluster       []string `yaml:"cluster"`        // the other web servers
}

func defaultWebFile() webFile {
	return webFile{Common: defaultCommon(kindWeb, "127.0.0.1:9101"), Web: web.DefaultConfig(), Tunnel: tunnel.DefaultConfig()}
}

// Check implements config.Checker.
func (f webFile) Check() []config.Issue {
	found := f.check(kindWeb)
	if f.Database == "" {
		found.add("database", "is missing", "write postgres://USER:PASSWORD@HOST/NAME, or sqlite:FILE for a single web server")
	}
	b := f.Bus
	found = append(found, b.check(b.ZonesListen != "" || b.TunnelsListen != "" || b.ClusterListen != "" || len(b.Cluster) > 0)...)
	if b.ZonesListen == "" && len(b.NATS) == 0 {
		found.add("bus.zones_listen", "is missing", "write where zone controllers connect to, such as :7422")
	}
	found.address("bus.zones_listen", b.ZonesListen, true)
	found.address("bus.tunnels_listen", b.TunnelsListen, true)
	found.address("bus.cluster_listen", b.ClusterListen, true)
	found.peers("bus.cluster", b.Cluster)
	if len(b.Cluster) > 0 && b.ClusterListen == "" {
		found.add("bus.cluster", "is only for servers that listen for others", "set bus.cluster_listen as well")
	}
	found = append(found, config.Prefix("web", f.Web.Check())...)
	if f.Tunnel.URL == "" {
		f.Tunnel.URL = "https://localhost" // it need not be said; see tunnel
	}
	return append(found, config.Prefix("tunnel", f.Tunnel.Check())...)
}

// tunnel is the configuration of the tunnel that the server also is. Its URL
// is "" for none.
func (f webFile) tunnel() tunnel.Config {
	c := f.Tunnel
	if c.URL == "" && strings.HasPrefix(f.Web.PublicURL, "https://") {
		c.URL = f.Web.PublicURL
	}
	if c.ID == "" {
		host, _ := os.Hostname()
		c.ID = tunnel.IDOf("web-", host)
	}
	return c
}

// webCmd is `causeway web`.
type webCmd struct{ serverFlags }

// Help is the longer help of `causeway web --help`.
func (*webCmd) Help() string {
	return `A web server holds the site, the API and the lookup, and is the hub of the bus
to which zone controllers connect. It is also an HTTP tunnel, and a gateway for
browsers that reach nothing else. Several web servers share one PostgreSQL.

Examples:

  causeway config sample web > web.yaml
  causeway config check web.yaml
  causeway web --config web.yaml
  causeway apikey create --config web.yaml --name operator

The last makes the first API key, for 'causeway meeting' and for programs.`
}

// Run runs a web server until ctx ends.
func (c *webCmd) Run(ctx context.Context, to console) error {
	f, err := config.Load(c.Config, defaultWebFile())
	if err != nil {
		return err
	}
	p, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer p.close()
	s := served{name: kindWeb, log: f.logger(to), registry: metrics.New()}
	if s.tls, err = f.tls(kindWeb, f.Web.PublicURL, f.Bus.CA); err != nil {
		return err
	}
	db, err := store.Open(ctx, f.Database, s.log)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	conn, stop, err := f.Bus.open(s)
	if err != nil {
		return err
	}
	defer stop()
	if err := f.serveWeb(&s, db, conn); err != nil {
		return err
	}
	return p.serve(ctx, s, to, c.ReadyJSON)
}

// serveWeb makes the web server and the tunnel beside it.
func (f webFile) serveWeb(s *served, db *store.Store, conn *bus.Conn) error {
	server, err := web.New(f.Web, web.Deps{
		Store: db, Bus: conn, Log: s.log, Metrics: s.registry, Version: version(),
		Roots: s.tls.RootCAs, RelayAddress: thisMachine().primary,
	})
	if err != nil {
		return err
	}
	s.handler, s.run, s.ready, s.raw = server.Handler(), server.Run, server.Ready, server.ServeTURN
	cfg := f.tunnel()
	if cfg.URL == "" {
		return nil
	}
	beside, err := tunnel.New(cfg, tunnel.Deps{Bus: conn, Log: s.log, Metrics: s.registry, Version: version()})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/tunnel/", beside.Handler())
	mux.Handle("/", s.handler)
	s.handler = mux
	s.run = func(ctx context.Context) error { return run.All(ctx, server.Run, beside.Run) }
	return nil
}

// open starts the hub, or connects to an outside NATS.
func (b webBus) open(s served) (*bus.Conn, func(), error) {
	secret, err := b.secret()
	if err != nil {
		return nil, nil, err
	}
	if len(b.NATS) > 0 {
		return b.dial(b.NATS, secret, s)
	}
	hub, err := bus.StartHub(bus.HubConfig{
		Listen: b.TunnelsListen, LeafListen: b.ZonesListen, ClusterListen: b.ClusterListen, Routes: b.Cluster,
		TLS: s.tls, Secret: secret, Log: s.log,
	})
	if err != nil {
		return nil, nil, err
	}
	return inProcess(hub, s.name)
}

// inProcess connects to an embedded server; stop ends both.
func inProcess(server *bus.Server, name string) (*bus.Conn, func(), error) {
	conn, err := server.Connect(name)
	if err != nil {
		server.Stop()
		return nil, nil, err
	}
	return conn, func() {
		conn.Close()
		server.Stop()
	}, nil
}

// dial connects to a bus over the network.
func (b BusFields) dial(urls []string, secret string, s served) (*bus.Conn, func(), error) {
	conn, err := bus.Dial(bus.DialConfig{Name: s.name, URLs: urls, TLS: s.tls, Secret: secret, Log: s.log})
	if err != nil {
		return nil, nil, err
	}
	return conn, conn.Close, nil
}

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
	BusFields `yaml:",inline"`
	Cluster   []string `yaml:"cluster"` // the other web servers
}

func defaultWebFile() webFile {
	return webFile{
		Common: defaultCommon(kindWeb, "127.0.0.1:9101"), Web: web.DefaultConfig(), Tunnel: tunnel.DefaultConfig(),
		Database: os.Getenv("CAUSEWAY_DATABASE"), // a secret that need not be in the file
	}
}

// Check implements config.Checker.
func (f webFile) Check() []config.Issue {
	found := f.check(kindWeb)
	if f.Database == "" {
		found.add("database", "is missing", "write postgres://USER:PASSWORD@HOST/NAME, or sqlite:FILE for a single web server")
	}
	b := f.Bus
	found = append(found, b.check(len(b.Cluster) > 0)...)
	found.peers("bus.cluster", b.Cluster)
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
		c.ID = hostID("web-")
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
	f, err := loadFile(c.Config, kindWeb, defaultWebFile())
	if err != nil {
		return err
	}
	p, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer p.close()
	if f.Web.ID == "" {
		f.Web.ID = hostID("")
	}
	s := served{name: kindWeb, log: f.logger(to), registry: metrics.New()}
	if s.tls, err = f.tls(kindWeb, f.Web.PublicURL, f.Bus.CA); err != nil {
		return err
	}
	db, err := store.Open(ctx, f.Database, s.log)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	b, err := f.connect(ctx, &s, db)
	if err != nil {
		return err
	}
	defer b.close()
	if err := f.serveWeb(&s, db, b); err != nil {
		return err
	}
	return p.serve(ctx, s, to, c.ReadyJSON)
}

// serveWeb makes the web server and the tunnel beside it.
func (f webFile) serveWeb(s *served, db *store.Store, b *busLink) error {
	server, err := web.New(f.Web, web.Deps{
		Store: db, Bus: b.conn, Trust: b.trust, Log: s.log, Metrics: s.registry, Version: version(),
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
	beside, err := tunnel.New(cfg, tunnel.Deps{Bus: b.conn, Log: s.log, Metrics: s.registry, Version: version()})
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

// connect starts the hub, or connects to an outside NATS.
func (f webFile) connect(ctx context.Context, s *served, db *store.Store) (*busLink, error) {
	b := &busLink{}
	err := b.open(func() error {
		if len(f.Bus.NATS) > 0 {
			return b.outside(f.Bus.BusFields, s)
		}
		issuer, err := web.Authority(ctx, db)
		if err != nil {
			return err
		}
		creds, err := issuer.Own(f.Web.ID, web.CertificateLife)
		if err != nil {
			return err
		}
		b.trust = bus.NewTrust(creds)
		hub, err := bus.StartHub(bus.HubConfig{Name: f.Web.ID, Trust: b.trust, Routes: f.Bus.Cluster, Log: s.log})
		if err != nil {
			return err
		}
		b.serve(hub, s)
		return b.inProcess(hub, s)
	})
	return b, err
}

package main

import (
	"context"

	"causeway/internal/base/config"
	"causeway/internal/base/metrics"
	"causeway/internal/bus"
	"causeway/internal/tunnel"
)

// tunnelFile is the file of an HTTP tunnel.
type tunnelFile struct {
	Common `yaml:",inline"`
	Bus    tunnelBus     `yaml:"bus"`
	Tunnel tunnel.Config `yaml:"tunnel"`
}

type tunnelBus struct {
	BusFields `yaml:",inline"`
	Hubs      []string `yaml:"hubs"` // web servers, HOST:PORT of their bus.tunnels_listen
}

func defaultTunnelFile() tunnelFile {
	return tunnelFile{Common: defaultCommon(kindTunnel, "127.0.0.1:9104"), Tunnel: tunnel.DefaultConfig()}
}

// Check implements config.Checker.
func (f tunnelFile) Check() []config.Issue {
	found := f.check(kindTunnel)
	b := f.Bus
	found = append(found, b.check(len(b.Hubs) > 0)...)
	if len(b.NATS) == 0 && len(b.Hubs) == 0 {
		found.add("bus.hubs", "is missing", "write where web servers are: HOST:PORT of their bus.tunnels_listen")
	}
	found.peers("bus.hubs", b.Hubs)
	return append(found, config.Prefix("tunnel", f.Tunnel.Check())...)
}

// tunnelCmd is `causeway tunnel`.
type tunnelCmd struct{ serverFlags }

// Help is the longer help of `causeway tunnel --help`.
func (*tunnelCmd) Help() string {
	return `An HTTP tunnel is for clients whose network lets them reach neither zone
controllers nor routers: whoever holds a join token reaches the system's own
servers through it, by HTTPS on port 443, and nothing else. Every web server is a
tunnel already; run more in networks that are reached from everywhere.

Examples:

  causeway config sample tunnel > tunnel.yaml
  causeway config check tunnel.yaml
  causeway tunnel --config tunnel.yaml`
}

// Run runs a tunnel until ctx ends.
func (c *tunnelCmd) Run(ctx context.Context, to console) error {
	f, err := config.Load(c.Config, defaultTunnelFile())
	if err != nil {
		return err
	}
	p, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer p.close()
	s := served{name: kindTunnel, log: f.logger(to), registry: metrics.New()}
	if s.tls, err = f.tls(kindTunnel, f.Tunnel.URL, f.Bus.CA); err != nil {
		return err
	}
	conn, stop, err := f.Bus.open(s)
	if err != nil {
		return err
	}
	defer stop()
	server, err := tunnel.New(f.Tunnel, tunnel.Deps{Bus: conn, Log: s.log, Metrics: s.registry, Version: version()})
	if err != nil {
		return err
	}
	s.handler, s.run, s.ready = server.Handler(), server.Run, server.Ready
	return p.serve(ctx, s, to, c.ReadyJSON)
}

// open connects to the hub, or to an outside NATS.
func (b tunnelBus) open(s served) (*bus.Conn, func(), error) {
	secret, err := b.secret()
	if err != nil {
		return nil, nil, err
	}
	if len(b.NATS) > 0 {
		return b.dial(b.NATS, secret, s)
	}
	var urls []string
	for _, hub := range b.Hubs {
		urls = append(urls, "tls://"+hub)
	}
	return b.dial(urls, secret, s)
}

package main

import (
	"context"

	"causeway/internal/base/config"
	"causeway/internal/base/metrics"
	"causeway/internal/base/pki"
	"causeway/internal/tunnel"
)

// tunnelFile is the file of an HTTP tunnel.
type tunnelFile struct {
	Common   `yaml:",inline"`
	Enrolled `yaml:",inline"`
	Bus      tunnelBus     `yaml:"bus"`
	Tunnel   tunnel.Config `yaml:"tunnel"`
}

type tunnelBus struct {
	BusFields `yaml:",inline"`
	Hubs      []string `yaml:"hubs"` // web servers
}

func defaultTunnelFile() tunnelFile {
	return tunnelFile{Common: defaultCommon(kindTunnel, "127.0.0.1:9104"), Tunnel: tunnel.DefaultConfig()}
}

// Check implements config.Checker.
func (f tunnelFile) Check() []config.Issue {
	found := f.check(kindTunnel)
	b := f.Bus
	found = append(found, f.checkEnrolled(len(b.NATS) > 0)...)
	found = append(found, b.check(len(b.Hubs) > 0)...)
	if len(b.NATS) == 0 && len(b.Hubs) == 0 {
		found.add("bus.hubs", "is missing", "write where web servers are: HOST:PORT")
	}
	found.peers("bus.hubs", b.Hubs)
	return append(found, config.Prefix("tunnel", f.Tunnel.Check())...)
}

// tunnelCmd is `causeway tunnel`.
type tunnelCmd struct {
	serverFlags
	enrolFlags
}

// Help is the longer help of `causeway tunnel --help`.
func (*tunnelCmd) Help() string {
	return `An HTTP tunnel is for clients whose network lets them reach neither zone
controllers nor routers: whoever holds a join token reaches the system's own
servers through it, by HTTPS on port 443, and nothing else. Every web server is a
tunnel already; run more in networks that are reached from everywhere.

Examples:

  causeway config sample tunnel > tunnel.yaml
  causeway config check tunnel.yaml
  causeway token create --role tunnel --config web.yaml   # where web's database is
  causeway tunnel --config tunnel.yaml --enroll TOKEN     # the first time
  causeway tunnel --config tunnel.yaml`
}

// Run runs a tunnel until ctx ends.
func (c *tunnelCmd) Run(ctx context.Context, to console) error {
	f, err := loadFile(c.Config, kindTunnel, defaultTunnelFile())
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
	if f.Tunnel.ID == "" {
		f.Tunnel.ID = hostID("")
	}
	b, err := f.connect(ctx, &s, c.enrolFlags)
	if err != nil {
		return err
	}
	defer b.close()
	server, err := tunnel.New(f.Tunnel, tunnel.Deps{Bus: b.conn, Log: s.log, Metrics: s.registry, Version: version(), Keys: b.keys()})
	if err != nil {
		return err
	}
	s.handler, s.run, s.ready, s.drain = server.Handler(), server.Run, server.Ready, server.Drain
	return p.serve(ctx, s, to, c.ReadyJSON)
}

// connect connects to the hub, or to an outside NATS.
func (f tunnelFile) connect(ctx context.Context, s *served, flags enrolFlags) (*busLink, error) {
	who := pki.Identity{Role: pki.RoleTunnel, Name: f.Tunnel.ID}
	return connectClient(ctx, s, f.Bus.BusFields, f.Enrolled, flags, who, f.Bus.Hubs)
}

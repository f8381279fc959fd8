package main

import (
	"context"

	"causeway/internal/base/config"
	"causeway/internal/base/metrics"
	"causeway/internal/base/pki"
	"causeway/internal/bus"
	"causeway/internal/zone"
)

// zoneFile is the file of a zone controller.
type zoneFile struct {
	Common   `yaml:",inline"`
	Enrolled `yaml:",inline"`
	Bus      zoneBus     `yaml:"bus"`
	Zone     zone.Config `yaml:"zone"`
}

type zoneBus struct {
	BusFields `yaml:",inline"`
	Hubs      []string `yaml:"hubs"`    // web servers
	Cluster   []string `yaml:"cluster"` // the zone's other controllers
}

func defaultZoneFile() zoneFile {
	return zoneFile{Common: defaultCommon(kindZone, "127.0.0.1:9102"), Zone: zone.DefaultConfig()}
}

// Check implements config.Checker.
func (f zoneFile) Check() []config.Issue {
	found := f.check(kindZone)
	b := f.Bus
	found = append(found, f.checkEnrolled(len(b.NATS) > 0)...)
	found = append(found, b.check(len(b.Hubs) > 0 || len(b.Cluster) > 0)...)
	if len(b.NATS) == 0 && len(b.Hubs) == 0 {
		found.add("bus.hubs", "is missing", "write where web servers are: HOST:PORT")
	}
	found.peers("bus.hubs", b.Hubs)
	found.peers("bus.cluster", b.Cluster)
	return append(found, config.Prefix("zone", f.Zone.Check())...)
}

// zoneCmd is `causeway zone`: a zone controller, and what an operator does
// with zones.
type zoneCmd struct {
	Serve  zoneServeCmd  `cmd:"" default:"withargs" hidden:"" help:"Run a zone controller."`
	Add    zoneAddCmd    `cmd:"" help:"Add a zone, and print an enrolment token for its first controller."`
	List   zoneListCmd   `cmd:"" help:"List the zones, and the servers that are enrolled."`
	Remove zoneRemoveCmd `cmd:"" help:"Remove a zone, and revoke the identities of its servers."`
}

// zoneServeCmd is `causeway zone` without a further word.
type zoneServeCmd struct {
	serverFlags
	enrolFlags
}

// Help is the longer help of `causeway zone --help`.
func (*zoneCmd) Help() string {
	return `A zone controller knows the load of every router in its zone and sends each
participant to the best. It dials out to the web servers; the zone's routers
connect to it. Run two of them in a zone, so that either may fail.

Examples:

  causeway config sample zone > zone.yaml
  causeway config check zone.yaml
  causeway zone add zone-1 --config web.yaml         # where web's database is
  causeway zone --config zone.yaml --enroll TOKEN    # the first time
  causeway zone --config zone.yaml

Flags of the controller itself:

  --config=FILE     The server's configuration, a YAML file.
  --enroll=TOKEN    Enrolment token, for the first start: from 'causeway token
                    create' ($CAUSEWAY_ENROLL).
  --ready-json      When ready, print one line of JSON.`
}

// Run runs a zone controller until ctx ends.
func (c *zoneServeCmd) Run(ctx context.Context, to console) error {
	f, err := loadFile(c.Config, kindZone, defaultZoneFile())
	if err != nil {
		return err
	}
	p, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer p.close()
	s := served{name: kindZone, log: f.logger(to), registry: metrics.New()}
	if s.tls, err = f.tls(kindZone, f.Zone.URL, f.Bus.CA); err != nil {
		return err
	}
	if f.Zone.ID == "" {
		f.Zone.ID = hostID("")
	}
	b, err := f.connect(ctx, &s, c.enrolFlags)
	if err != nil {
		return err
	}
	defer b.close()
	server, err := zone.New(f.Zone, zone.Deps{Bus: b.conn, Log: s.log, Metrics: s.registry, Version: version(), Keys: b.keys()})
	if err != nil {
		return err
	}
	s.handler, s.run, s.ready, s.drain = server.Handler(), server.Run, server.Ready, server.Drain
	return p.serve(ctx, s, to, c.ReadyJSON)
}

// connect starts the leaf, or connects to an outside NATS.
func (f zoneFile) connect(ctx context.Context, s *served, flags enrolFlags) (*busLink, error) {
	b := &busLink{}
	err := b.open(func() error {
		if len(f.Bus.NATS) > 0 {
			return b.outside(f.Bus.BusFields, s)
		}
		if err := b.join(ctx, f.Enrolled, flags, pki.Identity{Role: pki.RoleController, Zone: f.Zone.Zone, Name: f.Zone.ID}, s); err != nil {
			return err
		}
		leaf, err := bus.StartLeaf(bus.LeafConfig{
			Trust: b.member.trust, Hubs: f.Bus.Hubs, Routes: f.Bus.Cluster, Dial: b.member.dial, Log: s.log,
		})
		if err != nil {
			return err
		}
		b.serve(leaf, s)
		return b.inProcess(leaf, s)
	})
	return b, err
}

package main

import (
	"context"

	"causeway/internal/base/config"
	"causeway/internal/base/metrics"
	"causeway/internal/bus"
	"causeway/internal/zone"
)

// zoneFile is the file of a zone controller.
type zoneFile struct {
	Common `yaml:",inline"`
	Bus    zoneBus     `yaml:"bus"`
	Zone   zone.Config `yaml:"zone"`
}

type zoneBus struct {
	BusFields     `yaml:",inline"`
	Hubs          []string `yaml:"hubs"`           // web servers, HOST:PORT of their bus.zones_listen
	RoutersListen string   `yaml:"routers_listen"` // for the zone's routers
	ClusterListen string   `yaml:"cluster_listen"` // for the zone's other controllers
	Cluster       []string `yaml:"cluster"`        // the zone's other controllers
}

func defaultZoneFile() zoneFile {
	return zoneFile{Common: defaultCommon(kindZone, "127.0.0.1:9102"), Zone: zone.DefaultConfig()}
}

// Check implements config.Checker.
func (f zoneFile) Check() []config.Issue {
	found := f.check(kindZone)
	b := f.Bus
	embedded := len(b.Hubs) > 0 || b.RoutersListen != "" || b.ClusterListen != "" || len(b.Cluster) > 0
	found = append(found, b.check(embedded)...)
	if len(b.NATS) == 0 && len(b.Hubs) == 0 {
		found.add("bus.hubs", "is missing", "write where web servers are: HOST:PORT of their bus.zones_listen")
	}
	if len(b.NATS) == 0 && b.RoutersListen == "" {
		found.add("bus.routers_listen", "is missing", "write where the zone's routers connect to, such as :4222")
	}
	found.peers("bus.hubs", b.Hubs)
	found.address("bus.routers_listen", b.RoutersListen, true)
	found.address("bus.cluster_listen", b.ClusterListen, true)
	found.peers("bus.cluster", b.Cluster)
	if len(b.Cluster) > 0 && b.ClusterListen == "" {
		found.add("bus.cluster", "is only for controllers that listen for others", "set bus.cluster_listen as well")
	}
	return append(found, config.Prefix("zone", f.Zone.Check())...)
}

// zoneCmd is `causeway zone`.
type zoneCmd struct{ serverFlags }

// Help is the longer help of `causeway zone --help`.
func (*zoneCmd) Help() string {
	return `A zone controller knows the load of every router in its zone and sends each
participant to the best. It dials out to the web servers; the zone's routers
connect to it. Run two of them in a zone, so that either may fail.

Examples:

  causeway config sample zone > zone.yaml
  causeway config check zone.yaml
  causeway zone --config zone.yaml`
}

// Run runs a zone controller until ctx ends.
func (c *zoneCmd) Run(ctx context.Context, to console) error {
	f, err := config.Load(c.Config, defaultZoneFile())
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
	conn, stop, err := f.Bus.open(s, f.Zone.Zone)
	if err != nil {
		return err
	}
	defer stop()
	server, err := zone.New(f.Zone, zone.Deps{Bus: conn, Log: s.log, Metrics: s.registry, Version: version()})
	if err != nil {
		return err
	}
	s.handler, s.run, s.ready = server.Handler(), server.Run, server.Ready
	return p.serve(ctx, s, to, c.ReadyJSON)
}

// open starts the leaf, or connects to an outside NATS.
func (b zoneBus) open(s served, zone string) (*bus.Conn, func(), error) {
	secret, err := b.secret()
	if err != nil {
		return nil, nil, err
	}
	if len(b.NATS) > 0 {
		return b.dial(b.NATS, secret, s)
	}
	leaf, err := bus.StartLeaf(bus.LeafConfig{
		Zone: zone, Hubs: b.Hubs, Listen: b.RoutersListen, ClusterListen: b.ClusterListen, Routes: b.Cluster,
		TLS: s.tls, Secret: secret, Log: s.log,
	})
	if err != nil {
		return nil, nil, err
	}
	return inProcess(leaf, s.name)
}

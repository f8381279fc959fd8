package main

import (
	"context"
	"net"

	"causeway/internal/base/config"
	"causeway/internal/base/metrics"
	"causeway/internal/base/pki"
	"causeway/internal/mmr"
	"causeway/protocol"
)

// mmrFile is the file of a multimedia router.
type mmrFile struct {
	Common   `yaml:",inline"`
	Enrolled `yaml:",inline"`
	Bus      mmrBus     `yaml:"bus"`
	MMR      mmr.Config `yaml:"mmr"`
}

type mmrBus struct {
	BusFields   `yaml:",inline"`
	Controllers []string `yaml:"controllers"` // the zone's controllers
}

func defaultMMRFile() mmrFile {
	return mmrFile{Common: defaultCommon(kindMMR, "127.0.0.1:9103"), MMR: mmr.DefaultConfig()}
}

// Check implements config.Checker.
func (f mmrFile) Check() []config.Issue {
	found := f.check(kindMMR)
	b := f.Bus
	found = append(found, f.checkEnrolled(len(b.NATS) > 0)...)
	found = append(found, b.check(len(b.Controllers) > 0)...)
	if len(b.NATS) == 0 && len(b.Controllers) == 0 {
		found.add("bus.controllers", "is missing", "write where the zone's controllers are: HOST:PORT")
	}
	found.peers("bus.controllers", b.Controllers)
	return append(found, config.Prefix("mmr", f.MMR.Check())...)
}

// mmrCmd is `causeway mmr`.
type mmrCmd struct {
	serverFlags
	enrolFlags
}

// Help is the longer help of `causeway mmr --help`.
func (*mmrCmd) Help() string {
	return `A multimedia router carries meetings: participants connect to it with sound,
pictures and the control channel. It connects to any of its zone's controllers.

Examples:

  causeway config sample mmr > mmr.yaml
  causeway config check mmr.yaml
  causeway token create --zone zone-1 --role mmr --config web.yaml   # where web's database is
  causeway mmr --config mmr.yaml --enroll TOKEN                      # the first time
  causeway mmr --config mmr.yaml`
}

// Run runs a router until ctx ends.
func (c *mmrCmd) Run(ctx context.Context, to console) error {
	f, err := loadFile(c.Config, kindMMR, defaultMMRFile())
	if err != nil {
		return err
	}
	p, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer p.close()
	if err := checkMedia(ctx, f.MMR.MediaListen, f.MMR.MediaTCP, "mmr.media_listen"); err != nil {
		return err
	}
	s := served{name: kindMMR, log: f.logger(to), registry: metrics.New()}
	if s.tls, err = f.tls(kindMMR, f.MMR.ControlURL, f.Bus.CA); err != nil {
		return err
	}
	b, err := f.connect(ctx, &s, c.enrolFlags)
	if err != nil {
		return err
	}
	defer b.close()
	dial, err := f.dialler(s.log) // other routers, where UDP does not reach them
	if err != nil {
		return err
	}
	mmr.CollectEarly()
	server, err := mmr.New(f.MMR, mmr.Deps{
		Bus: b.conn, Log: s.log, Metrics: s.registry, Version: version(), Keys: b.keys(),
		Dial: func(ctx context.Context, address string) (net.Conn, error) { return dial(ctx, "tcp", address) },
	})
	if err != nil {
		return explainListen(err, "UDP", f.MMR.MediaListen, "mmr.media_listen")
	}
	defer func() { _ = server.Close() }()
	s.handler, s.run, s.ready, s.drain = server.Handler(), server.Run, server.Ready, server.Drain
	s.streams, s.raw = mediaStreams(server), server.ServeTURN
	return p.serve(ctx, s, to, c.ReadyJSON)
}

// mediaStreams are what a router takes on its TLS port beside HTTP.
func mediaStreams(server *mmr.Server) map[string]func(context.Context, net.Conn) {
	return map[string]func(context.Context, net.Conn){protocol.ALPNMedia: server.ServeMedia}
}

// connect connects to the zone's controllers, or to an outside NATS.
func (f mmrFile) connect(ctx context.Context, s *served, flags enrolFlags) (*busLink, error) {
	who := pki.Identity{Role: pki.RoleMMR, Zone: f.MMR.Zone, Name: f.MMR.ID}
	return connectClient(ctx, s, f.Bus.BusFields, f.Enrolled, flags, who, f.Bus.Controllers)
}

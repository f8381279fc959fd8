package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"causeway/internal/base/health"
	"causeway/internal/base/metrics"
	"causeway/internal/base/run"
	"causeway/internal/port443"
)

// A served server is what `causeway web`, `zone` and `mmr` run.
type served struct {
	name    string
	handler http.Handler
	streams map[string]func(context.Context, net.Conn) // by ALPN protocol; may be nil
	raw     func(context.Context, net.Conn)            // TURN without ALPN; may be nil
	run     func(context.Context) error
	// background goes on beside run; may be nil.
	background func(context.Context) error
	ready      func() error
	drain      func(by string) // takes the server out of service; run ends then. May be nil
	registry   *prometheus.Registry
	tls        *tls.Config
	log        *slog.Logger
}

// ports are a server's open ports.
type ports struct {
	https, admin net.Listener // admin may be nil
}

// open opens a server's ports.
func (c Common) open(ctx context.Context) (ports, error) {
	https, err := listenTCP(ctx, c.Listen, "listen")
	if err != nil {
		return ports{}, err
	}
	p := ports{https: https}
	if c.Admin != "" {
		if p.admin, err = listenTCP(ctx, c.Admin, "admin"); err != nil {
			p.close()
			return ports{}, err
		}
	}
	return p, nil
}

// close closes the ports; closing again what is closed does no harm.
func (p ports) close() {
	_ = p.https.Close()
	if p.admin != nil {
		_ = p.admin.Close()
	}
}

// serverReady is the line of --ready-json.
type serverReady struct {
	Ready  bool   `json:"ready"`
	Server string `json:"server"`
	Listen string `json:"listen"`
	Admin  string `json:"admin,omitempty"`
}

// serve runs a server on its ports until ctx ends or the server has drained,
// which SIGTERM asks for. When it is ready it says
// so: as JSON to whoever asked for it, else in the log.
func (p ports) serve(ctx context.Context, s served, to console, asJSON bool) error {
	ctx, end := s.untilDrained(ctx)
	defer end()
	states := health.Handler(s.ready)
	mux := http.NewServeMux()
	mux.Handle("/", s.handler)
	mux.Handle("/healthz", states)
	mux.Handle("/readyz", states)
	var g run.Group
	g.Add(s.name, s.withBackground())
	g.Add("https", func(ctx context.Context) error {
		return port443.Serve(ctx, p.https, port443.Config{TLS: s.tls, HTTP: mux, Streams: s.streams, Raw: s.raw, Log: s.log})
	})
	if p.admin != nil {
		admin := http.NewServeMux()
		admin.Handle("/", states)
		admin.Handle("/metrics", metrics.Handler(s.registry))
		g.Add("admin", func(ctx context.Context) error { return port443.Plain(ctx, p.admin, admin, s.log) })
	}
	g.Add("", func(ctx context.Context) error {
		if pollReady(ctx, s.ready) == nil {
			if err := p.announce(s, to, asJSON); err != nil {
				return err
			}
		}
		<-ctx.Done()
		return nil
	})
	return g.Run(ctx)
}

func (p ports) announce(s served, to console, asJSON bool) error {
	r := serverReady{Ready: true, Server: s.name, Listen: p.https.Addr().String()}
	if p.admin != nil {
		r.Admin = p.admin.Addr().String()
	}
	s.log.Info("ready", "server", r.Server, "listen", r.Listen, "admin", r.Admin)
	if !asJSON {
		return nil
	}
	return printJSON(to.out, r)
}

// serverFlags are the flags of every server's command.
type serverFlags struct {
	Config    string `help:"The server's configuration, a YAML file." required:"" placeholder:"FILE" type:"path"`
	ReadyJSON bool   `name:"ready-json" help:"When ready, print one line of JSON."`
}

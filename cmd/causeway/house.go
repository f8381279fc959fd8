package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"causeway/internal/base/health"
	"causeway/internal/base/local"
	"causeway/internal/base/metrics"
	"causeway/internal/base/pki"
	"causeway/internal/base/run"
	"causeway/internal/base/target"
	"causeway/internal/bus"
	"causeway/internal/mmr"
	"causeway/internal/port443"
	"causeway/internal/store"
	"causeway/internal/tunnel"
	"causeway/internal/web"
	"causeway/internal/zone"
	"causeway/protocol"
)

const (
	// These name the one zone of `up`, and what there is one of in it.
	houseZone, houseController, houseMMR, houseTunnel, houseWeb = "home", "controller-1", "mmr-1", "tunnel-1", "web"

	readyTimeout = 15 * time.Second
	readyPoll    = 2 * time.Millisecond
	apiKeyName   = "causeway up"
)

// A house is everything in one process.
type house struct {
	data      *dataDir
	log       *slog.Logger
	authority *pki.Authority
	registry  *prometheus.Registry
	tls       net.Listener
	loopback  []net.Listener
	store     *store.Store
	hub       *bus.Server
	trust     *bus.Trust
	conns     []*bus.Conn
	web       *web.Server
	zone      *zone.Server
	mmr       *mmr.Server
	tunnel    *tunnel.Server

	addresses   []string // https addresses, the best first
	https, http string
	own         []string // host:port of addresses
	apiKey      string
	turnSecret  func() []byte // of router and gateway, which share the port of TURN
	undo        []func()      // what close does, last first
}

// openHouse opens everything. What is most likely to fail comes first, so
// that nothing has happened when it does.
func openHouse(ctx context.Context, c *upCmd, data *dataDir, log *slog.Logger) (*house, error) {
	h := &house{data: data, log: log, registry: metrics.New()}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	h.turnSecret = func() []byte { return secret }
	if err := h.open(ctx, c); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *house) open(ctx context.Context, c *upCmd) error {
	m := thisMachine()
	if err := h.listen(ctx, c, m); err != nil {
		return err
	}
	var err error
	if h.authority, err = pki.Open(h.data.path, m.names(c.PublicAddress...)); err != nil {
		return err
	}
	dsn := "sqlite:" + h.data.file("causeway.db")
	if h.store, err = store.Open(ctx, dsn, h.log); err != nil {
		return err
	}
	h.atClose(func() { _ = h.store.Close() })
	if err = h.openHub(ctx); err != nil {
		return err
	}
	if err := h.openServers(ctx, c, m); err != nil {
		return err
	}
	return h.findKey(ctx)
}

// openHub starts the hub. Zones and tunnels elsewhere, once enrolled, connect
// to it at the house's TLS port.
func (h *house) openHub(ctx context.Context) error {
	issuer, err := web.Authority(ctx, h.store)
	if err != nil {
		return err
	}
	creds, err := issuer.Own(houseWeb, web.CertificateLife)
	if err != nil {
		return err
	}
	h.trust = bus.NewTrust(creds)
	if h.hub, err = bus.StartHub(bus.HubConfig{Name: houseWeb, Trust: h.trust, Log: h.log}); err != nil {
		return err
	}
	h.atClose(h.hub.Stop)
	return nil
}

// listen opens the ports.
func (h *house) listen(ctx context.Context, c *upCmd, m machine) error {
	var err error
	if h.tls, err = listenTCP(ctx, c.Listen, "--listen"); err != nil {
		return err
	}
	h.atClose(func() { _ = h.tls.Close() })
	h.addresses = publicURLs(h.tls.Addr(), c.PublicAddress, m)
	h.https = h.addresses[0]
	for _, address := range h.addresses {
		h.own = append(h.own, hostPort(address))
	}
	if err := checkMedia(ctx, mediaListen(c), true, "--media-port"); err != nil {
		return err
	}
	if c.HTTP == "" || c.HTTP == "off" {
		return nil
	}
	if h.loopback, err = listenLoopback(ctx, c.HTTP, "--http"); err != nil {
		return err
	}
	for _, ln := range h.loopback {
		h.atClose(func() { _ = ln.Close() })
	}
	_, port, err := net.SplitHostPort(h.loopback[0].Addr().String())
	if err != nil {
		return fmt.Errorf("listen on %s: %w", c.HTTP, err)
	}
	h.http = "http://localhost:" + port
	return nil
}

// mediaListen is the media port's address: on all interfaces, or on the one
// that --listen names.
func mediaListen(c *upCmd) string {
	host, _, _ := net.SplitHostPort(c.Listen)
	if net.ParseIP(host) == nil {
		host = ""
	}
	return net.JoinHostPort(host, strconv.Itoa(int(c.MediaPort)))
}

func (h *house) openServers(ctx context.Context, c *upCmd, m machine) error {
	var media []string
	if len(c.PublicAddress) > 0 {
		var err error
		if media, err = m.media(ctx, c.PublicAddress); err != nil {
			return err
		}
	}
	if err := h.openMMR(c, media); err != nil {
		return err
	}
	if err := h.openZone(c); err != nil {
		return err
	}
	if err := h.openTunnel(); err != nil {
		return err
	}
	return h.openWeb(c, m)
}

func (h *house) openWeb(c *upCmd, m machine) error {
	conn, err := h.connect("web")
	if err != nil {
		return err
	}
	cfg := web.DefaultConfig()
	cfg.ID, cfg.Hubs = houseWeb, h.own
	cfg.Creation = web.CreationAnyone // whoever can load the site is at home here
	if len(c.PublicAddress) > 0 {
		cfg.PublicURL = h.https
	}
	h.web, err = web.New(cfg, web.Deps{
		Store: h.store, Bus: conn, Trust: h.trust, Log: h.log, Metrics: h.registry, Version: version(),
		Roots: h.authority.Pool(), Dial: h.dial, TURNSecret: h.turnSecret, RelayAddress: m.primary, OwnMedia: h.mmr.OwnMedia,
	})
	return err
}

func (h *house) openTunnel() error {
	conn, err := h.connect("tunnel")
	if err != nil {
		return err
	}
	cfg := tunnel.DefaultConfig()
	cfg.ID, cfg.URL, cfg.LocalURL = houseTunnel, h.https, h.http
	h.tunnel, err = tunnel.New(cfg, tunnel.Deps{Bus: conn, Log: h.log, Metrics: h.registry, Version: version(), Dial: h.dialTunnel})
	return err
}

// dialTunnel is dial, but to this machine only as far as the house is here.
func (h *house) dialTunnel(ctx context.Context, network, address string) (net.Conn, error) {
	if slices.Contains(h.own, address) {
		return h.dial(ctx, network, address)
	}
	return target.DialFrom(h.https)(ctx, network, address)
}

// dial connects tunnel and gateway to the house's own servers: past what may
// lie between the house and its public address, such as NAT that does not lead
// back.
func (h *house) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if slices.Contains(h.own, address) {
		var d net.Dialer
		return d.DialContext(ctx, network, reachable(h.tls.Addr()))
	}
	return target.Dialer(true).DialContext(ctx, network, address)
}

// reachable is the address by which this machine reaches its own listener.
func reachable(listener net.Addr) string {
	at, err := netip.ParseAddrPort(listener.String())
	if err != nil || !at.Addr().IsUnspecified() {
		return listener.String()
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()).String()
}

// hostPort gives the address in a URL with its port.
func hostPort(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443"))
}

func (h *house) openMMR(c *upCmd, media []string) error {
	conn, err := h.connect("mmr")
	if err != nil {
		return err
	}
	cfg := mmr.DefaultConfig()
	cfg.ID, cfg.Zone = houseMMR, houseZone
	cfg.ControlURL = "wss" + strings.TrimPrefix(h.https, "https") + protocol.PathControl
	if h.http != "" {
		cfg.LocalControlURL = "ws" + strings.TrimPrefix(h.http, "http") + protocol.PathControl
	}
	cfg.MediaListen = mediaListen(c)
	cfg.PublicAddresses = media
	mmr.CollectEarly()
	h.mmr, err = mmr.New(cfg, mmr.Deps{Bus: conn, Log: h.log, Metrics: h.registry, Version: version(), TURNSecret: h.turnSecret})
	if err != nil {
		return explainListen(err, "UDP", cfg.MediaListen, "--media-port")
	}
	h.atClose(func() { _ = h.mmr.Close() })
	return nil
}

func (h *house) openZone(c *upCmd) error {
	conn, err := h.connect("zone")
	if err != nil {
		return err
	}
	cfg := zone.DefaultConfig()
	cfg.ID, cfg.Zone, cfg.Name = houseController, houseZone, c.Name
	cfg.URL, cfg.LocalURL = h.https, h.http
	h.zone, err = zone.New(cfg, zone.Deps{Bus: conn, Log: h.log, Metrics: h.registry, Version: version()})
	return err
}

func (h *house) connect(name string) (*bus.Conn, error) {
	conn, err := h.hub.Connect(name)
	if err != nil {
		return nil, err
	}
	h.conns = append(h.conns, conn)
	h.atClose(conn.Close)
	return conn, nil
}

// findKey finds the API key of whoever runs the house, or makes it.
func (h *house) findKey(ctx context.Context) error {
	path := h.data.file(apiKeyFile)
	key, err := readSecret(path)
	if err != nil {
		return err
	}
	if key != "" {
		valid, err := h.web.ValidAPIKey(ctx, key)
		if err != nil {
			return err
		}
		if valid {
			h.apiKey = key
			return nil
		}
	}
	if h.apiKey, err = h.web.EnsureAPIKey(ctx, apiKeyName); err != nil {
		return err
	}
	return writeSecret(path, h.apiKey)
}

// atClose has close do something.
func (h *house) atClose(f func()) { h.undo = append(h.undo, f) }

// close closes what was opened, last first.
func (h *house) close() {
	for i := len(h.undo) - 1; i >= 0; i-- {
		h.undo[i]()
	}
	h.undo = nil
}

// handler serves everything on one address.
func (h *house) handler() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("/zone/", h.zone.Handler())
	mux.Handle("/mmr/", h.mmr.Handler())
	mux.Handle("/tunnel/", h.tunnel.Handler())
	mux.Handle("/", h.web.Handler())
	states := health.Handler(h.ready)
	mux.Handle("/healthz", states)
	mux.Handle("/readyz", states)
	return mux
}

// addTo adds the services. The servers go on until the ports are closed, so
// that requests under way are answered.
func (h *house) addTo(g *run.Group) {
	g.Add("web", h.web.Run)
	g.Add("zone", h.zone.Run)
	g.Add("router", h.mmr.Run)
	g.Add("tunnel", h.tunnel.Run)
	handler := h.handler()
	secure, streams := h.authority.TLSConfig(), mediaStreams(h.mmr)
	secure.GetConfigForClient = h.trust.ServerTLS
	maps.Copy(streams, h.hub.Streams())
	g.Add("https", func(ctx context.Context) error {
		return port443.Serve(ctx, h.tls, port443.Config{TLS: secure, HTTP: handler, Streams: streams, Raw: h.web.ServeTURN, Log: h.log})
	})
	plain := http.NewServeMux()
	plain.Handle("/", handler)
	plain.Handle("/metrics", metrics.Handler(h.registry))
	for _, ln := range h.loopback {
		g.Add("http", func(ctx context.Context) error {
			return port443.Plain(ctx, ln, onlyLoopback(local.Mark(plain)), h.log)
		})
	}
}

// ready is nil when every server is.
func (h *house) ready() error {
	return errors.Join(h.web.Ready(), h.zone.Ready(), h.mmr.Ready(), h.tunnel.Ready())
}

// untilReady waits until a first join would work: every server is ready, and
// web knows the zone and that it has a router.
func (h *house) untilReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, errors.New("not ready in time"))
	defer cancel()
	return pollReady(ctx, func() error { return errors.Join(h.ready(), h.web.Open()) })
}

// pollReady waits until ready returns nil.
func pollReady(ctx context.Context, ready func() error) error {
	again := time.NewTicker(readyPoll)
	defer again.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

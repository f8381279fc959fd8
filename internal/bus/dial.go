package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/nats-io/nats.go"

	"causeway/internal/base/pki"
	"causeway/protocol"
)

const (
	user = "causeway" // of connections that come with a ticket

	reconnectWait   = 150 * time.Millisecond
	reconnectJitter = 150 * time.Millisecond
	// A peer that has died without a word is found out within about two
	// intervals.
	pingInterval = 2 * time.Second
	pingsOut     = 2
)

// DialConfig says where the bus is.
type DialConfig struct {
	Name    string   // tells connections apart in logs
	Trust   *Trust   // who this server is: a router, or a tunnel
	Servers []string // host:port of a router's controllers or a tunnel's hubs, any of which will do
	Dial    DialFunc // how they are reached; nil is the network
	Log     *slog.Logger
}

// Dial connects to the bus. It returns at once, connected or not, and goes on
// trying for as long as the connection is not closed; an error is one of
// configuration. Subscriptions may be made before it stands.
func Dial(cfg DialConfig) (*Conn, error) {
	if len(cfg.Servers) == 0 {
		return nil, errors.New("connect to the bus: no address given")
	}
	id := cfg.Trust.Identity()
	whom := admit{roles: []pki.Role{pki.RoleWeb}}
	if id.Role == pki.RoleMMR {
		whom = admit{roles: []pki.Role{pki.RoleController}, zone: id.Zone}
	}
	cfg.Log, cfg.Dial = logger(cfg.Log), dialler(cfg.Dial)
	d := &busDialer{cfg: cfg, whom: whom, ticket: newTicket(), why: complaint{log: cfg.Log}}
	d.ctx, d.end = context.WithCancel(context.Background())
	c, err := connect(cfg.Name, cfg.Log,
		nats.RetryOnFailedConnect(true),
		nats.SetCustomDialer(d),
		nats.UserInfo(user, d.ticket),
		nats.CustomInboxPrefix(inbox(id)),
		nats.SkipHostLookup(),
		func(o *nats.Options) error { o.Servers = []string{"nats://bus:1"}; return nil },
	)
	if err != nil {
		d.end()
		return nil, err
	}
	c.atClose = d.end
	return c, nil
}

// busDialer is how nats.go comes to its connections.
type busDialer struct {
	cfg    DialConfig
	whom   admit
	ticket string
	ctx    context.Context // ends with the connection
	end    context.CancelFunc
	why    complaint
}

// Dial implements nats.CustomDialer; nats.go calls it once at a time.
func (d *busDialer) Dial(string, string) (net.Conn, error) {
	c, err := d.cfg.Trust.dial(d.ctx, d.cfg.Dial, d.cfg.Servers, protocol.ALPNBus, d.ticket, d.whom)
	if err != nil {
		d.why.tell(d.ctx, err)
		return nil, err
	}
	return d.why.watch(d.ctx, c), nil
}

// SkipTLSHandshake tells nats.go that the stream is secure already.
func (*busDialer) SkipTLSHandshake() bool { return true }

// OutsideConfig says where an outside NATS is, used instead of our own. Who
// may what there is up to whoever runs it.
type OutsideConfig struct {
	Name string
	URLs []string    // tls://[USER:PASSWORD@]HOST:PORT, any of which will do
	TLS  *tls.Config // nil: the system's roots
	Log  *slog.Logger
}

// DialOutside connects to an outside NATS, as Dial does.
func DialOutside(cfg OutsideConfig) (*Conn, error) {
	if len(cfg.URLs) == 0 {
		return nil, errors.New("connect to the bus: no address given")
	}
	options := []nats.Option{
		nats.RetryOnFailedConnect(true),
		func(o *nats.Options) error { o.Servers = cfg.URLs; return nil },
	}
	if cfg.TLS != nil {
		options = append(options, nats.Secure(cfg.TLS.Clone()))
	}
	return connect(cfg.Name, logger(cfg.Log), options...)
}

// connect adds what all connections have in common.
func connect(name string, log *slog.Logger, options ...nats.Option) (*Conn, error) {
	c := &Conn{log: log.With("bus", name), closed: make(chan struct{}), atClose: func() {}}
	c.alive, c.end = context.WithCancel(context.Background())
	options = append(options,
		nats.Name(name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		// Stale words are worse than none: refuse while disconnected.
		nats.ReconnectBufSize(-1),
		// A server that is not believed today may be after a restart there.
		nats.IgnoreAuthErrorAbort(),
		// What may wait; nats.go would make room for four times as much, for
		// each of a router's meetings.
		nats.SyncQueueLen(maxWaiting),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsOut),
		nats.ConnectHandler(func(*nats.Conn) { c.log.Debug("bus: connected") }),
		nats.ReconnectHandler(func(*nats.Conn) { c.log.Info("bus: connected again") }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			c.broke()
			if err != nil {
				c.log.Warn("bus: disconnected", "err", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			c.log.Debug("bus: error", "err", err)
		}),
		nats.ClosedHandler(func(*nats.Conn) { close(c.closed) }),
	)
	o := nats.GetDefaultOptions()
	for _, option := range options {
		if err := option(&o); err != nil {
			return nil, fmt.Errorf("connect to the bus: %w", err)
		}
	}
	nc, err := o.Connect()
	if err != nil {
		return nil, fmt.Errorf("connect to the bus: %w", err)
	}
	c.nc = nc
	return c, nil
}

func logger(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}

package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	user = "causeway" // the one user of the bus; the secret is its password

	dialTimeout     = 2 * time.Second
	reconnectWait   = 150 * time.Millisecond
	reconnectJitter = 150 * time.Millisecond
	// A peer that has died without a word is found out within about two
	// intervals.
	pingInterval = 2 * time.Second
	pingsOut     = 2
)

// DialConfig says where the bus is.
type DialConfig struct {
	Name   string      // tells connections apart in logs
	URLs   []string    // tls://host:port or nats://host:port, any of which will do
	TLS    *tls.Config // nil: no TLS
	Secret string
	Log    *slog.Logger
}

// Dial connects to the bus. It returns at once, connected or not, and goes on
// trying for as long as the connection is not closed; an error is one of
// configuration. Subscriptions may be made before it stands.
func Dial(cfg DialConfig) (*Conn, error) {
	if len(cfg.URLs) == 0 {
		return nil, errors.New("connect to the bus: no address given")
	}
	options := []nats.Option{
		nats.RetryOnFailedConnect(true),
		nats.Timeout(dialTimeout),
		func(o *nats.Options) error { o.Servers = cfg.URLs; return nil },
	}
	if cfg.TLS != nil {
		options = append(options, nats.Secure(cfg.TLS.Clone()))
	}
	return connect(cfg.Name, cfg.Secret, logger(cfg.Log), options...)
}

// connect adds what all connections have in common.
func connect(name, secret string, log *slog.Logger, options ...nats.Option) (*Conn, error) {
	c := &Conn{log: log.With("bus", name), closed: make(chan struct{})}
	c.alive, c.end = context.WithCancel(context.Background())
	options = append(options,
		nats.Name(name),
		nats.UserInfo(user, secret),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		// Stale words are worse than none: refuse while disconnected.
		nats.ReconnectBufSize(-1),
		// A secret that is wrong today may be right after a restart there.
		nats.IgnoreAuthErrorAbort(),
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

package relay

import (
	"context"
	"log/slog"

	"causeway/internal/bus"
	"causeway/internal/mmr/forward"
	"causeway/internal/peer"
)

// Config is what relays are made from.
type Config struct {
	Zone, MMR  string
	OnPremises bool // this router cannot be dialled
	Router     *forward.Router
	Port       *peer.Port
	Bus        *bus.Conn
	// Addresses are the ways to Port.
	Addresses func() Addresses
	Log       *slog.Logger
}

// Addresses are where a router takes media.
type Addresses struct {
	UDP, TCP []string // ip:port
	TLS      string   // host:port, "" for none
}

// Relays are the relays of one router.
type Relays struct {
	cfg         Config
	certificate *peer.Certificate
}

// New makes the relays of a router. Close must be called.
func New(cfg Config) (*Relays, error) {
	certificate, err := peer.NewCertificate()
	if err != nil {
		return nil, err
	}
	return &Relays{cfg: cfg, certificate: certificate}, nil
}

// Run answers routers that dial, until ctx ends.
func (r *Relays) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Close ends all relays and waits for them.
func (r *Relays) Close() {}

// Fingerprint is that of the certificate with which this router dials, for
// Leg.Fingerprint elsewhere.
func (r *Relays) Fingerprint() string { return r.certificate.Fingerprint() }

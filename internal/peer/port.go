package peer

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// PortConfig says how a router's media port is opened.
type PortConfig struct {
	// Listen is the address to bind; the zero address binds all addresses of
	// both families.
	Listen netip.AddrPort
	// Shards is the number of sockets, at most one per core makes sense;
	// 0 means GOMAXPROCS.
	Shards int
	// ListenPacket opens a shard's socket, for virtual networks. If nil,
	// kernel sockets that share the port are opened.
	ListenPacket func(shard int) (net.PacketConn, error)
	// Certificate identifies the port in DTLS; nil means a fresh one.
	Certificate *Certificate
	// Tick, if not nil, is called every 25 ms with the shard held.
	Tick func(s *Shard, now time.Time)
	// AfterBatch, if not nil, is called by the shard's own goroutine after
	// each batch of packets and each tick, with no shard held; so it may Run
	// on other shards. It is never called twice at a time for one shard.
	AfterBatch func(s *Shard)
	// Log takes what an operator should know; nil means slog.Default.
	Log *slog.Logger
}

// A Port is a router's media port: one UDP socket per shard, connections told
// apart by the user name fragments of their checks.
type Port struct{}

// Listen opens a media port.
func Listen(cfg PortConfig) (*Port, error) { return nil, errors.New("peer: listen") }

// Close closes all connections and sockets and waits for all goroutines.
func (p *Port) Close() error { return nil }

// Shards returns the port's shards, by index.
func (p *Port) Shards() []*Shard { return nil }

// Addr returns the address that the port is bound to.
func (p *Port) Addr() netip.AddrPort { return netip.AddrPort{} }

// Fingerprint returns the certificate's fingerprint as in SDP (RFC 8122),
// "sha-256 AB:CD:…".
func (p *Port) Fingerprint() string { return "" }

// AcceptConfig describes an expected peer.
type AcceptConfig struct {
	// Remote holds the peer's user name fragment and password.
	Remote Credentials
	// RemoteFingerprint is the fingerprint of the peer's certificate as in
	// SDP, "sha-256 AB:CD:…".
	RemoteFingerprint string
	// Active makes this side the DTLS client, as when the peer is
	// a=setup:passive. By default it waits for the peer's ClientHello.
	Active bool
	// TOS is the value of the IP header's traffic class octet, DSCP << 2.
	TOS int
	// Handler is told what happens. It must not be nil.
	Handler Handler
}

// Accept registers an expected peer under fresh local credentials. A
// connection that is not ready within 30 s is closed with ErrTimeout.
func (p *Port) Accept(cfg AcceptConfig) (*Conn, error) { return nil, errors.New("peer: accept") }

// PortStats counts what a port did with packets that no connection took.
type PortStats struct {
	UnknownAddress    uint64 // not STUN, from an address without a connection
	BadCheck          uint64 // STUN that is malformed, for nobody or wrongly authenticated
	HandshakesRefused uint64 // handshakes beyond the limit, left to the peer's retransmission
	SendDropped       uint64 // packets that the kernel would not take
	Connections       int    // registered connections
}

// Stats returns the port's counters.
func (p *Port) Stats() PortStats { return PortStats{} }

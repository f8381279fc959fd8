package peer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"causeway/protocol"
)

// maxCandidates bounds what a router may make us check.
const maxCandidates = 16

// dialBatch is the number of datagrams per system call of a dialled
// connection, which carries one person's media.
const dialBatch = 16

// DialConfig describes the router to reach.
type DialConfig struct {
	// Local holds our credentials, as told to the router; see NewCredentials.
	Local Credentials
	// Certificate identifies us in DTLS; its fingerprint was told to the router.
	Certificate *Certificate
	// Remote holds the router's credentials.
	Remote Credentials
	// RemoteFingerprint is that of the router's certificate, as in SDP.
	RemoteFingerprint string
	// Candidates are the router's UDP addresses, of which the first 16 are
	// tried. All are tried at once, and the first that answers is used.
	Candidates []netip.AddrPort
	// TCP are the router's TCP addresses, dialled directly if Stream is nil.
	TCP []netip.AddrPort
	// Stream opens a byte stream to the router for a rung of the ladder,
	// protocol.TCP or protocol.TLS, through whatever proxy or tunnel it takes.
	// An error that is errors.ErrUnsupported says that there is no such rung.
	// If nil, there is no TLS rung.
	Stream func(ctx context.Context, t protocol.Transport) (net.Conn, error)
	// StreamDelay is how long TCP waits for UDP to answer before it is tried;
	// TLS waits twice as long. At least 250 ms, which 0 means.
	StreamDelay time.Duration
	// Prefer is the rung that carried media on this network last time: it is
	// tried at once, together with the better ones. Empty means UDP.
	Prefer protocol.Transport
	// Backlog is how old a packet may grow in the queue of a slow stream; 0
	// means 200 ms if TOS says EF, as for sound, and else 500 ms.
	Backlog time.Duration
	// TOS is the value of the IP header's traffic class octet, DSCP << 2.
	TOS int
	// Handler is told what happens. It must not be nil.
	Handler Handler
	// ListenPacket opens a socket, for virtual networks; it is called again
	// when the path is silent. If nil, a kernel socket is opened.
	ListenPacket func() (net.PacketConn, error)
	// Home, if not nil, is a shard of a router's port. Whoever holds it holds
	// the connection's shard too, and the other way round, so that a router
	// may send on connections that it dialled and on those that it accepted
	// alike; AfterBatch of its port is called after the connection's batches.
	Home *Shard
	// MaxSources bounds the synchronisation sources in each direction; 0
	// means 256.
	MaxSources int
	// Tick, if not nil, is called every 25 ms with the shard held.
	Tick func(s *Shard, now time.Time)
	// Log takes what an operator should know; nil means slog.Default.
	Log *slog.Logger
}

// Dial starts a connection to a router and returns at once, when the first
// checks and the first DTLS flight are on their way; Handler.Ready or
// Handler.Closed follows. The connection is closed when ctx ends, and with
// ErrTimeout if it is not ready within 30 s. It has a shard of its own, which
// may have a home (DialConfig.Home).
func Dial(ctx context.Context, cfg DialConfig) (*Conn, error) {
	c, err := newDialled(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := c.port.shards[0]
	s.Run(func() {
		c.dialled.tick(c, time.Now()) // the first checks
	})
	s.Run(func() { c.startHandshake() })
	c.port.loops.Go(s.loop)
	stop := context.AfterFunc(ctx, c.Close)
	s.Run(func() { c.dialled.stop = stop })
	return c, nil
}

func newDialled(ctx context.Context, cfg DialConfig) (*Conn, error) {
	candidates := usable(cfg.Candidates)
	cfg.TCP = usable(cfg.TCP)
	if len(candidates)+len(cfg.TCP) == 0 && cfg.Stream == nil {
		return nil, errors.New("peer: dial: the router has no candidate")
	}
	if err := cfg.Local.valid(); err != nil {
		return nil, err
	}
	own := PortConfig{Certificate: cfg.Certificate, Tick: cfg.Tick, Log: cfg.Log}
	if cfg.Home != nil {
		own.AfterBatch = cfg.Home.port.cfg.AfterBatch
	}
	p, err := newPort(own)
	if err != nil {
		return nil, err
	}
	c, err := p.newConn(cfg.Local, AcceptConfig{
		Remote: cfg.Remote, RemoteFingerprint: cfg.RemoteFingerprint,
		Active: true, TOS: cfg.TOS, Backlog: cfg.Backlog, Handler: cfg.Handler, MaxSources: cfg.MaxSources,
	})
	if err != nil {
		return nil, err
	}
	sock, err := cfg.firstSocket(len(candidates) > 0)
	if err != nil {
		return nil, err
	}
	p.shards = []*Shard{newShard(p, 0, sock)}
	if cfg.Home != nil {
		p.shards[0].live(cfg.Home)
	}
	c.dialled = newLadder(ctx, cfg, candidates, time.Now())
	p.byUfrag[c.local.Ufrag] = c
	p.claim(c, p.shards[0])
	for _, a := range candidates {
		c.learn(a)
	}
	return c, nil
}

// firstSocket opens the socket to begin with. Without UDP the shard has a
// stand-in.
func (cfg *DialConfig) firstSocket(udp bool) (socket, error) {
	if !udp {
		return newNoSocket(), nil
	}
	sock, err := cfg.open()
	if err != nil && (len(cfg.TCP) > 0 || cfg.Stream != nil) {
		return newNoSocket(), nil // another is tried later
	}
	return sock, err
}

// usable returns the candidates that can be tried, each once.
func usable(all []netip.AddrPort) []netip.AddrPort {
	var list []netip.AddrPort
	for _, a := range all {
		a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		if a.IsValid() && a.Port() != 0 && !slices.Contains(list, a) && len(list) < maxCandidates {
			list = append(list, a)
		}
	}
	return list
}

// open opens a socket of either family, on a port of the system's choice.
func (cfg *DialConfig) open() (socket, error) {
	if cfg.ListenPacket == nil {
		sock, _, err := openSocket(netip.AddrPort{}, dialBatch, false)
		if plain, ok := sock.(*packetSocket); ok {
			plain.mark(cfg.TOS)
		}
		return sock, err
	}
	conn, err := cfg.ListenPacket()
	if err != nil {
		return nil, fmt.Errorf("peer: open media socket: %w", err)
	}
	return newPacketSocket(conn), nil
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

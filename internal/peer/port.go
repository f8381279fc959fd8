package peer

import (
	"cmp"
	"container/list"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// maxHandshakes is how many handshakes a port runs at a time.
const maxHandshakes = 256

// PortConfig says how a router's media port is opened.
type PortConfig struct {
	// Listen is the address to bind; without an IP address it binds all
	// addresses of both families.
	Listen netip.AddrPort
	// Shards is the number of sockets; more than one per core makes no
	// sense. 0 means GOMAXPROCS. Systems whose sockets cannot share a port
	// get one.
	Shards int
	// ListenPacket opens a shard's socket, for virtual networks. If nil,
	// kernel sockets that share the port are opened.
	ListenPacket func(shard int) (net.PacketConn, error)
	// Certificate identifies the port in DTLS; nil means a fresh one.
	Certificate *Certificate
	// Tick, if not nil, is called every 25 ms with the shard held; every 100 ms
	// on a shard that has carried no media for a second.
	Tick func(s *Shard, now time.Time)
	// Delivered, if not nil, is called with the shard held whenever it has
	// delivered packets, before their memory is used again, and before it is
	// released.
	Delivered func(s *Shard)
	// AfterBatch, if not nil, is called by the shard's own goroutine after
	// each batch of packets and each tick, with no shard held; so it may Run
	// on other shards. It is never called twice at a time for one shard.
	AfterBatch func(s *Shard)
	// Log takes what an operator should know; nil means slog.Default.
	Log *slog.Logger
}

// A Port is a router's media port: one UDP socket per shard and the streams
// given to ServeStream, connections told apart by the user name fragments of
// their checks.
type Port struct {
	cfg         PortConfig
	certificate *Certificate
	log         *slog.Logger
	shards      []*Shard
	closing     chan struct{} // closed when the shards are to end
	slots       chan struct{} // one per running handshake
	handshakes  sync.WaitGroup
	loops       sync.WaitGroup

	mu       sync.RWMutex // may be taken with a shard held, never the reverse
	closed   bool
	byUfrag  map[string]*Conn
	byAddr   map[netip.AddrPort]*Conn
	version  atomic.Uint64 // of byAddr
	bySource map[uint32]*Conn
	pending  map[*Conn]struct{} // not on a shard yet

	strangers   list.List          // of *stream that belong to no connection yet, oldest first
	strangersAt map[netip.Addr]int // how many each remote address has
	nextShard   int

	serving sync.WaitGroup // streams
	frames  sync.Pool      // of *frame

	counters portCounters
}

type portCounters struct {
	unknown, badChecks, refused, sendDropped, streamsRefused, followed, untried atomic.Uint64
}

// Listen opens a media port.
func Listen(cfg PortConfig) (*Port, error) {
	if cfg.Shards <= 0 {
		cfg.Shards = runtime.GOMAXPROCS(0)
	}
	if cfg.ListenPacket == nil && !sharedPort {
		cfg.Shards = 1
	}
	p, err := newPort(cfg)
	if err != nil {
		return nil, err
	}
	if err := p.open(); err != nil {
		_ = p.Close()
		return nil, err
	}
	for _, s := range p.shards {
		p.loops.Go(s.loop)
	}
	return p, nil
}

func newPort(cfg PortConfig) (*Port, error) {
	p := &Port{
		cfg: cfg, certificate: cfg.Certificate, log: cfg.Log,
		closing:  make(chan struct{}),
		slots:    make(chan struct{}, maxHandshakes),
		byUfrag:  make(map[string]*Conn),
		byAddr:   make(map[netip.AddrPort]*Conn),
		bySource: make(map[uint32]*Conn),
		pending:  make(map[*Conn]struct{}),

		strangersAt: make(map[netip.Addr]int),
		frames:      sync.Pool{New: func() any { return new(frame) }},
	}
	if p.log == nil {
		p.log = slog.Default()
	}
	if p.certificate == nil {
		var err error
		if p.certificate, err = NewCertificate(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// open opens a socket per shard.
func (p *Port) open() error {
	if p.cfg.ListenPacket != nil {
		return p.openPackets()
	}
	listen, shared := p.cfg.Listen, p.cfg.Shards > 1
	if shared {
		var err error
		if listen, err = freePort(listen); err != nil {
			return err
		}
	}
	for i := range p.cfg.Shards {
		sock, granted, err := openSocket(listen, batchSize, shared)
		if err != nil {
			return err
		}
		p.shards = append(p.shards, newShard(p, i, sock))
		if i == 0 && granted < wantedBuffers {
			p.log.Warn("the system limits the media socket's receive buffer: bursts may lose packets; on Linux raise net.core.rmem_max",
				"granted_bytes", granted, "wanted_bytes", wantedBuffers)
		}
	}
	return nil
}

func (p *Port) openPackets() error {
	for i := range p.cfg.Shards {
		conn, err := p.cfg.ListenPacket(i)
		if err != nil {
			return fmt.Errorf("peer: open media socket: %w", err)
		}
		p.shards = append(p.shards, newShard(p, i, newPacketSocket(conn)))
	}
	return nil
}

// Close closes all connections and sockets and waits for all goroutines.
func (p *Port) Close() error {
	p.shutdown(ErrClosed)
	return nil
}

// shutdown ends everything: first the connections, so that they can still
// send their close_notify, then the sockets.
func (p *Port) shutdown(reason error) {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for _, s := range p.shards {
		s.mu.Lock()
		now := time.Now()
		for len(s.conns) > 0 {
			s.conns[len(s.conns)-1].shut(reason, now)
		}
		if s.index == 0 {
			p.mu.Lock()
			pending := p.pending
			p.pending = nil
			p.mu.Unlock()
			for c := range pending {
				c.shard.CompareAndSwap(nil, s)
				c.shut(reason, now)
			}
		}
		s.release()
	}
	p.handshakes.Wait()
	p.abortStrangers()
	for _, s := range p.shards {
		s.Run(s.finishStreams)
	}
	p.serving.Wait()
	p.mu.Lock()
	select {
	case <-p.closing:
	default:
		close(p.closing)
	}
	p.mu.Unlock()
	for _, s := range p.shards {
		if ref := s.sock.Swap(nil); ref != nil {
			_ = ref.close()
		}
	}
	p.loops.Wait()
}

// Shards returns the port's shards, by index.
func (p *Port) Shards() []*Shard { return p.shards }

// Addr returns the address that the port is bound to.
func (p *Port) Addr() netip.AddrPort {
	if sock := p.shards[0].socket(); sock != nil {
		return sock.addr()
	}
	return netip.AddrPort{}
}

// Fingerprint returns the certificate's fingerprint as in SDP (RFC 8122),
// "sha-256 AB:CD:…".
func (p *Port) Fingerprint() string { return p.certificate.Fingerprint() }

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
	// Backlog is how old a packet may grow in the queue of a slow stream; 0
	// means 200 ms if TOS says EF, as for sound, and else 500 ms.
	Backlog time.Duration
	// MaxSources bounds the synchronisation sources in each direction; 0
	// means 256.
	MaxSources int
	// Handler is told what happens. It must not be nil.
	Handler Handler
}

// Accept registers an expected peer under fresh local credentials. A
// connection that is not ready within 30 s is closed with ErrTimeout.
func (p *Port) Accept(cfg AcceptConfig) (*Conn, error) {
	c, err := p.newConn(NewCredentials(), cfg)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	for p.byUfrag[c.local.Ufrag] != nil { // 48 random bits
		c.setLocal(NewCredentials())
	}
	p.byUfrag[c.local.Ufrag] = c
	p.pending[c] = struct{}{}
	return c, nil
}

func (p *Port) newConn(local Credentials, cfg AcceptConfig) (*Conn, error) {
	fp, err := parseFingerprint(cfg.RemoteFingerprint)
	if err != nil {
		return nil, err
	}
	c := &Conn{
		port: p, fingerprint: fp, active: cfg.Active, tos: uint8(cfg.TOS), backlog: cfg.Backlog, handler: cfg.Handler,
		maxSources: cmp.Or(cfg.MaxSources, maxSources),
		born:       time.Now(), done: make(chan struct{}), index: -1,
	}
	c.expects, _ = cfg.Handler.(Prefetcher)
	if err := c.Restart(cfg.Remote); err != nil {
		return nil, err
	}
	c.setLocal(local)
	return c, nil
}

func (c *Conn) setLocal(local Credentials) {
	c.local = local
	c.localPwd = []byte(local.Pwd)
}

// PortStats counts what a port did with packets that no connection took.
type PortStats struct {
	UnknownAddress    uint64 // not STUN, from an address without a connection
	Untried           uint64 // packets from such an address that name a known source, beyond what is tried
	BadChecks         uint64 // STUN that is malformed, for nobody or wrongly authenticated
	HandshakesRefused uint64 // handshakes beyond the limit, left to the peer's retransmission
	SendDropped       uint64 // packets that the kernel would not take
	StreamsRefused    uint64 // strangers' streams beyond the limits
	Followed          uint64 // moves to where a remote's packets came from
	Strangers         int    // streams that belong to no connection yet
	Connections       int    // registered connections
}

// Stats returns the port's counters.
func (p *Port) Stats() PortStats {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return PortStats{
		UnknownAddress:    p.counters.unknown.Load(),
		BadChecks:         p.counters.badChecks.Load(),
		HandshakesRefused: p.counters.refused.Load(),
		SendDropped:       p.counters.sendDropped.Load(),
		StreamsRefused:    p.counters.streamsRefused.Load(),
		Followed:          p.counters.followed.Load(),
		Untried:           p.counters.untried.Load(),
		Strangers:         p.strangers.Len(),
		Connections:       len(p.byUfrag),
	}
}

package peer

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"causeway/protocol"

	"github.com/pion/stun/v3"
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
	// Tick, if not nil, is called every 25 ms with the shard held.
	Tick func(s *Shard, now time.Time)
	// Log takes what an operator should know; nil means slog.Default.
	Log *slog.Logger
}

// dialled is what a connection has beyond an accepted one: its port is its
// own, and it is the one that checks.
type dialled struct {
	cfg        DialConfig
	candidates []netip.AddrPort
	agent      *agent
	username   []byte // of our checks
	tieBreaker uint64
	stop       func() bool // forgets the context
	rebindAt   time.Time   // not before
	broken     bool        // sending failed on the path
	flow       flow
}

// Dial starts a connection to a router and returns at once, when the first
// checks and the first DTLS flight are on their way; Handler.Ready or
// Handler.Closed follows. The connection is closed when ctx ends, and with
// ErrTimeout if it is not ready within 30 s. It has a shard of its own.
func Dial(ctx context.Context, cfg DialConfig) (*Conn, error) {
	c, err := newDialled(cfg)
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

func newDialled(cfg DialConfig) (*Conn, error) {
	candidates := usable(cfg.Candidates)
	if len(candidates) == 0 {
		return nil, errors.New("peer: dial: the router has no UDP candidate")
	}
	if err := cfg.Local.valid(); err != nil {
		return nil, err
	}
	p, err := newPort(PortConfig{Certificate: cfg.Certificate, Tick: cfg.Tick, Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	c, err := p.newConn(cfg.Local, AcceptConfig{
		Remote: cfg.Remote, RemoteFingerprint: cfg.RemoteFingerprint,
		Active: true, TOS: cfg.TOS, Handler: cfg.Handler,
	})
	if err != nil {
		return nil, err
	}
	sock, err := cfg.open()
	if err != nil {
		return nil, err
	}
	p.shards = []*Shard{newShard(p, 0, sock)}
	d := &dialled{cfg: cfg, username: []byte(cfg.Remote.Ufrag + ":" + cfg.Local.Ufrag)}
	d.tieBreaker = binary.BigEndian.Uint64(randomBytes(8))
	d.candidates = candidates
	d.agent = newAgent(len(candidates), time.Now())
	c.dialled = d
	p.byUfrag[c.local.Ufrag] = c
	p.claim(c, p.shards[0])
	for _, a := range d.candidates {
		c.learn(a)
	}
	return c, nil
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

// tick sends the checks that are due and opens a new socket when the old one
// seems to lead nowhere. The shard is held.
func (d *dialled) tick(c *Conn, now time.Time) {
	if c.phase == phaseClosed {
		return
	}
	d.flow.count(c.counters.packetsReceived.Load(), now)
	silent := c.phase == phaseReady && c.live.state != PathActive
	if (silent || d.broken || d.agent.lost(now)) && !now.Before(d.rebindAt) {
		d.rebind(c, now)
	}
	from, to := d.agent.due(now, c.live.heard, d.flow.busy())
	for i := from; i < to; i++ {
		d.check(c, i, now)
	}
	if from < to && now.Sub(c.live.heard) >= stalledAfter {
		d.flow = flow{} // noticed; the answer decides
	}
}

// check sends a connectivity check to a candidate.
func (d *dialled) check(c *Conn, candidate int, now time.Time) {
	s := c.Shard()
	id := transaction(randomBytes(stun.TransactionIDSize))
	n := s.writer.check(s.buffer(), id, d.username, c.remotePwd, d.tieBreaker)
	if n == 0 {
		return
	}
	d.agent.sent(id, candidate, now)
	s.out.add(c, path{remote: d.candidates[candidate]}, n)
}

// response takes an authentic response; false if nobody asked.
func (d *dialled) response(c *Conn, b *binding, from *datagram, now time.Time) bool {
	target, chosen, ok := d.agent.answer(b.id, now)
	if !ok || d.candidates[target] != from.remote || b.class != stun.ClassSuccessResponse {
		return false
	}
	if chosen {
		c.nominated = true
		d.broken = false
		c.move(path{remote: from.remote})
		if len(d.candidates) > 1 {
			// Each candidate's check nominated it; this one is the last word.
			d.check(c, target, now)
		}
		if c.handshake != nil {
			c.handshake.repeatFirst()
		}
	}
	c.counters.rtt.Store(int64(d.agent.srtt))
	c.heard(now)
	return true
}

// sendFailed notes that the system could not send on the path, unless it was
// only short of room.
func (d *dialled) sendFailed(err error) {
	if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.ENOBUFS) {
		d.broken = true
	}
}

// rebind opens a new socket, as the old one may be bound to an address or a
// NAT mapping that is gone, and checks all candidates from it. The router
// moves the connection on the first of these checks. If no socket can be had,
// it is tried again later.
func (d *dialled) rebind(c *Conn, now time.Time) {
	d.rebindAt = now.Add(rebindAfter)
	sock, err := d.cfg.open()
	if err != nil {
		c.port.log.Debug("cannot open a new media socket", "error", err)
		return
	}
	s := c.Shard()
	old := s.sock.Swap(&socketRef{sock})
	s.out.segments = sock.segments()
	if old != nil {
		_ = old.close() // its reader goes over to the new one
	}
	d.broken = false
	d.agent.restart(now)
}

// end takes the connection's own port down, as nothing else lives there. The
// shard is held; Conn.Done tells when it is over.
func (d *dialled) end(c *Conn) {
	if d.stop != nil {
		d.stop()
	}
	go func() {
		c.port.shutdown(nil)
		c.ended.Do(func() { close(c.done) })
	}()
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// busyInterval is the mean interval of packets below which a flow counts as
// busy. One person's speech has one of 20 ms.
const busyInterval = 100 * time.Millisecond

// A flow tells whether packets come so often that their absence means
// something. Time without packets does not change it.
type flow struct {
	seen uint64
	last time.Time
	mean time.Duration
}

// count takes the number of packets received so far.
func (f *flow) count(packets uint64, now time.Time) {
	if packets == f.seen {
		return
	}
	if !f.last.IsZero() {
		interval := now.Sub(f.last) / time.Duration(packets-f.seen)
		if f.mean == 0 {
			f.mean = max(interval, busyInterval)
		}
		f.mean += (interval - f.mean) / 8
	}
	f.seen, f.last = packets, now
}

func (f *flow) busy() bool { return f.mean > 0 && f.mean < busyInterval }

package peer

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"causeway/protocol"
)

// Errors that Handler.Closed, Accept, Dial and the Send methods report,
// wrapped.
var (
	ErrTimeout     = errors.New("peer: connection not ready in time")
	ErrFingerprint = errors.New("peer: certificate does not match the fingerprint")
	ErrNotReady    = errors.New("peer: keys not set yet")
	ErrClosed      = errors.New("peer: closed")
	ErrPacket      = errors.New("peer: packet malformed or too long")
)

const (
	// MaxPacket is the length of the longest packet that can be sent.
	MaxPacket = slotSize - srtpOverhead

	srtpOverhead = 32 // at most: GCM tag 16 and SRTCP index 4, or HMAC 10 and index
	maxAddresses = 16 // remote addresses of a connection that may deliver
	maxEarly     = 8  // packets kept that came before the keys
	readyWithin  = 30 * time.Second
)

// A Conn is one media connection.
type Conn struct {
	// What is touched for each packet that leaves comes first, so that it takes
	// few lines of a processor's cache; see Prefetch.

	shard     atomic.Pointer[Shard]
	keys      keys
	path      path
	group     int    // of the outbox, if it is still in round groupSeen
	groupSeen uint32 // see outbox.round
	overhead  int    // that encryption adds to an RTP packet; 0 if not known
	sent      struct{ packets, bytes uint64 }
	phase     phase
	lone      bool // the path takes no runs of datagrams
	tos       uint8
	closing   atomic.Bool // Close was called; nothing is delivered any more
	counters  counters

	port        *Port
	local       Credentials
	remote      atomic.Pointer[remoteCredentials]
	localPwd    []byte // key of the checks that we receive
	fingerprint fingerprint
	active      bool // we are the DTLS client
	backlog     time.Duration
	maxSources  int // heard, in RTP and in RTCP
	handler     Handler
	expects     Prefetcher // the handler, if it is one
	born        time.Time

	done  chan struct{}
	ended sync.Once

	// What follows is touched with the shard held only.

	dialled   *dialled // nil for an accepted connection
	index     int      // in shard.conns
	nominated bool
	addresses []netip.AddrPort // mapped to this connection, oldest first
	sources   []uint32         // that lead to this connection from anywhere
	pursuit   *pursuit         // nil unless the remote seems to have moved
	streams   []*stream        // bound to this connection, oldest first
	rung      protocol.Transport
	live      liveness
	handshake *handshake // while DTLS state is kept
	early     [][]byte
}

// remoteCredentials are the remote's, and the key of the checks that we send.
type remoteCredentials struct {
	Credentials
	key []byte
}

type phase uint8

const (
	phaseNew   phase = iota // keys are not set
	phaseReady              // keys are set
	phaseClosed
)

// counters are written by the shard's holder and read by anyone.
type counters struct {
	packetsSent, bytesSent         atomic.Uint64
	packetsReceived, bytesReceived atomic.Uint64
	packetsDropped, sendDropped    atomic.Uint64
	shed                           atomic.Uint64
	heard                          atomic.Int64 // Unix nanoseconds
	rtt                            atomic.Int64 // nanoseconds
	path                           atomic.Pointer[path]
	state                          atomic.Uint32
	ready                          atomic.Bool
}

// LocalUfrag returns the user name fragment to put into the SDP answer.
func (c *Conn) LocalUfrag() string { return c.local.Ufrag }

// LocalPwd returns the password to put into the SDP answer.
func (c *Conn) LocalPwd() string { return c.local.Pwd }

// Restart takes the credentials of a remote that has restarted ICE on its side
// (RFC 8445 section 9); ours stay. Any goroutine may call it.
func (c *Conn) Restart(remote Credentials) error {
	if err := remote.valid(); err != nil {
		return err
	}
	c.remote.Store(&remoteCredentials{remote, []byte(remote.Pwd)})
	return nil
}

// Shard returns the shard that the connection lives on, fixed once the first
// authenticated check arrived; before that nil. It is never nil in a Handler.
func (c *Conn) Shard() *Shard { return c.shard.Load() }

// Close closes the connection; any goroutine may call it, a Handler too, and
// more than once. No packet is delivered any more. Handler.Closed follows
// soon, from the shard's goroutine, and is the end of the connection.
func (c *Conn) Close() {
	if !c.closing.CompareAndSwap(false, true) {
		return
	}
	c.port.adopt(c)
	if s := c.shard.Load(); s != nil {
		s.leave(c)
	}
}

// Done is closed when the connection has ended and none of its goroutines
// (for a dialled connection, its shard's and socket's too) is left.
func (c *Conn) Done() <-chan struct{} { return c.done }

// shut ends the connection. The shard is held.
func (c *Conn) shut(err error, now time.Time) {
	if c.phase == phaseClosed {
		return
	}
	c.closing.Store(true)
	c.phase = phaseClosed
	c.early = nil
	c.Shard().remove(c)
	c.port.forget(c)
	if c.handshake != nil {
		c.handshake.cancel()
	}
	c.handler.Closed(c, err)
	switch {
	case c.dialled != nil:
		c.dialled.end(c)
	case c.handshake == nil: // or its goroutine does it
		c.over()
	}
}

// over is the end of an accepted connection, when nothing more is to be sent.
// The shard is held.
func (c *Conn) over() {
	for _, st := range c.streams {
		st.finish()
	}
	c.ended.Do(func() { close(c.done) })
}

// Stats tells what a connection has carried.
type Stats struct {
	PacketsSent, BytesSent         uint64 // SRTP and SRTCP, UDP payload
	PacketsReceived, BytesReceived uint64 // authentic SRTP and SRTCP, UDP payload
	PacketsDropped                 uint64 // forged, replayed, too early or malformed
	SendDropped                    uint64 // not taken by the kernel
	Shed                           uint64 // grown too old in the queue of a slow stream
	LastHeard                      time.Time
	RTT                            time.Duration // smoothed, of checks; 0 if unknown (the lite side sends none)
	Remote                         netip.AddrPort
	Local                          netip.Addr // invalid if unknown
	Transport                      protocol.Transport
	State                          PathState
	Ready                          bool
}

// Stats returns the connection's counters; any goroutine may call it.
func (c *Conn) Stats() Stats {
	n := &c.counters
	s := Stats{
		PacketsSent: n.packetsSent.Load(), BytesSent: n.bytesSent.Load(),
		PacketsReceived: n.packetsReceived.Load(), BytesReceived: n.bytesReceived.Load(),
		PacketsDropped: n.packetsDropped.Load(), SendDropped: n.sendDropped.Load(), Shed: n.shed.Load(),
		RTT:       time.Duration(n.rtt.Load()),
		Transport: protocol.UDP,
		State:     PathState(n.state.Load()),
		Ready:     n.ready.Load(),
	}
	if t := n.heard.Load(); t != 0 {
		s.LastHeard = time.Unix(0, t)
	}
	if p := n.path.Load(); p != nil {
		s.Remote, s.Local, s.Transport = p.remote, p.local, p.transport()
	}
	return s
}

// heard notes an authentic packet.
func (c *Conn) heard(now time.Time) {
	c.counters.heard.Store(now.UnixNano())
	if c.live.hear(now) {
		c.pathState(now)
	}
}

// pathState tells the handler what the path's state has become.
func (c *Conn) pathState(now time.Time) {
	c.counters.state.Store(uint32(c.live.state))
	c.handler.Path(c, c.live.state, now)
}

// sweep lets time pass, four times a second. The shard is held.
func (c *Conn) sweep(now time.Time) {
	if c.phase == phaseNew && now.Sub(c.born) > readyWithin {
		c.shut(ErrTimeout, now)
		return
	}
	if c.phase == phaseReady && c.live.advance(now) {
		c.pathState(now)
	}
}

// move sends to another path from now on.
func (c *Conn) move(to path, now time.Time) {
	c.path, c.lone, c.pursuit = to, false, nil
	c.counters.path.Store(&to)
	t := to.transport()
	if t == c.rung {
		return
	}
	c.rung = t
	if climber, ok := c.handler.(Climber); ok {
		climber.Rung(c, t, now)
	}
}

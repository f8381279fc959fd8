package peer

import (
	"container/list"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"causeway/protocol"
)

const (
	// authenticateWithin is how long a stream may stay without a valid check.
	authenticateWithin = 10 * time.Second
	// streamIdle is how long a stream may be silent; the laziest browser
	// checks every 15 s.
	streamIdle = time.Minute
	// stuckAfter ends a stream that takes nothing any more.
	stuckAfter = 20 * time.Second
	// goodbye is how long an ending stream may take to send what is queued.
	goodbye    = time.Second
	maxStreams = 8 // of a connection
	minWrite   = 2 << 10
	maxWrite   = 16 << 10 // one TLS record
	slowWrite  = 50 * time.Millisecond

	soundBacklog   = 200 * time.Millisecond
	pictureBacklog = 500 * time.Millisecond
	expedited      = 46 // DSCP EF
)

// A stream is a byte stream that carries a connection's packets as frames. It
// takes the place of a remote address: it belongs to the connection whose
// valid check came on it first, for good.
//
// It has two goroutines: one reads and delivers (ServeStream's, or the one
// that dialled), and once it is bound to a connection one writes.
type stream struct {
	port      *Port
	conn      net.Conn
	transport protocol.Transport
	remote    netip.AddrPort // of the socket; a proxy's, maybe
	local     netip.Addr
	shard     *Shard // where it is delivered before it is bound
	owner     atomic.Pointer[Conn]
	stranger  *list.Element // of port.strangers, guarded by port.mu
	heard     time.Time     // guarded by the owner's shard
	queue     queue
	writer    sync.WaitGroup
	closed    sync.Once
}

func newStream(p *Port, conn net.Conn, transport protocol.Transport) *stream {
	remote, local := streamAddr(conn.RemoteAddr()), streamAddr(conn.LocalAddr())
	return &stream{
		port: p, conn: conn, transport: transport, remote: remote, local: local.Addr(),
		queue: queue{pool: &p.frames, wake: make(chan struct{}, 1)},
	}
}

// streamAddr returns a stream's address; invalid if it is not an IP address.
func streamAddr(a net.Addr) netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	if tcp, ok := a.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// path is the stream as a path.
func (st *stream) path() path { return path{remote: st.remote, local: st.local, stream: st} }

// serve delivers what comes until the stream ends, and closes it.
func (st *stream) serve() {
	st.read()
	if c := st.owner.Load(); c != nil {
		s := c.Shard()
		s.Run(func() { c.detach(st, time.Now()) })
		s.wake()
	}
	st.abort()
	st.queue.end()
	st.writer.Wait()
}

// read delivers frames in batches of what one read brought.
func (st *stream) read() {
	f := frames{buf: make([]byte, smallBuffer)}
	bound := false
	for {
		if !bound && st.owner.Load() != nil {
			bound = true
			_ = st.conn.SetReadDeadline(time.Time{}) // the shard's tick watches it now
			f.grow(largeBuffer)
		}
		if f.fill(st.conn) != nil || st.deliver(&f) != nil {
			return
		}
	}
}

// deliver hands the frames on to the connection's shard.
func (st *stream) deliver(f *frames) error {
	p, err := f.next()
	if p == nil {
		return err
	}
	s := st.shard
	if c := st.owner.Load(); c != nil {
		s = c.Shard()
	}
	now := time.Now()
	s.mu.Lock()
	for p != nil {
		d := datagram{data: p, remote: st.remote, local: st.local, stream: st}
		st.heard = now
		if owner := s.deliver(&d, now); owner != nil { // its first check
			s.release()
			s = owner
			s.mu.Lock()
			s.deliver(&d, now)
		}
		p, err = f.next()
	}
	s.release()
	if st.port.cfg.AfterBatch != nil {
		s.wake() // it is for the shard's goroutine
	}
	return err
}

// write sends what is queued until the queue or the stream ends.
func (st *stream) write() {
	defer st.abort()
	buf := make([]byte, 0, maxWrite)
	limit := maxWrite
	var armed time.Time
	for {
		now := time.Now()
		var ending bool
		if buf, ending = st.queue.take(buf[:0], limit, now); len(buf) == 0 {
			if ending {
				return
			}
			<-st.queue.wake
			continue
		}
		if now.Sub(armed) > stuckAfter/4 {
			armed = now
			_ = st.conn.SetWriteDeadline(now.Add(stuckAfter))
		}
		if _, err := st.conn.Write(buf); err != nil {
			st.queue.end()
			return
		}
		limit = nextWrite(limit, time.Since(now))
	}
}

// nextWrite returns how much to write next: what was handed over cannot be
// shed any more, so a slow stream is handed little at a time.
func nextWrite(limit int, took time.Duration) int {
	if took > slowWrite {
		return max(limit/2, minWrite)
	}
	return min(limit*2, maxWrite)
}

// finish ends the stream once what is queued is sent, or after a second. It
// does not wait.
func (st *stream) finish() {
	if st.queue.end() {
		time.AfterFunc(goodbye, st.abort)
	}
}

// abort closes the stream, the innermost layer first: TLS would wait for room
// to say goodbye, and our frames need no such end.
func (st *stream) abort() {
	st.closed.Do(func() {
		if inner := innermost(st.conn); inner != st.conn {
			_ = inner.Close()
		}
		_ = st.conn.Close()
	})
}

// innermost finds the connection below layers like TLS that tell theirs.
func innermost(conn net.Conn) net.Conn {
	for {
		layer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = layer.NetConn()
	}
}

// attach makes the stream one of the connection's. The shard is held.
func (c *Conn) attach(st *stream, now time.Time) {
	s := c.Shard()
	if len(c.streams) == maxStreams {
		c.evict()
	}
	c.streams = append(c.streams, st)
	s.streams = append(s.streams, st)
	st.heard = now
	sound := c.tos>>2 == expedited
	backlog := c.backlog
	switch {
	case backlog > 0:
	case sound:
		backlog = soundBacklog
	default:
		backlog = pictureBacklog
	}
	st.queue.begin(backlog, sound)
	tune(innermost(st.conn), int(c.tos), sound)
	st.owner.Store(c)
	st.port.settled(st)
	st.writer.Go(st.write)
}

// evict ends the oldest stream that is not in use.
func (c *Conn) evict() {
	for i, st := range c.streams {
		if st != c.path.stream {
			st.finish()
			c.streams = slices.Delete(c.streams, i, i+1)
			return
		}
	}
}

// detach forgets a stream that has ended. The shard is held.
func (c *Conn) detach(st *stream, now time.Time) {
	c.streams = without(c.streams, st)
	s := c.Shard()
	s.streams = without(s.streams, st)
	if c.path.stream == st {
		c.path = path{} // until the remote nominates another
	}
	if c.dialled != nil {
		c.dialled.ended(c, st, now)
	}
}

// tick tells of packets that were shed and ends an idle stream. The shard is
// held.
func (st *stream) tick(now time.Time) {
	if now.Sub(st.heard) > streamIdle {
		st.finish()
	}
	n := st.queue.takeShed()
	if n == 0 {
		return
	}
	c := st.owner.Load()
	c.counters.shed.Add(uint64(n))
	if shedder, ok := c.handler.(Shedder); ok && c.phase == phaseReady {
		shedder.Shed(c, n, now)
	}
}

func without(list []*stream, st *stream) []*stream {
	for i := range list {
		if list[i] == st {
			list[i] = list[len(list)-1]
			list[len(list)-1] = nil
			return list[:len(list)-1]
		}
	}
	return list
}

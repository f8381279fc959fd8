package peer

import (
	"sync/atomic"
	"unsafe"

	"causeway/internal/prefetch"
)

// sending is how many bytes of a Conn are touched for each packet that leaves.
const sending = unsafe.Offsetof(Conn{}.counters) + 2*unsafe.Sizeof(atomic.Uint64{})

// Prefetch brings what SendRTP needs into the processor's cache, in three steps
// from 0 on: each looks at what the one before has brought. The shard must be held.
func (c *Conn) Prefetch(step int) {
	if step == 0 {
		prefetch.First(c, sending)
	} else if out, ok := c.keys.out.(prefetcher); ok {
		out.Prefetch(step - 1)
	}
}

type prefetcher interface{ Prefetch(step int) }

// expected is whose the datagrams of a batch are by their addresses, as far as
// that is known, at a version of the registry.
type expected struct {
	conns   []*Conn
	version uint64
}

// fewest is how many datagrams a batch must have to be worth looking ahead.
const fewest = 4

// foresee looks up whose the datagrams of a batch are: all at once, so that
// their memory can be asked for before their turn comes. The shard is held.
func (s *Shard) foresee(in []datagram) {
	e, p := &s.expected, s.port
	e.conns = e.conns[:0]
	if len(in) < fewest {
		return
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	e.version = p.version.Load()
	for i := range in {
		var c *Conn
		switch d := &in[i]; {
		case d.stream != nil: // which knows by itself
		case i > 0 && d.remote == in[i-1].remote:
			c = e.conns[i-1]
		default:
			c = p.byAddr[d.remote]
		}
		e.conns = append(e.conns, c)
	}
}

// ahead brings what the datagrams after the i-th need into the processor's cache,
// while that one is delivered, for which it leaves what was looked up.
func (s *Shard) ahead(i int, d *datagram) {
	e := &s.expected
	if i >= len(e.conns) {
		return
	}
	if c := e.conns[i]; c != nil {
		s.known = known{d.remote, c, e.version}
	}
	if rest := e.conns[i:]; len(rest) > 4 {
		prefetch.All(rest[4])
	}
	for step := range 3 {
		if rest := e.conns[i:]; len(rest) > 3-step {
			if c := rest[3-step]; c != nil && c.Shard() == s {
				c.expect(step)
			}
		}
	}
}

// expect is Prefetch for a packet that comes. The shard is held.
func (c *Conn) expect(step int) {
	if in, ok := c.keys.in.(prefetcher); ok && step < 2 {
		in.Prefetch(step)
	}
	if c.expects != nil {
		c.expects.Prefetch(step)
	}
}

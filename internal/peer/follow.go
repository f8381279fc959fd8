package peer

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/pion/stun/v3"
)

const (
	// Strangers' packets that name a source of ours are decrypted to see
	// whether they are authentic: so many per second and shard, at 1.4 µs each,
	// and so many at once.
	trialsPerSecond = 1000
	trialsAtOnce    = 250
	// An address that does not answer is checked again with the packets that
	// go on coming from there.
	recheckAfter = rapid
	maxRechecks  = manyChecks
	// maxNamed is how many sources of a connection are known by name. A
	// person's connection has a dozen at most, and one that is heard will do.
	maxNamed = 16
)

// A budget says which of many trials may be made (a virtual scheduling
// algorithm, ITU-T I.371). The zero value is full.
type budget struct{ spent time.Time } // until then

func (b *budget) take(now time.Time) bool {
	const each = time.Second / trialsPerSecond
	if full := now.Add(-trialsAtOnce * each); b.spent.Before(full) {
		b.spent = full
	}
	if now.Sub(b.spent) < each {
		return false
	}
	b.spent = b.spent.Add(each)
	return true
}

// A pursuit is the check of an address that a remote has begun to send from.
type pursuit struct {
	to    path
	id    transaction
	sent  time.Time
	tries int
}

// name lets packets of a source find the connection wherever they come from.
func (c *Conn) name(ssrc uint32) {
	if c.dialled != nil || len(c.sources) == maxNamed || slices.Contains(c.sources, ssrc) {
		return
	}
	c.sources = append(c.sources, ssrc)
	c.port.nameSource(c, ssrc)
}

// strayed finds the connection whose source a packet from an unknown address
// names. A client whose network has changed sends from its new address at once
// where its socket is bound to none; its next check may be seconds away, in
// Chromium up to 2.5. Whether the packet is authentic is still to be seen.
func (s *Shard) strayed(kind packetKind, p []byte, now time.Time) *Conn {
	var c *Conn
	switch kind {
	case kindRTP:
		c = s.port.connNamed(binary.BigEndian.Uint32(p[8:]))
	case kindRTCP:
		c = s.port.connNamed(binary.BigEndian.Uint32(p[4:]))
	}
	switch {
	case c == nil:
		s.port.counters.unknown.Add(1)
	case !s.trials.take(now):
		s.port.counters.untried.Add(1)
		return nil
	}
	return c
}

// cameBy notes where an authentic packet of media came from. If that is not
// where we send to, the remote may have moved, or somebody held the packet back
// and sends it on from elsewhere. So the address is checked, as a full agent
// does (RFC 8445 section 7.3.1.4), and media follows when it answers. A packet
// from the path in use shows that the remote is still there.
func (c *Conn) cameBy(d *datagram, now time.Time) {
	switch {
	case d.remote != c.path.remote:
		c.pursue(d, now)
	case c.pursuit != nil:
		c.pursuit = nil
	}
}

// pursue checks the address that a packet came from. The remote of a stream,
// and one that we dialled, says itself where it is.
func (c *Conn) pursue(d *datagram, now time.Time) {
	if c.dialled != nil || !c.nominated || c.closing.Load() || d.stream != nil || c.path.stream != nil {
		return
	}
	c.learn(d.remote)
	p := c.pursuit
	switch {
	case p == nil || p.to.remote != d.remote:
		p = &pursuit{to: d.path(), id: transaction(randomBytes(stun.TransactionIDSize))}
		c.pursuit = p
	case p.tries == maxRechecks || now.Sub(p.sent) < recheckAfter:
		return
	}
	p.sent = now
	p.tries++
	s, remote := c.Shard(), c.remote.Load()
	s.answer(c, p.to, s.writer.inquiry(s.buffer(), p.id, []byte(remote.Ufrag+":"+c.local.Ufrag), remote.key))
}

// caught takes the answer of an address that is checked: the remote is there.
func (c *Conn) caught(b *binding, d *datagram, now time.Time) bool {
	p := c.pursuit
	if p == nil || b.id != p.id || b.class != stun.ClassSuccessResponse || d.path() != p.to || !b.authentic(c.remote.Load().key) {
		return false
	}
	c.heard(now)
	c.move(p.to, now)
	c.port.counters.followed.Add(1)
	return true
}

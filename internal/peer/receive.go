package peer

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/stun/v3"
)

// maxSources is the number of synchronisation sources of a connection that
// are decrypted, so that an authenticated remote cannot fill our memory.
const maxSources = 256

// deliver hands on a datagram that came on the shard's socket, or belongs to
// one of its connections. The shard is held. It returns the shard that must
// take the datagram instead, if its connection lives there.
func (s *Shard) deliver(d *datagram, now time.Time) (owner *Shard) {
	kind := classify(d.data)
	if kind == kindSTUN {
		return s.stun(d, now)
	}
	c := s.connFor(d)
	if c == nil {
		if c = s.strayed(kind, d.data, now); c == nil {
			return nil
		}
	}
	if kind == kindUnknown {
		s.port.counters.unknown.Add(1)
		return nil
	}
	if owner := c.shard.Load(); owner != s {
		return owner
	}
	if c.closing.Load() {
		return nil
	}
	if kind == kindDTLS {
		c.dtls(d.path(), d.data, now)
	} else if c.media(d.data, now) {
		c.cameBy(d, now)
	}
	return nil
}

// media takes an SRTP or SRTCP packet, and tells whether it is authentic and
// new.
func (c *Conn) media(p []byte, now time.Time) bool {
	if c.phase != phaseReady {
		if c.handshake != nil && len(c.early) < maxEarly {
			c.early = append(c.early, slices.Clone(p))
		} else {
			c.counters.packetsDropped.Add(1)
		}
		return false
	}
	if c.closing.Load() {
		return false
	}
	var (
		size, at = len(p), 4 // of the packet; where the source is named
		isRTP    = classify(p) == kindRTP
		plain    []byte
		fresh    bool
		err      error
	)
	if isRTP {
		at = 8
		plain, fresh, err = c.keys.in.RTP(p)
	} else {
		plain, fresh, err = c.keys.in.RTCP(p)
	}
	if err != nil {
		c.counters.packetsDropped.Add(1)
		return false
	}
	if fresh {
		c.name(binary.BigEndian.Uint32(p[at:]))
	}
	c.counters.packetsReceived.Add(1)
	c.counters.bytesReceived.Add(uint64(size))
	c.heard(now)
	if isRTP {
		c.Shard().working = true
		c.handler.RTP(c, plain, now)
	} else {
		c.handler.RTCP(c, plain, now)
	}
	return true
}

// dtls takes a DTLS record of a known address.
func (c *Conn) dtls(from path, p []byte, now time.Time) {
	if c.phase == phaseClosed {
		return
	}
	if !c.nominated && from != c.path {
		// Nothing is nominated yet, and the remote speaks from here.
		c.move(from, now)
	}
	if c.handshake == nil {
		if c.phase != phaseNew || c.active || !isClientHello(p) || !c.startHandshake() {
			return
		}
	}
	c.handshake.put(slices.Clone(p))
}

// stun takes a STUN message. Its sender is unknown until its integrity is
// checked, so nothing is kept and nothing is answered before.
func (s *Shard) stun(d *datagram, now time.Time) (owner *Shard) {
	if !s.binding.decode(d.data) {
		s.port.counters.badChecks.Add(1)
		return nil
	}
	var c *Conn
	if s.binding.class == stun.ClassRequest {
		c = s.port.connOf(s.binding.localUfrag())
	} else {
		c = s.connFor(d)
	}
	if c != nil {
		if owner := c.shard.Load(); owner != nil && owner != s {
			return owner
		}
	}
	if c != nil && c.takeBinding(s, d, now) {
		return nil
	}
	if c != nil {
		if owner := c.shard.Load(); owner != nil && owner != s {
			return owner // another shard claimed it a moment ago
		}
	}
	s.port.counters.badChecks.Add(1)
	return nil
}

// takeBinding takes the decoded message if it is authentic.
func (c *Conn) takeBinding(s *Shard, d *datagram, now time.Time) bool {
	b := &s.binding
	if c.closing.Load() {
		return false
	}
	if b.class != stun.ClassRequest {
		if c.dialled == nil {
			return c.caught(b, d, now)
		}
		return b.authentic(c.remote.Load().key) && c.dialled.response(c, b, d, now)
	}
	// It was found by our half of the USERNAME; the other may be new: a browser
	// whose network changed restarts ICE on its side alone (RFC 8445 section 7.3
	// asks for our half only).
	if !b.authentic(c.localPwd) {
		return false
	}
	if d.stream != nil {
		if bound := d.stream.owner.Load(); bound != nil && bound != c {
			return false // a stream is one connection's for good
		}
	}
	if c.shard.Load() == nil {
		s.port.claim(c, s)
	}
	if c.shard.Load() != s {
		return false
	}
	c.checked(s, d, now)
	return true
}

// checked answers an authentic check and learns from it.
func (c *Conn) checked(s *Shard, d *datagram, now time.Time) {
	from := d.path()
	if d.stream == nil {
		c.learn(d.remote)
	} else if d.stream.owner.Load() == nil {
		c.attach(d.stream, now)
	}
	if s.binding.controlled && c.dialled == nil {
		s.answer(c, from, s.writer.roleConflict(s.buffer(), s.binding.id, c.localPwd))
		return
	}
	var counted *tally
	if s.binding.tally != nil {
		s.counted = c.tally()
		counted = &s.counted
	}
	s.answer(c, from, s.writer.success(s.buffer(), s.binding.id, d.remote, counted, c.localPwd))
	c.live.check(now)
	c.heard(now)
	if c.dialled != nil {
		return
	}
	if s.binding.useCandidate {
		c.nominated = true
	}
	if from != c.path && (s.binding.useCandidate || !c.path.valid()) {
		other := from.stream != c.path.stream
		c.move(from, now)
		if other && c.handshake != nil {
			c.handshake.repeat(from)
		}
	}
	if c.active && c.phase == phaseNew && c.handshake == nil {
		c.startHandshake()
	}
}

// learn lets an address deliver to the connection.
func (c *Conn) learn(a netip.AddrPort) {
	if slices.Contains(c.addresses, a) && c.port.connAt(a) == c {
		return
	}
	if len(c.addresses) == maxAddresses {
		i := 0
		if c.addresses[i] == c.path.remote {
			i++
		}
		c.port.unmap(c, c.addresses[i])
		c.addresses = slices.Delete(c.addresses, i, i+1)
	}
	c.port.mapTo(c, a)
	if !slices.Contains(c.addresses, a) {
		c.addresses = append(c.addresses, a)
	}
}

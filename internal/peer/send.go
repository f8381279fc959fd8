package peer

import (
	"fmt"
	"time"
)

// SendRTP encrypts the packet and queues it until the shard is released. The
// shard must be held. The packet may be reused at once.
func (c *Conn) SendRTP(packet []byte) error { return c.sendRTP(packet, true) }

// SendVerbatim is SendRTP without padding, for packets that may be sent again
// under the same number: they have to be the same to the byte then, since
// AES-GCM takes the number for its nonce (RFC 7714 section 8.1).
func (c *Conn) SendVerbatim(packet []byte) error { return c.sendRTP(packet, false) }

func (c *Conn) sendRTP(packet []byte, mayPad bool) error {
	if c.phase != phaseReady || c.closing.Load() {
		return c.unready()
	}
	if len(packet) > MaxPacket || classify(packet) != kindRTP {
		return ErrPacket
	}
	s := c.Shard()
	buf := s.buffer()
	if n := s.out.missing(c, len(packet)+c.overhead); n > 0 && mayPad {
		packet = pad(s.padding[:0], packet, n)
	}
	sealed, err := c.keys.out.RTP(buf[:0], packet)
	if err != nil {
		return fmt.Errorf("peer: encrypt RTP: %w", err)
	}
	c.overhead = len(sealed) - len(packet)
	s.working = true
	c.sendMedia(s, len(sealed))
	return nil
}

// pad copies a packet into dst with n bytes of padding (RFC 3550 section 5.1),
// unless it has some.
func pad(dst, packet []byte, n int) []byte {
	const padded = 1 << 5
	if packet[0]&padded != 0 {
		return packet
	}
	dst = append(dst, packet...)
	dst[0] |= padded
	for range n - 1 {
		dst = append(dst, 0)
	}
	return append(dst, byte(n))
}

// SendRTCP encrypts the compound packet and queues it until the shard is
// released. The shard must be held. The packet may be reused at once.
func (c *Conn) SendRTCP(packet []byte) error {
	if c.phase != phaseReady || c.closing.Load() {
		return c.unready()
	}
	if len(packet) > MaxPacket || classify(packet) != kindRTCP {
		return ErrPacket
	}
	s := c.Shard()
	sealed, err := c.keys.out.RTCP(s.buffer()[:0], packet)
	if err != nil {
		return fmt.Errorf("peer: encrypt RTCP: %w", err)
	}
	c.sendMedia(s, len(sealed))
	return nil
}

func (c *Conn) unready() error {
	if c.closing.Load() {
		return ErrClosed
	}
	return ErrNotReady
}

// sendMedia queues what was encrypted into the shard's next buffer, unless
// the connection's stream has ended and no other path is nominated yet.
func (c *Conn) sendMedia(s *Shard, n int) {
	if !c.path.valid() {
		c.counters.sendDropped.Add(1)
		return
	}
	c.sent.packets++
	c.sent.bytes += uint64(n)
	s.out.add(c, c.path, n)
	s.queued()
}

// tellSent lets everybody know what has been sent: once for all that leaves
// together, since an atomic operation waits for memory.
func (c *Conn) tellSent() {
	c.counters.packetsSent.Store(c.sent.packets)
	c.counters.bytesSent.Store(c.sent.bytes)
}

// sendPlain queues a DTLS record: on the connection's path, or, as long as a
// dialled connection has none, on each that it tries. So the first flight
// travels with the first checks and costs no round trip of its own; the
// router knows the copies by their record number and ignores all but the
// first. Before the keys are set, that is all that may be sent unauthenticated.
func (c *Conn) sendPlain(p []byte) {
	s := c.Shard()
	if len(p) > slotSize {
		return
	}
	if c.path.valid() {
		s.out.add(c, c.path, copy(s.buffer(), p))
		return
	}
	if c.dialled == nil {
		return
	}
	for _, w := range c.dialled.ways {
		for i := range w.agent.candidates {
			s.out.add(c, c.dialled.pathOf(w, i), copy(s.buffer(), p))
		}
	}
}

// failed counts what the kernel would not take.
func (s *Shard) failed(g *group, packets int, err error) {
	s.port.counters.sendDropped.Add(uint64(packets))
	g.conn.counters.sendDropped.Add(uint64(packets))
	if d := g.conn.dialled; d != nil {
		d.sendFailed(g.conn, g.to, err)
	}
}

// flush sends what is queued. The shard is held.
func (s *Shard) flush() {
	if len(s.out.slots) == 0 {
		return
	}
	for i := range s.out.groups {
		s.out.groups[i].conn.tellSent()
	}
	if s.out.streamed {
		s.out.divert(time.Now())
	}
	if sock := s.socket(); sock != nil && len(s.out.groups) > 0 {
		sock.write(&s.out, s.onFailed)
		s.out.segments = sock.segments()
	}
	s.out.reset()
}

// buffer returns the buffer of the next datagram, making room if necessary.
func (s *Shard) buffer() []byte {
	if s.out.full() {
		s.flush()
	}
	return s.out.buffer()
}

// answer queues the n bytes that were written into the shard's next buffer as
// a reply on the path that a request came by.
func (s *Shard) answer(c *Conn, to path, n int) {
	if n > 0 {
		s.out.add(c, to, n)
	}
}

// ready sets the keys. The shard is held.
func (c *Conn) ready(k keys, now time.Time) {
	if c.phase != phaseNew {
		return
	}
	c.phase = phaseReady
	c.keys = k
	c.live.hear(now)
	c.counters.heard.Store(now.UnixNano())
	c.counters.ready.Store(true)
	early := c.early
	c.early = nil
	c.handler.Ready(c, now)
	for _, p := range early {
		c.media(p, now)
	}
}

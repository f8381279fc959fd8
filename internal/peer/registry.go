package peer

import (
	"net/netip"
	"time"
)

// connOf finds the connection of a local user name fragment.
func (p *Port) connOf(ufrag []byte) *Conn {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.byUfrag[string(ufrag)]
}

// connAt finds the connection that an address may deliver to.
func (p *Port) connAt(a netip.AddrPort) *Conn {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.byAddr[a]
}

// connFor finds the connection that a datagram belongs to by where it came
// from. Datagrams come in runs, so the latest answer is kept as long as no
// address has changed hands. The shard is held.
func (s *Shard) connFor(d *datagram) *Conn {
	if d.stream != nil {
		return d.stream.owner.Load()
	}
	k := &s.known
	if version := s.port.version.Load(); k.remote != d.remote || k.version != version || k.conn == nil {
		*k = known{d.remote, s.port.connAt(d.remote), version}
	}
	return k.conn
}

// known is whom an address belonged to at a version of the registry.
type known struct {
	remote  netip.AddrPort
	conn    *Conn
	version uint64
}

// claim fixes a connection to the shard, which is held; false if it has been
// fixed or closed meanwhile.
func (p *Port) claim(c *Conn, s *Shard) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || !c.shard.CompareAndSwap(nil, s) {
		return false
	}
	delete(p.pending, c)
	s.insert(c)
	return true
}

// adopt gives a connection that was never claimed to the first shard, for its
// end.
func (p *Port) adopt(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.shard.CompareAndSwap(nil, p.shards[0]) {
		delete(p.pending, c)
	}
}

// expire closes the connections that no check has arrived for. The shard,
// which is the first one, is held.
func (p *Port) expire(s *Shard, now time.Time) {
	var expired []*Conn
	p.mu.Lock()
	for c := range p.pending {
		if now.Sub(c.born) > readyWithin && c.shard.CompareAndSwap(nil, s) {
			delete(p.pending, c)
			expired = append(expired, c)
		}
	}
	p.mu.Unlock()
	for _, c := range expired {
		c.shut(ErrTimeout, now)
	}
}

// mapTo lets an address deliver to a connection. The latest authentic check
// from an address wins it: a client may close a connection and open the next
// from the same port.
func (p *Port) mapTo(c *Conn, a netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byAddr[a] = c
	p.version.Add(1)
}

func (p *Port) unmap(c *Conn, a netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byAddr[a] == c {
		delete(p.byAddr, a)
		p.version.Add(1)
	}
}

// connNamed finds the connection that a source was heard on.
func (p *Port) connNamed(ssrc uint32) *Conn {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.bySource[ssrc]
}

// nameSource notes that a source was heard on a connection. Sources are named
// at random (RFC 3550 section 8.1): of two of one name only the latest is found.
// Chromium that sends nothing calls itself 1, so most of those who only watch
// are not found this way; there may be hundreds of them, and only their checks
// tell them apart.
func (p *Port) nameSource(c *Conn, ssrc uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bySource[ssrc] = c
}

// forget removes a closed connection. Its shard is held.
func (p *Port) forget(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byUfrag, c.local.Ufrag)
	p.version.Add(1)
	for _, a := range c.addresses {
		if p.byAddr[a] == c {
			delete(p.byAddr, a)
		}
	}
	for _, ssrc := range c.sources {
		if p.bySource[ssrc] == c {
			delete(p.bySource, ssrc)
		}
	}
}

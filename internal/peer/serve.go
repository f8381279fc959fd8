package peer

import (
	"net"
	"time"

	"causeway/protocol"
)

// Limits for streams that have not authenticated themselves. Those that have
// are bounded by their connections, so a whole office behind one address is
// welcome, even if all of it comes at once.
const (
	maxStrangers        = 2048
	maxStrangersPerAddr = 256
)

// ServeStream serves an accepted byte stream that carries the packets of one
// connection in frames of RFC 4571, as do TCP candidates (RFC 6544), and
// blocks until it ends. It closes conn. A stream on which no valid check of
// an expected peer comes within 10 s is closed, as is one that sends a frame
// longer than 2048 bytes. There may be 2048 such strangers: the next one takes
// the place of the oldest, as an honest one is a stranger for a round trip
// only. A remote address may have 256 of them and no more.
func (p *Port) ServeStream(conn net.Conn, transport protocol.Transport) {
	st := newStream(p, conn, transport)
	if !p.admit(st) {
		p.counters.streamsRefused.Add(1)
		st.abort()
		return
	}
	defer p.dismiss(st)
	_ = conn.SetReadDeadline(time.Now().Add(authenticateWithin))
	st.serve()
}

// admit registers a stream; false if it is one too many.
func (p *Port) admit(st *stream) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	addr := st.remote.Addr()
	if p.closed || p.strangersAt[addr] >= maxStrangersPerAddr {
		return false
	}
	if p.strangers.Len() >= maxStrangers {
		oldest := p.strangers.Front().Value.(*stream)
		p.leaveStrangers(oldest)
		p.counters.streamsRefused.Add(1)
		time.AfterFunc(0, oldest.abort) // closing may take time
	}
	st.stranger = p.strangers.PushBack(st)
	p.strangersAt[addr]++
	p.nextShard++
	st.shard = p.shards[p.nextShard%len(p.shards)]
	p.serving.Add(1)
	return true
}

// settled notes that a stream is a stranger no more.
func (p *Port) settled(st *stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaveStrangers(st)
}

// leaveStrangers forgets a stranger; p.mu is held.
func (p *Port) leaveStrangers(st *stream) {
	if st.stranger == nil {
		return
	}
	p.strangers.Remove(st.stranger)
	st.stranger = nil
	addr := st.remote.Addr()
	if p.strangersAt[addr]--; p.strangersAt[addr] == 0 {
		delete(p.strangersAt, addr)
	}
}

// dismiss forgets a stream that has ended.
func (p *Port) dismiss(st *stream) {
	p.mu.Lock()
	p.leaveStrangers(st)
	p.mu.Unlock()
	p.serving.Done()
}

// abortStrangers closes the streams that belong to no connection.
func (p *Port) abortStrangers() {
	p.mu.Lock()
	var all []*stream
	for e := p.strangers.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(*stream))
	}
	p.mu.Unlock()
	for _, st := range all {
		st.abort()
	}
}

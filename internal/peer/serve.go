package peer

import (
	"net"
	"time"

	"causeway/protocol"
)

// Limits for streams that have not authenticated themselves. Those that have
// are bounded by their connections, so a whole office behind one address is
// welcome.
const (
	maxStrangers        = 1024
	maxStrangersPerAddr = 64
)

// ServeStream serves an accepted byte stream that carries the packets of one
// connection in frames of RFC 4571, as do TCP candidates (RFC 6544), and
// blocks until it ends. It closes conn. A stream on which no valid check of
// an expected peer comes within 10 s is closed, as is one that sends a frame
// longer than 2048 bytes, or is one stranger too many: of 1024 in all and 64
// per remote address.
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
	if p.closed || len(p.strangers) >= maxStrangers || p.strangersAt[addr] >= maxStrangersPerAddr {
		return false
	}
	p.strangers[st] = struct{}{}
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

func (p *Port) leaveStrangers(st *stream) {
	if _, ok := p.strangers[st]; !ok {
		return
	}
	delete(p.strangers, st)
	addr := st.remote.Addr()
	if p.strangersAt[addr]--; p.strangersAt[addr] == 0 {
		delete(p.strangersAt, addr)
	}
}

func (p *Port) dismiss(st *stream) {
	p.mu.Lock()
	p.leaveStrangers(st)
	p.mu.Unlock()
	p.serving.Done()
}

// abortStrangers closes the streams that belong to no connection.
func (p *Port) abortStrangers() {
	p.mu.Lock()
	var list []*stream
	for st := range p.strangers {
		list = append(list, st)
	}
	p.mu.Unlock()
	for _, st := range list {
		st.abort()
	}
}

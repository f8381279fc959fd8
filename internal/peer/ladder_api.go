package peer

import (
	"net"
	"time"

	"causeway/protocol"
)

// A Climber is a Handler that is told by which rung of the ladder a
// connection sends: first when it has a path at all, then whenever the rung
// changes. It is called with the shard held, as the Handler's methods are.
type Climber interface {
	Rung(c *Conn, t protocol.Transport, now time.Time)
}

// A Shedder is a Handler that is told when packets grew too old in the queue
// of a slow stream and were dropped, so that it can ask for a key frame. It
// is called with the shard held, at the tick after, at most once per tick.
type Shedder interface {
	Shed(c *Conn, packets int, now time.Time)
}

// ServeStream serves an accepted byte stream that carries the packets of one
// connection in frames of RFC 4571, until it ends, and closes it.
func (p *Port) ServeStream(conn net.Conn, transport protocol.Transport) {
	_, _ = p, transport
	_ = conn.Close()
}

// Nudge tells a dialled connection that the network has changed: the rung in
// use is checked out of turn and better ones are tried at once. Any goroutine
// may call it.
func (c *Conn) Nudge() {}

// Hold tells a dialled connection whether the control channel is dead too:
// then silence is the network's fault, not the rung's, and the connection
// does not fall to a worse rung. Any goroutine may call it.
func (c *Conn) Hold(dead bool) {}

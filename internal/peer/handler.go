package peer

import (
	"time"

	"causeway/protocol"
)

// A Handler receives what happens on a connection. All methods are called
// with the connection's shard held, one at a time. Slices are valid until the
// method returns, packets of RTP until PortConfig.Delivered is called. A method
// may send on connections of the same shard and may close any connection; it
// must not block and must not call Shard.Run.
type Handler interface {
	// Ready says that the keys are set: packets may be sent from now on.
	// No RTP or RTCP is delivered before it.
	Ready(c *Conn, now time.Time)
	// RTP delivers a decrypted RTP packet, header and payload, which the
	// handler may modify in place.
	RTP(c *Conn, packet []byte, now time.Time)
	// RTCP delivers a decrypted compound packet.
	RTCP(c *Conn, packet []byte, now time.Time)
	// Path says that the remote fell silent, is lost, or is heard again.
	Path(c *Conn, state PathState, now time.Time)
	// Closed is the last call for a connection. err is nil after Conn.Close
	// or an orderly close by the remote.
	Closed(c *Conn, err error)
}

// PathState says how long ago the remote was last heard.
type PathState uint8

// The states of a path.
const (
	PathActive PathState = iota // heard lately
	PathSilent                  // nothing for 2 s, or for longer than the remote's usual interval of checks
	PathLost                    // nothing for 10 s
)

// String returns the state's name.
func (s PathState) String() string {
	switch s {
	case PathActive:
		return "active"
	case PathSilent:
		return "silent"
	case PathLost:
		return "lost"
	}
	return "invalid"
}

// A Climber is a Handler that is told by which rung of the ladder a
// connection sends: first when it has a path at all, then whenever the rung
// changes. It is called as the Handler's methods are.
type Climber interface {
	Rung(c *Conn, t protocol.Transport, now time.Time)
}

// A Prefetcher is a Handler that is told that a packet will be delivered soon,
// so that it can bring what it needs for that into the processor's cache: in
// three steps from 0 on, between which other packets are delivered. It is called
// as the Handler's methods are, but must change nothing.
type Prefetcher interface {
	Prefetch(step int)
}

// A Shedder is a Handler that is told when packets grew too old in the queue
// of a slow stream and were dropped, so that it can ask for a key frame. It
// is called as the Handler's methods are, at the tick after, at most once per
// tick and stream.
type Shedder interface {
	Shed(c *Conn, packets int, now time.Time)
}

package peer

import (
	"encoding/binary"

	"github.com/pion/stun/v3"
)

// attrTally is a STUN attribute of our own, from the range that others ignore
// (RFC 8489 section 18.3). Empty in a check it asks for the responder's tally;
// in a response it is that tally, both numbers in network order.
const (
	attrTally = stun.AttrType(0xCA05)
	tallySize = 16
)

// A tally counts the bytes of media, SRTP and SRTCP, that one side of a
// connection has sent and received.
type tally struct{ sent, received uint64 }

func (t *tally) put(b []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, t.sent), t.received)
}

func parseTally(b []byte) (t tally, ok bool) {
	if len(b) != tallySize {
		return tally{}, false
	}
	return tally{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}, true
}

func (c *Conn) tally() tally {
	return tally{c.counters.bytesSent.Load(), c.counters.bytesReceived.Load()}
}

const (
	// leastWatched is how many bytes must have been sent for their loss to
	// mean something.
	leastWatched = 2000
	starvedAt    = 8
)

// A watch compares tallies: some networks let checks pass, and small packets,
// but drop media, be it that they police UDP or that large packets fall into a
// hole. A network that is merely overloaded is not left for that: the sender
// adapts, and so the loss ends.
type watch struct {
	begun    bool
	up, down course
}

// A course is one direction.
type course struct {
	sent, arrived uint64
	score         int
}

// note takes the tallies of both sides at a check: ours without what was sent
// after it.
func (w *watch) note(ours, theirs tally) {
	if !w.begun {
		*w = watch{
			begun: true,
			up:    course{sent: ours.sent, arrived: theirs.received},
			down:  course{sent: theirs.sent, arrived: ours.received},
		}
		return
	}
	w.up.note(ours.sent, theirs.received)
	w.down.note(theirs.sent, ours.received)
}

// note scores what was lost since the last time: two spells without nearly
// anything tell as much as eight of which half is lost.
func (c *course) note(sent, arrived uint64) {
	expected, got := sent-c.sent, arrived-c.arrived
	if int64(expected) < leastWatched {
		return
	}
	c.sent, c.arrived = sent, arrived
	switch {
	case got*10 <= expected:
		c.score += starvedAt / 2
	case got*2 <= expected:
		c.score++
	default:
		c.score = 0
	}
}

func (w *watch) suspicious() bool { return w.up.score > 0 || w.down.score > 0 }
func (w *watch) starved() bool    { return w.up.score >= starvedAt || w.down.score >= starvedAt }

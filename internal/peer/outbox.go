package peer

import (
	"net/netip"
	"time"

	"causeway/protocol"
)

const (
	slotSize    = 1536  // room for a queued datagram
	maxQueued   = 128   // datagrams between two flushes: few enough to stay in a core's cache
	maxSegments = 32    // datagrams of one generic segmentation offload
	maxSegment  = 1400  // larger datagrams may exceed a path's MTU, which offload does not fragment
	maxGSOBytes = 60000 // of one offload; IP's limit is 65535 with headers
	maxPadding  = 8     // that joins a datagram with those before it
)

// A path is the remote transport address of a connection, and the local
// address to send from, invalid if the kernel is to choose it; or a stream,
// of which the addresses are only known.
type path struct {
	remote netip.AddrPort
	local  netip.Addr
	stream *stream // nil for UDP
}

func (p path) valid() bool { return p.stream != nil || p.remote.IsValid() }

func (p path) transport() protocol.Transport {
	if p.stream != nil {
		return p.stream.transport
	}
	return protocol.UDP
}

// An outbox holds the datagrams that a shard has queued since it was last
// flushed, one behind the other. Datagrams to one destination whose sizes allow
// it form a group, which the kernel takes as one (UDP_SEGMENT): all of equal
// size but the last, which may be shorter.
type outbox struct {
	bytes    []byte // of the datagrams; grown as needed, then reused
	end      int    // of those in use
	slots    []slot // likewise
	groups   []group
	round    uint32 // counts flushes; tells stale Conn.group indices
	segments int    // datagrams per group, 1 without offload
	streamed bool   // some groups go to streams
}

// A slot is a datagram's place.
type slot struct {
	at, n int // in bytes
	next  int // next slot of the group, -1 at its end
}

type group struct {
	conn        *Conn
	to          path
	tos         uint8
	first, last int // slots
	count       int
	size        int // of each datagram but the last
	bytes       int
	open        bool // takes more
}

func newOutbox() outbox { return outbox{round: 1, segments: 1} }

func (o *outbox) full() bool { return len(o.slots) == maxQueued }

// buffer returns the buffer of the next datagram, which add then queues. The
// outbox must not be full.
func (o *outbox) buffer() []byte {
	if end := o.end + slotSize; end > len(o.bytes) {
		o.bytes = append(o.bytes, make([]byte, max(end, min(2*end, maxQueued*slotSize))-len(o.bytes))...)
	}
	return o.bytes[o.end:][:slotSize:slotSize]
}

// datagram returns what is in a slot.
func (o *outbox) datagram(i int) []byte {
	s := &o.slots[i]
	return o.bytes[s.at:][:s.n]
}

// add queues the first n bytes of the buffer.
func (o *outbox) add(c *Conn, to path, n int) {
	i := len(o.slots)
	o.slots = append(o.slots, slot{at: o.end, n: n, next: -1})
	o.end += n
	if o.join(c, to, i, n) {
		return
	}
	o.streamed = o.streamed || to.stream != nil
	c.group, c.groupSeen = len(o.groups), o.round
	o.groups = append(o.groups, group{
		conn: c, to: to, tos: c.tos, first: i, last: i,
		count: 1, size: n, bytes: n,
		open: o.segments > 1 && n <= maxSegment && !c.lone,
	})
}

// missing returns how many bytes a datagram of n lacks to be as long as those
// of the connection's group, if that are few: senders make the packets of a
// picture of equal size, give or take a byte.
func (o *outbox) missing(c *Conn, n int) int {
	if c.groupSeen != o.round || c.overhead == 0 {
		return 0
	}
	g := &o.groups[c.group]
	if lack := g.size - n; g.open && g.to == c.path && g.to.stream == nil && lack > 0 && lack <= maxPadding {
		return lack
	}
	return 0
}

// join puts slot i into the connection's last group, if that takes it.
func (o *outbox) join(c *Conn, to path, i, n int) bool {
	if c.groupSeen != o.round {
		return false
	}
	g := &o.groups[c.group]
	if !g.open || g.to != to || n > g.size || g.bytes+n > maxGSOBytes {
		return false
	}
	o.slots[g.last].next = i
	g.last = i
	g.count++
	g.bytes += n
	g.open = n == g.size && g.count < o.segments
	return true
}

// divert hands the groups for streams to their queues; the others stay.
func (o *outbox) divert(now time.Time) {
	if !o.streamed {
		return
	}
	o.streamed = false
	kept := o.groups[:0]
	for i := range o.groups {
		if g := &o.groups[i]; g.to.stream != nil {
			g.to.stream.queue.putGroup(o, g, now)
		} else {
			kept = append(kept, *g)
		}
	}
	o.groups = kept
}

// reset empties the outbox after its datagrams were sent.
func (o *outbox) reset() {
	o.end = 0
	o.slots, o.groups = o.slots[:0], o.groups[:0]
	o.round++
}

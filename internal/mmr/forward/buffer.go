package forward

import (
	"sync"
	"sync/atomic"
	"time"
)

// maxInbox bounds the packets that wait for a shard.
const maxInbox = 8192

// buffer holds a packet on its way to other shards.
type buffer struct {
	refs atomic.Int32
	n    int
	data [maxPacket]byte
}

// buffers is a free list of buffers.
type buffers struct{ pool sync.Pool }

// get returns an empty one.
func (b *buffers) get(refs int32) *buffer {
	buf, _ := b.pool.Get().(*buffer)
	if buf == nil {
		buf = new(buffer)
	}
	buf.refs.Store(refs)
	return buf
}

func (b *buffers) copyOf(p []byte, refs int32) *buffer {
	buf := b.get(refs)
	buf.n = copy(buf.data[:], p)
	return buf
}

func (b *buffers) release(buf *buffer) {
	if buf.refs.Add(-1) == 0 {
		b.pool.Put(buf)
	}
}

// item is something that one shard has for another: a packet for the takers
// of a source, or a request for a key frame of a track.
type item struct {
	packet  packet
	buf     *buffer
	now     time.Time
	keyOnly bool // request for a key frame of packet.track
	first   bool // that request is for a taker's first picture
}

// inbox is what waits for a shard. Anyone may put; whoever holds the shard
// takes.
type inbox struct {
	waiting atomic.Int32
	mu      sync.Mutex
	items   []item
	spare   []item // what take returned last, to be reused
}

// put adds an item; false if there is no room.
func (b *inbox) put(it item) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.items) >= maxInbox {
		return false
	}
	b.items = append(b.items, it)
	b.waiting.Store(int32(len(b.items)))
	return true
}

// take returns all items, valid until the next take.
func (b *inbox) take() []item {
	clear(b.spare)
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.items
	b.items, b.spare = b.spare[:0], taken
	b.waiting.Store(0)
	return taken
}

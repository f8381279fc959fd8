// Package cache keeps the recent packets of one source, so that the router
// (for its takers) and the client (for the router) can answer NACKs (RFC 4585
// §6.2.1) with the very bytes.
//
// Packets lie in blocks that form a ring. Nothing is allocated before the
// first packet; another block is added only while the oldest one still holds
// packets young enough to be asked for, so a quiet source costs one block and
// a fast one what its bit rate needs, up to the limit. In the steady state
// nothing is allocated. The cache is not safe for concurrent use.
package cache

import (
	"time"

	"causeway/internal/media/seqnum"
)

const (
	blockSize = 16 << 10
	// MaxPacket is the largest packet that is kept.
	MaxPacket = 2048
	maxBlocks = 255
	// maxBehind is how far back a packet may be before the source is taken as
	// begun anew.
	maxBehind = 3000
)

// Config bounds a cache.
type Config struct {
	Packets int           // most packets kept; rounded up to a power of two, at most 1<<14
	Bytes   int           // most bytes kept; rounded up to whole blocks of 16 KiB
	Keep    time.Duration // how long a packet should stay, if Bytes allows
}

// entry says where a packet lies.
type entry struct {
	seq        uint32 // extended; 0 is none
	offset     uint16
	length     uint16
	block      uint8
	generation uint32 // of the block when it was written
}

// block is a part of the ring.
type block struct {
	data       []byte
	used       int
	generation uint32
	next       uint8
	written    time.Time // last
}

// Cache keeps the recent packets of one source. Make it with New.
type Cache struct {
	entries []entry // by sequence number; allocated with the first packet
	mask    uint32
	blocks  []block
	current uint8
	limit   int // most blocks
	keep    time.Duration
	newest  seqnum.Unwrapper[uint16]
}

// New makes an empty cache. It allocates nothing beyond itself.
func New(c Config) *Cache {
	size := uint32(1)
	for size < 1<<14 && int(size) < c.Packets {
		size <<= 1
	}
	limit := (c.Bytes + blockSize - 1) / blockSize
	return &Cache{mask: size - 1, limit: min(max(limit, 1), maxBlocks), keep: c.Keep}
}

// Store keeps a copy of the packet with the given sequence number. Packets
// over MaxPacket, and late ones whose place a newer packet has, are not kept.
func (c *Cache) Store(seq uint16, packet []byte, now time.Time) {
	if len(packet) > MaxPacket || len(packet) == 0 {
		return
	}
	if c.entries == nil {
		c.entries = make([]entry, c.mask+1)
	}
	if highest, ok := c.newest.Highest(); ok && seqnum.Diff(seq, uint16(highest)) < -maxBehind {
		c.Reset()
	}
	s := uint32(c.newest.Unwrap(seq))
	e := &c.entries[s&c.mask]
	if e.seq != 0 && int32(e.seq-s) > 0 {
		return
	}
	b := c.room(len(packet), now)
	*e = entry{
		seq: s, offset: uint16(b.used), length: uint16(len(packet)),
		block: c.current, generation: b.generation,
	}
	b.used += copy(b.data[b.used:], packet)
	b.written = now
}

// room returns the current block, with room for n bytes.
func (c *Cache) room(n int, now time.Time) *block {
	if len(c.blocks) == 0 {
		c.blocks = append(c.blocks, block{data: make([]byte, blockSize)})
	}
	b := &c.blocks[c.current]
	if b.used+n <= blockSize {
		return b
	}
	next := &c.blocks[b.next]
	if now.Sub(next.written) < c.keep && len(c.blocks) < c.limit {
		c.blocks = append(c.blocks, block{data: make([]byte, blockSize), next: b.next})
		b = &c.blocks[c.current] // append may have moved it
		b.next = uint8(len(c.blocks) - 1)
	}
	c.current = b.next
	b = &c.blocks[c.current]
	b.used = 0
	b.generation++
	return b
}

// Get copies the packet with the given sequence number into dst and returns
// its length. It reports false if the packet is not here or dst too small.
func (c *Cache) Get(seq uint16, dst []byte) (int, bool) {
	if c.entries == nil {
		return 0, false
	}
	s := uint32(c.newest.Peek(seq))
	e := &c.entries[s&c.mask]
	if e.seq != s {
		return 0, false
	}
	b := &c.blocks[e.block]
	if b.generation != e.generation || int(e.length) > len(dst) {
		return 0, false
	}
	return copy(dst, b.data[e.offset:int(e.offset)+int(e.length)]), true
}

// Newest returns the highest sequence number that was kept, false if none was.
func (c *Cache) Newest() (uint16, bool) {
	highest, ok := c.newest.Highest()
	return uint16(highest), ok
}

// Size returns the bytes that the cache has allocated for packets.
func (c *Cache) Size() int { return len(c.blocks) * blockSize }

// Reset forgets all packets, keeping the memory.
func (c *Cache) Reset() {
	clear(c.entries)
	c.newest.Reset()
}

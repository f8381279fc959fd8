// Package jitter puts the packets of one received stream back in order, for
// the native client, which records and decodes: each packet is handed out
// once, in order, as soon as all before it are there or will not come any
// more.
//
// It does not play out: no packet that is in order waits. A packet behind a
// gap waits for the gap to be filled (package nack asks for that) up to a
// bounded time and a bounded number of packets. The buffer copies packets into
// memory of its own that it uses again; in the steady state nothing is
// allocated. It is not safe for concurrent use.
package jitter

import (
	"time"

	"causeway/internal/media/seqnum"
)

// Config bounds a buffer.
type Config struct {
	Packets int           // most packets held; rounded up to a power of two; 0 is 512
	Wait    time.Duration // longest wait for a missing packet; 0 is 500 ms
}

// slot holds one packet.
type slot struct {
	seq    uint64
	full   bool
	came   time.Time
	packet []byte
}

// Buffer reorders one stream. Make it with New.
type Buffer struct {
	slots   []slot
	wait    time.Duration
	seqs    seqnum.Unwrapper[uint16]
	next    uint64 // the number to hand out next
	held    int
	begun   bool   // a packet has come
	given   bool   // a packet has been handed out
	lost    uint64 // skipped and not yet told with an Item
	restart bool   // not yet told with an Item
	stats   Stats
}

// Stats counts what became of packets.
type Stats struct {
	Given     uint64 // handed out
	Lost      uint64 // never came, or too late
	Late      uint64 // came after they were given up
	Duplicate uint64
}

// Item is a packet handed out.
type Item struct {
	Packet []byte // valid until the next Push
	Seq    uint16
	Lost   uint64 // how many are missing just before it
	// Restart: the stream began anew; how this packet follows the one before
	// is not known.
	Restart bool
}

// New makes an empty buffer.
func New(c Config) *Buffer {
	if c.Packets <= 0 {
		c.Packets = 512
	}
	if c.Wait <= 0 {
		c.Wait = 500 * time.Millisecond
	}
	size := 1
	for size < c.Packets && size < 1<<14 {
		size <<= 1
	}
	return &Buffer{slots: make([]slot, size), wait: c.Wait}
}

// Push takes a copy of a packet. It reports false if the packet is not of use:
// a duplicate, or later than waited for. A packet so far ahead that the buffer
// cannot hold all between makes the oldest gaps be given up; one too far off
// either way begins the stream anew, and what was held is lost.
func (b *Buffer) Push(seq uint16, packet []byte, now time.Time) bool {
	n := b.seqs.Peek(seq)
	size := uint64(len(b.slots))
	switch {
	case !b.begun:
		b.begun, b.next = true, n
	case n >= b.next+8*size || n+8*size < b.next:
		b.reset()
		n = b.seqs.Peek(seq)
		b.begun, b.next, b.restart = true, n, true
	case n < b.next && !b.given && b.fits(n):
		b.next = n // late before the first
	case n < b.next:
		b.stats.Late++
		return false
	}
	b.seqs.Unwrap(seq)
	if n >= b.next+size {
		b.skipTo(n + 1 - size)
	}
	s := &b.slots[n%size]
	if s.full {
		b.stats.Duplicate++
		return false
	}
	s.packet = append(s.packet[:0], packet...)
	s.seq, s.full, s.came = n, true, now
	b.held++
	return true
}

// fits reports whether the buffer, which has handed out nothing yet, can begin
// with n instead.
func (b *Buffer) fits(n uint64) bool {
	highest, _ := b.seqs.Highest()
	return highest < n+uint64(len(b.slots))
}

// skipTo gives up what is before n, packets held there included: they have
// not been fetched in time.
func (b *Buffer) skipTo(n uint64) {
	for ; b.next < n; b.next++ {
		if s := &b.slots[b.next%uint64(len(b.slots))]; s.full {
			s.full = false
			b.held--
		}
		b.lost++
		b.stats.Lost++
	}
}

// reset empties the buffer.
func (b *Buffer) reset() {
	for i := range b.slots {
		b.slots[i].full = false
	}
	b.lost += uint64(b.held)
	b.stats.Lost += uint64(b.held)
	b.held = 0
	b.seqs.Reset()
}

// Pop hands out the next packet if it is there, or if those missing before it
// have been waited for long enough. Call it until it reports false.
func (b *Buffer) Pop(now time.Time) (Item, bool) {
	if b.held == 0 {
		return Item{}, false
	}
	s := b.first()
	if s.seq != b.next {
		if now.Sub(s.came) < b.wait {
			return Item{}, false
		}
		b.skipTo(s.seq)
	}
	s.full = false
	b.held--
	b.next++
	b.given = true
	b.stats.Given++
	i := Item{Packet: s.packet, Seq: uint16(s.seq), Lost: b.lost, Restart: b.restart}
	b.lost, b.restart = 0, false
	return i, true
}

// first returns the held packet with the lowest number. There is one.
func (b *Buffer) first() *slot {
	for n := b.next; ; n++ {
		if s := &b.slots[n%uint64(len(b.slots))]; s.full {
			return s
		}
	}
}

// Deadline returns when Pop will next give up waiting; false if nothing waits.
// It is to be asked after Pop has reported false.
func (b *Buffer) Deadline() (time.Time, bool) {
	if b.held == 0 {
		return time.Time{}, false
	}
	return b.first().came.Add(b.wait), true
}

// Held returns how many packets wait.
func (b *Buffer) Held() int { return b.held }

// Stats returns the counts so far.
func (b *Buffer) Stats() Stats { return b.stats }

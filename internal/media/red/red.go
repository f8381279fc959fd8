// Package red takes redundant sound apart (RFC 2198): payloads that carry the
// packet's own sound and, before it, that of earlier packets once more, so that
// a packet that is lost can be had from one that follows.
//
// The router reads each such packet once, to see that it is sound and to find
// in it what was lost, and makes of it what a receiver takes. Nothing is kept
// or allocated.
package red

import "encoding/binary"

const (
	follows   = 0x80 // F: another header comes behind this one
	olderSize = 4
	typeMask  = 0x7f
)

// Payload is a payload taken apart. Its parts lie within it.
type Payload struct {
	Type     uint8 // payload type of all blocks
	NewestAt int   // where the newest block begins, which is the packet's own
	Older    Blocks
}

// Blocks is a walk over older blocks, in the payload's order: the oldest first.
type Blocks struct{ headers, data []byte }

// Parse takes a payload apart. It reports false if it is cut, if its newest
// block is empty, or if its blocks are not of one payload type: then a receiver
// would need more than one codec for it.
func Parse(payload []byte) (p Payload, ok bool) {
	//  0                   1                    2                   3
	//  0 1 2 3 4 5 6 7 8 9 0 1 2 3  4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
	// |F|   block PT  |  timestamp offset         |   block length    |
	at, older := 0, 0
	for ; ; at += olderSize {
		if at >= len(payload) {
			return Payload{}, false
		}
		if at == 0 {
			p.Type = payload[0] & typeMask
		} else if p.Type != payload[at]&typeMask {
			return Payload{}, false
		}
		if payload[at]&follows == 0 {
			break
		}
		if at+olderSize > len(payload) {
			return Payload{}, false
		}
		_, length := header(payload[at:])
		older += length
	}
	data := at + 1 // the newest block's header is one byte
	p.NewestAt = data + older
	if p.NewestAt >= len(payload) {
		return Payload{}, false
	}
	p.Older = Blocks{headers: payload[:at], data: payload[data:p.NewestAt]}
	return p, true
}

// header reads an older block's timestamp offset and length.
func header(b []byte) (offset uint32, length int) {
	n := binary.BigEndian.Uint32(b)
	return n >> 10 & (1<<14 - 1), int(n & (1<<10 - 1))
}

// Next returns the next older block, and by how much its timestamp is before
// the packet's; false at the end.
func (b *Blocks) Next() (offset uint32, block []byte, ok bool) {
	if len(b.headers) == 0 {
		return 0, nil, false
	}
	offset, length := header(b.headers)
	block, b.data = b.data[:length:length], b.data[length:]
	b.headers = b.headers[olderSize:]
	return offset, block, true
}

// SetType gives all blocks of a payload that Parse takes another payload type.
func SetType(payload []byte, pt uint8) {
	for at := 0; at < len(payload); at += olderSize {
		more := payload[at] & follows
		payload[at] = more | pt&typeMask
		if more == 0 {
			return
		}
	}
}

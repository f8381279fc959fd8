// Package twcc is transport-wide congestion control feedback
// (draft-holmer-rmcat-transport-wide-cc-extensions-01): every packet of a
// connection carries one sequence number in a header extension, whatever
// stream it is of, and the receiver tells when each of them came.
//
//	Recorder  what a receiver has seen, and the feedback it sends
//	Feedback  one feedback packet, read where it lies
//	History   what a sender has sent, and what became of it
//
// The router and the native client use all three: a Recorder for each
// connection on which packets arrive, a History for each on which they leave;
// package bwe makes an estimate of the outcomes. None is safe for concurrent
// use, and nothing is allocated per packet once memory has grown to what the
// bit rate needs.
package twcc

import (
	"encoding/binary"
	"time"
)

const (
	transportFeedback = 205 // RFC 4585 §6.1
	format            = 15  // of transport-wide feedback
	headerSize        = 20  // up to the first chunk
	tick              = 250 * time.Microsecond
	referenceTick     = 64 * time.Millisecond
	// maxStatuses is the most packets that one feedback packet may tell of:
	// what a receiver tells of a second at 100 Mbit/s. More is an attack.
	maxStatuses = 1 << 13
)

// The status symbols (§3.1.1).
const (
	notReceived = 0
	smallDelta  = 1
	largeDelta  = 2
)

// Feedback is a feedback packet, of which Next walks through the packets.
type Feedback struct {
	MediaSSRC uint32
	Base      uint16 // sequence number of the first packet it tells of
	Count     uint16 // how many packets it tells of
	Reference uint32 // 24 bits, in steps of 64 ms
	Number    uint8  // counts feedback packets

	chunks []byte // the rest of them
	deltas []byte // the rest of them
	left   uint16 // packets still to tell of
	next   uint16 // the next packet's number
	chunk  uint16 // the rest of the current one
	run    uint16 // packets left in the current chunk
	shape  shape
	at     time.Duration // since Reference
}

// shape is how a chunk is to be read.
type shape uint8

const (
	repeated shape = iota // one symbol for all
	bits                  // a symbol of one bit each
	pairs                 // two bits each
)

// Is reports whether an RTCP packet is transport-wide feedback.
func Is(packet []byte) bool {
	return len(packet) >= headerSize && packet[0] == 2<<6|format|packet[0]&0x20 && packet[1] == transportFeedback
}

// Parse reads an RTCP packet, without others that may follow it in a compound.
// It reports false if that is not feedback, or shorter than it says.
func Parse(packet []byte) (f Feedback, ok bool) {
	//  0                   1                   2                   3
	// |V=2|P| FMT=15  |    PT=205     |           length              |
	// |                     SSRC of packet sender                     |
	// |                      SSRC of media source                     |
	// |      base sequence number     |      packet status count      |
	// |                 reference time                | fb pkt. count |
	// |          packet chunk         |         packet chunk          |
	// .                                                               .
	// |         packet chunk          |  recv delta   |  recv delta   |
	// |           recv delta          |  recv delta   | zero padding  |
	if !Is(packet) {
		return f, false
	}
	size := 4 * (int(binary.BigEndian.Uint16(packet[2:])) + 1)
	if size < headerSize || size > len(packet) {
		return f, false
	}
	f.MediaSSRC = binary.BigEndian.Uint32(packet[8:])
	f.Base = binary.BigEndian.Uint16(packet[12:])
	f.Count = binary.BigEndian.Uint16(packet[14:])
	f.Reference = uint32(packet[16])<<16 | uint32(packet[17])<<8 | uint32(packet[18])
	f.Number = packet[19]
	f.chunks = packet[headerSize:size]
	f.left, f.next = f.Count, f.Base
	return f, f.split()
}

// split finds where the chunks end and the deltas begin.
func (f *Feedback) split() bool {
	if f.Count > maxStatuses {
		return false
	}
	told, at := 0, 0
	for told < int(f.Count) {
		if at+2 > len(f.chunks) {
			return false
		}
		_, n := chunkShape(binary.BigEndian.Uint16(f.chunks[at:]))
		if n == 0 {
			return false // would tell nothing for ever
		}
		told += int(n)
		at += 2
	}
	f.chunks, f.deltas = f.chunks[:at:at], f.chunks[at:]
	return true
}

// chunkShape tells how a chunk is to be read, and of how many packets it
// tells (§3.1.3, §3.1.4).
func chunkShape(chunk uint16) (shape, uint16) {
	switch chunk >> 14 {
	case 2:
		return bits, 14
	case 3:
		return pairs, 7
	}
	return repeated, chunk & 0x1fff
}

// Next tells of the next packet: whether it came, and when after Reference.
// It reports ok false at the end, and where deltas are missing.
func (f *Feedback) Next() (seq uint16, came bool, at time.Duration, ok bool) {
	if f.left == 0 {
		return 0, false, 0, false
	}
	if f.run == 0 {
		f.chunk = binary.BigEndian.Uint16(f.chunks)
		f.chunks = f.chunks[2:]
		f.shape, f.run = chunkShape(f.chunk)
	}
	f.run--
	var symbol uint16
	switch f.shape {
	case repeated:
		symbol = f.chunk >> 13 & 3
	case bits:
		symbol = f.chunk >> f.run & 1
	case pairs:
		symbol = f.chunk >> (2 * f.run) & 3
	}
	seq = f.next
	f.next++
	f.left--
	switch symbol {
	case smallDelta:
		if len(f.deltas) < 1 {
			f.left = 0
			return 0, false, 0, false
		}
		f.at += time.Duration(f.deltas[0]) * tick
		f.deltas = f.deltas[1:]
	case largeDelta:
		if len(f.deltas) < 2 {
			f.left = 0
			return 0, false, 0, false
		}
		f.at += time.Duration(int16(binary.BigEndian.Uint16(f.deltas))) * tick
		f.deltas = f.deltas[2:]
	default:
		return seq, false, 0, true
	}
	return seq, true, f.at, true
}

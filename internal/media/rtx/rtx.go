// Package rtx wraps packets for retransmission on a stream of their own and
// unwraps them (RFC 4588 §4): the payload is preceded by the original
// sequence number.
//
// The router and the client use it at both ends. It keeps nothing and
// allocates nothing.
package rtx

import (
	"encoding/binary"

	"causeway/internal/media/header"
)

// Overhead is by how much a wrapped packet is longer.
const Overhead = 2

// Wrap turns a packet into one of a retransmission stream. It works in place
// and needs Overhead bytes of capacity behind the packet; it reports false if
// they are not there or the packet is malformed.
func Wrap(packet []byte, payloadType uint8, ssrc uint32, seq uint16) ([]byte, bool) {
	h, ok := header.Parse(packet)
	if !ok || cap(packet)-len(packet) < Overhead {
		return packet, false
	}
	n := len(packet)
	packet = packet[:n+Overhead]
	copy(packet[h.PayloadAt+Overhead:], packet[h.PayloadAt:n])
	binary.BigEndian.PutUint16(packet[h.PayloadAt:], h.Sequence)
	header.SetPayloadType(packet, payloadType)
	header.SetSSRC(packet, ssrc)
	header.SetSequence(packet, seq)
	return packet, true
}

// Unwrap turns a packet of a retransmission stream into the packet of the
// stream with the given payload type and SSRC that it repeats. It works in
// place; the packet returned begins later in the same buffer. It reports false
// for a packet that repeats nothing: padding, sent to measure the bandwidth.
func Unwrap(packet []byte, payloadType uint8, ssrc uint32) ([]byte, bool) {
	h, ok := header.Parse(packet)
	if !ok || h.PayloadEnd-h.PayloadAt <= Overhead {
		return packet, false
	}
	seq := binary.BigEndian.Uint16(packet[h.PayloadAt:])
	copy(packet[Overhead:], packet[:h.PayloadAt])
	packet = packet[Overhead:]
	header.SetPayloadType(packet, payloadType)
	header.SetSSRC(packet, ssrc)
	header.SetSequence(packet, seq)
	return packet, true
}

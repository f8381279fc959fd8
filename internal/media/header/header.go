// Package header reads the header of an RTP packet (RFC 3550 §5.1) and its
// extensions (RFC 8285) where they lie, without copying and without
// allocating, which pion/rtp does for extensions.
//
// Everything on the packet path that must know more of a packet than its
// bytes uses it. It changes packets only by the Set functions.
package header

import "encoding/binary"

// Size is the length of a header without CSRCs and extensions.
const Size = 12

// The profiles of header extensions (RFC 8285 §4.2, §4.3). The lower four
// bits of the two-byte form's are of no meaning to us.
const (
	oneByte     = 0xbede
	twoByte     = 0x1000
	twoByteMask = 0xfff0
)

// Header is what the fixed part says, and where the rest lies.
type Header struct {
	Marker      bool
	PayloadType uint8
	Sequence    uint16
	Timestamp   uint32
	SSRC        uint32
	// ExtensionAt is the offset of the extension's profile, 0 if there is
	// none.
	ExtensionAt int
	// PayloadAt and PayloadEnd bound the payload, without padding.
	PayloadAt, PayloadEnd int
}

// Parse reads the header of a packet. It reports false if the packet is not
// RTP version 2, or shorter than it says.
func Parse(packet []byte) (h Header, ok bool) {
	//  0                   1                   2                   3
	// |V=2|P|X|  CC   |M|     PT      |       sequence number         |
	// |                           timestamp                           |
	// |           synchronization source (SSRC) identifier            |
	// |            contributing source (CSRC) identifiers             |
	// |      profile of extension     |       length in words         |
	if len(packet) < Size || packet[0]>>6 != 2 {
		return h, false
	}
	h.Marker = packet[1]&0x80 != 0
	h.PayloadType = packet[1] & 0x7f
	h.Sequence = binary.BigEndian.Uint16(packet[2:])
	h.Timestamp = binary.BigEndian.Uint32(packet[4:])
	h.SSRC = binary.BigEndian.Uint32(packet[8:])
	h.PayloadAt = Size + 4*int(packet[0]&0x0f)
	h.PayloadEnd = len(packet)
	if packet[0]&0x10 != 0 {
		if len(packet) < h.PayloadAt+4 {
			return h, false
		}
		h.ExtensionAt = h.PayloadAt
		h.PayloadAt += 4 + 4*int(binary.BigEndian.Uint16(packet[h.ExtensionAt+2:]))
	}
	if packet[0]&0x20 != 0 {
		// The last byte counts the padding, itself included.
		n := int(packet[len(packet)-1])
		if n == 0 {
			return h, false
		}
		h.PayloadEnd -= n
	}
	return h, h.PayloadAt <= h.PayloadEnd
}

// Payload returns the payload of the packet that h was parsed from, without
// padding.
func (h *Header) Payload(packet []byte) []byte { return packet[h.PayloadAt:h.PayloadEnd] }

// Extension returns the content of the extension with the given id in the
// packet that h was parsed from, nil if there is none.
func (h *Header) Extension(packet []byte, id uint8) []byte {
	e := h.Elements(packet)
	for e.Next() {
		if e.ID == id {
			return e.Content
		}
	}
	return nil
}

// Elements walks over the extension elements of the packet that h was parsed
// from.
func (h *Header) Elements(packet []byte) Elements {
	if h.ExtensionAt == 0 {
		return Elements{}
	}
	e := Elements{rest: packet[h.ExtensionAt+4 : h.PayloadAt]}
	switch profile := binary.BigEndian.Uint16(packet[h.ExtensionAt:]); {
	case profile == oneByte:
	case profile&twoByteMask == twoByte:
		e.TwoByte = true
	default:
		e.rest = nil
	}
	return e
}

// Elements is a walk over extension elements.
type Elements struct {
	ID      uint8
	Content []byte // within the packet
	TwoByte bool   // the form of all elements of the packet
	rest    []byte
}

// Next goes to the next element. It reports false at the end, and where an
// element is cut.
func (e *Elements) Next() bool {
	for len(e.rest) > 0 && e.rest[0] == 0 { // padding
		e.rest = e.rest[1:]
	}
	var size int
	switch {
	case len(e.rest) == 0:
		return false
	case e.TwoByte:
		if len(e.rest) < 2 {
			return false
		}
		e.ID, size = e.rest[0], int(e.rest[1])
		e.rest = e.rest[2:]
	default:
		e.ID, size = e.rest[0]>>4, int(e.rest[0]&0x0f)+1
		if e.ID == 15 { // RFC 8285 §4.2: stop here
			e.rest = nil
			return false
		}
		e.rest = e.rest[1:]
	}
	if size > len(e.rest) {
		e.rest = nil
		return false
	}
	e.Content, e.rest = e.rest[:size:size], e.rest[size:]
	return true
}

// SetPayloadType overwrites the payload type.
func SetPayloadType(packet []byte, pt uint8) { packet[1] = packet[1]&0x80 | pt&0x7f }

// SetMarker overwrites the marker bit.
func SetMarker(packet []byte, marker bool) {
	packet[1] &= 0x7f
	if marker {
		packet[1] |= 0x80
	}
}

// SetSequence overwrites the sequence number.
func SetSequence(packet []byte, seq uint16) { binary.BigEndian.PutUint16(packet[2:], seq) }

// SetTimestamp overwrites the timestamp.
func SetTimestamp(packet []byte, ts uint32) { binary.BigEndian.PutUint32(packet[4:], ts) }

// SetSSRC overwrites the SSRC.
func SetSSRC(packet []byte, ssrc uint32) { binary.BigEndian.PutUint32(packet[8:], ssrc) }

// AudioLevel reads the content of an RFC 6464 extension: dB below full scale,
// 0 loudest, 127 silence, and whether it is speech. It reports false if there
// is no content.
func AudioLevel(content []byte) (level uint8, voice, ok bool) {
	if len(content) == 0 {
		return 127, false, false
	}
	return content[0] & 0x7f, content[0]&0x80 != 0, true
}

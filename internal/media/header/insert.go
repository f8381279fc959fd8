package header

import "encoding/binary"

// InsertRoom is by how much Insert makes a packet longer at most.
const InsertRoom = 8

// Insert puts an extension element with two bytes of content into the packet
// that fills buf from at on, as a transport-wide sequence number. What lies
// before the payload moves towards the front, where InsertRoom bytes must be
// free, since that is cheaper than to move the payload. It returns the packet,
// which begins earlier in buf. The id must fit the packet's form (RFC 8285
// §4.2: 1 to 14); a packet with an extension of another kind is returned as it
// is. The packet must be one that Parse takes.
func Insert(buf []byte, at int, id uint8, content uint16) []byte {
	return insert(buf, at, id, [3]byte{byte(content >> 8), byte(content)}, 2)
}

// Insert3 is Insert for three bytes of content.
func Insert3(buf []byte, at int, id uint8, content [3]byte) []byte {
	return insert(buf, at, id, content, 3)
}

func insert(buf []byte, at int, id uint8, content [3]byte, n int) []byte {
	packet := buf[at:]
	end := Size + 4*int(packet[0]&0x0f)
	if packet[0]&0x10 == 0 {
		out := buf[at-8:]
		copy(out, packet[:end])
		out[0] |= 0x10
		binary.BigEndian.PutUint16(out[end:], oneByte)
		binary.BigEndian.PutUint16(out[end+2:], 1)
		element(out[end+4:], id<<4|uint8(n-1), content)
		return out
	}
	profile := binary.BigEndian.Uint16(packet[end:])
	long := profile&twoByteMask == twoByte
	if profile != oneByte && !long {
		return packet
	}
	more := 1
	if long && n == 3 {
		more = 2
	}
	words := int(binary.BigEndian.Uint16(packet[end+2:]))
	out := buf[at-4*more:]
	copy(out, packet[:end+4+4*words])
	binary.BigEndian.PutUint16(out[end+2:], uint16(words+more))
	e := out[end+4+4*words:]
	switch {
	case !long:
		element(e, id<<4|uint8(n-1), content)
	case n == 2:
		e[0], e[1], e[2], e[3] = id, 2, content[0], content[1]
	default:
		element(e[1:], 3, content)
		e[0], e[5], e[6], e[7] = id, 0, 0, 0
	}
	return out
}

// element writes the byte before the content and the content, which fill a
// word: what is not used of it is padding.
func element(b []byte, before uint8, content [3]byte) {
	_ = b[3]
	b[0], b[1], b[2], b[3] = before, content[0], content[1], content[2]
}

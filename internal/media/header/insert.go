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
	packet := buf[at:]
	end := Size + 4*int(packet[0]&0x0f)
	if packet[0]&0x10 == 0 {
		out := buf[at-InsertRoom:]
		copy(out, packet[:end])
		out[0] |= 0x10
		binary.BigEndian.PutUint16(out[end:], oneByte)
		binary.BigEndian.PutUint16(out[end+2:], 1)
		element(out[end+4:], false, id, content)
		return out
	}
	profile := binary.BigEndian.Uint16(packet[end:])
	long := profile&twoByteMask == twoByte
	if profile != oneByte && !long {
		return packet
	}
	words := binary.BigEndian.Uint16(packet[end+2:])
	end += 4 + 4*int(words)
	out := buf[at-4:]
	copy(out, packet[:end])
	binary.BigEndian.PutUint16(out[end-4*int(words)-2:], words+1)
	element(out[end:], long, id, content)
	return out
}

// element writes an element of four bytes, padding included.
func element(b []byte, long bool, id uint8, content uint16) {
	if long {
		b[0], b[1] = id, 2
		binary.BigEndian.PutUint16(b[2:], content)
		return
	}
	b[0] = id<<4 | 1
	binary.BigEndian.PutUint16(b[1:], content)
	b[3] = 0
}

package header

import "encoding/binary"

// IDMap says under which id an extension goes on.
type IDMap struct{ From, To uint8 }

// Remap renames the extensions of the packet that h was parsed from as told
// and leaves out all others; if none remains, the packet has no extension any
// more. It works in place, updates h, and returns the packet, which may begin
// later in the same buffer and is never longer. An extension is left out too
// if its new id does not fit the packet's form (RFC 8285 §4.2: up to 14).
func (h *Header) Remap(packet []byte, ids []IDMap) []byte {
	if h.ExtensionAt == 0 {
		return packet
	}
	e := h.Elements(packet)
	first := h.ExtensionAt + 4
	at := first
	for e.Next() {
		to := lookup(ids, e.ID)
		if to == 0 || !e.TwoByte && to > 14 {
			continue
		}
		if e.TwoByte {
			packet[at], packet[at+1] = to, byte(len(e.Content))
			at += 2
		} else {
			packet[at] = to<<4 | byte(len(e.Content)-1)
			at++
		}
		at += copy(packet[at:], e.Content)
	}
	end := h.ExtensionAt
	if at > first {
		for ; (at-first)%4 != 0; at++ {
			packet[at] = 0
		}
		binary.BigEndian.PutUint16(packet[h.ExtensionAt+2:], uint16((at-first)/4))
		end = at
	} else {
		packet[0] &^= 0x10
		h.ExtensionAt = 0
	}
	return h.closeUp(packet, end)
}

func lookup(ids []IDMap, id uint8) uint8 {
	for _, m := range ids {
		if m.From == id {
			return m.To
		}
	}
	return 0
}

// Cut takes the first n bytes out of the payload of the packet that h was parsed
// from, of which there are as many. It works in place, updates h, and returns the
// packet, which begins later in the same buffer.
func (h *Header) Cut(packet []byte, n int) []byte {
	h.PayloadAt += n
	return h.closeUp(packet, h.PayloadAt-n)
}

// closeUp moves the first end bytes up to the payload, which is cheaper than
// to move the payload.
func (h *Header) closeUp(packet []byte, end int) []byte {
	gap := h.PayloadAt - end
	if gap == 0 {
		return packet
	}
	copy(packet[gap:], packet[:end])
	h.PayloadAt -= gap
	h.PayloadEnd -= gap
	return packet[gap:]
}

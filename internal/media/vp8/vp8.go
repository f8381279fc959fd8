// Package vp8 reads and rewrites in place the VP8 payload descriptor (RFC
// 7741 §4.2) and reads the header of VP8 key frames (RFC 6386 §9.1).
//
// The router's rewriter calls it for every VP8 packet, so that picture ids go
// on without a break when a slot changes sources. Nothing is allocated.
package vp8

import "encoding/binary"

// Descriptor is a payload descriptor. The offsets are into the payload, 0
// where the field is absent.
type Descriptor struct {
	Start      bool   // first packet of a frame: S set, partition 0
	NonRef     bool   // N: no other frame depends on this one
	PictureID  uint16 // 7 or 15 bits
	TL0PICIDX  uint8
	TID        uint8 // temporal layer
	LayerSync  bool  // Y
	KeyIdx     uint8 // 5 bits
	HasTID     bool
	HasKeyIdx  bool
	Size       int // of the descriptor
	pictureAt  int
	tl0At      int
	tidAt      int
	pictureLen int // 1 or 2
}

// HasPictureID reports whether there is a picture id.
func (d *Descriptor) HasPictureID() bool { return d.pictureAt != 0 }

// Long reports whether the picture id has 15 bits rather than 7.
func (d *Descriptor) Long() bool { return d.pictureLen == 2 }

// HasTL0PICIDX reports whether there is a TL0PICIDX.
func (d *Descriptor) HasTL0PICIDX() bool { return d.tl0At != 0 }

// Parse reads the descriptor at the start of an RTP payload. It reports false
// if the payload ends within it.
func Parse(payload []byte) (d Descriptor, ok bool) {
	//	 0 1 2 3 4 5 6 7
	//	+-+-+-+-+-+-+-+-+
	//	|X|R|N|S|R| PID |  X: the next byte is there
	//	|I|L|T|K| RSV   |  I: picture id, L: TL0PICIDX, T: TID, K: KEYIDX
	//	|M| PictureID   |  M: 15 bits rather than 7
	//	|   PictureID   |
	//	|   TL0PICIDX   |
	//	|TID|Y| KEYIDX  |
	if len(payload) < 1 {
		return d, false
	}
	b := payload[0]
	d.NonRef = b&0x20 != 0
	d.Start = b&0x10 != 0 && b&0x07 == 0
	d.Size = 1
	if b&0x80 == 0 {
		return d, true
	}
	if len(payload) < 2 {
		return d, false
	}
	flags := payload[1]
	d.Size = 2
	if flags&0x80 != 0 && !d.parsePictureID(payload) {
		return d, false
	}
	if flags&0x40 != 0 {
		if len(payload) <= d.Size {
			return d, false
		}
		d.tl0At = d.Size
		d.TL0PICIDX = payload[d.Size]
		d.Size++
	}
	if flags&0x30 != 0 {
		if len(payload) <= d.Size {
			return d, false
		}
		d.parseLayer(payload[d.Size], flags)
	}
	return d, true
}

func (d *Descriptor) parsePictureID(payload []byte) bool {
	if len(payload) < 3 {
		return false
	}
	d.pictureAt = d.Size
	if payload[2]&0x80 == 0 {
		d.PictureID, d.pictureLen = uint16(payload[2]), 1
		d.Size++
		return true
	}
	if len(payload) < 4 {
		return false
	}
	d.PictureID, d.pictureLen = binary.BigEndian.Uint16(payload[2:])&0x7fff, 2
	d.Size += 2
	return true
}

func (d *Descriptor) parseLayer(b, flags byte) {
	d.tidAt = d.Size
	d.Size++
	if d.HasTID = flags&0x20 != 0; d.HasTID {
		d.TID = b >> 6
		d.LayerSync = b&0x20 != 0
	}
	if d.HasKeyIdx = flags&0x10 != 0; d.HasKeyIdx {
		d.KeyIdx = b & 0x1f
	}
}

// SetPictureID overwrites the picture id of the payload that d was parsed
// from, if it has one: all of 15 bits, or the lower 7.
func (d *Descriptor) SetPictureID(payload []byte, id uint16) {
	switch d.pictureLen {
	case 1:
		payload[d.pictureAt] = byte(id & 0x7f)
	case 2:
		binary.BigEndian.PutUint16(payload[d.pictureAt:], id|0x8000)
	}
}

// SetTL0PICIDX overwrites the TL0PICIDX, if there is one.
func (d *Descriptor) SetTL0PICIDX(payload []byte, idx uint8) {
	if d.tl0At != 0 {
		payload[d.tl0At] = idx
	}
}

// SetKeyIdx overwrites the lower 5 bits of KEYIDX, if there is one.
func (d *Descriptor) SetKeyIdx(payload []byte, idx uint8) {
	if d.HasKeyIdx {
		payload[d.tidAt] = payload[d.tidAt]&0xe0 | idx&0x1f
	}
}

// Key reports whether the payload is the first of a key frame, and its size
// in pixels if the payload holds that much (RFC 6386 §9.1).
func (d *Descriptor) Key(payload []byte) (key bool, width, height int) {
	if !d.Start || len(payload) <= d.Size {
		return false, 0, 0
	}
	frame := payload[d.Size:]
	if frame[0]&0x01 != 0 { // inverse key frame flag
		return false, 0, 0
	}
	if len(frame) < 10 || frame[3] != 0x9d || frame[4] != 0x01 || frame[5] != 0x2a {
		return true, 0, 0
	}
	return true, int(binary.LittleEndian.Uint16(frame[6:]) & 0x3fff), int(binary.LittleEndian.Uint16(frame[8:]) & 0x3fff)
}

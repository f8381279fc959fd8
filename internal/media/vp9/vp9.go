// Package vp9 reads the payload descriptor of VP9 (RFC 9628 §4.2) and chooses,
// packet by packet, the spatial and temporal layers of an SVC stream that one
// receiver gets.
//
// The router parses each packet once and asks the Selector of each slot that
// takes the stream. Nothing is allocated; neither type is safe for concurrent
// use.
package vp9

import "encoding/binary"

const (
	maxSpatial = 8
	maxDiffs   = 3
)

// Descriptor is a payload descriptor.
type Descriptor struct {
	Predicted    bool // P: the picture depends on earlier ones
	Layered      bool // L: TID and SID are there
	Flexible     bool // F: the picture's references are in the descriptor
	Start, End   bool // B, E: of a layer's frame
	NotReference bool // Z: no higher spatial layer depends on this frame
	PictureID    uint16
	TID, SID     uint8 // temporal and spatial layer
	// SwitchUp (U): later pictures of higher temporal layers than this one's
	// do not depend on such pictures before it.
	SwitchUp   bool
	InterLayer bool // D: the frame depends on the next lower spatial layer's
	TL0PICIDX  uint8
	// Layers and Sizes are what a scalability structure tells (V, §4.2.1);
	// Layers is 0 if there is none. Sizes are 0 if it does not tell them.
	Layers int
	Sizes  [maxSpatial]Size

	Length    int // of the descriptor
	pictureAt int
	long      bool
	tl0At     int
}

// Size is that of a spatial layer, in pixels.
type Size struct{ Width, Height int }

// HasPictureID reports whether there is a picture id.
func (d *Descriptor) HasPictureID() bool { return d.pictureAt != 0 }

// Long reports whether the picture id has 15 bits rather than 7.
func (d *Descriptor) Long() bool { return d.long }

// HasTL0PICIDX reports whether there is a TL0PICIDX.
func (d *Descriptor) HasTL0PICIDX() bool { return d.tl0At != 0 }

// Key reports whether a key picture begins with the packet.
func (d *Descriptor) Key() bool { return d.Start && d.SID == 0 && !d.Predicted }

// Parse reads the descriptor at the start of an RTP payload. It reports false
// if the payload ends within it.
func Parse(payload []byte) (d Descriptor, ok bool) {
	//	 0 1 2 3 4 5 6 7
	//	+-+-+-+-+-+-+-+-+
	//	|I|P|L|F|B|E|V|Z|
	//	|M| PICTURE ID  |  I; M: 15 bits rather than 7
	//	| EXTENDED PID  |
	//	| TID |U| SID |D|  L
	//	|   TL0PICIDX   |  L, unless F
	//	|  P_DIFF     |N|  F and P, up to 3 times
	//	| SS            |  V
	r := reader{b: payload}
	first := r.byte()
	d.Predicted, d.Layered, d.Flexible = first&0x40 != 0, first&0x20 != 0, first&0x10 != 0
	d.Start, d.End, d.NotReference = first&0x08 != 0, first&0x04 != 0, first&0x01 != 0
	if first&0x80 != 0 {
		d.parsePictureID(&r)
	}
	if d.Layered {
		b := r.byte()
		d.TID, d.SwitchUp, d.SID, d.InterLayer = b>>5, b&0x10 != 0, b>>1&7, b&1 != 0
		if !d.Flexible {
			d.tl0At = r.at
			d.TL0PICIDX = r.byte()
		}
	}
	if d.Flexible && d.Predicted {
		for range maxDiffs {
			if r.byte()&1 == 0 {
				break
			}
		}
	}
	if first&0x02 != 0 {
		d.parseStructure(&r)
	}
	d.Length = r.at
	return d, !r.short
}

func (d *Descriptor) parsePictureID(r *reader) {
	d.pictureAt = r.at
	d.PictureID = uint16(r.byte())
	if d.long = d.PictureID&0x80 != 0; d.long {
		d.PictureID = d.PictureID&0x7f<<8 | uint16(r.byte())
	}
}

// parseStructure reads a scalability structure (§4.2.1): sizes, and the
// pictures of a group, which are passed over.
func (d *Descriptor) parseStructure(r *reader) {
	b := r.byte()
	d.Layers = int(b>>5) + 1
	if b&0x10 != 0 { // Y
		for i := range d.Layers {
			d.Sizes[i].Width = int(r.uint16())
			d.Sizes[i].Height = int(r.uint16())
		}
	}
	if b&0x08 != 0 { // G
		for range r.byte() {
			r.skip(int(r.byte() >> 2 & 3))
		}
	}
}

// SetPictureID overwrites the picture id of the payload that d was parsed
// from, if it has one: all of 15 bits, or the lower 7.
func (d *Descriptor) SetPictureID(payload []byte, id uint16) {
	switch {
	case d.pictureAt == 0:
	case d.long:
		binary.BigEndian.PutUint16(payload[d.pictureAt:], id|0x8000)
	default:
		payload[d.pictureAt] = byte(id & 0x7f)
	}
}

// SetTL0PICIDX overwrites the TL0PICIDX, if there is one.
func (d *Descriptor) SetTL0PICIDX(payload []byte, idx uint8) {
	if d.tl0At != 0 {
		payload[d.tl0At] = idx
	}
}

// reader reads bytes; past the end they are 0.
type reader struct {
	b     []byte
	at    int
	short bool
}

func (r *reader) byte() byte {
	if r.at >= len(r.b) {
		r.short = true
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

func (r *reader) uint16() uint16 { return uint16(r.byte())<<8 | uint16(r.byte()) }

func (r *reader) skip(n int) {
	if r.at+n > len(r.b) {
		r.short = true
		n = len(r.b) - r.at
	}
	r.at += n
}

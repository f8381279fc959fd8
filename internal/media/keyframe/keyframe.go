// Package keyframe tells from the payload of one RTP packet whether a frame
// begins with it, whether that frame can be decoded without any before it, and
// how large its picture is.
//
// The router asks it for every video packet: a slot changes sources only at
// key frames, and layers are chosen by their measured height. It looks at one
// packet at a time and keeps nothing; where the wire does not say it in the
// packet itself the answers err as each field's comment tells.
package keyframe

import (
	"encoding/binary"
	"strings"

	"causeway/internal/media/vp8"
)

// Codec is a payload format.
type Codec uint8

// The codecs. Other stands for those in which any packet can be decoded on
// its own, which for us is sound.
const (
	Other Codec = iota
	VP8
	VP9
	H264
	AV1
)

// CodecOf returns the codec by its name in SDP.
func CodecOf(name string) Codec {
	switch strings.ToUpper(name) {
	case "VP8":
		return VP8
	case "VP9":
		return VP9
	case "H264":
		return H264
	case "AV1":
		return AV1
	}
	return Other
}

// Info is what a packet tells.
type Info struct {
	// Start: a frame begins here. With AV1, and with H.264 before its slices,
	// it is set on further packets of the same frame too.
	Start bool
	// Key: a key frame begins here. With H.264 that is the sequence parameter
	// set, without which what follows is of no use to who has none.
	Key bool
	// Width and Height of the picture in pixels, 0 if the packet does not say.
	Width, Height int
	// Temporal is the temporal layer that the packet is of, with VP8 and VP9.
	Temporal uint8
}

// Inspect reads the payload of one packet.
func (c Codec) Inspect(payload []byte) Info {
	switch c {
	case VP8:
		return inspectVP8(payload)
	case VP9:
		return inspectVP9(payload)
	case H264:
		return inspectH264(payload)
	case AV1:
		return inspectAV1(payload)
	}
	return Info{Start: true, Key: true}
}

func inspectVP8(payload []byte) Info {
	d, ok := vp8.Parse(payload)
	if !ok {
		return Info{}
	}
	key, w, h := d.Key(payload)
	return Info{Start: d.Start, Key: key, Width: w, Height: h, Temporal: d.TID}
}

// inspectVP9 reads the payload descriptor (RFC 9628 §4.2). A key picture is
// one that is not predicted from others (P), at its first spatial layer.
func inspectVP9(payload []byte) Info {
	if len(payload) == 0 {
		return Info{}
	}
	b := payload[0]
	picture, predicted, layered, flexible := b&0x80 != 0, b&0x40 != 0, b&0x20 != 0, b&0x10 != 0
	begins, structured := b&0x08 != 0, b&0x02 != 0
	at := 1
	if picture {
		if len(payload) <= at {
			return Info{}
		}
		at += 1 + int(payload[at]>>7)
	}
	base, temporal := true, uint8(0)
	if layered {
		if len(payload) <= at {
			return Info{}
		}
		base, temporal = payload[at]&0x0e == 0, payload[at]>>5 // SID, TID
		at++
		if !flexible {
			at++ // TL0PICIDX
		}
	}
	for i := 0; flexible && predicted && i < 3; i++ {
		if len(payload) <= at {
			return Info{}
		}
		at++
		if payload[at-1]&0x01 == 0 { // N: another P_DIFF follows
			break
		}
	}
	i := Info{Start: begins && base, Key: begins && base && !predicted, Temporal: temporal}
	if structured {
		i.Width, i.Height = scalability(payload, at)
	}
	return i
}

// scalability reads the size of the largest spatial layer from a VP9
// scalability structure (RFC 9628 §4.2.1).
func scalability(payload []byte, at int) (width, height int) {
	if len(payload) <= at || payload[at]&0x10 == 0 { // Y
		return 0, 0
	}
	layers := int(payload[at]>>5) + 1
	last := at + 1 + 4*(layers-1)
	if len(payload) < last+4 {
		return 0, 0
	}
	return int(binary.BigEndian.Uint16(payload[last:])), int(binary.BigEndian.Uint16(payload[last+2:]))
}

// inspectAV1 reads the aggregation header (AV1 RTP specification §4.4): Z, the
// packet continues an OBU; N, a coded video sequence begins.
func inspectAV1(payload []byte) Info {
	if len(payload) < 2 {
		return Info{}
	}
	start := payload[0]&0x80 == 0
	return Info{Start: start, Key: start && payload[0]&0x08 != 0}
}

package client

import (
	"encoding/binary"
	"time"

	"causeway/internal/media/keyframe"
	"causeway/protocol"
)

// A Frame is one encoded picture or piece of sound that was received.
type Frame struct {
	Participant string // id of who published it
	Name        string // the name others see
	Source      protocol.Source
	Codec       Codec
	// Captured is when it was captured. All frames of a meeting are on one
	// clock, the router's, moved to this machine's: what has the same time
	// belongs together.
	Captured time.Time
	Key      bool // picture that needs no other; true for sound
	Width    int  // pixels, of pictures with Key
	Height   int
	// Lost is how many packets are missing right before this frame. Pictures
	// that need what is missing are not delivered.
	Lost int
	Data []byte // the receiver's to keep
}

// describe fills in what the data of a picture says of itself.
func (f *Frame) describe() {
	switch f.Codec {
	case Opus:
		f.Key = true
	case VP8:
		f.Key, f.Width, f.Height = vp8Header(f.Data)
	case H264:
		nalUnits(f.Data, func(nal []byte) {
			f.Key = f.Key || len(nal) > 0 && nal[0]&0x1F == nalIDR
		})
		if sps, _ := parameterSets(f.Data); sps != nil && f.Key {
			i := keyframe.H264.Inspect(sps)
			f.Width, f.Height = i.Width, i.Height
		}
	}
}

// vp8Header reads a frame's header (RFC 6386 §9.1).
func vp8Header(b []byte) (key bool, width, height int) {
	if len(b) < 10 || b[0]&1 != 0 || b[3] != 0x9D || b[4] != 0x01 || b[5] != 0x2A {
		return false, 0, 0
	}
	w, h := binary.LittleEndian.Uint16(b[6:]), binary.LittleEndian.Uint16(b[8:])
	return true, int(w & 0x3FFF), int(h & 0x3FFF)
}

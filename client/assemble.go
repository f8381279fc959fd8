package client

import (
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
)

// maxFrame bounds a picture that is being put together, in bytes.
const maxFrame = 4 << 20

// An assembler puts the frames of one stream together from its packets,
// which come in order. It is pure: its state is what it was given.
type assembler struct {
	codec Codec
	// needKey says that pictures are not shown until one comes that needs no
	// other: at the beginning, and after a loss.
	needKey bool

	building bool
	stamp    uint32
	data     []byte
	h264     codecs.H264Packet
	lost     int // packets missing since the last frame that was delivered
	waiting  int // pictures thrown away since, because they need what is missing
}

// reset forgets what came before: another source follows.
func (a *assembler) reset(codec Codec) {
	*a = assembler{codec: codec, needKey: codec != Opus}
}

// push takes the next packet; missing says how many before it are lost. It
// reports whether that completed a frame, which has everything but its
// source and time.
func (a *assembler) push(p *rtp.Packet, missing int) (Frame, bool) {
	if missing > 0 {
		a.lost += missing
		a.building = false
		a.needKey = a.codec != Opus
	}
	if len(p.Payload) == 0 {
		return Frame{}, false // padding, as probes and keep-alives are
	}
	if a.codec == Opus {
		return a.finish(append([]byte(nil), p.Payload...)), true
	}
	payload, start, ok := a.open(p)
	if !ok {
		a.spoil()
		return Frame{}, false
	}
	if !a.building || p.Timestamp != a.stamp {
		if a.building || !start {
			a.spoil() // the end or the beginning of a picture is missing
		}
		a.building, a.stamp, a.data = start, p.Timestamp, nil
	}
	if !a.building {
		return Frame{}, false
	}
	if a.data = append(a.data, payload...); len(a.data) > maxFrame {
		a.spoil()
		return Frame{}, false
	}
	if !p.Marker {
		return Frame{}, false
	}
	a.building = false
	if len(a.data) == 0 {
		return Frame{}, false
	}
	return a.picture()
}

// open takes the payload's own header off and tells whether a picture may
// begin with it.
func (a *assembler) open(p *rtp.Packet) (payload []byte, start, ok bool) {
	if a.codec == H264 {
		if !a.building || p.Timestamp != a.stamp {
			a.h264 = codecs.H264Packet{}
		}
		// A fragment that is not the first of its unit cannot begin a picture.
		kind := p.Payload[0] & 0x1F
		start = kind != 28 || len(p.Payload) > 1 && p.Payload[1]&0x80 != 0
		payload, err := a.h264.Unmarshal(p.Payload)
		return payload, start, err == nil
	}
	var h codecs.VP8Packet
	payload, err := h.Unmarshal(p.Payload)
	return payload, h.S == 1 && h.PID == 0, err == nil
}

// spoil gives up the picture in hand; those that build on it are worthless.
func (a *assembler) spoil() {
	a.building, a.data, a.needKey = false, nil, true
}

func (a *assembler) picture() (Frame, bool) {
	f := Frame{Codec: a.codec, Data: a.data}
	f.describe()
	a.data = nil
	if a.needKey && !f.Key {
		a.waiting++
		return Frame{}, false
	}
	a.needKey = false
	return a.finish(f.Data), true
}

func (a *assembler) finish(data []byte) Frame {
	f := Frame{Codec: a.codec, Data: data, Lost: a.lost}
	f.describe()
	a.lost, a.waiting = 0, 0
	return f
}

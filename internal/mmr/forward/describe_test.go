package forward

import (
	"slices"
	"testing"
	"time"

	"causeway/internal/media/header"
	"causeway/protocol"
)

// roll lets a camera send pictures, one in 25 ms, the first one a key picture.
func (p *publisher) roll(pictures int) {
	for i := range pictures {
		for _, raw := range p.scalablePicture(i == 0, i%2 == 1, [maxLayers]int{500, 500, 500}) {
			p.put(raw)
		}
		p.pass(25 * time.Millisecond)
	}
}

// TestStructureComesLate: where the packet with the structure is lost, what is
// behind it waits for its repair, and goes on in order then. A packet that
// comes twice does so once.
func TestStructureComesLate(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, av1Codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 0, av1Codec)
	bob.assign(0, cam.source, 720)
	for _, raw := range cam.scalablePicture(true, false, [maxLayers]int{500, 500, 500})[1:] {
		cam.put(raw)
	}
	if cam.keyRequests1(0) == 0 {
		t.Error("no key frame is asked for when nothing can be read")
	}
	cam.pass(25 * time.Millisecond)
	var held [][]byte
	for i := range 4 {
		held = append(held, cam.scalablePicture(i == 0, i%2 == 1, [maxLayers]int{2500, 500, 500})...)
	}
	for _, raw := range held[1:] {
		cam.put(slices.Clone(raw))
	}
	if n := len(bob.wire.take()); n != 0 {
		t.Errorf("%d packets sent before the structure", n)
	}
	cam.pass(50 * time.Millisecond)
	cam.put(slices.Clone(held[0]))
	cam.put(slices.Clone(held[3]))
	sent := bob.wire.take()
	if len(sent) != len(held) {
		t.Errorf("%d packets sent of %d", len(sent), len(held))
	}
	wholePictures(t, sent)
}

// TestFramesGoOn: a slot that goes from one camera to another, by way of one in
// VP8, goes on with its frame numbers, or the receiver would take the new ones
// for late.
func TestFramesGoOn(t *testing.T) {
	r := newRig(t, 1)
	ada := r.publisher("ada", protocol.Camera, av1Codec, 0, nil)
	cyd := r.publisher("cyd", protocol.Camera, av1Codec, 0, nil)
	vp8 := vp8Codec
	vp8.PayloadType, vp8.RTX = 98, 99
	bob := r.taker(protocol.Camera, 1, 0, av1Codec, vp8)
	ada.pic[0], cyd.pic[0] = 40000, 20000
	var sent [][]byte
	for _, cam := range []*publisher{ada, cyd, ada} {
		bob.assign(0, cam.source, 180)
		cam.roll(6)
		sent = append(sent, bob.wire.take()...)
		dan := r.publisher("dan", protocol.Camera, vp8Codec, 0, nil)
		bob.assign(0, dan.source, 180)
		dan.pic[0] = 100
		dan.put(dan.frame(0, true, 180))
		if n := len(bob.wire.take()); n != 1 {
			t.Errorf("%d packets in VP8", n)
		}
	}
	frames := framesOf(t, sent)
	for i := 1; i < len(frames); i++ {
		if d := frames[i] - frames[i-1]; d == 0 || d > 9 {
			t.Errorf("frame %d follows %d", frames[i], frames[i-1])
		}
	}
	if len(frames) != 3*6 {
		t.Errorf("%d frames", len(frames))
	}
}

// framesOf returns the numbers of the frames that packets begin, as the
// receiver sees them.
func framesOf(t *testing.T, sent [][]byte) (frames []uint16) {
	t.Helper()
	for _, p := range sent {
		h, _ := header.Parse(p)
		d := h.Extension(p, slotDesc)
		if len(d) < 3 {
			t.Fatalf("no descriptor: %x", p[:32])
		}
		frames = append(frames, uint16(d[1])<<8|uint16(d[2]))
	}
	return frames
}

// TestWithoutDescriptor: what has none goes on as it is.
func TestWithoutDescriptor(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, av1Codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 0, av1Codec)
	bob.assign(0, cam.source, 180)
	for i := range uint16(10) {
		first := byte(0x10) // W: one element (AV1 RTP specification section 4.4)
		if i == 0 {
			first |= 0x08 // N: a coded video sequence begins
		}
		cam.put(rtpPacket(96, true, i, uint32(i)*3000, ssrcOf(0), nil, []byte{first, 1, 2, 3}))
	}
	if n := len(bob.wire.take()); n != 10 {
		t.Errorf("%d packets of 10", n)
	}
}

// TestTrunkLosesTheStructure: the router behind asks for it, and its takers see
// whole pictures from then on.
func TestTrunkLosesTheStructure(t *testing.T) {
	w := newTwin(t, 1, protocol.Video)
	cam := w.side[0].publisher("ada", protocol.Camera, av1Codec, 0, nil)
	w.own[0] = append(w.own[0], cam.source)
	w.know()
	bob := w.side[1].taker(protocol.Camera, 1, 0, av1Codec)
	lost := 0
	w.cables[0][protocol.Video].lose = func(h header.Header) bool {
		if h.PayloadType != trunkType || lost > 0 {
			return false
		}
		lost++
		return true
	}
	bob.assign(0, w.farOf(1, cam.source), 720)
	key := true
	for i := range 40 {
		for _, raw := range cam.scalablePicture(key, i%2 == 1 && !key, [maxLayers]int{400, 400, 400}) {
			cam.put(raw)
		}
		w.pass(25 * time.Millisecond)
		key = cam.keyRequests1(0) > 0
	}
	sent := bob.wire.take()
	if lost != 1 || len(sent) < 90 {
		t.Errorf("%d lost, %d packets came", lost, len(sent))
	}
	wholePictures(t, sent)
}

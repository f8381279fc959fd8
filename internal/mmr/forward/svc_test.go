package forward

import (
	"encoding/binary"
	"encoding/hex"
	"testing"
	"time"

	"causeway/internal/media/depdesc"
	"causeway/internal/media/header"
	"causeway/internal/media/offer"
	"causeway/internal/media/seqnum"
	"causeway/internal/media/vp9"
	"causeway/internal/nettest"
	"causeway/protocol"
)

var vp9Codec = offer.Codec{PayloadType: 96, Name: offer.VP9, ClockRate: 90000, RTX: 97, Fmtp: "profile-id=0"}

var av1Codec = offer.Codec{PayloadType: 96, Name: offer.AV1, ClockRate: 90000, RTX: 97}

var scalableCodecs = []offer.Codec{vp9Codec, av1Codec}

// scalablePicture makes the packets of one picture of three spatial layers
// (K-SVC), each with so many bytes; upper is of a higher temporal layer. The
// last byte of each tells its spatial layer.
func (p *publisher) scalablePicture(key, upper bool, sizes [maxLayers]int) [][]byte {
	if p.source.cfg.Codec.Name == offer.AV1 {
		return p.picturesAV1(key, upper, sizes)
	}
	return p.picturesVP9(key, upper, sizes)
}

// keyDescriptor is that of the first packet of a key frame of Chromium 156 in
// L3T3_KEY; see package depdesc.
var keyDescriptor, _ = hex.DecodeString("80005f80081485214eaaaaa8000600004000100002aa80a8000600004000100002a000a800060000400016d549241b5524906d54923157e001974ca864330e222396eca8655304224390eca87753013f00b3027f016704ff02cf")

// picturesAV1 does it with dependency descriptors. Of the pattern's pictures
// T2, T1, T2, T0 that follow a key picture, those are sent whose temporal layer
// is wanted: with frame numbers as though the others had been, too.
func (p *publisher) picturesAV1(key, upper bool, sizes [maxLayers]int) [][]byte {
	templates := []byte{1, 3, 2, 4} // of the phase, in the lowest spatial layer
	p.ts[0] += 3600
	p.phase++
	for p.phase%2 == 1 != upper {
		p.phase++
		p.pic[0] += maxLayers
	}
	template := templates[p.phase%len(templates)]
	if key {
		template, p.phase = 0, 0
	}
	var packets [][]byte
	for sid, size := range sizes {
		p.pic[0]++
		for left := size; left > 0; left -= 1100 {
			p.seq[0]++
			d := []byte{template + byte(5*sid), byte(p.pic[0] >> 8), byte(p.pic[0])}
			if key && sid == 0 && left == size {
				d = append(d, keyDescriptor[3:]...)
			}
			if left == size {
				d[0] |= 0x80
			}
			if left <= 1100 {
				d[0] |= 0x40
			}
			b := make([]byte, max(1, min(left, 1100)-len(d)))
			b[len(b)-1] = byte(sid)
			marker := left <= 1100 && sid == maxLayers-1
			packets = append(packets, rtpPacket(96, marker, p.seq[0], p.ts[0], ssrcOf(0), []ext{{descID, string(d)}}, b))
		}
	}
	return packets
}

// picturesVP9 does it with payload descriptors (RFC 9628 section 4.2). Layers at
// the top that have no bytes are not there.
func (p *publisher) picturesVP9(key, upper bool, sizes [maxLayers]int) [][]byte {
	var packets [][]byte
	p.ts[0] += 3600
	p.pic[0]++
	if !upper {
		p.pic[1]++ // TL0PICIDX
	}
	layers := maxLayers
	for layers > 1 && sizes[layers-1] == 0 {
		layers--
	}
	for sid, size := range sizes[:layers] {
		for left := size; left > 0; left -= 1100 {
			p.seq[0]++
			b := []byte{0xA0, 0x80 | byte(p.pic[0]>>8&0x7F), byte(p.pic[0]), byte(sid << 1), byte(p.pic[1])}
			switch {
			case !key:
				b[0] |= 0x40
			case sid > 0:
				b[3] |= 1
			}
			if upper {
				b[3] |= 1 << 5
			} else {
				b[3] |= 0x10 // what follows in the upper layer depends on this at most
			}
			if left == size {
				b[0] |= 0x08
				if key && sid == 0 {
					b[0] |= 0x02
					b = append(b, byte(layers-1)<<5|0x10)
					b = append(b, []byte{1, 64, 0, 180, 2, 128, 1, 104, 5, 0, 2, 208}[:4*layers]...)
				}
			}
			if left <= 1100 {
				b[0] |= 0x04
			}
			b = append(b, make([]byte, max(1, min(left, 1100)-len(b)))...)
			b[len(b)-1] = byte(sid)
			marker := left <= 1100 && sid == layers-1
			packets = append(packets, rtpPacket(96, marker, p.seq[0], p.ts[0], ssrcOf(0), nil, b))
		}
	}
	return packets
}

// scalable films 25 pictures a second, key pictures where asked.
func (v *viewer) scalable(owner string, codec offer.Codec, shard int) (cam *publisher, keys *int) {
	cam = v.publisher(owner, protocol.Camera, codec, shard, nil)
	keys = new(int)
	due, n := true, 0
	v.world.Every(40*time.Millisecond, func() {
		v.sync()
		n++
		sizes := [maxLayers]int{150_000 / 200, 350_000 / 200, 1_000_000 / 200}
		if due {
			*keys++
			for i := range sizes {
				sizes[i] *= 3
			}
		}
		for _, raw := range cam.scalablePicture(due, n%2 == 1 && !due, sizes) {
			cam.put(raw)
		}
		due = cam.keyRequests1(0) > 0
	})
	return cam, keys
}

// wholePictures looks through all that was sent in the first slot: no number is
// missing, every picture has its layers from the lowest on and ends with a marker.
func wholePictures(t *testing.T, sent [][]byte) {
	t.Helper()
	var last header.Header
	var reader depdesc.Reader
	frame := uint16(0)
	for i, p := range sent {
		h, _ := header.Parse(p)
		begins := false
		if content := h.Extension(p, slotDesc); content != nil {
			var d depdesc.Descriptor
			if reader.Parse(content, &d) == nil {
				t.Fatalf("packet %d: a receiver cannot read %x", i, content)
			}
			if i > 0 && seqnum.Less(d.Frame, frame) {
				t.Fatalf("packet %d: frame %d after %d", i, d.Frame, frame)
			}
			begins, frame = d.Start && d.Spatial == 0, d.Frame
		} else {
			d, ok := vp9.Parse(h.Payload(p))
			if !ok {
				t.Fatalf("packet %d is no VP9", i)
			}
			begins = d.Start && d.SID == 0
		}
		switch {
		case i == 0:
		case h.Sequence != last.Sequence+1:
			t.Fatalf("%d after %d", h.Sequence, last.Sequence)
		case last.Marker != (h.Timestamp != last.Timestamp):
			t.Fatalf("packet %d: marker %v, timestamps %d, then %d", i, last.Marker, last.Timestamp, h.Timestamp)
		case h.Timestamp != last.Timestamp && !begins:
			t.Fatalf("packet %d: a picture does not begin with its lowest layer", i)
		}
		last = h
	}
}

// inEachCodec runs a test with cameras in VP9 and in AV1.
func inEachCodec(t *testing.T, f func(t *testing.T, codec offer.Codec)) {
	for _, codec := range scalableCodecs {
		t.Run(codec.Name, func(t *testing.T) { f(t, codec) })
	}
}

func TestScalableFollowsTheWish(t *testing.T) { inEachCodec(t, scalableFollowsTheWish) }

func scalableFollowsTheWish(t *testing.T, codec offer.Codec) {
	for shards := range 2 {
		v := newViewer(t, shards+1, nettest.Step{Rate: 10e6})
		cam, keys := v.scalable("ada", codec, 0)
		bob := v.link(protocol.Camera, 1, shards, codec)
		want := func(height, layer int, within time.Duration) {
			t.Helper()
			from := v.world.Elapsed()
			v.router.Assign([]Assignment{{Slot: bob.Slots()[0], Source: cam.source, Height: height}}, v.now)
			if d := v.showing(0, layer, from); d < 0 || d > within {
				t.Errorf("%d lines: layer %d after %v", height, layer, d)
			}
			v.run(3 * time.Second)
			if v.shows[0] != layer {
				t.Errorf("%d lines: layer %d in the end", height, v.shows[0])
			}
			if g := v.gap(0, from+time.Second, v.world.Elapsed()); g > 100*time.Millisecond {
				t.Errorf("%d lines: no picture for %v", height, g)
			}
		}
		want(720, 2, 1500*time.Millisecond)
		before := *keys
		want(180, 0, 200*time.Millisecond)
		want(90, 0, 100*time.Millisecond)
		if *keys != before {
			t.Errorf("%d key pictures to go down", *keys-before)
		}
		want(360, 1, 800*time.Millisecond)
		want(720, 2, 800*time.Millisecond)
		if *keys != before+2 {
			t.Errorf("%d key pictures to go up twice", *keys-before)
		}
		wholePictures(t, v.sent)
	}
}

// TestScalableFollowsTheBudget: of one stream goes on what the network takes.
func TestScalableFollowsTheBudget(t *testing.T) { inEachCodec(t, scalableFollowsTheBudget) }

func scalableFollowsTheBudget(t *testing.T, codec offer.Codec) {
	v := newViewer(t, 1, nettest.Step{Rate: 3e6}, nettest.Step{At: 10 * time.Second, Rate: 0.8e6}, nettest.Step{At: 30 * time.Second, Rate: 3e6})
	cam, _ := v.scalable("ada", codec, 0)
	bob := v.link(protocol.Camera, 1, 0, codec)
	v.router.Assign([]Assignment{{Slot: bob.Slots()[0], Source: cam.source, Height: 720}}, v.now)
	v.run(10 * time.Second)
	if v.shows[0] != 2 {
		t.Errorf("layer %d with room for all", v.shows[0])
	}
	v.run(20 * time.Second)
	if f := v.fps(0, 15*time.Second, 30*time.Second); v.shows[0] != 1 || f < 24 {
		t.Errorf("layer %d, %.1f pictures a second of 0.8 Mbit/s", v.shows[0], f)
	}
	if g := v.gap(0, 10*time.Second, 30*time.Second); g > 900*time.Millisecond {
		t.Errorf("no picture for %v after the fall", g)
	}
	if d := v.showing(0, 2, 30*time.Second); d < 0 || d > 8*time.Second {
		t.Errorf("full size %v after the return", d)
	}
	wholePictures(t, v.sent)
}

// TestScalableRepair: what ends a picture for the receiver has its marker when
// it is sent again, too.
func TestScalableRepair(t *testing.T) { inEachCodec(t, scalableRepair) }

func scalableRepair(t *testing.T, codec offer.Codec) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 0, codec)
	bob.assign(0, cam.source, 180)
	for i := range 30 {
		for _, raw := range cam.scalablePicture(i == 0, false, [maxLayers]int{2000, 500, 500}) {
			cam.put(raw)
		}
		cam.pass(25 * time.Millisecond)
	}
	sent := bob.wire.take()
	if len(sent) != 60 {
		t.Fatalf("%d packets of 30 small pictures", len(sent))
	}
	for _, p := range sent[20:] {
		h, _ := header.Parse(p)
		bob.feedback(nackFor(h.Sequence))
		again := bob.wire.take()
		if len(again) != 1 {
			t.Fatalf("%d repairs", len(again))
		}
		a, _ := header.Parse(again[0])
		if a.Marker != h.Marker || a.Timestamp != h.Timestamp {
			t.Errorf("%d had marker %v, its repair %v", h.Sequence, h.Marker, a.Marker)
		}
		bob.pass(25 * time.Millisecond)
	}
}

// TestTrunkCarriesScalableSources: another router gets the stream whole, and its
// takers what they want of it.
func TestTrunkCarriesScalableSources(t *testing.T) { inEachCodec(t, trunkCarriesScalableSources) }

func trunkCarriesScalableSources(t *testing.T, codec offer.Codec) {
	w := newTwin(t, 1, protocol.Video)
	cam := w.side[0].publisher("ada", protocol.Camera, codec, 0, nil)
	w.own[0] = append(w.own[0], cam.source)
	w.know()
	bob := w.side[1].taker(protocol.Camera, 1, 0, codec)
	key := true
	film := func() (layers [maxLayers]int) {
		for range 60 {
			for _, raw := range cam.scalablePicture(key, false, [maxLayers]int{400, 400, 400}) {
				cam.put(raw)
			}
			w.pass(25 * time.Millisecond)
			key = cam.keyRequests1(0) > 0
		}
		film := bob.wire.take()
		for _, p := range film[len(film)/2:] {
			layers[p[len(p)-1]]++
		}
		return layers
	}
	for height, top := range map[int]int{180: 0, 720: 2} {
		bob.assign(0, w.farOf(1, cam.source), height)
		for layer, n := range film() {
			if (n > 0) != (layer <= top) {
				t.Errorf("%d lines: %d packets of layer %d", height, n, layer)
			}
		}
	}
}

func TestScalableForwardingAllocatesNothing(t *testing.T) {
	inEachCodec(t, scalableForwardingAllocatesNothing)
}

func scalableForwardingAllocatesNothing(t *testing.T, codec offer.Codec) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 0, codec)
	bob.wire.counting = true
	bob.assign(0, cam.source, 180)
	var work []byte
	put := func() { cam.link.RTP(work, r.now) }
	pictures := [2][][]byte{cam.scalablePicture(true, false, [maxLayers]int{500, 500, 500}), cam.scalablePicture(false, false, [maxLayers]int{500, 500, 500})}
	n, seq := 0, uint16(0)
	work = make([]byte, 0, maxPacket)
	forward := func() {
		picture := pictures[min(n/3, 1)]
		work = append(work[:0], picture[n%3]...)
		n++
		if h, _ := header.Parse(work); codec.Name == offer.AV1 {
			binary.BigEndian.PutUint16(h.Extension(work, descID)[1:], uint16(n)) // frame
		} else {
			work[14] = byte((n - 1) / 3) // picture id
		}
		seq++
		header.SetSequence(work, seq)
		r.now = r.now.Add(5 * time.Millisecond)
		r.shards[0].Run(put)
		r.router.Flush()
	}
	for range 3000 {
		forward()
	}
	before := bob.wire.sent
	if allocs := testing.AllocsPerRun(900, forward); allocs != 0 {
		t.Errorf("%v allocations per packet", allocs)
	}
	if got := bob.wire.sent - before; got < 295 || got > 305 {
		t.Errorf("%d packets of 901 sent", got)
	}
}

package forward

import (
	"testing"
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/offer"
	"causeway/internal/media/vp9"
	"causeway/internal/nettest"
	"causeway/protocol"
)

var vp9Codec = offer.Codec{PayloadType: 96, Name: offer.VP9, ClockRate: 90000, RTX: 97, Fmtp: "profile-id=0"}

// scalablePicture makes the packets of one picture of three spatial layers
// (K-SVC, RFC 9628 section 4.2), each with so many bytes; upper is of the second
// temporal layer. The last byte of each tells its spatial layer.
func (p *publisher) scalablePicture(key, upper bool, sizes [maxLayers]int) [][]byte {
	var packets [][]byte
	p.ts[0] += 3600
	p.pic[0]++
	if !upper {
		p.pic[1]++ // TL0PICIDX
	}
	for sid, size := range sizes {
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
					b = append(b, 2<<5|0x10, 1, 64, 0, 180, 2, 128, 1, 104, 5, 0, 2, 208)
				}
			}
			if left <= 1100 {
				b[0] |= 0x04
			}
			b = append(b, make([]byte, max(1, min(left, 1100)-len(b)))...)
			b[len(b)-1] = byte(sid)
			marker := left <= 1100 && sid == maxLayers-1
			packets = append(packets, rtpPacket(96, marker, p.seq[0], p.ts[0], ssrcOf(0), nil, b))
		}
	}
	return packets
}

// scalable films 25 pictures a second, key pictures where asked.
func (v *viewer) scalable(owner string, shard int) (cam *publisher, keys *int) {
	cam = v.publisher(owner, protocol.Camera, vp9Codec, shard, nil)
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
func (v *viewer) wholePictures(t *testing.T) {
	t.Helper()
	var last header.Header
	for i, p := range v.sent {
		h, _ := header.Parse(p)
		d, ok := vp9.Parse(h.Payload(p))
		switch {
		case !ok:
			t.Fatalf("packet %d is no VP9", i)
		case i == 0:
		case h.Sequence != last.Sequence+1:
			t.Fatalf("%d after %d", h.Sequence, last.Sequence)
		case last.Marker != (h.Timestamp != last.Timestamp):
			t.Fatalf("packet %d: marker %v, timestamps %d, then %d", i, last.Marker, last.Timestamp, h.Timestamp)
		case h.Timestamp != last.Timestamp && (!d.Start || d.SID != 0):
			t.Fatalf("packet %d: a picture begins with layer %d", i, d.SID)
		}
		last = h
	}
}

func TestScalableFollowsTheWish(t *testing.T) {
	for shards := range 2 {
		v := newViewer(t, shards+1, nettest.Step{Rate: 10e6})
		cam, keys := v.scalable("ada", 0)
		bob := v.link(protocol.Camera, 1, shards, vp9Codec)
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
		v.wholePictures(t)
	}
}

// TestScalableFollowsTheBudget: of one stream goes on what the network takes.
func TestScalableFollowsTheBudget(t *testing.T) {
	v := newViewer(t, 1, nettest.Step{Rate: 3e6}, nettest.Step{At: 10 * time.Second, Rate: 0.8e6}, nettest.Step{At: 30 * time.Second, Rate: 3e6})
	cam, _ := v.scalable("ada", 0)
	bob := v.link(protocol.Camera, 1, 0, vp9Codec)
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
	v.wholePictures(t)
}

// TestScalableRepair: what ends a picture for the receiver has its marker when
// it is sent again, too.
func TestScalableRepair(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp9Codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 0, vp9Codec)
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
func TestTrunkCarriesScalableSources(t *testing.T) {
	w := newTwin(t, 1, protocol.Video)
	cam := w.side[0].publisher("ada", protocol.Camera, vp9Codec, 0, nil)
	w.own[0] = append(w.own[0], cam.source)
	w.know()
	bob := w.side[1].taker(protocol.Camera, 1, 0, vp9Codec)
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
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp9Codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 0, vp9Codec)
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
		work[14] = byte(n / 3) // picture id
		n++
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

package forward

import (
	"testing"
	"time"

	"causeway/internal/media/header"
	"causeway/internal/nettest"
	"causeway/protocol"

	"github.com/pion/rtp/codecs"
)

// halves films as studio does, with every other picture in a second temporal
// layer (L1T2), which has two fifths of the rate.
func (v *viewer) halves(owner string, shard int) *publisher {
	cam := v.publisher(owner, protocol.Camera, vp8Codec, shard, nil, "q", "h", "f")
	rates := [maxLayers]int{150_000, 500_000, 1_500_000}
	due := [maxLayers]bool{true, true, true}
	var n int
	var tl0 [maxLayers]byte
	v.world.Every(40*time.Millisecond, func() {
		v.sync()
		n++
		for layer := range maxLayers {
			key, upper := due[layer], n%2 == 1
			size := rates[layer] / 8 / 25 * 6 / 5
			if upper = upper && !key; upper {
				size = rates[layer] / 8 / 25 * 4 / 5
			} else {
				tl0[layer]++
			}
			if due[layer] = false; key {
				size *= 3
			}
			cam.shootHalf(layer, key, upper, tl0[layer], 180<<layer, size)
			due[layer] = cam.keyRequests1(layer) > 0
		}
	})
	return cam
}

// shootHalf puts a frame of several packets with its temporal layer.
func (p *publisher) shootHalf(layer int, key, upper bool, tl0 byte, height, size int) {
	p.ts[layer] += 3600
	p.pic[layer]++
	for left, first := size, true; left > 0; left, first = left-1100, false {
		p.seq[layer]++
		b := []byte{0x80, 0xE0, 0x80 | byte(p.pic[layer]>>8&0x7F), byte(p.pic[layer]), tl0, 0, 0x01, 0, 0}
		if first {
			b[0] |= 0x10
		}
		if upper {
			b[5] = 1<<6 | 0x20 // TID 1, depends on the base layer alone
		}
		if key {
			b[6] = 0
			b = append(b, 0x9D, 0x01, 0x2A, byte(height*16/9), byte(height*16/9>>8), byte(height), byte(height>>8))
		}
		b = append(b, make([]byte, max(0, min(left, 1100)-len(b)))...)
		b[len(b)-1] = byte(layer)
		p.put(rtpPacket(96, left <= 1100, p.seq[layer], p.ts[layer], ssrcOf(layer), []ext{{ridID, p.rids[layer]}}, b))
	}
}

// fps is how many pictures a second a slot showed between two times.
func (v *viewer) fps(slot int, from, to time.Duration) float64 {
	n := 0
	for _, at := range v.frames[slot] {
		if at >= from && at < to {
			n++
		}
	}
	return float64(n) / (to - from).Seconds()
}

// TestTemporalBeforeSpatial: where the budget falls just below what a layer
// costs, every other picture is left out at once; if it stays so, the next
// smaller layer is shown at its whole frame rate. What the receiver gets has no
// gaps.
func TestTemporalBeforeSpatial(t *testing.T) {
	for shards := range 2 {
		v := newViewer(t, shards+1, nettest.Step{Rate: 3e6}, nettest.Step{At: 15 * time.Second, Rate: 1.4e6}, nettest.Step{At: 45 * time.Second, Rate: 3e6})
		cam := v.halves("ada", 0)
		bob := v.link(protocol.Camera, 1, shards, vp8Codec)
		v.router.Assign([]Assignment{{Slot: bob.Slots()[0], Source: cam.source, Height: 720}}, v.now)
		v.run(10 * time.Second)
		if f := v.fps(0, 5*time.Second, 10*time.Second); v.shows[0] != 2 || f < 24 {
			t.Errorf("layer %d, %.1f pictures a second with room for all", v.shows[0], f)
		}
		for v.run(6 * time.Second); v.shows[0] == 2 && v.world.Elapsed() < 45*time.Second; {
			v.run(50 * time.Millisecond)
		}
		down := v.world.Elapsed() // to the middle size
		if f := v.fps(0, down-time.Second, down); down < 16*time.Second || down > 18500*time.Millisecond || f < 10 || f > 20 {
			t.Errorf("%.1f pictures a second before the size went down after %v", f, down)
		}
		v.run(45*time.Second - down)
		if f := v.fps(0, 20*time.Second, 45*time.Second); v.shows[0] != 1 || f < 24 {
			t.Errorf("layer %d, %.1f pictures a second with room for half of the largest", v.shows[0], f)
		}
		if g := v.gap(0, 15*time.Second, 45*time.Second); g > 300*time.Millisecond {
			t.Errorf("no picture for %v", g)
		}
		if q := v.percentile(0.95, 20*time.Second, 45*time.Second); q > 100*time.Millisecond {
			t.Errorf("p95 of the queue %v", q)
		}
		v.run(15 * time.Second)
		if f := v.fps(0, 55*time.Second, 60*time.Second); v.shows[0] != 2 || f < 24 {
			t.Errorf("layer %d, %.1f pictures a second after the return", v.shows[0], f)
		}
		if n := v.changes(0, 20*time.Second, 45*time.Second); n > 1 {
			t.Errorf("the frame rate changed %d times in 25 s", n)
		}
		v.gapless(t)
	}
}

// TestSettling: each time that more did not last a slot waits longer for it,
// unless it was asked for less.
func TestSettling(t *testing.T) {
	y := newShare(protocol.Camera)
	now := epoch
	y.give(1, false, now)
	y.give(0, true, now)
	if y.settle != settle {
		t.Errorf("%v after the first fall", y.settle)
	}
	for _, want := range []time.Duration{2 * settle, settleMost, settleMost} {
		now = now.Add(y.settle)
		y.give(1, false, now)
		now = now.Add(lasting / 2)
		if y.give(0, true, now); y.settle != want {
			t.Errorf("%v, want %v", y.settle, want)
		}
	}
	now = now.Add(y.settle)
	y.give(1, false, now)
	now = now.Add(lasting)
	if y.give(0, true, now); y.settle != settle {
		t.Errorf("%v after more that lasted", y.settle)
	}
	now = now.Add(y.settle)
	y.give(1, false, now)
	now = now.Add(time.Second)
	lowered := y.lowered
	if y.give(0, false, now); y.lowered != lowered {
		t.Error("waits although all is given that is wanted")
	}
}

// TestBeginningLayer: a layer that soon takes many times what it began with is
// known for that within a second, a key frame is not taken for it.
func TestBeginningLayer(t *testing.T) {
	y := newShare(protocol.Camera)
	y.smooth(2, 300_000, 0)
	if rate := y.smooth(2, 3_000_000, 300_000); rate > 600_000 {
		t.Errorf("%d after a key frame", rate)
	}
	if rate := y.smooth(2, 1_600_000, 1_500_000); rate < 1_500_000 {
		t.Errorf("%d for a layer of 1.5 Mbit/s", rate)
	}
}

// changes counts how often the time between two frames of a slot went from one
// frame's to two's and back.
func (v *viewer) changes(slot int, from, to time.Duration) (n int) {
	list := v.frames[slot]
	half, run := false, 0
	for i := 1; i < len(list); i++ {
		if list[i] < from || list[i] >= to {
			continue
		}
		if wide := list[i]-list[i-1] > 60*time.Millisecond; wide == half {
			run = 0
		} else if run++; run == 5 { // not one late packet
			half, run = wide, 0
			n++
		}
	}
	return n
}

// gapless looks through all that was sent in the first slot.
func (v *viewer) gapless(t *testing.T) {
	t.Helper()
	var last struct {
		seq, picture uint16
		stamp        uint32
	}
	for i, p := range v.sent {
		h, _ := header.Parse(p)
		var d codecs.VP8Packet
		if _, err := d.Unmarshal(h.Payload(p)); err != nil {
			t.Fatal(err)
		}
		step := uint16(0)
		if h.Timestamp != last.stamp {
			step = 1
		}
		if i > 0 && (h.Sequence != last.seq+1 || d.PictureID != (last.picture+step)&0x7FFF) {
			t.Fatalf("packet %d, picture %d after %d, %d", h.Sequence, d.PictureID, last.seq, last.picture)
		}
		last.seq, last.picture, last.stamp = h.Sequence, d.PictureID, h.Timestamp
	}
}

// TestThinnedForwardingAllocatesNothing: leaving temporal layers out does not
// either.
func TestThinnedForwardingAllocatesNothing(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil, "q")
	bob := r.taker(protocol.Camera, 1, 0, vp8Codec)
	bob.wire.counting = true
	bob.assign(0, cam.source, 180)
	cam.shootHalf(0, true, false, 0, 180, 1000)
	slot := bob.link.Slots()[0]
	slot.temporal.Aim(0)
	work := make([]byte, 0, maxPacket)
	pair := [2][]byte{}
	for i := range pair {
		b := append([]byte{0x90, 0xE0, 0x80, byte(i + 2), 1, byte(i) << 6, 1, 0, 0}, make([]byte, 900)...)
		pair[i] = rtpPacket(96, true, 0, 0, ssrcOf(0), nil, b)
	}
	n := 0
	put := func() { cam.link.RTP(work, r.now) }
	forward := func() {
		work = append(work[:0], pair[n%2]...)
		n++
		cam.seq[0]++
		header.SetSequence(work, cam.seq[0])
		work[15] = byte(n) // picture id
		r.now = r.now.Add(5 * time.Millisecond)
		r.shards[0].Run(put)
		r.router.Flush()
	}
	for range 2000 {
		forward()
	}
	before := bob.wire.sent
	if allocs := testing.AllocsPerRun(1000, forward); allocs != 0 {
		t.Errorf("%v allocations per packet", allocs)
	}
	if got := bob.wire.sent - before; slot.temporal.Current() != 0 || got < 480 || got > 520 {
		t.Errorf("%d packets of 1001 sent, of temporal layers up to %d", got, slot.temporal.Current())
	}
}

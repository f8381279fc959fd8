package forward

import (
	"testing"
	"time"

	"causeway/protocol"
)

// obedient films only the layers that it was asked for 50 ms ago, and begins
// those that are asked for again with a key frame, as publishers do.
type obedient struct {
	*publisher
	asked [2]uint32 // two frames ago, one frame ago
	sent  uint32    // with the latest frame
	able  uint32    // layers for which it has the rate
	keys  int       // key frames that were asked for with PLI
	pass  func(time.Duration)
}

func (r *rig) obedient(shard int) *obedient {
	o := &obedient{
		publisher: r.publisher("ada", protocol.Camera, vp8Codec, shard, nil, "q", "h", "f"),
		asked:     [2]uint32{allLayers, allLayers}, able: allLayers,
	}
	o.pass = o.publisher.pass
	return o
}

// film sends 40 frames a second, and returns how many of each layer.
func (o *obedient) film(d time.Duration) (sent [maxLayers]int) {
	for end := o.now.Add(d); o.now.Before(end); {
		sends := o.asked[0] & o.able
		for layer := range maxLayers {
			begins := sends&^o.sent>>layer&1 != 0
			asked := o.keyRequests1(layer)
			o.keys += asked
			if sends>>layer&1 != 0 {
				key := asked > 0 || begins || o.seq[layer] == uint16(65000+layer)
				o.put(append(o.frame(layer, key, 180<<layer), make([]byte, layer*300)...))
				sent[layer]++
			}
		}
		o.sent, o.asked = sends, [2]uint32{o.asked[1], o.source.Requested()}
		o.pass(25 * time.Millisecond)
	}
	return sent
}

// next lets time pass, and wants certain layers to be sent at its end.
func (o *obedient) next(d time.Duration, layers uint32) {
	o.t.Helper()
	o.film(d - 100*time.Millisecond)
	got := uint32(0)
	for layer, n := range o.film(100 * time.Millisecond) {
		if n > 0 {
			got |= 1 << layer
		}
	}
	if got != layers {
		o.t.Errorf("layers %03b are sent, want %03b", got, layers)
	}
}

func TestLayersThatNobodyTakesArePaused(t *testing.T) {
	for _, shards := range []int{1, 2} {
		r := newRig(t, shards)
		cam := r.obedient(0)
		bob, eve := r.taker(protocol.Camera, 1, shards-1, vp8Codec), r.taker(protocol.Camera, 1, 0, vp8Codec)
		bob.assign(0, cam.source, 180)
		cam.next(5*time.Second, 0b111)
		cam.film(500 * time.Millisecond)
		cam.next(2*time.Second, 0b001)
		bob.layer()

		// Wanted again, it is asked for at once; what is seen meanwhile goes on.
		cam.keys = 0
		bob.assign(0, cam.source, 720)
		cam.film(100 * time.Millisecond)
		if n := len(bob.wire.rtp); n < 4 {
			t.Errorf("%d frames of the small layer until the large one comes", n)
		}
		cam.film(50 * time.Millisecond)
		if l := bob.layer(); l != 2 {
			t.Errorf("layer %d after 150 ms", l)
		}
		if cam.keys != 0 {
			t.Errorf("%d key frames asked for of a layer that begins with one", cam.keys)
		}
		// The smallest goes on, and what another one takes.
		cam.next(6*time.Second, 0b101)
		eve.assign(0, cam.source, 360)
		cam.film(150 * time.Millisecond)
		if l := eve.layer(); l != 1 {
			t.Errorf("layer %d, paused from the beginning", l)
		}
		cam.next(6*time.Second, 0b111)

		// A moment without a taker does not pause it.
		bob.assign(0, cam.source, 360)
		cam.film(4 * time.Second)
		bob.assign(0, cam.source, 720)
		cam.next(4*time.Second, 0b111)
	}
}

func TestCameraThatNobodyTakes(t *testing.T) {
	r := newRig(t, 1)
	cam := r.obedient(0)
	cam.next(5*time.Second, 0b111)
	cam.film(500 * time.Millisecond)
	cam.next(2*time.Second, 0)
	cam.source.Expect() // somebody comes
	cam.film(100 * time.Millisecond)
	cam.next(2*time.Second, 0b111)
	cam.film(4 * time.Second)
	cam.next(time.Second, 0)

	bob := r.taker(protocol.Camera, 1, 0, vp8Codec)
	bob.assign(0, cam.source, 720)
	cam.film(150 * time.Millisecond)
	if l := bob.layer(); l != 2 {
		t.Errorf("layer %d, want the largest at once", l)
	}
	// Turned off and on again, all begin.
	bob.assign(0, nil, 0)
	cam.film(6 * time.Second)
	cam.source.SetMuted(true)
	cam.pass(time.Second)
	if got := cam.source.Requested(); got != allLayers {
		t.Errorf("layers %b are wanted when it is turned on", got)
	}
}

// TestLayerThatDoesNotComeBack: a publisher may have less to send with than
// when it was asked to pause.
func TestLayerThatDoesNotComeBack(t *testing.T) {
	r := newRig(t, 1)
	cam := r.obedient(0)
	bob := r.taker(protocol.Camera, 1, 0, vp8Codec)
	bob.assign(0, cam.source, 180)
	cam.film(6 * time.Second)
	cam.able = 0b011
	bob.assign(0, cam.source, 720)
	cam.film(time.Second)
	if l := bob.layer(); l != 0 {
		t.Errorf("layer %d while the best is waited for", l)
	}
	cam.film(time.Second)
	if l := bob.layer(); l != 1 {
		t.Errorf("layer %d when the best does not come", l)
	}
	cam.able = 0b111
	cam.film(time.Second)
	if l := bob.layer(); l != 2 {
		t.Errorf("layer %d when the best comes after all", l)
	}
}

// TestPublisherThatPausesNothing: who does not know of it goes on as before.
func TestPublisherThatPausesNothing(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil, "q", "h", "f")
	bob := r.taker(protocol.Camera, 1, 0, vp8Codec)
	for _, height := range []int{180, 720, 180, 360} {
		bob.assign(0, cam.source, height)
		cam.film(6*time.Second, 180, 360, 720)
		if l := bob.layer(); 180<<l != height {
			t.Errorf("layer %d for %d lines", l, height)
		}
	}
}

// TestTrunkTellsOfPausedLayers: takers on another router know of a layer that
// is not sent, and get it.
func TestTrunkTellsOfPausedLayers(t *testing.T) {
	w := newTwin(t, 1, protocol.Video)
	cam := w.side[0].obedient(0)
	cam.pass = w.pass
	w.own[0] = append(w.own[0], cam.source)
	w.know()
	far := w.farOf(1, cam.source)
	bob := w.side[1].taker(protocol.Camera, 1, 0, vp8Codec)
	bob.assign(0, far, 180)
	cam.film(6 * time.Second)
	cam.next(2*time.Second, 0b001)
	layers := far.measured()
	if y := layers.Layer(2); !layers.Active(2, w.now()) || y.Height != 720 || y.BitsPerSecond < 50_000 {
		t.Errorf("of the paused layer is known: %+v", y)
	}
	bob.layer()
	bob.assign(0, far, 720)
	cam.film(time.Second)
	if l := bob.layer(); l != 2 {
		t.Errorf("layer %d", l)
	}
	cam.next(6*time.Second, 0b101)
}

package forward

import (
	"testing"
	"time"

	"causeway/internal/media/vp9"
	"causeway/protocol"
)

// thrifty films in VP9 with as many spatial layers as it was asked for 50 ms
// ago, and changes their number with a key picture, as Chromium does.
type thrifty struct {
	*publisher
	asked [2]int // two pictures ago, one picture ago
	sent  int    // layers of the latest picture
	able  int    // layers for which it has the rate
	keys  int    // key pictures that were asked for with PLI
	n     int
	pass  func(time.Duration)
}

func (r *rig) thrifty() *thrifty {
	o := &thrifty{publisher: r.publisher("ada", protocol.Camera, vp9Codec, 0, nil), asked: [2]int{maxLayers, maxLayers}, able: maxLayers}
	o.pass = o.publisher.pass
	return o
}

// film sends 40 pictures a second.
func (o *thrifty) film(d time.Duration) {
	for end := o.now.Add(d); o.now.Before(end); o.n++ {
		layers, sizes := min(o.asked[0], o.able), [maxLayers]int{}
		copy(sizes[:layers], []int{300, 600, 900})
		asked := o.keyRequests1(0)
		o.keys += asked
		if layers > 0 {
			key := asked > 0 || layers != o.sent
			for _, raw := range o.scalablePicture(key, o.n%2 == 1 && !key, sizes) {
				o.put(raw)
			}
		}
		requested := o.source.Requested()
		next := 0
		for requested>>next&1 != 0 {
			next++
		}
		if requested>>next != 0 {
			o.t.Fatalf("layers %03b are asked for, without some below", requested)
		}
		o.sent, o.asked = layers, [2]int{o.asked[1], next}
		o.pass(25 * time.Millisecond)
	}
}

// next lets time pass, and wants so many layers to be sent at its end.
func (o *thrifty) next(d time.Duration, layers int) {
	o.t.Helper()
	if o.film(d); o.sent != layers {
		o.t.Errorf("%d layers are sent, want %d", o.sent, layers)
	}
}

// shows returns the largest layer of what a taker got last, and whether every
// picture of it all was whole.
func (t *taker) shows(test *testing.T) int {
	test.Helper()
	sent := t.wire.take()
	if len(sent) == 0 {
		return -1
	}
	wholePictures(test, sent)
	d, _ := vp9.Parse(headers(test, sent[len(sent)-1:])[0].Payload(sent[len(sent)-1]))
	return int(d.SID)
}

// TestInsideLayersThatNobodyTakes: of a scalable source no more is asked for than
// the largest that anybody takes.
func TestInsideLayersThatNobodyTakes(t *testing.T) {
	for _, shards := range []int{1, 2} {
		r := newRig(t, shards)
		cam := r.thrifty()
		bob, eve := r.taker(protocol.Camera, 1, shards-1, vp9Codec), r.taker(protocol.Camera, 1, 0, vp9Codec)
		bob.assign(0, cam.source, 180)
		cam.next(4900*time.Millisecond, 3)
		cam.next(time.Second, 1)
		if l := bob.shows(t); l != 0 {
			t.Errorf("layer %d", l)
		}

		// Wanted again, it is asked for at once, and the picture goes on meanwhile.
		cam.keys = 0
		bob.assign(0, cam.source, 720)
		cam.film(50 * time.Millisecond)
		if l := bob.shows(t); l != 0 {
			t.Errorf("layer %d until the large one comes", l)
		}
		cam.film(100 * time.Millisecond)
		if l := bob.shows(t); l != 2 {
			t.Errorf("layer %d after 150 ms", l)
		}
		if cam.keys != 0 {
			t.Errorf("%d key pictures asked for of a layer that begins with one", cam.keys)
		}

		// Whoever comes then has it at once, without having others wait.
		bob.assign(0, cam.source, 180)
		cam.next(6*time.Second, 1)
		eve.assign(0, cam.source, 360)
		cam.film(150 * time.Millisecond)
		if l := eve.shows(t); l != 1 {
			t.Errorf("layer %d, paused from the beginning", l)
		}
		cam.next(6*time.Second, 2)

		// A moment without a taker changes nothing.
		bob.assign(0, cam.source, 720)
		cam.next(time.Second, 3)
		bob.assign(0, cam.source, 360)
		cam.next(4*time.Second, 3)
		bob.assign(0, cam.source, 720)
		keys := cam.keys
		cam.next(4*time.Second, 3)
		if cam.keys != keys+1 {
			t.Errorf("%d key pictures asked for to go up", cam.keys-keys)
		}
		bob.assign(0, nil, 0)
		eve.assign(0, nil, 0)
		cam.next(6*time.Second, 0)
	}
}

// TestInsideLayerThatDoesNotComeBack: a publisher may have less to send with
// than before.
func TestInsideLayerThatDoesNotComeBack(t *testing.T) {
	r := newRig(t, 1)
	cam := r.thrifty()
	bob := r.taker(protocol.Camera, 1, 0, vp9Codec)
	bob.assign(0, cam.source, 180)
	cam.next(6*time.Second, 1)
	cam.able = 2
	bob.assign(0, cam.source, 720)
	cam.film(3 * time.Second)
	if l := bob.shows(t); l != 1 {
		t.Errorf("layer %d when the best does not come", l)
	}
	cam.able, cam.keys = 3, 0
	cam.film(time.Second)
	if l := bob.shows(t); l != 2 {
		t.Errorf("layer %d when the best comes after all", l)
	}
}

// TestTrunkTellsWhatIsTakenInside: takers on another router count, and get a
// layer that was not sent.
func TestTrunkTellsWhatIsTakenInside(t *testing.T) {
	w := newTwin(t, 1, protocol.Video)
	cam := w.side[0].thrifty()
	cam.pass = w.pass
	w.own[0] = append(w.own[0], cam.source)
	w.know()
	far := w.farOf(1, cam.source)
	bob := w.side[1].taker(protocol.Camera, 1, 0, vp9Codec)
	bob.assign(0, far, 180)
	cam.next(8*time.Second, 1)
	layers := far.measured()
	if y := layers.Layer(2); !layers.Active(2, w.now()) || y.Height != 720 || y.BitsPerSecond < 50_000 {
		t.Errorf("of the layer that is not sent is known: %+v", y)
	}
	if l := bob.shows(t); l != 0 {
		t.Errorf("layer %d", l)
	}
	bob.assign(0, far, 720)
	cam.next(time.Second, 3)
	if l := bob.shows(t); l != 2 {
		t.Errorf("layer %d", l)
	}
	bob.assign(0, far, 360)
	cam.next(8*time.Second, 2)
	bob.assign(0, nil, 0)
	cam.next(15*time.Second, 0)
}

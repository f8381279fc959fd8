package forward

import (
	"testing"
	"time"

	"causeway/internal/media/header"
	"causeway/internal/nettest"
	"causeway/protocol"
)

// panel is two people who are seen, and one who speaks, over a trunk that may
// become narrow.
type panel struct {
	*twin
	mic  *publisher
	cams []*publisher
	eyes []*taker
	ear  *taker
	last [2]time.Time     // when each eye was last shown something
	gap  [2]time.Duration // and the longest pause
}

func newPanel(t *testing.T) *panel {
	w := &panel{twin: newTwin(t, 1, protocol.Audio, protocol.Video)}
	w.mic = w.side[0].publisher("ada", protocol.Mic, opusCodec, 0, w.loud[0])
	w.own[0] = append(w.own[0], w.mic.source)
	for _, owner := range []string{"ada", "bob"} {
		w.cams = append(w.cams, w.camera(owner))
	}
	w.know()
	for _, cam := range w.cams {
		eye := w.side[1].taker(protocol.Camera, 1, 0, vp8Codec)
		eye.assign(0, w.farOf(1, cam.source), 720)
		w.eyes = append(w.eyes, eye)
	}
	w.ear = w.side[1].taker(protocol.Mic, 1, 0, opusCodec)
	w.ear.assign(0, w.farOf(1, w.mic.source), 0)
	return w
}

// go on for a while: layers of 60, 250 and 1,000 kbit/s, 25 pictures a second.
func (w *panel) goOn(d time.Duration) {
	packets := [maxLayers]int{1, 1, 4}
	sizes := [maxLayers]int{100, 1050, 1050}
	for end := w.now().Add(d); w.now().Before(end); {
		for range 2 {
			w.mic.say(20)
			w.plan()
			w.pass(20 * time.Millisecond)
		}
		for _, cam := range w.cams {
			for layer := range cam.rids {
				key := cam.keyRequests1(layer) > 0 || cam.seq[layer] == uint16(65000+layer)
				for i := range packets[layer] {
					p := cam.frame(layer, key && i == 0, 180<<layer)
					if i > 0 {
						cam.ts[layer] -= 3000
						header.SetTimestamp(p, cam.ts[layer])
					}
					cam.put(append(p, make([]byte, sizes[layer])...))
				}
			}
		}
		for i, eye := range w.eyes {
			if eye.wire.sent > 0 {
				w.last[i] = w.now()
			}
			w.gap[i] = max(w.gap[i], w.now().Sub(w.last[i]))
			eye.wire.sent = 0
		}
	}
}

// layers are those that the eyes are shown now; the pauses begin anew.
func (w *panel) layers() [2]int {
	w.gap = [2]time.Duration{}
	var shown [2]int
	for i, eye := range w.eyes {
		eye.wire.take()
		shown[i] = eye.link.slots[0].taker.Current()
	}
	return shown
}

// Where the path between two routers becomes narrow, pictures go down, those
// of who does not speak first, and up again when it is wide; sound goes on.
func TestNarrowBetweenRouters(t *testing.T) {
	w := newPanel(t)
	w.goOn(3 * time.Second)
	at := w.now().Sub(epoch)
	w.narrow(
		nettest.Step{Rate: 50e6},
		nettest.Step{At: at + 5*time.Second, Rate: 2e6},
		nettest.Step{At: at + 25*time.Second, Rate: 500e3},
		nettest.Step{At: at + 45*time.Second, Rate: 50e6},
	)
	w.goOn(5 * time.Second)
	if got := w.layers(); got != [2]int{2, 2} {
		t.Errorf("on a wide path the layers are %v", got)
	}
	w.ear.wire.take()
	w.goOn(20 * time.Second)
	if gap := w.gap; gap[0] > 800*time.Millisecond || gap[1] > 800*time.Millisecond {
		t.Errorf("on the way down pictures stood for %v", gap)
	}
	if got := w.layers(); got != [2]int{2, 1} {
		t.Errorf("at 2 Mbit/s the layers are %v", got)
	}
	w.goOn(20 * time.Second)
	t.Logf("at the steepest step pictures stood for %v", w.gap)
	if got := w.layers(); got != [2]int{0, 0} {
		t.Errorf("at 500 kbit/s the layers are %v", got)
	}
	w.goOn(15 * time.Second)
	if got := w.layers(); got != [2]int{2, 2} {
		t.Errorf("when it is wide again the layers are %v", got)
	}
	heard := len(w.ear.wire.take())
	if heard < 55*50*98/100 {
		t.Errorf("%d of %d pieces of sound came", heard, 55*50)
	}
}

package forward

import (
	"testing"
	"time"

	"causeway/protocol"
)

// TestShedPictureBeginsAnew has a taker's path too narrow for a while.
func TestShedPictureBeginsAnew(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 0, vp8Codec)
	bob.assign(0, cam.source, 720)
	cam.put(cam.frame(0, true, 540))
	for range 9 {
		cam.put(cam.frame(0, false, 0))
	}
	r.pass(time.Second)
	cam.keyRequests(0)
	sent := headers(t, bob.wire.take())
	r.shards[0].Run(func() { bob.link.Shed(r.now) })
	r.pass(300 * time.Millisecond)
	if n := cam.keyRequests(0); n == 0 { // and again until it comes
		t.Error("no key frame was asked for")
	}
	cam.put(cam.frame(0, true, 540))
	if n := len(bob.wire.take()); n != 1 {
		t.Errorf("%d packets of the key frame", n)
	}
	bob.feedback(nackFor(sent[5].Sequence))
	if n := len(bob.wire.take()); n != 0 {
		t.Errorf("%d repairs where there was no room for the packets themselves", n)
	}
	r.pass(shedMemory)
	bob.wire.take()
	bob.feedback(nackFor(sent[6].Sequence))
	if n := len(bob.wire.take()); n != 1 {
		t.Errorf("%d repairs of one packet later", n)
	}
	r.shards[0].Run(func() {
		bob.link.Closed()
		bob.link.Shed(r.now) // the last word of a stream may come late
	})
}

func TestShedBeforeReady(t *testing.T) {
	r := newRig(t, 1)
	r.router.NewLink(LinkConfig{Kind: protocol.Video, Notify: func() {}}).Shed(time.Now())
}

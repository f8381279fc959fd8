package forward

import (
	"testing"
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/offer"
	"causeway/protocol"
)

// unbroken fails the test unless packets follow each other without a gap.
func unbroken(t *testing.T, hs []header.Header) {
	t.Helper()
	for i := 1; i < len(hs); i++ {
		if hs[i].Sequence != hs[i-1].Sequence+1 {
			t.Errorf("number %d after %d", hs[i].Sequence, hs[i-1].Sequence)
		}
	}
}

// TestFirstPictureFromTheCache: whoever comes just behind a key frame begins
// with it.
func TestFirstPictureFromTheCache(t *testing.T) {
	for name, c := range map[string]struct {
		shards int
		kept   int // packets that are sent at once
		before func(r *rig, cam *publisher, bob *taker)
	}{
		"same shard":  {shards: 1, kept: 4},
		"other shard": {shards: 2, kept: 4},
		"one is lost": {shards: 2, kept: 4, before: func(r *rig, cam *publisher, bob *taker) {
			cam.frame(0, false, 0)
			cam.put(cam.frame(0, false, 0))
		}},
		"it was long ago": {shards: 1, before: func(r *rig, cam *publisher, bob *taker) { r.now = r.now.Add(missedFor) }},
		"too much has come": {shards: 1, before: func(r *rig, cam *publisher, bob *taker) {
			for range missedBytes/1000 + 1 {
				cam.shoot(0, false, 0, 1000)
			}
		}},
		"numbers have jumped": {shards: 1, before: func(r *rig, cam *publisher, bob *taker) {
			cam.seq[0] += caughtUp
			cam.put(cam.frame(0, false, 0))
		}},
		"the source was muted": {shards: 1, before: func(r *rig, cam *publisher, bob *taker) {
			cam.source.SetMuted(true)
			cam.put(cam.frame(0, false, 0))
			cam.source.SetMuted(false)
			cam.put(cam.frame(0, false, 0))
		}},
		"another picture was sent before": {shards: 1, before: func(r *rig, cam *publisher, bob *taker) {
			eve := r.publisher("eve", protocol.Camera, vp8Codec, 0, nil)
			bob.assign(1, eve.source, 720)
			eve.put(eve.frame(0, true, 540))
			bob.assign(1, nil, 0)
			bob.wire.take()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.shards)
			cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
			bob := r.taker(protocol.Camera, 2, c.shards-1, vp8Codec)
			cam.put(cam.frame(0, false, 0))
			cam.put(cam.frame(0, true, 540))
			for range 3 {
				cam.put(cam.frame(0, false, 0))
			}
			if c.before != nil {
				c.before(r, cam, bob)
			}
			cam.wire.rtcp = nil
			bob.assign(0, cam.source, 720)
			asked := 1
			if c.kept > 0 {
				asked = 0
			}
			if n := cam.keyRequests(0); n != asked {
				t.Errorf("%d key frames asked for, want %d", n, asked)
			}
			if c.kept == 0 {
				if n := len(bob.wire.take()); n != 0 {
					t.Errorf("%d packets before a key frame", n)
				}
				return
			}
			live := cam.frame(0, false, 0)
			again := append([]byte(nil), live...)
			cam.put(live)
			cam.put(again)
			hs := headers(t, bob.wire.take())
			if name == "one is lost" {
				if len(hs) != c.kept+2 || hs[4].Sequence != hs[3].Sequence+2 {
					t.Fatalf("got %+v", hs)
				}
				return
			}
			if len(hs) != c.kept+1 || hs[1].Timestamp != hs[0].Timestamp+3000 {
				t.Fatalf("got %+v", hs)
			}
			unbroken(t, hs)
		})
	}
}

// TestNothingIsSentTwice: a packet that was on its way between shards while the
// cache was read does not leave again, and later ones with its number do.
func TestNothingIsSentTwice(t *testing.T) {
	r := newRig(t, 2)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 1, vp8Codec)
	cam.put(cam.frame(0, true, 540))
	// Somebody else on bob's shard has it handed over.
	eve := r.taker(protocol.Camera, 1, 1, vp8Codec)
	eve.assign(0, cam.source, 720)
	raw := cam.frame(0, false, 0)
	r.shards[0].Run(func() { cam.link.RTP(raw, r.now) })
	bob.assign(0, cam.source, 720) // and then what waits for the shard
	hs := headers(t, bob.wire.take())
	if len(hs) != 2 {
		t.Fatalf("%d packets, want the key frame and the one after", len(hs))
	}
	unbroken(t, hs)
	for range 1 << 16 / 100 { // numbers come round
		for range 100 {
			cam.put(cam.frame(0, false, 0))
		}
		if n := len(bob.wire.take()); n != 100 {
			t.Fatalf("%d packets of 100 at number %d", n, cam.seq[0])
		}
	}
}

// TestRefresh: a key frame is asked for ahead, of what comes, and not again and
// again.
func TestRefresh(t *testing.T) {
	r := newRig(t, 2)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil, "q", "h", "f")
	cam.film(500*time.Millisecond, 135, 270)
	cam.wire.rtcp = nil
	for range 3 {
		cam.source.Refresh(r.now)
	}
	asked := cam.wire.rtcp
	if n := cam.keyRequests(1); n != 1 || len(asked) != 1 {
		t.Errorf("asked for %v, want one key frame of the larger layer", asked)
	}
	cam.put(cam.frame(1, true, 270))
	r.now = r.now.Add(time.Second)
	cam.source.SetMuted(true)
	cam.source.Refresh(r.now)
	if n := cam.keyRequests(1); n != 0 {
		t.Errorf("%d key frames asked for of a camera that is off", n)
	}
}

// TestFirstPictureOfLayersInside: what is sent in one stream is begun with in
// the same way, with the layers that are wanted.
func TestFirstPictureOfLayersInside(t *testing.T) { inEachCodec(t, firstPictureOfLayersInside) }

func firstPictureOfLayersInside(t *testing.T, codec offer.Codec) {
	r := newRig(t, 2)
	cam := r.publisher("ada", protocol.Camera, codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 1, codec)
	for i := range 5 {
		for _, raw := range cam.scalablePicture(i == 1, i%2 == 0, [maxLayers]int{700, 1500, 3000}) {
			cam.put(raw)
		}
		r.now = r.now.Add(40 * time.Millisecond)
	}
	cam.wire.rtcp = nil
	cam.source.Refresh(r.now)
	if n := cam.keyRequests(0); n != 1 {
		t.Errorf("%d key pictures asked for ahead, want 1", n)
	}
	bob.assign(0, cam.source, 720)
	if n := cam.keyRequests(0); n != 0 {
		t.Errorf("%d key pictures asked for though there is one", n)
	}
	sent := bob.wire.take()
	pictures := map[uint32]bool{}
	for _, h := range headers(t, sent) {
		pictures[h.Timestamp] = true
	}
	if len(pictures) != 4 {
		t.Errorf("%d pictures, want the key picture and the three after it", len(pictures))
	}
	wholePictures(t, sent)
}

// TestFirstPictureFromAnotherRouter: what nobody takes here yet is asked for
// ahead, and no longer than somebody may be about to come.
func TestFirstPictureFromAnotherRouter(t *testing.T) {
	for shards := range 2 {
		w := newTwin(t, shards+1, protocol.Video)
		cam := w.camera("ada")
		w.know()
		far := w.farOf(1, cam.source)
		bob := w.side[1].taker(protocol.Camera, 1, shards, vp8Codec)
		w.film(time.Second, cam)
		far.Refresh(w.now())
		if n := w.passed(protocol.Video, func() { w.film(300*time.Millisecond, cam) }); n[2] < 5 || n[0]+n[1] != 0 {
			t.Errorf("came over: %v, want the largest layer alone", n)
		}
		bob.assign(0, far, 720)
		if n, layer := bob.wire.sent, bob.layer(); n < 5 || layer != 2 {
			t.Errorf("%d packets of layer %d at once, want what has come of layer 2", n, layer)
		}
		w.film(time.Second, cam)
		hs := headers(t, bob.wire.take())
		if len(hs) < 35 {
			t.Errorf("%d packets in the second after", len(hs))
		}
		unbroken(t, hs)
		bob.assign(0, nil, 0)
		far.Refresh(w.now())
		w.film(aheadFor+100*time.Millisecond, cam)
		if n := w.passed(protocol.Video, func() { w.film(time.Second, cam) }); len(n) != 0 {
			t.Errorf("still comes though nobody has come: %v", n)
		}
	}
}

package meeting

import (
	"testing"
	"time"

	"causeway/internal/media/offer"
	"causeway/protocol"
)

// TestScalableCameras: a camera is sent and shown in a scalable codec while all
// who are there decode it, and in the other for everybody as soon as one does
// not. Where that one comes and goes, it is the other for longer.
func TestScalableCameras(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		vp9 := offer.Codec{PayloadType: 98, Name: offer.VP9, ClockRate: 90000, RTX: 99}
		sends := map[protocol.Source]bool{protocol.Camera: true}
		ann := h.join("ann", protocol.Host, vp8, vp9)
		// films sends what it is told to of the camera's two forms.
		films := func(d time.Duration) {
			for range d / (50 * time.Millisecond) {
				for _, msg := range ann.hear() {
					if l, ok := msg.(*protocol.Layers); ok {
						sends[l.Source] = l.Active[0]
					}
				}
				ann.sent++
				plain := picture(ann.sent)
				scalable := append(picture(ann.sent)[:12], 0x8C, byte(ann.sent&0x7F), 0) // a key picture (RFC 9628 section 4.2)
				scalable[1], scalable[11] = 0x80|98, 8
				for kind, raw := range map[protocol.Source][]byte{protocol.Camera: plain, protocol.CameraScalable: scalable} {
					if sends[kind] {
						ann.shard.Run(func() { ann.video.RTP(raw, time.Now()) })
					}
				}
				time.Sleep(50 * time.Millisecond) // virtual time
				ann.shard.Run(func() { ann.router.Tick(0, time.Now()) })
			}
		}
		shown := func(who *member) (codec string) {
			for _, s := range who.media.Slots {
				ann.shard.Run(func() {
					if src := s.Source(); src != nil && s.Kind() == protocol.Camera {
						codec = src.Codec().Name
					}
				})
			}
			return codec
		}
		expect := func(what string, plain, scalable bool, codec string, viewers ...*member) {
			t.Helper()
			if sends[protocol.Camera] != plain || sends[protocol.CameraScalable] != scalable {
				t.Errorf("%s: sends %v", what, sends)
			}
			for _, v := range viewers {
				if got := shown(v); got != codec {
					t.Errorf("%s: %s is shown %q, want %q", what, v.id, got, codec)
				}
				if got := v.slots(); got["v1"] != "ann camera" {
					t.Errorf("%s: %s is told %v", what, v.id, got)
				}
			}
		}
		ann.say(&protocol.SetState{VideoMuted: ptr(false)})
		films(8 * time.Second)
		expect("alone", false, false, "")

		see := &protocol.Want{Slots: []protocol.SlotWant{{Slot: "v1", Participant: "ann", MaxHeight: 720}}}
		ben := h.join("ben", protocol.Guest, vp8, vp9)
		ben.say(see)
		films(10 * time.Second)
		expect("both decode it", false, true, offer.VP9, ben)

		cyd := h.join("cyd", protocol.Guest, vp8)
		cyd.say(see)
		films(500 * time.Millisecond)
		if got := shown(cyd); got != offer.VP8 {
			t.Errorf("whoever lacks the codec is shown %q", got)
		}
		films(10 * time.Second)
		expect("one lacks it", true, false, offer.VP8, ben, cyd)

		cyd.say(&protocol.Leave{})
		films(holdAtLeast - time.Second)
		expect("that one has only just left", true, false, offer.VP8, ben)
		films(10 * time.Second)
		expect("that one has left", false, true, offer.VP9, ben)

		for _, hold := range []time.Duration{2 * holdAtLeast, 4 * holdAtLeast} {
			cyd := h.join("cyd", protocol.Guest, vp8)
			cyd.say(see)
			films(3 * time.Second)
			expect("one who comes again is there", true, true, offer.VP8, ben, cyd)
			cyd.say(&protocol.Leave{})
			films(hold - time.Second)
			expect("it may come again", true, false, offer.VP8, ben)
			films(10 * time.Second)
			expect("it has not come", false, true, offer.VP9, ben)
		}

		sends[protocol.CameraScalable] = false // it fails
		for range 100 {
			films(50 * time.Millisecond)
			sends[protocol.CameraScalable] = false
		}
		if !sends[protocol.Camera] || shown(ben) != offer.VP8 {
			t.Errorf("sends %v, shown %s, where the scalable form does not come", sends, shown(ben))
		}
	})
}

package forward

import (
	"testing"
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/offer"
	"causeway/protocol"

	"github.com/pion/rtcp"
)

// TestSoundIsRepeatedToTheByte: what has no stream of repairs is sent again
// under its own number, the same to the byte or not at all.
func TestSoundIsRepeatedToTheByte(t *testing.T) {
	r := newRig(t, 1)
	mic := r.publisher("ada", protocol.Mic, opusCodec, 0, r.router.NewLoudest(func() {}))
	wire := &fakeWire{}
	l := r.router.NewLink(LinkConfig{Kind: protocol.Audio, Notify: func() {}, Budget: r.router.NewBudget(), Slots: []SlotConfig{
		{ID: "a1", Kind: protocol.Mic, SSRC: slotSSRC, Codecs: []offer.Codec{opusCodec}, AudioLevel: 3, TransportCC: ccID},
	}})
	r.shards[0].Run(func() { l.Ready(0, wire, r.now) })
	bob := &taker{rig: r, link: l, wire: wire}
	bob.assign(0, mic.source, 0)
	for range 2 * repairMemory {
		mic.say(0x80 | 20)
		r.now = r.now.Add(5 * time.Millisecond) // so that the cache still has all
	}
	sent := wire.take()
	if len(sent) != 2*repairMemory {
		t.Fatalf("%d sent", len(sent))
	}
	for i, p := range sent {
		h, _ := header.Parse(p)
		if h.Extension(p, ccID) == nil {
			t.Fatalf("packet %d has no transport-wide number", i)
		}
		bob.feedback(&rtcp.TransportLayerNack{MediaSSRC: slotSSRC, Nacks: []rtcp.NackPair{{PacketID: h.Sequence}}})
		again := wire.take()
		switch remembered := i >= repairMemory; {
		case len(again) > 1, remembered && len(again) == 0:
			t.Errorf("packet %d was sent again %d times", i, len(again))
		case len(again) == 1 && string(again[0]) != string(p):
			t.Errorf("packet %d was %x and is %x", i, p, again[0])
		}
	}
	if wire.verbatim != wire.sent {
		t.Errorf("of %d packets %d could not have been padded", wire.sent, wire.verbatim)
	}
}

// TestRepairsOutliveTheSource: what was sent is repaired also when the slot has
// been given something since that the receiver cannot decode.
func TestRepairsOutliveTheSource(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	other := r.publisher("eve", protocol.Camera, h264Codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 0, vp8Codec)
	bob.assign(0, cam.source, 720)
	cam.put(cam.frame(0, true, 540))
	cam.put(cam.frame(0, false, 0))
	sent := headers(t, bob.wire.take())
	bob.assign(0, other.source, 720)
	bob.feedback(&rtcp.TransportLayerNack{MediaSSRC: slotSSRC, Nacks: []rtcp.NackPair{{PacketID: sent[1].Sequence}}})
	again := headers(t, bob.wire.take())
	if len(again) != 1 || again[0].SSRC != slotRTX {
		t.Errorf("repaired by %+v", again)
	}
}

package forward

import (
	"testing"
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/rtx"
	"causeway/internal/media/vp8"
	"causeway/protocol"

	"github.com/pion/rtcp"
)

// keyRequests counts the PLIs for a layer since the last call.
func (p *publisher) keyRequests(layer int) int {
	n := 0
	for _, r := range p.wire.rtcp {
		if pli, ok := r.(*rtcp.PictureLossIndication); ok && pli.MediaSSRC == ssrcOf(layer) {
			n++
		}
	}
	p.wire.rtcp = nil
	return n
}

func TestVideoBeginsAtAKeyFrame(t *testing.T) {
	for name, shards := range map[string]int{"same shard": 1, "other shard": 2} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, shards)
			cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
			bob := r.taker(protocol.Camera, 1, shards-1, vp8Codec)
			cam.put(cam.frame(0, false, 0))
			bob.assign(0, cam.source, 720)
			if n := cam.keyRequests(0); n != 1 {
				t.Errorf("%d key frames asked for, want 1", n)
			}
			cam.put(cam.frame(0, false, 0))
			if n := len(bob.wire.take()); n != 0 {
				t.Errorf("%d packets before a key frame", n)
			}
			cam.put(cam.frame(0, true, 540))
			cam.put(cam.frame(0, false, 0))
			got := bob.wire.take()
			hs := headers(t, got)
			if len(hs) != 2 || hs[0].SSRC != slotSSRC || hs[1].Sequence != hs[0].Sequence+1 || hs[1].Timestamp != hs[0].Timestamp+3000 {
				t.Fatalf("got %+v", hs)
			}
			a, _ := vp8.Parse(hs[0].Payload(got[0]))
			b, _ := vp8.Parse(hs[1].Payload(got[1]))
			if b.PictureID != (a.PictureID+1)&0x7fff {
				t.Errorf("picture ids %d, %d", a.PictureID, b.PictureID)
			}
		})
	}
}

func TestMutedSourceIsNotForwarded(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 0, vp8Codec)
	bob.assign(0, cam.source, 720)
	cam.put(cam.frame(0, true, 540))
	cam.source.SetMuted(true)
	cam.put(cam.frame(0, false, 0))
	if n := len(bob.wire.take()); n != 1 {
		t.Errorf("%d packets, want the one before muting", n)
	}
}

func TestCodecMismatch(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, h264Codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 0, vp8Codec)
	if bob.link.Slots()[0].Takes(cam.source) {
		t.Error("a slot without H.264 would take it")
	}
	bob.assign(0, cam.source, 720)
	cam.put(cam.frame(0, true, 540))
	if n := len(bob.wire.take()); n != 0 {
		t.Errorf("%d packets of a codec that bob does not have", n)
	}
}

func TestSwitchingSourcesIsSeamless(t *testing.T) {
	r := newRig(t, 1)
	ada := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	eve := r.publisher("eve", protocol.Camera, vp8Codec, 0, nil)
	eve.seq[0], eve.ts[0], eve.pic[0] = 7, 99, 12345
	bob := r.taker(protocol.Camera, 1, 0, vp8Codec)
	bob.assign(0, ada.source, 720)
	ada.put(ada.frame(0, true, 540))
	bob.assign(0, eve.source, 720)
	ada.put(ada.frame(0, false, 0))
	r.now = r.now.Add(100 * time.Millisecond)
	eve.put(eve.frame(0, true, 540))
	bob.assign(0, nil, 0)
	eve.put(eve.frame(0, false, 0))
	got := bob.wire.take()
	hs := headers(t, got)
	if len(hs) != 2 {
		t.Fatalf("%d packets, want one of each", len(hs))
	}
	if hs[1].Sequence != hs[0].Sequence+1 || hs[1].Timestamp-hs[0].Timestamp != 9000 {
		t.Errorf("%+v then %+v", hs[0], hs[1])
	}
	a, _ := vp8.Parse(hs[0].Payload(got[0]))
	b, _ := vp8.Parse(hs[1].Payload(got[1]))
	if b.PictureID != (a.PictureID+1)&0x7fff {
		t.Errorf("picture ids %d, %d", a.PictureID, b.PictureID)
	}
}

func TestRepair(t *testing.T) {
	for name, codecRTX := range map[string]uint8{"on its own stream": 97, "as it was": 0} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 2)
			cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
			codec := vp8Codec
			codec.PayloadType, codec.RTX = 120, codecRTX
			bob := r.taker(protocol.Camera, 1, 1, codec)
			bob.assign(0, cam.source, 720)
			cam.put(cam.frame(0, true, 540))
			for range 5 {
				cam.put(cam.frame(0, false, 0))
			}
			sent := bob.wire.take()
			hs := headers(t, sent)
			nack := &rtcp.TransportLayerNack{MediaSSRC: slotSSRC, Nacks: []rtcp.NackPair{{PacketID: hs[1].Sequence, LostPackets: 0b101}}}
			bob.feedback(nack)
			bob.feedback(nack) // crossed with the repair
			got := bob.wire.take()
			if len(got) != 3 {
				t.Fatalf("%d repairs, want 3", len(got))
			}
			for i, n := range []int{1, 2, 4} {
				repaired := got[i]
				if codecRTX != 0 {
					h, _ := header.Parse(repaired)
					if h.SSRC != slotRTX || h.PayloadType != codecRTX {
						t.Errorf("repair on %x, type %d", h.SSRC, h.PayloadType)
					}
					repaired, _ = rtx.Unwrap(repaired, 120, slotSSRC)
				}
				if string(repaired) != string(sent[n]) {
					t.Errorf("repair %d differs from what was sent", i)
				}
			}
			r.now = r.now.Add(time.Second)
			bob.feedback(nack)
			if n := len(bob.wire.take()); n != 3 {
				t.Errorf("%d repairs of a repair that was lost", n)
			}
			bob.feedback(&rtcp.TransportLayerNack{MediaSSRC: slotSSRC, Nacks: []rtcp.NackPair{{PacketID: hs[0].Sequence + 5000, LostPackets: 0xffff}}})
			if n := len(bob.wire.take()); n != 0 {
				t.Errorf("%d repairs of what never was", n)
			}
		})
	}
}

func TestPublisherRepairsAreUnwrapped(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 0, vp8Codec)
	bob.assign(0, cam.source, 720)
	cam.put(cam.frame(0, true, 540))
	lost := cam.frame(0, false, 0)
	cam.put(cam.frame(0, false, 0))
	r.pass(100 * time.Millisecond)
	asked := 0
	for _, p := range cam.wire.rtcp {
		if n, ok := p.(*rtcp.TransportLayerNack); ok {
			for _, pair := range n.Nacks {
				asked += len(pair.PacketList())
				if pair.PacketID != cam.seq[0]-1 {
					t.Errorf("asked for %d, want %d", pair.PacketID, cam.seq[0]-1)
				}
			}
		}
	}
	if asked == 0 {
		t.Error("the lost packet was not asked for")
	}
	padding := rtpPacket(97, false, 1, 0, 0x9999, nil, nil)
	cam.put(padding)
	wrapped, ok := rtx.Wrap(lost, 97, 0x9999, 2)
	if !ok {
		t.Fatal("cannot wrap")
	}
	again := append([]byte(nil), wrapped...)
	cam.put(wrapped)
	cam.put(again)
	hs := headers(t, bob.wire.take())
	if len(hs) != 3 || hs[2].Sequence != hs[0].Sequence+1 || hs[1].Sequence != hs[0].Sequence+2 {
		t.Errorf("got %+v", hs)
	}
}

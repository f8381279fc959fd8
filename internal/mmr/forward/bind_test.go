package forward

import (
	"testing"
	"time"

	"causeway/internal/media/offer"
	"causeway/internal/media/rtx"
	"causeway/protocol"

	"github.com/pion/rtcp"
)

// plain makes a link that publishes a camera on the given line.
func (r *rig) plain(line offer.Line, codecs ...offer.Codec) *publisher {
	p := &publisher{rig: r, wire: &fakeWire{}}
	p.source = r.router.NewSource(SourceConfig{Owner: "ada", Kind: protocol.Camera, Codec: codecs[0], Clock: r.router.NewClock()})
	p.source.SetMuted(false)
	p.link = r.router.NewLink(LinkConfig{
		Kind: protocol.Video, Notify: func() {},
		Publish: []Publish{{Source: p.source, Codecs: codecs, Line: line}},
	})
	r.shards[0].Run(func() { p.link.Ready(0, p.wire, r.now) })
	return p
}

func TestStreamsThatOnlyTheOfferTellsApart(t *testing.T) {
	firefox := offer.Line{
		RIDs: []string{"q", "h"}, SSRCs: []uint32{ssrcOf(0), ssrcOf(1)},
		RTXOf: map[uint32]uint32{ssrcOf(0): 0x2000, ssrcOf(1): 0x2001},
	}
	tests := []struct {
		name   string
		line   offer.Line
		layers int
		rid    bool
		rtx    uint32
		known  bool
	}{
		{"retransmissions without an id", withRID(firefox), 2, true, 0x2001, true},
		{"retransmissions that were not offered", withRID(firefox), 2, true, 0x2002, false},
		{"layers without an id", firefox, 2, false, 0x2001, true},
		{"one stream", offer.Line{SSRCs: []uint32{ssrcOf(0)}}, 1, false, 0x3000, true},
		{"one stream that was not offered", offer.Line{}, 1, false, 0x3000, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, 1)
			cam := r.plain(tt.line, vp8Codec)
			if tt.rid {
				cam.rids = tt.line.RIDs
			}
			for layer := range tt.layers {
				cam.put(cam.frame(layer, true, 180<<layer))
				if cam.source.layers[layer].Load() == nil {
					t.Fatalf("layer %d is not known", layer)
				}
			}
			top := tt.layers - 1
			lost := cam.frame(top, false, 0)
			cam.put(cam.frame(top, false, 0))
			again, _ := rtx.Wrap(lost, 97, tt.rtx, 1)
			cam.put(again)
			if got := cam.source.layers[top].Load().missing.Missing() == 0; got != tt.known {
				t.Errorf("repaired: %v, want %v", got, tt.known)
			}
		})
	}
}

func withRID(l offer.Line) offer.Line {
	l.Extensions = []offer.Extension{{ID: ridID, URI: offer.URIRID}}
	return l
}

func TestLayersThatNothingTellsApart(t *testing.T) {
	r := newRig(t, 1)
	cam := r.plain(offer.Line{RIDs: []string{"q", "h"}, SSRCs: []uint32{ssrcOf(0)}}, vp8Codec)
	cam.put(cam.frame(1, true, 360))
	if n := r.router.Traffic().Ignored; n != 1 {
		t.Errorf("%d packets ignored, want 1", n)
	}
}

func TestOnlyTheSourcesCodecIsTaken(t *testing.T) {
	r := newRig(t, 1)
	cam := r.plain(offer.Line{}, vp8Codec, h264Codec)
	cam.put(rtpPacket(102, true, 1, 1, 9, nil, []byte{0x65, 1, 2, 3}))
	if n := r.router.Traffic().Ignored; n != 1 {
		t.Errorf("%d packets ignored, want the one of the second codec", n)
	}
}

func TestPublisherThatBeginsAnewIsAskedForAKeyFrame(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 0, vp8Codec)
	bob.assign(0, cam.source, 720)
	cam.put(cam.frame(0, true, 540))
	r.pass(2 * time.Second)
	anew := cam.frame(0, false, 0)
	anew[8]++ // another SSRC, and its key frame is lost
	cam.wire.rtcp = nil
	cam.put(anew)
	if plis := sentPLIs(cam); len(plis) != 1 || plis[0] != ssrcOf(0)+1<<24 {
		t.Errorf("asked for key frames of %x", plis)
	}
}

func TestRepairsAreNoMoreThanWhatWasSent(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 0, vp8Codec)
	bob.assign(0, cam.source, 720)
	cam.put(cam.frame(0, true, 540))
	for range 9 {
		cam.put(cam.frame(0, false, 0))
	}
	first := headers(t, bob.wire.take())[0].Sequence
	for range 20 {
		r.now = r.now.Add(20 * time.Millisecond)
		for i := range uint16(10) {
			bob.feedback(nackFor(first + i))
		}
	}
	if n := len(bob.wire.take()); n != 10 {
		t.Errorf("%d repairs of 10 packets sent", n)
	}
}

func TestFirstPictureComesSooner(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 0, vp8Codec)
	eve := r.taker(protocol.Camera, 1, 0, vp8Codec)
	eve.link.pictured = true // by another one: she does not begin with what has come
	cam.put(cam.frame(0, false, 0))
	bob.assign(0, cam.source, 720)
	cam.put(cam.frame(0, true, 540))
	cam.keyRequests(0)
	r.pass(50 * time.Millisecond)
	cam.put(cam.frame(0, false, 0))
	eve.assign(0, cam.source, 720)
	r.pass(100 * time.Millisecond)
	if n := cam.keyRequests(0); n != 0 {
		t.Errorf("%d key frames asked for within 150 ms", n)
	}
	r.pass(50 * time.Millisecond)
	if n := cam.keyRequests(0); n != 1 {
		t.Errorf("%d key frames asked for after 200 ms", n)
	}
}

// sentPLIs lists the streams that a publisher was asked for key frames of.
func sentPLIs(p *publisher) (ssrcs []uint32) {
	for _, pli := range sentRTCP[*rtcp.PictureLossIndication](p.wire) {
		ssrcs = append(ssrcs, pli.MediaSSRC)
	}
	return ssrcs
}

func TestNoKeyFrameIsAskedForWhereOneBegins(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 0, vp8Codec)
	bob.assign(0, cam.source, 720)
	cam.put(cam.frame(0, true, 540))
	r.pass(3 * time.Second)
	if n := cam.keyRequests(0); n != 0 {
		t.Errorf("%d key frames asked for", n)
	}
}

func TestIdleLinksDoNotTick(t *testing.T) {
	r := newRig(t, 1)
	mic := r.publisher("ada", protocol.Mic, opusCodec, 0, nil)
	bob := r.taker(protocol.Mic, 3, 0, opusCodec)
	busy := func() int { return len(r.router.all()[0].busy) }
	if n := busy(); n != 0 {
		t.Errorf("%d links tick before anything happens", n)
	}
	bob.assign(0, mic.source, 0)
	mic.say(20)
	r.pass(time.Second)
	if n := busy(); n != 2 {
		t.Errorf("%d links tick, want both", n)
	}
	bob.assign(0, nil, 0)
	r.pass(time.Second)
	if n := busy(); n != 1 {
		t.Errorf("%d links tick, want the publisher's", n)
	}
	r.shards[0].Run(mic.link.Closed)
	if n := busy(); n != 0 {
		t.Errorf("%d links tick after closing", n)
	}
}

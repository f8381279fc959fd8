package forward

import (
	"slices"
	"testing"
	"time"

	"causeway/internal/media/header"
	"causeway/protocol"
)

// film sends frames of all layers, 30 a second; key frames where asked. A
// layer's frames are told apart by their size.
func (p *publisher) film(d time.Duration, heights ...int) {
	for end := p.now.Add(d); p.now.Before(end); {
		for layer, h := range heights {
			if h == 0 {
				continue
			}
			key := p.keyRequests1(layer) > 0 || p.seq[layer] == uint16(65000+layer)
			p.put(append(p.frame(layer, key, h), make([]byte, layer*300)...))
		}
		p.pass(25 * time.Millisecond)
	}
}

// keyRequests1 counts and forgets the PLIs of one layer only.
func (p *publisher) keyRequests1(layer int) int {
	all := p.wire.rtcp
	n := p.keyRequests(layer)
	for _, r := range all {
		if d := r.DestinationSSRC(); !slices.Contains(d, ssrcOf(layer)) {
			p.wire.rtcp = append(p.wire.rtcp, r)
		}
	}
	return n
}

// layer is the layer whose packet was sent last.
func (t *taker) layer() int {
	got := t.wire.take()
	if len(got) == 0 {
		return -1
	}
	for i := 1; i < len(got); i++ {
		a, _ := header.Parse(got[i-1])
		b, _ := header.Parse(got[i])
		if b.Sequence != a.Sequence+1 || int32(b.Timestamp-a.Timestamp) <= 0 {
			t.t.Errorf("%d/%d after %d/%d", b.Sequence, b.Timestamp, a.Sequence, a.Timestamp)
		}
	}
	return len(got[len(got)-1]) / 300
}

func TestLayers(t *testing.T) {
	for name, shards := range map[string]int{"same shard": 1, "other shard": 2} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, shards)
			cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil, "q", "h", "f")
			bob := r.taker(protocol.Camera, 1, shards-1, vp8Codec)
			bob.assign(0, cam.source, 720)
			cam.film(2*time.Second, 180, 360, 720)
			if l := bob.layer(); l != 2 {
				t.Errorf("layer %d for 720 lines", l)
			}
			bob.assign(0, cam.source, 180)
			cam.film(time.Second, 180, 360, 720)
			if l := bob.layer(); l != 0 {
				t.Errorf("layer %d for 180 lines", l)
			}
			if shards == 2 && cam.source.fans[1].want.Load() != 1 {
				t.Errorf("layers %b are handed over, want only the one in use", cam.source.fans[1].want.Load())
			}
			bob.assign(0, cam.source, 360)
			cam.film(time.Second, 180, 360, 720)
			if l := bob.layer(); l != 1 {
				t.Errorf("layer %d for 360 lines", l)
			}
			bob.assign(0, cam.source, 720)
			cam.film(2*time.Second, 180, 360, 0) // the publisher has no bandwidth for more
			if l := bob.layer(); l != 1 {
				t.Errorf("layer %d when the best has stopped", l)
			}
			cam.film(2*time.Second, 180, 360, 720)
			if l := bob.layer(); l != 2 {
				t.Errorf("layer %d when the best is back", l)
			}
		})
	}
}

func TestRestartedStreamIsFollowed(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 0, vp8Codec)
	bob.assign(0, cam.source, 720)
	cam.film(time.Second, 720)
	bob.layer()
	for i := range 10 { // a new SSRC for the same line
		raw := cam.frame(0, i == 3, 720)
		header.SetSSRC(raw, 0xABCD)
		cam.put(raw)
		cam.pass(25 * time.Millisecond)
	}
	if n := len(bob.wire.rtp); n != 7 {
		t.Errorf("%d packets of the new stream, want 7 from its key frame on", n)
	}
	if len(cam.link.tracks) != 1 {
		t.Errorf("%d tracks", len(cam.link.tracks))
	}
}

func TestManySSRCsAreBounded(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	for i := range 1000 {
		raw := cam.frame(0, true, 720)
		header.SetSSRC(raw, uint32(0x10000+i))
		cam.put(raw)
		cam.put(rtpPacket(97, false, 1, 1, uint32(0x20000+i), nil, []byte{0, 1, 2, 3}))
	}
	if len(cam.link.streams) > maxStreams || len(cam.link.tracks) != 1 {
		t.Errorf("%d streams, %d tracks", len(cam.link.streams), len(cam.link.tracks))
	}
}

func TestUnknownPacketsAreIgnored(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil, "q", "f")
	for name, raw := range map[string][]byte{
		"payload type":  rtpPacket(50, false, 1, 1, 1, []ext{{ridID, "q"}}, []byte{1}),
		"no rid":        rtpPacket(96, false, 1, 1, 2, nil, []byte{1}),
		"unknown rid":   rtpPacket(96, false, 1, 1, 3, []ext{{ridID, "z"}}, []byte{1}),
		"rtx too early": rtpPacket(97, false, 1, 1, 4, []ext{{rridID, "q"}}, []byte{0, 1, 2}),
		"too short":     {0x80, 96, 0},
	} {
		before := r.router.Traffic().Ignored
		cam.put(raw)
		if r.router.Traffic().Ignored != before+1 || len(cam.link.streams) != 0 {
			t.Errorf("%s: not ignored", name)
		}
	}
}

func TestLoudestSelection(t *testing.T) {
	r := newRig(t, 2)
	notified := 0
	loudest := r.router.NewLoudest(func() { notified++ })
	var mics []*publisher
	for i := range 6 {
		mics = append(mics, r.publisher(string(rune('a'+i)), protocol.Mic, opusCodec, i%2, loudest))
	}
	owners := func() string {
		s := ""
		for _, src := range loudest.Selected() {
			s += src.Owner()
		}
		return s
	}
	talk := func(d time.Duration, levels ...uint8) {
		for range d / (20 * time.Millisecond) {
			for i, l := range levels {
				mics[i].say(0x80 | l)
			}
			r.now = r.now.Add(20 * time.Millisecond)
		}
	}
	talk(time.Second, 20, 127, 127, 127, 127, 127)
	if got := owners(); got != "a" || !loudest.TakeChanged() || loudest.TakeChanged() || notified == 0 {
		t.Errorf("selected %q", got)
	}
	talk(2*time.Second, 20, 30, 40, 127, 127, 25)
	sel := []byte(owners())
	slices.Sort(sel)
	if string(sel) != "abcf" {
		t.Errorf("selected %s, want abcf", sel)
	}
	if s := loudest.Speakers(r.now); len(s) != 4 || s[0].Participant != "a" || s[1].Participant != "f" {
		t.Errorf("speakers %+v", s)
	}
	mics[0].source.SetMuted(true)
	mics[0].say(0x80 | 10)
	if got := owners(); got == "" || slices.Contains([]byte(got), 'a') {
		t.Errorf("a muted microphone is selected: %s", got)
	}
	mics[1].source.Retire()
	talk(time.Second, 127, 10, 127, 127, 127, 127)
	if got := owners(); slices.Contains([]byte(got), 'b') {
		t.Errorf("one who has left is selected: %s", got)
	}
	r.now = r.now.Add(3 * time.Second)
	if s := loudest.Speakers(r.now); len(s) != 0 {
		t.Errorf("speakers in silence: %+v", s)
	}
}

func TestMicrophonesWithoutLevels(t *testing.T) {
	r := newRig(t, 1)
	loudest := r.router.NewLoudest(func() {})
	mic := r.publisher("ada", protocol.Mic, opusCodec, 0, loudest)
	for i := range uint16(20) {
		mic.put(rtpPacket(111, false, i, uint32(i)*960, 5, nil, []byte("f8 bytes of noise"[:3])))
		r.now = r.now.Add(20 * time.Millisecond)
	}
	if n := len(loudest.Selected()); n != 0 {
		t.Error("comfort noise was selected")
	}
	for i := range uint16(20) {
		mic.put(rtpPacket(111, false, 20+i, uint32(20+i)*960, 5, nil, make([]byte, 80)))
		r.now = r.now.Add(20 * time.Millisecond)
	}
	if n := len(loudest.Selected()); n != 1 {
		t.Error("sound without level was not selected")
	}
}

// TestClosedLinks closes both sides in both orders while packets flow.
func TestClosedLinks(t *testing.T) {
	r := newRig(t, 2)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 1, vp8Codec)
	bob.assign(0, cam.source, 720)
	cam.film(time.Second, 720)
	r.shards[1].Run(bob.link.Closed)
	bob.wire.take()
	cam.film(time.Second, 720)
	if n := len(bob.wire.take()); n != 0 || bob.link.Slots()[0].Up() || len(cam.source.fans[1].slots) != 0 {
		t.Errorf("%d packets to a closed link", n)
	}
	bob.assign(0, cam.source, 720)
	if bob.link.State() != LinkLost {
		t.Errorf("state %v", bob.link.State())
	}
	eve := r.taker(protocol.Camera, 1, 1, vp8Codec)
	eve.assign(0, cam.source, 720)
	cam.film(time.Second, 720)
	r.shards[0].Run(cam.link.Closed)
	r.shards[0].Run(cam.link.Closed)
	cam.put(cam.frame(0, true, 720))
	if n := cam.link.tracks[0].cache; n != nil {
		t.Error("a closed track keeps its packets")
	}
	hs := headers(t, eve.wire.take())
	eve.feedback(nackFor(hs[len(hs)-1].Sequence))
	r.pass(time.Second)
}

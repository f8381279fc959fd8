package forward

import (
	"strings"
	"testing"
	"time"

	"causeway/internal/media/rtx"
	"causeway/protocol"

	"github.com/pion/rtcp"
)

// said builds 20 ms of sound with a payload that can be told.
func (p *publisher) said(what string) []byte {
	p.sound(20)
	return rtpPacket(111, false, p.seq[0], p.ts[0], ssrcOf(0), []ext{{levelID, "\x14"}}, []byte(what))
}

// askForAll asks for every packet around what a slot has sent.
func (t *taker) askForAll(first uint16) {
	for seq := first - 100; seq != first+200; seq++ {
		t.feedback(nackFor(seq))
	}
}

func TestNothingOfAMutedTimeLeaves(t *testing.T) {
	for name, shards := range map[string]int{"same shard": 1, "other shard": 2} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, shards)
			mic := r.publisher("ada", protocol.Mic, opusCodec, 0, nil)
			bob := r.taker(protocol.Mic, 1, shards-1, opusCodec)
			bob.assign(0, mic.source, 0)
			say := func(n int, what string) {
				for range n {
					mic.put(mic.said(what))
					r.now = r.now.Add(20 * time.Millisecond)
				}
			}
			say(50, "open")
			mic.source.SetMuted(true)
			say(3, "secret")
			late, lost := mic.said("secret late"), mic.said("secret lost")
			say(3, "secret")
			mic.said("secret lost on the way")
			last := mic.said("secret last")
			mic.source.SetMuted(false)
			mic.put(late) // before anything of the new time
			say(3, "open again")
			mic.put(lost)
			mic.put(last)
			r.pass(100 * time.Millisecond)
			mic.put(mic.said("open again"))

			got := bob.wire.take()
			hs := headers(t, got)
			if len(hs) != 54 {
				t.Errorf("%d packets, want 54", len(hs))
			}
			for i := 1; i < len(hs); i++ {
				if hs[i].Sequence != hs[i-1].Sequence+1 {
					t.Errorf("packet %d follows %d: the receiver would ask for what it may not have", hs[i].Sequence, hs[i-1].Sequence)
				}
			}
			bob.askForAll(hs[0].Sequence)
			for _, p := range append(got, bob.wire.take()...) {
				if strings.Contains(string(p), "secret") {
					t.Fatalf("heard %q", p[12:])
				}
			}
			for _, n := range sentRTCP[*rtcp.TransportLayerNack](mic.wire) {
				t.Errorf("the publisher was asked for %v", n.Nacks)
			}
		})
	}
}

func TestRepairsOfAMutedTimeStay(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 0, vp8Codec)
	bob.assign(0, cam.source, 720)
	cam.put(cam.frame(0, true, 540))
	cam.put(cam.frame(0, false, 0))
	lost := cam.frame(0, false, 0)
	cam.put(cam.frame(0, false, 0))
	cam.source.SetMuted(true)
	cam.put(cam.frame(0, true, 540))
	cam.source.SetMuted(false)
	bob.wire.take()
	wrapped, _ := rtx.Wrap(lost, 97, 0x9999, 2)
	cam.put(wrapped)
	cam.put(cam.frame(0, false, 0))
	if n := len(bob.wire.take()); n != 0 {
		t.Errorf("%d packets before a key frame", n)
	}
	r.pass(time.Second)
	if n := cam.keyRequests(0); n == 0 {
		t.Error("no key frame was asked for")
	}
	cam.put(cam.frame(0, true, 540))
	if n := len(bob.wire.take()); n != 1 {
		t.Errorf("%d packets, want the key frame", n)
	}
}

func TestMutedWhileOnItsWayToAnotherShard(t *testing.T) {
	r := newRig(t, 2)
	mic := r.publisher("ada", protocol.Mic, opusCodec, 0, nil)
	bob := r.taker(protocol.Mic, 1, 1, opusCodec)
	bob.assign(0, mic.source, 0)
	r.shards[0].Run(func() { mic.link.RTP(mic.said("open"), r.now) })
	mic.source.SetMuted(true)
	r.router.Flush()
	if n := len(bob.wire.take()); n != 0 {
		t.Errorf("%d packets left after muting", n)
	}
}

func TestMutedMicrophoneDoesNotCompete(t *testing.T) {
	r := newRig(t, 1)
	l := r.router.NewLoudest(func() {})
	mic := r.publisher("ada", protocol.Mic, opusCodec, 0, l)
	mic.source.SetMuted(true)
	l.report(mic.source, 10, r.now) // heard just before, and late for the lock
	if got := l.Selected(); len(got) != 0 {
		t.Errorf("%d selected", len(got))
	}
	mic.source.SetMuted(false)
	mic.say(127)
	mic.say(20)
	if got := l.Selected(); len(got) != 1 {
		t.Errorf("%d selected", len(got))
	}
}

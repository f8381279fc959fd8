package mmr

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/offer"
	"causeway/internal/media/rtcpstat"
	"causeway/internal/media/rtx"
	"causeway/protocol"

	"github.com/pion/rtcp"
)

func TestSoundFlows(t *testing.T) {
	w := newWorld(t, nil)
	ada := w.join("m1", "ada", wish{role: protocol.Host})
	bob := w.join("m1", "bob", wish{})
	ada.talk(20)
	w.until("bob hears ada", func() bool { return len(bob.conns[protocol.Audio].in("a1")) > 20 })
	w.until("bob is told", func() bool {
		return bob.slots()["a1"] == protocol.SlotState{Slot: "a1", Participant: "ada", Source: protocol.Mic}
	})
	got := bob.conns[protocol.Audio].in("a1")
	for i, p := range got {
		if string(p.Payload(p.raw)) != "sound of ada" || p.Sequence != got[0].Sequence+uint16(i) {
			t.Fatalf("packet %d: seq %d, %q", i, p.Sequence, p.Payload(p.raw))
		}
		if level, voice, ok := header.AudioLevel(p.Extension(p.raw, 1)); level != 20 || !voice || !ok {
			t.Errorf("packet %d: level %d", i, level)
		}
	}
	if n := len(ada.conns[protocol.Audio].in("a1")); n != 0 {
		t.Errorf("ada hears herself: %d packets", n)
	}
	w.until("speakers are told", func() bool {
		s := told[protocol.Speakers](bob)
		return len(s) > 0 && len(s[len(s)-1].Speakers) == 1 && s[len(s)-1].Speakers[0].Participant == "ada"
	})
	w.until("the clock is told", func() bool { return len(told[protocol.Sync](bob)) > 0 })
	w.until("sender reports", func() bool { return len(reports[*rtcp.SenderReport](bob.conns[protocol.Audio])) > 0 })
	w.until("receiver reports", func() bool { return len(reports[*rtcp.ReceiverReport](ada.conns[protocol.Audio])) > 0 })
}

// TestLoudestOfSix has six talk at different levels: everybody hears the
// three loudest others, and nobody itself.
func TestLoudestOfSix(t *testing.T) {
	w := newWorld(t, nil)
	var people []*client
	for i := range 7 {
		people = append(people, w.join("m1", fmt.Sprint("p", i), wish{kinds: []protocol.MediaKind{protocol.Audio}}))
	}
	for i := range 6 {
		people[i].talk(byte(20 + 7*i)) // p0 is the loudest, p6 says nothing
	}
	hears := func(c *client) []string {
		var ids []string
		for _, s := range c.slots() {
			if s.Participant != "" {
				ids = append(ids, s.Participant)
			}
		}
		slices.Sort(ids)
		return ids
	}
	for i, want := range [][]string{{"p1", "p2", "p3"}, {"p0", "p2", "p3"}, {"p0", "p1", "p3"}, {"p0", "p1", "p2"}, {"p0", "p1", "p2"}, {"p0", "p1", "p2"}, {"p0", "p1", "p2"}} {
		w.until(fmt.Sprintf("p%d hears %v", i, want), func() bool { return slices.Equal(hears(people[i]), want) })
	}
	for slot, s := range people[6].slots() {
		k := people[6].conns[protocol.Audio]
		before := len(k.in(slot))
		w.until("packets in "+string(slot), func() bool {
			got := k.in(slot)
			return len(got) > before && string(got[len(got)-1].Payload(got[len(got)-1].raw)) == "sound of "+s.Participant
		})
	}
}

// film publishes VP8 frames of one packet, 30 a second; key frames when asked.
func (c *client) film(height int) (stop func()) {
	k := c.conns[protocol.Video]
	asked := 0
	return c.pump(33*time.Millisecond, func(n int) {
		now := len(reports[*rtcp.PictureLossIndication](k))
		key := n == 0 || now != asked
		asked = now
		k.send(rtpPacket(96, uint16(65530+n), uint32(n)*3000, cameraSSRC, 9, "0", vp8Frame(n, key, height, 500)))
	})
}

func vp8Frame(n int, key bool, height, size int) []byte {
	b := []byte{0x90, 0x80, 0x80 | byte(n>>8&0x7F), byte(n), 0x01, 0, 0}
	if key {
		b[4] = 0
		b = append(b, 0x9D, 0x01, 0x2A, byte(height*16/9), byte(height*16/9>>8), byte(height), byte(height>>8))
	}
	return append(b, make([]byte, size)...)
}

func TestPictureOnWish(t *testing.T) {
	w := newWorld(t, nil)
	ada := w.join("m1", "ada", wish{})
	bob := w.join("m1", "bob", wish{videoSlots: 2})
	ada.film(720)
	w.until("ada's camera is on", func() bool {
		for _, r := range told[protocol.Roster](bob) {
			for _, p := range r.Changed {
				if p.ID == "ada" && !p.VideoMuted {
					return true
				}
			}
		}
		return false
	})
	k := bob.conns[protocol.Video]
	if n := len(k.in("v1")); n != 0 {
		t.Errorf("%d packets without a wish", n)
	}
	bob.say(protocol.Want{Slots: []protocol.SlotWant{{Slot: "v2", Participant: "ada", MaxHeight: 720}}})
	w.until("pictures in v2", func() bool { return len(k.in("v2")) > 10 })
	w.until("bob is told", func() bool { return bob.slots()["v2"].Participant == "ada" })
	muted := true
	ada.say(protocol.SetState{VideoMuted: &muted})
	w.until("the slot is told empty", func() bool { return bob.slots()["v2"].Participant == "" })
	muted = false
	n := len(k.in("v2"))
	ada.say(protocol.SetState{VideoMuted: &muted})
	w.until("pictures again", func() bool { return len(k.in("v2")) > n+5 && bob.slots()["v2"].Participant == "ada" })
	got := k.in("v2")
	for i := range got {
		if got[i].Sequence != got[0].Sequence+uint16(i) {
			t.Fatalf("sequence %d at %d, first %d", got[i].Sequence, i, got[0].Sequence)
		}
	}
}

// TestSimulcastSwitch publishes two layers and asks for one, then the other.
func TestSimulcastSwitch(t *testing.T) {
	w := newWorld(t, nil)
	ada := w.join("m1", "ada", wish{rids: []string{"q", "f"}})
	bob := w.join("m1", "bob", wish{})
	k := ada.conns[protocol.Video]
	asked := map[uint32]int{}
	w.pump(33*time.Millisecond, func(n int) {
		for layer, rid := range []string{"q", "f"} {
			ssrc := uint32(7000 + layer)
			now := 0
			for _, p := range reports[*rtcp.PictureLossIndication](k) {
				if p.MediaSSRC == ssrc {
					now++
				}
			}
			key := n == 0 || now != asked[ssrc]
			asked[ssrc] = now
			k.send(rtpPacket(96, uint16(n), uint32(n)*3000+uint32(layer)*1e6, ssrc, 10, rid, vp8Frame(n, key, 180+540*layer, 200+600*layer)))
		}
	})
	v := bob.conns[protocol.Video]
	size := func() int {
		got := v.in("v1")
		if len(got) == 0 {
			return 0
		}
		return len(got[len(got)-1].raw)
	}
	want := func(height int) {
		bob.say(protocol.Want{Slots: []protocol.SlotWant{{Slot: "v1", Participant: "ada", MaxHeight: height}}})
	}
	want(180)
	w.until("the small layer", func() bool { return size() > 0 && size() < 500 })
	want(720)
	w.until("the large layer", func() bool { return size() > 500 })
	want(180)
	w.until("the small layer again", func() bool { return size() < 500 })
	got := v.in("v1")
	for i := 1; i < len(got); i++ {
		if got[i].Sequence != got[i-1].Sequence+1 {
			t.Fatalf("a hole: %d after %d", got[i].Sequence, got[i-1].Sequence)
		}
		if d := int32(got[i].Timestamp - got[i-1].Timestamp); d <= 0 || d > 90000 {
			t.Fatalf("timestamp steps by %d", d)
		}
	}
}

// complete reports whether 60 pictures in a row have arrived in the first
// video slot, and asks for what is missing among the latest. (What a stalled
// machine asks for too late is not there any more.)
func (k *conn) complete() bool {
	line := k.answer.Lines[1]
	have := map[uint16]bool{}
	newest := uint16(0)
	for _, p := range k.in("v1") {
		s := p.Sequence
		if p.rtx {
			raw, ok := rtx.Unwrap(append([]byte(nil), p.raw...), 96, line.SSRCs[0])
			if !ok {
				continue
			}
			h, _ := header.Parse(raw)
			s = h.Sequence
		}
		have[s], newest = true, max(newest, s)
	}
	var missing []uint16
	run, longest := 0, 0
	for s := newest; len(have) > 0 && newest-s < 500; s-- {
		if run++; !have[s] {
			run = 0
			if newest-s < 30 {
				missing = append(missing, s)
			}
		}
		longest = max(longest, run)
	}
	slices.Reverse(missing)
	if len(missing) > 0 {
		k.sendRTCP(&rtcp.TransportLayerNack{MediaSSRC: line.SSRCs[0], Nacks: rtcp.NackPairsFromSequenceNumbers(missing)})
	}
	return longest >= 60
}

// TestRepairUnderLoss drops every seventh packet on the way to bob, who asks
// for them again and gets all.
func TestRepairUnderLoss(t *testing.T) {
	w := newWorld(t, nil)
	ada := w.join("m1", "ada", wish{})
	bob := w.join("m1", "bob", wish{drop: func(slot protocol.SlotID, h header.Header) bool {
		return slot == "v1" && h.PayloadType == 96 && h.Sequence%7 == 0
	}})
	ada.film(360)
	bob.say(protocol.Want{Slots: []protocol.SlotWant{{Slot: "v1", Participant: "ada", MaxHeight: 360}}})
	w.until("all packets, repaired", bob.conns[protocol.Video].complete)
	if n := w.server.router.Traffic().Repairs; n == 0 {
		t.Error("nothing was lost")
	}
}

func TestShareWithSound(t *testing.T) {
	w := newWorld(t, nil)
	ada := w.join("m1", "ada", wish{})
	bob := w.join("m1", "bob", wish{})
	k := ada.conns[protocol.Content]
	w.pump(33*time.Millisecond, func(n int) {
		k.send(rtpPacket(96, uint16(n), uint32(n)*3000, screenSSRC, 9, "0", vp8Frame(n, n%10 == 0, 1080, 700)))
		k.send(rtpPacket(111, uint16(n), uint32(n)*960, soundSSRC, 1, "\x94", []byte("screen sound")))
	})
	sharing := true
	ada.say(protocol.SetState{Sharing: &sharing})
	v := bob.conns[protocol.Content]
	w.until("picture and sound of the share", func() bool { return len(v.in("c1")) > 5 && len(v.in("s1")) > 5 })
	w.until("bob is told", func() bool {
		s := bob.slots()
		return s["c1"].Source == protocol.Screen && s["s1"].Source == protocol.ScreenAudio
	})
	sharing = false
	ada.say(protocol.SetState{Sharing: &sharing})
	w.until("the end of it is told", func() bool { s := bob.slots(); return s["c1"].Participant == "" && s["s1"].Participant == "" })
}

// TestH264OnlyForWhoHasIt publishes H.264: who offered only VP8 is not sent it.
func TestH264OnlyForWhoHasIt(t *testing.T) {
	w := newWorld(t, nil)
	codecs := offer.DefaultCodecs(offer.Video)
	ada := w.join("m1", "ada", wish{videoCodecs: codecs[1:]})
	bob := w.join("m1", "bob", wish{})
	eve := w.join("m1", "eve", wish{videoCodecs: codecs[:1]})
	k := ada.conns[protocol.Video]
	sps := []byte{0x67, 0x42, 0xe0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x1e, 0xd0, 0x0f, 0x08, 0x84, 0x6a}
	w.pump(33*time.Millisecond, func(n int) { // each frame a key frame
		k.send(rtpPacket(102, uint16(2*n), uint32(n)*3000, cameraSSRC, 9, "0", sps))
		k.send(rtpPacket(102, uint16(2*n+1), uint32(n)*3000, cameraSSRC, 9, "0", []byte{0x65, 0x88, 1, 2, 3}))
	})
	for _, c := range []*client{bob, eve} {
		c.say(protocol.Want{Slots: []protocol.SlotWant{{Slot: "v1", Participant: "ada", MaxHeight: 360}}})
	}
	w.until("bob sees ada", func() bool { return len(bob.conns[protocol.Video].in("v1")) > 10 })
	if n := len(eve.conns[protocol.Video].in("v1")); n != 0 || eve.slots()["v1"].Participant != "" {
		t.Errorf("eve was sent %d packets that she cannot decode", n)
	}
}

// TestOneClock publishes sound and picture with sender reports of a clock
// that is hours off, and looks that the slots' sender reports bring moments
// that were one together again.
func TestOneClock(t *testing.T) {
	w := newWorld(t, nil)
	ada := w.join("m1", "ada", wish{})
	bob := w.join("m1", "bob", wish{})
	bob.say(protocol.Want{Slots: []protocol.SlotWant{{Slot: "v1", Participant: "ada", MaxHeight: 360}}})
	start := time.Now()
	const audioBase, videoBase = 1 << 31, math.MaxUint32 - 1000
	elapsed := func(rate uint32) uint32 { return uint32(time.Since(start).Seconds() * float64(rate)) }
	w.pump(20*time.Millisecond, func(n int) {
		ada.conns[protocol.Audio].send(rtpPacket(111, uint16(n), audioBase+elapsed(48000), micSSRC, 1, "\x94", []byte("sound of ada")))
		ada.conns[protocol.Video].send(rtpPacket(96, uint16(n), videoBase+elapsed(90000), cameraSSRC, 9, "0", vp8Frame(n, n%5 == 0, 360, 300)))
		if n%25 == 0 {
			ntp := rtcpstat.NTP(time.Now().Add(5 * time.Hour))
			ada.conns[protocol.Audio].sendRTCP(&rtcp.SenderReport{SSRC: micSSRC, NTPTime: ntp, RTPTime: audioBase + elapsed(48000)})
			ada.conns[protocol.Video].sendRTCP(&rtcp.SenderReport{SSRC: cameraSSRC, NTPTime: ntp, RTPTime: videoBase + elapsed(90000)})
		}
	})
	sync := func(slot protocol.SlotID) *protocol.SlotSync {
		var last *protocol.SlotSync
		for _, s := range told[protocol.Sync](bob) {
			for i := range s.Slots {
				if s.Slots[i].Slot == slot {
					last = &s.Slots[i]
				}
			}
		}
		return last
	}
	w.until("both slots are synchronized", func() bool {
		return len(reports[*rtcp.SenderReport](bob.conns[protocol.Audio])) > 2 && len(reports[*rtcp.SenderReport](bob.conns[protocol.Video])) > 2 &&
			sync("a1") != nil && sync("v1") != nil
	})
	// The router's clock when the sample that ada's clock calls zero was taken.
	zero := func(slot protocol.SlotID, k *conn, base uint32) float64 {
		got := k.in(slot)
		s := sync(slot)
		last := got[len(got)-1]
		// Timestamps of a slot differ from ada's by a constant; the payload
		// does not tell which, so take it from the newest packet's arrival:
		// it was sent at most some ms before.
		sent := float64(last.at.Sub(start).Milliseconds())
		atSync := s.AtMS + float64(int32(last.Timestamp-s.RTP))/float64(s.ClockRate)*1000
		return atSync - sent
	}
	a := zero("a1", bob.conns[protocol.Audio], audioBase)
	v := zero("v1", bob.conns[protocol.Video], uint32(videoBase))
	if math.Abs(a-v) > 100 {
		t.Errorf("sound and picture are %.1f ms apart", a-v)
	}
}

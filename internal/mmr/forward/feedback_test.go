package forward

import (
	"encoding/binary"
	"testing"
	"time"

	"causeway/internal/media/rtcpstat"
	"causeway/protocol"

	"github.com/pion/rtcp"
)

// sentRTCP returns the RTCP packets of one type that a wire has sent.
func sentRTCP[T rtcp.Packet](w *fakeWire) []T {
	var out []T
	for _, p := range w.rtcp {
		if t, ok := p.(T); ok {
			out = append(out, t)
		}
	}
	return out
}

// report hands RTCP of the publisher to its link.
func (p *publisher) report(packets ...rtcp.Packet) {
	raw, err := rtcp.Marshal(packets)
	if err != nil {
		p.t.Fatal(err)
	}
	p.shards[p.shard].Run(func() { p.link.RTCP(raw, p.now) })
	p.router.Flush()
}

func TestReceiverReports(t *testing.T) {
	r := newRig(t, 1)
	mic := r.publisher("ada", protocol.Mic, opusCodec, 0, nil)
	for i := range 100 {
		p := mic.sound(20)
		if i%4 != 1 {
			mic.put(p)
		}
		r.now = r.now.Add(20 * time.Millisecond)
	}
	ntp := rtcpstat.NTP(r.now)
	mic.report(&rtcp.SenderReport{SSRC: ssrcOf(0), NTPTime: ntp, RTPTime: mic.ts[0]})
	r.pass(2 * time.Second)
	rrs := sentRTCP[*rtcp.ReceiverReport](mic.wire)
	if len(rrs) == 0 {
		t.Fatal("no receiver report in two seconds")
	}
	b := rrs[len(rrs)-1].Reports[0]
	if b.SSRC != ssrcOf(0) || b.TotalLost != 25 || b.LastSenderReport != uint32(ntp>>16) || b.Delay == 0 {
		t.Errorf("%+v", b)
	}
}

func TestSenderReports(t *testing.T) {
	for name, shards := range map[string]int{"same shard": 1, "other shard": 2} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, shards)
			mic := r.publisher("ada", protocol.Mic, opusCodec, 0, nil)
			bob := r.taker(protocol.Mic, 1, shards-1, opusCodec)
			bob.assign(0, mic.source, 0)
			// ada's clock is an hour slow; her reports take 30 ms.
			const slow, way = time.Hour, 30 * time.Millisecond
			for range 25 {
				mic.say(20)
				r.pass(25 * time.Millisecond)
				captured := r.now.Add(-way)
				mic.ts[0] = uint32(captured.Sub(epoch).Milliseconds()) * 48
				mic.report(&rtcp.SenderReport{SSRC: ssrcOf(0), NTPTime: rtcpstat.NTP(captured.Add(-slow)), RTPTime: mic.ts[0]})
			}
			r.pass(time.Second)
			srs := sentRTCP[*rtcp.SenderReport](bob.wire)
			if len(srs) < 2 {
				t.Fatalf("%d sender reports", len(srs))
			}
			sr := srs[len(srs)-1]
			if sr.SSRC != slotSSRC || sr.PacketCount != 25 || sr.OctetCount != 25*4 {
				t.Errorf("%+v", sr)
			}
			sync := r.router.Sync(bob.link.Slots(), r.now)[0]
			if sync.Slot != "a" || sync.ClockRate != 48000 {
				t.Fatalf("sync %+v", sync)
			}
			// Sender report and Sync tell the same line.
			at := r.router.Milliseconds(epoch) + float64(rtcpstat.Since(rtcpstat.NTP(epoch), sr.NTPTime))/1e6
			want := at + float64(int32(sync.RTP-sr.RTPTime))/48
			if d := sync.AtMS - want; d < -1 || d > 1 {
				t.Errorf("Sync and sender report differ by %v ms", d)
			}
			if len(sentRTCP[*rtcp.SourceDescription](bob.wire)) != len(srs) {
				t.Error("a sender report without CNAME (RFC 3550 section 6.1)")
			}
		})
	}
}

// A clock that is told three times is told seldom after that, until it is
// another one.
func TestSenderReportsBecomeSeldom(t *testing.T) {
	r := newRig(t, 1)
	ada, eve := r.publisher("ada", protocol.Mic, opusCodec, 0, nil), r.publisher("eve", protocol.Mic, opusCodec, 0, nil)
	bob := r.taker(protocol.Mic, 1, 0, opusCodec)
	for _, speaker := range []*publisher{ada, eve} {
		bob.assign(0, speaker.source, 0)
		for i, want := range []int{3, 1, 1} {
			before := len(sentRTCP[*rtcp.SenderReport](bob.wire))
			for range 120 { // three seconds
				speaker.say(20)
				r.pass(25 * time.Millisecond)
			}
			if n := len(sentRTCP[*rtcp.SenderReport](bob.wire)) - before; n != want {
				t.Errorf("%s: %d reports from second %d on, not %d", speaker.source.cfg.Owner, n, 3*i, want)
			}
		}
	}
}

func TestSyncOfAnEmptySlot(t *testing.T) {
	r := newRig(t, 1)
	mic := r.publisher("ada", protocol.Mic, opusCodec, 0, nil)
	bob := r.taker(protocol.Mic, 2, 0, opusCodec)
	bob.assign(1, mic.source, 0)
	for i, s := range r.router.Sync(bob.link.Slots(), r.now) {
		if s.ClockRate != 0 {
			t.Errorf("slot %d: %+v although nothing was sent", i, s)
		}
	}
	mic.say(20)
	if !bob.link.TakeStarted() || bob.link.TakeStarted() {
		t.Error("the beginning of a slot is told once")
	}
	if s := r.router.Sync(bob.link.Slots(), r.now)[1]; s.ClockRate != 48000 {
		t.Errorf("%+v", s)
	}
}

func TestTransportWideFeedback(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	for i := range uint16(10) {
		seq := 65530 + i
		cam.seq[0]++
		if i != 4 {
			cam.put(rtpPacket(96, false, cam.seq[0], 1, ssrcOf(0), []ext{{twccID, string(binary.BigEndian.AppendUint16(nil, seq))}}, []byte{0x10, 1, 2, 3}))
		}
		r.now = r.now.Add(time.Millisecond)
	}
	r.pass(100 * time.Millisecond)
	fbs := sentRTCP[*rtcp.TransportLayerCC](cam.wire)
	if len(fbs) != 1 || fbs[0].BaseSequenceNumber != 65530 || fbs[0].PacketStatusCount != 10 || len(fbs[0].RecvDeltas) != 9 {
		t.Errorf("feedback %+v", fbs)
	}
	r.pass(time.Second)
	if n := len(sentRTCP[*rtcp.TransportLayerCC](cam.wire)); n != 1 {
		t.Errorf("%d feedbacks of nothing new", n-1)
	}
}

func TestRoundTripIsLearned(t *testing.T) {
	r := newRig(t, 1)
	mic := r.publisher("ada", protocol.Mic, opusCodec, 0, nil)
	bob := r.taker(protocol.Mic, 1, 0, opusCodec)
	bob.assign(0, mic.source, 0)
	mic.say(20)
	r.pass(100 * time.Millisecond)
	srs := sentRTCP[*rtcp.SenderReport](bob.wire)
	if len(srs) == 0 {
		t.Fatal("no sender report soon after the beginning")
	}
	r.now = epoch.Add(time.Second)
	at := rtcpstat.Since(rtcpstat.NTP(epoch), srs[0].NTPTime)
	bob.feedback(&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{
		SSRC: slotSSRC, LastSenderReport: uint32(srs[0].NTPTime >> 16), Delay: uint32((time.Second - at - 80*time.Millisecond) * 65536 / time.Second),
	}}})
	if d := bob.link.rtt - 80*time.Millisecond; d.Abs() > time.Millisecond {
		t.Errorf("round trip %v", bob.link.rtt)
	}
}

// TestKeyFrameRequestsAreMerged has ten takers lose their picture at once.
func TestKeyFrameRequestsAreMerged(t *testing.T) {
	r := newRig(t, 2)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	cam.put(cam.frame(0, true, 540))
	r.pass(missedFor)
	var takers []*taker
	for i := range 10 {
		bob := r.taker(protocol.Camera, 1, i%2, vp8Codec)
		bob.assign(0, cam.source, 720)
		takers = append(takers, bob)
	}
	if n := cam.keyRequests(0); n != 1 {
		t.Errorf("%d requests for ten newcomers, want 1", n)
	}
	cam.put(cam.frame(0, true, 540))
	r.pass(time.Second)
	for i, bob := range takers {
		if i%2 == 0 {
			bob.feedback(&rtcp.PictureLossIndication{MediaSSRC: slotSSRC})
		} else {
			bob.feedback(&rtcp.FullIntraRequest{MediaSSRC: slotSSRC, FIR: []rtcp.FIREntry{{SSRC: slotSSRC}}})
		}
	}
	if n := cam.keyRequests(0); n != 1 {
		t.Errorf("%d requests for ten lost pictures, want 1", n)
	}
	r.pass(time.Second)
	if n := cam.keyRequests(0); n < 1 || n > 3 {
		t.Errorf("%d repeated requests in a second", n)
	}
	for _, bob := range takers {
		bob.assign(0, nil, 0)
	}
	r.pass(5 * time.Second)
	if n := cam.keyRequests(0); n > 0 {
		t.Errorf("%d requests for nobody", n)
	}
}

func TestMutedSourcesAreNotAskedForRepairs(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	cam.put(cam.frame(0, true, 540))
	cam.seq[0] += 5
	cam.put(cam.frame(0, false, 0)) // nobody takes it
	r.pass(200 * time.Millisecond)
	if n := len(sentRTCP[*rtcp.TransportLayerNack](cam.wire)); n != 0 {
		t.Errorf("%d requests for packets that nobody takes", n)
	}
}

func FuzzLink(f *testing.F) {
	r := newRig(f, 1)
	p := r.publisher("x", protocol.Camera, vp8Codec, 0, nil)
	f.Add(true, p.frame(0, true, 540))
	f.Add(true, rtpPacket(97, false, 1, 1, 9, []ext{{rridID, "q"}}, []byte{0, 1, 0x10}))
	raw, err := rtcp.Marshal([]rtcp.Packet{&rtcp.SenderReport{SSRC: ssrcOf(0)}, &rtcp.TransportLayerNack{MediaSSRC: slotSSRC, Nacks: []rtcp.NackPair{{PacketID: 1, LostPackets: 0xffff}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(false, raw)
	f.Fuzz(func(t *testing.T, media bool, data []byte) {
		r := newRig(t, 1)
		cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil, "q", "f")
		bob := r.taker(protocol.Camera, 1, 0, vp8Codec)
		bob.assign(0, cam.source, 720)
		cam.put(cam.frame(0, true, 180))
		if len(data) > 1400 {
			data = data[:1400]
		}
		for _, l := range []*Link{cam.link, bob.link} {
			r.shards[0].Run(func() {
				if media {
					l.RTP(append([]byte(nil), data...), r.now)
				} else {
					l.RTCP(append([]byte(nil), data...), r.now)
				}
			})
		}
		r.pass(100 * time.Millisecond)
		before := len(bob.wire.rtp)
		cam.put(cam.frame(0, true, 180))
		for _, h := range headers(t, bob.wire.rtp[before:]) {
			if h.SSRC != slotSSRC && h.SSRC != slotRTX {
				t.Errorf("sent on %x", h.SSRC)
			}
		}
	})
}

func TestAppendReport(t *testing.T) {
	for _, cname := range []string{"", "a", "v1", "v12", "c123", "a name of some length"} {
		sr := &rtcp.SenderReport{SSRC: 1, NTPTime: 1<<63 | 2, RTPTime: 3, PacketCount: 4, OctetCount: 5}
		want, err := rtcp.Marshal([]rtcp.Packet{sr, rtcp.NewCNAMESourceDescription(1, cname)})
		if err != nil {
			t.Fatal(err)
		}
		if got := appendReport(nil, sr, cname); string(got) != string(want) {
			t.Errorf("%q: %x, want %x", cname, got, want)
		}
	}
}

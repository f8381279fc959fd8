package client

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"causeway/internal/media/header"
	"causeway/internal/media/offer"
	"causeway/protocol"
)

// keyFrame is a VP8 key frame as far as its header goes.
func keyFrame(width, height, size int) []byte {
	b := make([]byte, max(size, 10))
	copy(b, []byte{0x10, 0, 0, 0x9D, 0x01, 0x2A, byte(width), byte(width >> 8), byte(height), byte(height >> 8)})
	return b
}

// interFrame is a VP8 frame that needs others.
func interFrame(n byte) []byte { return []byte{0x11, n, 0, 0, 0, 0, 0, 0, 0, 0} }

// streamOf makes a stream that sends from a sequence number on.
func streamOf(codec Codec, sequence uint16) *outgoing {
	o := newOutgoing(codec, 96, 97)
	o.sequence, o.base = sequence, 0xFFFFFF00 // both wrap around soon
	return o
}

func TestPacketizeAndAssemble(t *testing.T) {
	h264Key := bytes.Join([][]byte{{}, {0x67, 66, 0xE0, 31}, {0x68, 1}, append([]byte{0x65}, make([]byte, 4000)...)}, startCode)
	h264Inter := append(append([]byte{}, startCode...), 0x41, 9, 9)
	tests := []struct {
		codec  Codec
		frames [][]byte
	}{
		{Opus, [][]byte{{0xFC, 1}, {0xFC, 2}, {0xFC, 3}}},
		{VP8, [][]byte{keyFrame(640, 360, 5000), interFrame(1), interFrame(2), append(interFrame(3), make([]byte, 3000)...)}},
		{H264, [][]byte{h264Key, h264Inter, h264Inter}},
	}
	for _, tt := range tests {
		for _, sequence := range []uint16{0, 0x7FFE, 0xFFFD} {
			o := streamOf(tt.codec, sequence)
			var a assembler
			a.reset(tt.codec)
			next := sequence
			for i, data := range tt.frames {
				at := time.Duration(i) * 40 * time.Millisecond
				packets := o.packetize(Sample{At: at, Data: data}, tt.codec == Opus)
				for j, p := range packets {
					if len(p.Payload) > maxPayload || p.SequenceNumber != next || p.Timestamp != o.rtpTime(at) {
						t.Fatalf("%s frame %d packet %d: %v", tt.codec, i, j, p)
					}
					next++
					f, ok := a.push(p, 0)
					if last := j == len(packets)-1; ok != last {
						t.Fatalf("%s frame %d: complete after packet %d of %d: %v", tt.codec, i, j+1, len(packets), ok)
					}
					if ok && !bytes.Equal(f.Data, data) {
						t.Errorf("%s frame %d differs", tt.codec, i)
					}
					if ok && tt.codec != Opus && f.Key != (i == 0) {
						t.Errorf("%s frame %d: key %v", tt.codec, i, f.Key)
					}
				}
			}
		}
	}
}

// Losing any one packet costs what needs it, and nothing else.
func TestAssembleAfterLoss(t *testing.T) {
	o := streamOf(VP8, 0xFFF0)
	var packets []*rtp.Packet
	frameOf := map[uint16]int{}
	for i, data := range [][]byte{
		keyFrame(64, 48, 2500), append(interFrame(1), make([]byte, 2000)...), interFrame(2),
		keyFrame(32, 24, 1500), interFrame(4), interFrame(5),
	} {
		for _, p := range o.packetize(Sample{At: time.Duration(i) * 40 * time.Millisecond, Data: data}, false) {
			frameOf[p.SequenceNumber] = i
			packets = append(packets, p)
		}
	}
	for lost := range packets {
		var a assembler
		a.reset(VP8)
		missing, got := 0, 0
		for i, p := range packets {
			if i == lost {
				missing = 1
				continue
			}
			if f, ok := a.push(p, missing); ok {
				got++
				if f.Lost > 1 {
					t.Errorf("lost %d: %d missing", lost, f.Lost)
				}
			}
			missing = 0
		}
		// Up to the loss, and from the next key frame on.
		at := frameOf[packets[lost].SequenceNumber]
		want := at
		if at < 3 {
			want += 3
		}
		if got != want {
			t.Errorf("without packet %d, of frame %d: %d frames, want %d", lost, at, got, want)
		}
	}
}

func TestPacketExtensions(t *testing.T) {
	o := streamOf(VP8, 7)
	o.mid, o.layer, o.extensions = "0", "h", extensions{mid: 9, rid: 10, repairedRID: 11, level: 1}
	p := o.packetize(Sample{Data: interFrame(1)}, false)[0]
	if string(p.GetExtension(9)) != "0" || string(p.GetExtension(10)) != "h" || p.GetExtension(1) != nil {
		t.Errorf("picture: %v", p.Header)
	}
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := o.repair(b)
	if err != nil {
		t.Fatal(err)
	}
	var r rtp.Packet
	if err := r.Unmarshal(again); err != nil {
		t.Fatal(err)
	}
	if r.SSRC != o.rtx || r.PayloadType != 97 || string(r.GetExtension(11)) != "h" || r.GetExtension(10) != nil ||
		binary.BigEndian.Uint16(r.Payload) != 7 || !bytes.Equal(r.Payload[2:], p.Payload) || r.Timestamp != p.Timestamp {
		t.Errorf("repair: %v", r)
	}
	for level, want := range map[uint8]byte{0: 0x80, 30: 0x9E, 65: 65, 127: 127, 200: 127} {
		p := o.packetize(Sample{Data: []byte{1}, Level: level}, true)[0]
		if got := p.GetExtension(1); len(got) != 1 || got[0] != want {
			t.Errorf("level %d: %x, want %x", level, got, want)
		}
	}
}

// Sound that begins again after silence is marked (RFC 3551 §4.1).
func TestMarker(t *testing.T) {
	o := streamOf(Opus, 0)
	var got []bool
	for _, level := range []uint8{50, 127, 127, 50, 50} {
		got = append(got, o.packetize(Sample{Data: []byte{1}, Level: level}, true)[0].Marker)
	}
	if d := cmp.Diff([]bool{false, false, false, true, false}, got); d != "" {
		t.Error(d)
	}
}

func TestRTPTime(t *testing.T) {
	o := streamOf(Opus, 0)
	for at, want := range map[time.Duration]uint32{
		0: 0xFFFFFF00, 20 * time.Millisecond: 0xFFFFFF00 + 960 - 1<<32, 24 * time.Hour: uint32((0xFFFFFF00 + 24*3600*48000) % (1 << 32)),
	} {
		if got := o.rtpTime(at); got != want {
			t.Errorf("%v: %d, want %d", at, got, want)
		}
	}
}

func TestSlotClock(t *testing.T) {
	here := time.Unix(5000, 0)
	router := routerClock{ms: 1000, here: here}
	c := slotClock{rate: 90000}
	c.sync(protocol.SlotSync{RTP: 0xFFFFFFFF, ClockRate: 48000}, router)
	if c.known {
		t.Error("took a mapping of another rate")
	}
	c.sync(protocol.SlotSync{RTP: 0xFFFFFFF0, ClockRate: 90000, AtMS: 1500}, router)
	for rtp, want := range map[uint32]time.Duration{
		0xFFFFFFF0: 500 * time.Millisecond, 90000 - 16: 1500 * time.Millisecond, 0xFFFFFFF0 - 90000: -500 * time.Millisecond,
	} {
		if got := c.captured(rtp).Sub(here); got != want {
			t.Errorf("RTP %d: %v, want %v", rtp, got, want)
		}
	}
}

// slotLine is the line of an answer that carries a slot.
func slotLine(kind offer.Kind) *offer.Line {
	l := &offer.Line{Kind: kind, Codecs: offer.DefaultCodecs(kind), SSRCs: []uint32{10}}
	if kind == offer.Video {
		l.RTXOf = map[uint32]uint32{10: 11}
	}
	return l
}

// A slot test feeds a slot and gathers what it delivers.
type slotTest struct {
	*incoming
	got  []Frame
	full bool
}

func newSlotTest(kind offer.Kind) *slotTest {
	s := &slotTest{incoming: newIncoming("v1", slotLine(kind))}
	s.link = &link{emit: func(f Frame) bool {
		if s.full {
			return false
		}
		s.got = append(s.got, f)
		return true
	}}
	return s
}

func (s *slotTest) send(o *outgoing, sample Sample, now time.Time) {
	for _, p := range o.packetize(sample, sample.Level > 0) {
		s.take(p, now)
	}
}

// take hands a packet to the slot as one of its own, unless it is sent again.
func (s *slotTest) take(p *rtp.Packet, now time.Time) {
	if p.SSRC != 11 {
		p.SSRC = 10
	}
	p.Version = 2
	b, err := p.Marshal()
	if err != nil {
		panic(err)
	}
	h, ok := header.Parse(b)
	if !ok {
		panic("malformed packet")
	}
	s.receive(b, h, now)
}

func TestSlotWaitsForOwnerAndClock(t *testing.T) {
	now := time.Unix(1000, 0)
	router := routerClock{here: now}
	s, o := newSlotTest(offer.Video), streamOf(VP8, 1)
	s.send(o, Sample{Data: keyFrame(64, 48, 20)}, now)
	s.send(o, Sample{At: 40 * time.Millisecond, Data: interFrame(1)}, now)
	s.assign(protocol.SlotState{Slot: "v1", Participant: "p", Source: protocol.Camera}, "Ada", now)
	if len(s.got) != 0 {
		t.Fatal("delivered without a clock")
	}
	s.sync(protocol.SlotSync{RTP: o.rtpTime(0), ClockRate: 90000, AtMS: 250}, router)
	if len(s.got) != 2 || s.got[0].Name != "Ada" || s.got[0].Captured.Sub(now) != 250*time.Millisecond || s.got[1].Captured.Sub(now) != 290*time.Millisecond {
		t.Fatalf("delivered %+v", s.got)
	}
	// Another takes the slot: what comes until a key frame is not shown.
	s.assign(protocol.SlotState{Slot: "v1", Participant: "q", Source: protocol.Camera}, "Bob", now)
	s.send(o, Sample{At: 80 * time.Millisecond, Data: interFrame(2)}, now)
	if list := s.tick(now.Add(time.Second)); len(list) != 1 {
		t.Errorf("no key frame asked for: %v", list)
	} else if pli, ok := list[0].(*rtcp.PictureLossIndication); !ok || pli.MediaSSRC != 10 {
		t.Errorf("asked for %v", list[0])
	}
	s.send(o, Sample{At: 120 * time.Millisecond, Data: keyFrame(64, 48, 20)}, now)
	// Its clock never comes: after a while the old one must do.
	s.tick(now.Add(holdFor))
	if len(s.got) != 3 || s.got[2].Participant != "q" || s.got[2].Captured.Sub(now) != 370*time.Millisecond {
		t.Errorf("delivered %+v", s.got[2:])
	}
}

func TestSlotRepairs(t *testing.T) {
	now := time.Unix(1000, 0)
	s, o := newSlotTest(offer.Video), streamOf(VP8, 0xFFFE)
	s.assign(protocol.SlotState{Slot: "v1", Participant: "p", Source: protocol.Camera}, "Ada", now)
	s.sync(protocol.SlotSync{RTP: o.rtpTime(0), ClockRate: 90000}, routerClock{here: now})
	packets := o.packetize(Sample{Data: keyFrame(64, 48, 5000)}, false)
	lost := packets[1]
	for i, p := range packets {
		if i != 1 {
			s.take(p, now)
		}
	}
	list := s.tick(now.Add(25 * time.Millisecond))
	nack, ok := list[0].(*rtcp.TransportLayerNack)
	if !ok || nack.Nacks[0].PacketID != lost.SequenceNumber {
		t.Fatalf("asked for %v", list)
	}
	again := &rtp.Packet{Header: rtp.Header{SSRC: 11, PayloadType: 97, Timestamp: lost.Timestamp}}
	again.Payload = append(binary.BigEndian.AppendUint16(nil, lost.SequenceNumber), lost.Payload...)
	s.take(&rtp.Packet{Header: rtp.Header{SSRC: 11, PayloadType: 97}}, now) // padding
	s.take(again, now)
	if len(s.got) != 1 || s.got[0].Lost != 0 {
		t.Fatalf("delivered %+v", s.got)
	}
	// A loss that is never repaired is skipped, and a key frame asked for.
	s.send(o, Sample{At: 40 * time.Millisecond, Data: interFrame(1)}, now)
	o.sequence += 3
	s.send(o, Sample{At: 80 * time.Millisecond, Data: interFrame(2)}, now)
	for ms := range 60 {
		s.tick(now.Add(time.Duration(ms) * 25 * time.Millisecond))
	}
	if s.lost != 3 || !s.assembler.needKey || s.pliAt.IsZero() || len(s.got) != 2 {
		t.Errorf("%d lost, key needed %v, %d delivered", s.lost, s.assembler.needKey, len(s.got))
	}
}

// A receiver that is too slow loses whole pictures, up to the next key frame.
func TestSlotReceiverTooSlow(t *testing.T) {
	now := time.Unix(1000, 0)
	s, o := newSlotTest(offer.Video), streamOf(VP8, 1)
	s.assign(protocol.SlotState{Slot: "v1", Participant: "p", Source: protocol.Camera}, "Ada", now)
	s.sync(protocol.SlotSync{RTP: 0, ClockRate: 90000}, routerClock{here: now})
	s.send(o, Sample{Data: keyFrame(64, 48, 20)}, now)
	s.full = true
	s.send(o, Sample{At: 40 * time.Millisecond, Data: interFrame(1)}, now)
	s.full = false
	s.send(o, Sample{At: 80 * time.Millisecond, Data: interFrame(2)}, now)
	s.send(o, Sample{At: 120 * time.Millisecond, Data: keyFrame(64, 48, 20)}, now)
	if len(s.got) != 2 || !s.got[1].Key {
		t.Errorf("delivered %+v", s.got)
	}
}

func FuzzIncoming(f *testing.F) {
	o := streamOf(H264, 1)
	for _, p := range o.packetize(Sample{Data: append(append([]byte{}, startCode...), make([]byte, 2000)...)}, false) {
		p.SSRC, p.PayloadType = 10, 102
		b, _ := p.Marshal()
		f.Add(b, uint16(3))
	}
	f.Add([]byte{0x80, 0x60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 10, 0x10, 1, 2}, uint16(1000))
	f.Fuzz(func(_ *testing.T, data []byte, step uint16) {
		now := time.Unix(1000, 0)
		s := newSlotTest(offer.Video)
		s.assign(protocol.SlotState{Slot: "v1", Participant: "p", Source: protocol.Camera}, "Ada", now)
		for i := range uint16(4) {
			b := bytes.Clone(data)
			h, ok := header.Parse(b)
			if !ok {
				return
			}
			header.SetSequence(b, h.Sequence+i*step)
			h, _ = header.Parse(b)
			s.receive(b, h, now)
			now = now.Add(time.Second)
			s.tick(now)
		}
	})
}

package rewrite

import (
	"bytes"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"pgregory.net/rapid"

	"causeway/internal/media/header"
	"causeway/internal/media/keyframe"
	"causeway/internal/media/seqmap"
)

var start = time.Unix(1000, 0)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// camera makes packets as a source does.
type camera struct {
	source Source
	seq    uint16
	ts     uint32
	pic    uint16
	tl0    uint8
	key    uint8
	short  bool // 7-bit picture ids
	ssrc   uint32
}

// packet makes the next packet; frame says that a frame begins with it, step
// its timestamp ahead of the frame before.
func (c *camera) packet(t testing.TB, frame bool, step uint32) []byte {
	t.Helper()
	if frame {
		c.ts += step
		c.pic++
		c.tl0++
	}
	p := &rtp.Packet{Header: rtp.Header{
		Version: 2, PayloadType: 120, SequenceNumber: c.seq, Timestamp: c.ts, SSRC: c.ssrc,
	}}
	c.seq++
	if err := p.SetExtension(9, []byte("mid")); err != nil {
		t.Fatal(err)
	}
	if err := p.SetExtension(1, []byte{0x80 | 33}); err != nil {
		t.Fatal(err)
	}
	switch {
	case c.source.Codec != keyframe.VP8:
		p.Payload = []byte{byte(c.seq)}
	case c.short:
		p.Payload = []byte{0x90, 0xf0, byte(c.pic & 0x7f), c.tl0, 0x20 | c.key&0x1f, 0x11, byte(c.seq)}
	default:
		p.Payload = []byte{0x90, 0xf0, 0x80 | byte(c.pic>>8), byte(c.pic), c.tl0, 0x20 | c.key&0x1f, 0x11, byte(c.seq)}
	}
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return append(make([]byte, 0, 1500), b...)
}

// sent is what went out.
type sent struct {
	rtp.Packet
	vp8 codecs.VP8Packet
}

func rewritten(t testing.TB, s *Stream, packet []byte, now time.Time) sent {
	t.Helper()
	out, ok := s.Rewrite(packet, now)
	if !ok {
		t.Fatal("not rewritten")
	}
	return decoded(t, out)
}

func decoded(t testing.TB, out []byte) (p sent) {
	t.Helper()
	if err := p.Unmarshal(out); err != nil {
		t.Fatal(err)
	}
	if len(p.Payload) > 2 {
		if _, err := p.vp8.Unmarshal(p.Payload); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func video(token seqmap.Token) Source {
	return Source{Token: token, PayloadType: 96, Codec: keyframe.VP8, Extensions: []header.IDMap{{From: 1, To: 5}}}
}

// TestSwitchFromEveryBoundary switches back and forth between two cameras,
// with every number near its wraparound.
func TestSwitchFromEveryBoundary(t *testing.T) {
	for _, edge := range []uint32{0, 1, 2, 0x7ffe, 0x7fff, 0x8000, 0xfffd, 0xfffe, 0xffff, 0x7fffffff, 0x80000000, 0xfffff000, 0xfffffffe, 0xffffffff} {
		a := &camera{source: video(1), seq: uint16(edge), ts: edge, pic: uint16(edge), tl0: uint8(edge), key: uint8(edge)}
		b := &camera{source: video(2), seq: uint16(edge) + 20000, ts: edge / 2, pic: uint16(edge) ^ 0x5555, tl0: 0xfe, key: 0x1e}
		s := newStream(Config{SSRC: 77, ClockRate: 90000, Sequence: uint16(edge), Timestamp: edge})
		var last sent
		for i := range 40 {
			c := a
			if i/4%2 == 1 {
				c = b
			}
			if i%4 == 0 {
				s.Switch(c.source)
				c.key++
			}
			p := rewritten(t, s, c.packet(t, true, 3000), at(40*i))
			if p.SSRC != 77 || p.PayloadType != 96 || p.SequenceNumber != uint16(edge)+uint16(i) {
				t.Fatalf("edge %#x, packet %d: %v", edge, i, p)
			}
			if got := p.GetExtension(5); len(got) != 1 || got[0] != 0x80|33 || p.GetExtension(9) != nil {
				t.Fatalf("extensions of %v", p)
			}
			step := uint32(3000) // as the camera says
			if i%4 == 0 {
				step = 3600 // as the clock says
			}
			if i > 0 && (p.Timestamp-last.Timestamp != step || p.vp8.PictureID != (last.vp8.PictureID+1)&0x7fff || p.vp8.TL0PICIDX != last.vp8.TL0PICIDX+1) {
				t.Fatalf("edge %#x, packet %d: %d %d %d after %d %d %d", edge, i, p.Timestamp, p.vp8.PictureID, p.vp8.TL0PICIDX, last.Timestamp, last.vp8.PictureID, last.vp8.TL0PICIDX)
			}
			if i > 0 && (i%4 == 0) != (p.vp8.KEYIDX == (last.vp8.KEYIDX+1)&0x1f) {
				t.Fatalf("edge %#x, packet %d: KEYIDX %d after %d", edge, i, p.vp8.KEYIDX, last.vp8.KEYIDX)
			}
			last = p
		}
	}
}

func TestTimestampOverSwitch(t *testing.T) {
	tests := []struct {
		name  string
		rate  uint32
		frame uint32
		pause time.Duration
		want  uint32
	}{
		{"picture, at once", 90000, 0, 0, 3000},
		{"picture, after 100 ms", 90000, 0, 100 * time.Millisecond, 9000},
		{"picture, clock went back", 90000, 0, -time.Second, 3000},
		{"sound, at once", 48000, 0, time.Millisecond, 960},
		{"sound, after a second and a half", 48000, 0, 1500 * time.Millisecond, 72000},
		{"frame given", 48000, 480, time.Millisecond, 480},
		{"after an hour", 90000, 0, time.Hour, 324000000},
		{"after ten hours, more than half a cycle", 90000, 0, 10 * time.Hour, 3240000000},
		{"after thirty hours, more than a cycle", 90000, 0, 30 * time.Hour, 9720000000 % (1 << 32)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStream(Config{SSRC: 1, ClockRate: tt.rate, Frame: tt.frame, Timestamp: 5})
			a, b := &camera{source: video(1), ts: 777}, &camera{source: video(2), ts: 12345}
			s.Switch(a.source)
			first := rewritten(t, s, a.packet(t, true, 0), start)
			s.Switch(b.source)
			now := start.Add(tt.pause)
			second := rewritten(t, s, b.packet(t, true, 0), now)
			if first.Timestamp != 5 || second.Timestamp != 5+tt.want {
				t.Errorf("%d, %d, want %d", first.Timestamp, second.Timestamp, 5+tt.want)
			}
			if ts, when, ok := s.Last(); !ok || ts != second.Timestamp || !when.Equal(now) {
				t.Errorf("last %d %v %v", ts, when, ok)
			}
			if ts, ok := s.Timestamp(b.ts + 90); !ok || ts != second.Timestamp+90 {
				t.Errorf("timestamp %d %v", ts, ok)
			}
		})
	}
}

func TestNothingBeforeTheFirstSwitch(t *testing.T) {
	s := newStream(Config{})
	a := &camera{source: video(1)}
	if _, ok := s.Rewrite(a.packet(t, true, 0), start); ok {
		t.Error("rewritten")
	}
	if _, ok := s.Source(); ok {
		t.Error("source")
	}
	if _, ok := s.Timestamp(0); ok {
		t.Error("timestamp")
	}
	if _, ok := s.Skip(a.packet(t, false, 0), 1); ok {
		t.Error("something instead of what is left out before anything was sent")
	}
	if _, _, ok := s.Lookup(0); ok {
		t.Error("lookup")
	}
	if _, ok := s.Restore(a.packet(t, true, 0), 0); ok {
		t.Error("restored")
	}
	s.Switch(a.source)
	if src, ok := s.Source(); !ok || src.Token != 1 {
		t.Error("no source after Switch")
	}
	if _, ok := s.Rewrite([]byte("garbage"), start); ok {
		t.Error("rewrote garbage")
	}
}

func TestLatePackets(t *testing.T) {
	s := newStream(Config{ClockRate: 90000})
	a := &camera{source: video(1), seq: 0xfffe}
	before := a.packet(t, true, 3000)
	s.Switch(a.source)
	first := rewritten(t, s, a.packet(t, true, 3000), at(0))
	missing := a.packet(t, true, 3000)
	third := rewritten(t, s, a.packet(t, true, 3000), at(10))
	if third.SequenceNumber != first.SequenceNumber+2 || third.vp8.PictureID != first.vp8.PictureID+2 {
		t.Errorf("no room was left: %v", third)
	}
	second := rewritten(t, s, missing, at(20))
	if second.SequenceNumber != first.SequenceNumber+1 || second.vp8.PictureID != first.vp8.PictureID+1 || second.Timestamp != first.Timestamp+3000 {
		t.Errorf("late packet: %v", second)
	}
	if _, ok := s.Rewrite(before, at(20)); ok {
		t.Error("rewrote a packet from before the switch")
	}
	b := &camera{source: video(2)}
	s.Switch(b.source)
	next := rewritten(t, s, b.packet(t, true, 0), at(30))
	if next.vp8.PictureID != third.vp8.PictureID+1 || next.SequenceNumber != third.SequenceNumber+1 || next.Timestamp != third.Timestamp+3000 {
		t.Errorf("after a late packet: %v", next) // 20 ms since the third would be 1800
	}
}

func TestShortPictureIDs(t *testing.T) {
	s := newStream(Config{})
	a := &camera{source: video(1), pic: 0x3ff0}
	b := &camera{source: video(2), pic: 5, short: true}
	s.Switch(a.source)
	last := rewritten(t, s, a.packet(t, true, 3000), at(0))
	for i := range 300 {
		if i%200 == 0 {
			s.Switch(b.source)
		}
		p := rewritten(t, s, b.packet(t, true, 3000), at(i))
		if p.vp8.PictureID != (last.vp8.PictureID+1)&0x7f {
			t.Fatalf("picture %d: id %d after %d", i, p.vp8.PictureID, last.vp8.PictureID)
		}
		last = p
	}
	s.Switch(a.source)
	if p := rewritten(t, s, a.packet(t, true, 3000), at(400)); p.vp8.PictureID != last.vp8.PictureID+1 {
		t.Errorf("back to 15 bits: %d after %d", p.vp8.PictureID, last.vp8.PictureID)
	}
}

func TestSound(t *testing.T) {
	s := newStream(Config{SSRC: 9, ClockRate: 48000})
	a := &camera{source: Source{Token: 1, PayloadType: 111}}
	b := &camera{source: Source{Token: 2, PayloadType: 111}, seq: 99}
	s.Switch(a.source)
	for i := range 6 {
		c := a
		if i >= 3 {
			c = b
		}
		if i == 3 {
			s.Switch(b.source)
		}
		p := rewritten(t, s, c.packet(t, true, 960), at(20*i))
		if p.SequenceNumber != uint16(i) || p.Timestamp != uint32(960*i) || p.Marker != (i%3 == 0) {
			t.Errorf("packet %d: %v", i, p)
		}
	}
}

// TestRedundantSound: a receiver gets redundancy under its own payload types, or
// the newest block alone, the same when it is restored.
func TestRedundantSound(t *testing.T) {
	const theirs, redundant = "\xed\x0f\x00\x03\x6dONEtwo", "\xef\x0f\x00\x03\x6fONEtwo"
	for to, want := range map[uint8]string{120: theirs, 0: "two"} {
		s := newStream(Config{SSRC: 9, ClockRate: 48000, Sequence: 100})
		a := &camera{source: Source{PayloadType: 109, Redundant: 63, RedundantTo: to, Extensions: []header.IDMap{{From: 1, To: 3}}}}
		s.Switch(a.source)
		for i, pt := range []uint8{63, 111, 63} {
			p := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: pt, SequenceNumber: uint16(i), Timestamp: uint32(960 * i)}, Payload: []byte(redundant)}
			if err := p.SetExtension(1, []byte{0x80 | 33}); err != nil {
				t.Fatal(err)
			}
			b, err := p.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			out, ok := s.Rewrite(bytes.Clone(b), at(20*i))
			again, restored := s.Restore(bytes.Clone(b), uint16(100+i))
			if !ok || !restored || !bytes.Equal(out, again) {
				t.Fatalf("packet %d was %x and is %x", i, out, again)
			}
			wantType, wantPayload := uint8(109), want
			if pt == 111 {
				wantPayload = redundant
			} else if to != 0 {
				wantType = to
			}
			h, _ := header.Parse(out)
			if level := h.Extension(out, 3); h.PayloadType != wantType || string(h.Payload(out)) != wantPayload || h.Sequence != uint16(100+i) || len(level) != 1 {
				t.Errorf("to %d, packet %d: %+v %q", to, i, h, h.Payload(out))
			}
		}
	}
}

func TestPaddingAndDrop(t *testing.T) {
	s := newStream(Config{})
	a := &camera{source: video(1), seq: 0xfffd}
	padding := func() []byte {
		b := a.packet(t, false, 0)
		h, _ := header.Parse(b)
		b = append(b[:h.PayloadAt], 0, 0, 3)
		b[0] |= 0x20
		return b
	}
	s.Switch(a.source)
	if _, ok := s.Rewrite(padding(), at(0)); ok {
		t.Error("began with padding")
	}
	rewritten(t, s, a.packet(t, true, 0), at(0))
	if _, ok := s.Rewrite(padding(), at(0)); ok {
		t.Error("padding went out")
	}
	if _, ok := s.Skip(a.packet(t, true, 3000), 1); ok {
		t.Error("something instead of what is left out")
	}
	if p := rewritten(t, s, a.packet(t, true, 3000), at(0)); p.SequenceNumber != 1 {
		t.Errorf("%v", p)
	}
	a.packet(t, false, 0) // lost
	b := padding()
	if p, ok := s.Rewrite(b, at(0)); !ok || len(p) == 0 {
		t.Error("padding behind a gap must go out: its number is taken")
	}
}

// TestRestart: a source that leaps goes on without a gap.
func TestRestart(t *testing.T) {
	for _, leap := range []int{maxJump + 10, -maxJump - 10, 0x7fff, -0x8000} {
		s := newStream(Config{ClockRate: 90000})
		a := &camera{source: video(1), seq: 0xff00}
		s.Switch(a.source)
		first := rewritten(t, s, a.packet(t, true, 0), at(0))
		a.seq += uint16(leap)
		a.ts += 1 << 30
		second := rewritten(t, s, a.packet(t, true, 0), at(100))
		if second.SequenceNumber != first.SequenceNumber+1 || second.Timestamp != first.Timestamp+9000 {
			t.Errorf("leap of %d: %v after %v", leap, second, first)
		}
	}
}

// TestModel: over random switches, losses and reordering the stream is what
// it should be, and every packet can be restored as it went out.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newStream(Config{SSRC: 3, ClockRate: 90000, Sequence: rapid.Uint16().Draw(rt, "seq"), Timestamp: rapid.Uint32().Draw(rt, "ts")})
		var cameras [3]*camera
		for i := range cameras {
			cameras[i] = &camera{
				source: video(seqmap.Token(i)), ssrc: uint32(i), seq: rapid.Uint16().Draw(rt, "seq"), ts: rapid.Uint32().Draw(rt, "ts"),
				pic: rapid.Uint16Range(0, 0x7fff).Draw(rt, "pic"), tl0: rapid.Uint8().Draw(rt, "tl0"), short: false,
			}
		}
		type went struct{ in, out []byte }
		log := map[uint16]went{}
		current, last, now, epochs := cameras[0], uint32(0), start, 0
		var held []byte
		for i := range rapid.IntRange(5, 60).Draw(rt, "n") {
			switched := i == 0 || rapid.IntRange(0, 9).Draw(rt, "switch") == 0
			if switched {
				current, held = cameras[rapid.IntRange(0, 2).Draw(rt, "camera")], nil
				s.Switch(current.source)
				if epochs++; epochs > maxEpochs {
					return
				}
			}
			now = now.Add(time.Duration(rapid.IntRange(0, 50).Draw(rt, "ms")) * time.Millisecond)
			p := current.packet(t, true, 3000)
			switch fate := rapid.IntRange(0, 9).Draw(rt, "fate"); {
			case switched || fate > 1:
			case fate == 0: // lost
				continue
			default: // late
				held = p
				continue
			}
			for _, p := range [][]byte{p, held} {
				if p == nil {
					continue
				}
				in := bytes.Clone(p)
				out, ok := s.Rewrite(p, now)
				if !ok {
					rt.Fatal("not rewritten")
				}
				h, _ := header.Parse(out)
				if _, ok := log[h.Sequence]; ok {
					rt.Fatalf("number %d went out twice", h.Sequence)
				}
				if switched && i > 0 && int32(h.Timestamp-last) < 3000 {
					rt.Fatalf("timestamp %d after %d", h.Timestamp, last)
				}
				if int32(h.Timestamp-last) > 0 || i == 0 {
					last = h.Timestamp
				}
				log[h.Sequence] = went{in, bytes.Clone(out)}
			}
			held = nil
		}
		for out, w := range log {
			in, _ := header.Parse(w.in)
			if token, seq, ok := s.Lookup(out); !ok || uint32(token) != in.SSRC || seq != in.Sequence {
				rt.Fatalf("number %d was packet %d of %d %v, not %d of %d", out, seq, token, ok, in.Sequence, in.SSRC)
			}
			if got, ok := s.Restore(bytes.Clone(w.in), out); !ok || !bytes.Equal(got, w.out) {
				rt.Fatalf("restored % x, went out % x", got, w.out)
			}
		}
	})
}

// TestRestoreAfterLongEpoch: one source for longer than a cycle.
func TestRestoreAfterLongEpoch(t *testing.T) {
	s := newStream(Config{})
	a := &camera{source: Source{Token: 1}}
	s.Switch(a.source)
	p := a.packet(t, true, 960)
	buf := make([]byte, 1500)
	for i := range 200000 {
		n := copy(buf, p)
		header.SetSequence(buf, uint16(i))
		if _, ok := s.Rewrite(buf[:n], start); !ok {
			t.Fatal("not rewritten")
		}
		if token, seq, ok := s.Lookup(uint16(i - min(i, 1000))); !ok || token != 1 || seq != uint16(i-min(i, 1000)) {
			t.Fatalf("at %d: %d %d %v", i, token, seq, ok)
		}
	}
}

func FuzzRewrite(f *testing.F) {
	a := &camera{source: video(1)}
	f.Add(a.packet(f, true, 0), true)
	a.short = true
	f.Add(a.packet(f, true, 0), false)
	f.Fuzz(func(t *testing.T, packet []byte, restore bool) {
		s := newStream(Config{SSRC: 1})
		s.Switch(video(1))
		size := len(packet)
		out, ok := s.Rewrite(packet, start)
		if !ok {
			return
		}
		h, parsed := header.Parse(out)
		if !parsed || h.SSRC != 1 || len(out) > size {
			t.Fatalf("%+v", h)
		}
		if restore {
			if _, ok := s.Restore(out, h.Sequence); !ok {
				t.Fatal("not restored")
			}
		}
	})
}

func TestNoAllocation(t *testing.T) {
	s := newStream(Config{})
	a, b := &camera{source: video(1)}, &camera{source: video(2)}
	p, q, buf, i := a.packet(t, true, 0), b.packet(t, true, 0), make([]byte, 1500), 0
	n := testing.AllocsPerRun(1000, func() {
		packet, c := p, a
		if i%2 == 0 {
			packet, c = q, b
		}
		if i++; i%8 == 0 {
			s.Switch(c.source)
		}
		n := copy(buf, packet)
		header.SetSequence(buf, uint16(i))
		out, _ := s.Rewrite(buf[:n], start)
		s.Lookup(uint16(i / 2))
		s.Restore(out, uint16(i/2))
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRewrite(b *testing.B) {
	b.ReportAllocs()
	s := newStream(Config{})
	a := &camera{source: video(1)}
	s.Switch(a.source)
	p, buf, i := a.packet(b, true, 0), make([]byte, 1500), uint16(0)
	for b.Loop() {
		n := copy(buf, p)
		header.SetSequence(buf, i)
		i++
		s.Rewrite(buf[:n], start)
	}
}

// TestSkip: where every other picture is left out, numbers and picture ids go
// on without a gap, and repairs have those that the packets had.
func TestSkip(t *testing.T) {
	for _, edge := range []uint16{0, 0x7ff0, 0xfff0} {
		s := newStream(Config{ClockRate: 90000, Sequence: edge})
		a := &camera{source: video(1), seq: edge, pic: edge & 0x7fff}
		s.Switch(a.source)
		type went struct {
			seq, picture uint16
			from         uint16
		}
		var list []went
		for i := range 30 {
			first, second := a.packet(t, true, 3000), a.packet(t, false, 0)
			if i%2 == 1 {
				for n, p := range [][]byte{first, second} {
					if _, ok := s.Skip(p, uint16(1-n)); ok {
						t.Fatal("something instead of what is left out")
					}
				}
				continue
			}
			for _, raw := range [][]byte{first, second} {
				p := rewritten(t, s, raw, at(40*i))
				list = append(list, went{p.SequenceNumber, p.vp8.PictureID, a.seq})
			}
		}
		for i := 2; i < len(list); i++ {
			if list[i].seq != list[i-1].seq+1 || list[i].picture != (list[i-2].picture+1)&0x7fff {
				t.Fatalf("%+v after %+v", list[i], list[i-2:i])
			}
		}
		for _, w := range list[len(list)-20:] {
			_, seq, ok := s.Lookup(w.seq)
			if !ok {
				t.Fatalf("%d is forgotten", w.seq)
			}
			before := *a
			a.seq, a.pic = seq, a.pic-(before.seq-1-seq)/2 // two packets a picture
			out, ok := s.Restore(a.packet(t, false, 0), w.seq)
			*a = before
			if p := decoded(t, out); !ok || p.SequenceNumber != w.seq || p.vp8.PictureID != w.picture {
				t.Fatalf("%d, picture %d, repaired as %d, picture %d", w.seq, w.picture, p.SequenceNumber, p.vp8.PictureID)
			}
		}
	}
}

// TestSkipTooLate: behind a packet that is missing numbers cannot close up; an
// empty packet stands for what is left out, and picture ids close up all the
// same.
func TestSkipTooLate(t *testing.T) {
	s := newStream(Config{ClockRate: 90000})
	a := &camera{source: video(1), seq: 100}
	s.Switch(a.source)
	first := rewritten(t, s, a.packet(t, true, 3000), at(0))
	missing := a.packet(t, false, 0)
	out, ok := s.Skip(a.packet(t, true, 3000), 1)
	if p := decoded(t, out); !ok || p.SequenceNumber != 2 || len(p.Payload) != 0 || p.Marker || p.Extension || p.Padding {
		t.Errorf("in its stead: %v", p)
	}
	if p := rewritten(t, s, a.packet(t, true, 3000), at(80)); p.SequenceNumber != 3 || p.vp8.PictureID != first.vp8.PictureID+1 {
		t.Errorf("the next: %v, picture %d after %d", p, p.vp8.PictureID, first.vp8.PictureID)
	}
	if p := rewritten(t, s, missing, at(90)); p.SequenceNumber != 1 || p.vp8.PictureID != first.vp8.PictureID {
		t.Errorf("the missing one: %v", p)
	}
}

func newStream(c Config) *Stream {
	s := New(c)
	return &s
}

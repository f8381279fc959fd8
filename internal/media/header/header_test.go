package header

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/rtp"
	"pgregory.net/rapid"
)

// packet makes a packet with pion/rtp.
func packet(t testing.TB, change func(p *rtp.Packet)) []byte {
	t.Helper()
	p := &rtp.Packet{
		Header:  rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: 0xfffe, Timestamp: 0xfffffff0, SSRC: 0xdeadbeef, Marker: true},
		Payload: []byte("payload"),
	}
	if change != nil {
		change(p)
	}
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func extend(profile uint16, extensions map[uint8]string) func(p *rtp.Packet) {
	return func(p *rtp.Packet) {
		p.Extension, p.ExtensionProfile = true, profile
		for id := range uint8(255) {
			if c, ok := extensions[id]; ok {
				if err := p.SetExtension(id, []byte(c)); err != nil {
					panic(err)
				}
			}
		}
	}
}

func TestParse(t *testing.T) {
	b := packet(t, func(p *rtp.Packet) {
		p.CSRC = []uint32{1, 2, 3}
		extend(0xbede, map[uint8]string{1: "\x81", 4: "ab"})(p)
	})
	h, ok := Parse(b)
	if !ok || !h.Marker || h.PayloadType != 96 || h.Sequence != 0xfffe || h.Timestamp != 0xfffffff0 || h.SSRC != 0xdeadbeef {
		t.Errorf("%v %+v", ok, h)
	}
	if string(h.Payload(b)) != "payload" || string(h.Extension(b, 4)) != "ab" || h.Extension(b, 5) != nil {
		t.Errorf("%q %q", h.Payload(b), h.Extension(b, 4))
	}
	if level, voice, ok := AudioLevel(h.Extension(b, 1)); level != 1 || !voice || !ok {
		t.Errorf("level %d %v %v", level, voice, ok)
	}
	if level, voice, ok := AudioLevel(nil); level != 127 || voice || ok {
		t.Errorf("level %d %v %v", level, voice, ok)
	}
}

func TestPadding(t *testing.T) {
	b := append(packet(t, nil), 0, 0, 3)
	b[0] |= 0x20
	if h, ok := Parse(b); !ok || string(h.Payload(b)) != "payload" {
		t.Errorf("%v %+v", ok, h)
	}
	b[len(b)-1] = 10 // all of the payload
	if h, ok := Parse(b); !ok || len(h.Payload(b)) != 0 {
		t.Errorf("%v %+v", ok, h)
	}
	for _, bad := range []byte{0, 11, 255} {
		b[len(b)-1] = bad
		if _, ok := Parse(b); ok {
			t.Errorf("took padding of %d", bad)
		}
	}
}

func TestRefuses(t *testing.T) {
	b := packet(t, func(p *rtp.Packet) {
		p.CSRC = []uint32{1}
		extend(0xbede, map[uint8]string{1: "abc"})(p)
	})
	for n := range len(b) - len("payload") {
		if _, ok := Parse(b[:n]); ok {
			t.Errorf("took %d bytes", n)
		}
	}
	b[0] = b[0]&0x3f | 0x40
	if _, ok := Parse(b); ok {
		t.Error("took version 1")
	}
}

func TestSet(t *testing.T) {
	b := packet(t, nil)
	SetPayloadType(b, 0xff)
	SetSequence(b, 1)
	SetTimestamp(b, 2)
	SetSSRC(b, 3)
	h, _ := Parse(b)
	if !h.Marker || h.PayloadType != 127 || h.Sequence != 1 || h.Timestamp != 2 || h.SSRC != 3 {
		t.Errorf("%+v", h)
	}
	SetMarker(b, false)
	if h, _ := Parse(b); h.Marker || h.PayloadType != 127 {
		t.Errorf("%+v", h)
	}
	SetMarker(b, true)
	if h, _ := Parse(b); !h.Marker {
		t.Errorf("%+v", h)
	}
}

func elements(h Header, b []byte) map[uint8]string {
	all := map[uint8]string{}
	for e := h.Elements(b); e.Next(); {
		all[e.ID] = string(e.Content)
	}
	return all
}

func TestCut(t *testing.T) {
	b := packet(t, func(p *rtp.Packet) {
		p.CSRC = []uint32{1, 2, 3}
		extend(0xbede, map[uint8]string{4: "ab"})(p)
	})
	h, _ := Parse(b)
	b = h.Cut(b, len("pay"))
	again, ok := Parse(b)
	if !ok || again != h || string(h.Payload(b)) != "load" || string(h.Extension(b, 4)) != "ab" || h.SSRC != 0xdeadbeef {
		t.Errorf("%+v, %+v: %q", h, again, h.Payload(b))
	}
}

func TestRemap(t *testing.T) {
	tests := []struct {
		name     string
		profile  uint16
		in, want map[uint8]string
		ids      []IDMap
	}{
		{"same", 0xbede, map[uint8]string{1: "a"}, map[uint8]string{1: "a"}, []IDMap{{1, 1}}},
		{"renamed", 0xbede, map[uint8]string{1: "a", 4: "bc"}, map[uint8]string{3: "a", 14: "bc"}, []IDMap{{1, 3}, {4, 14}}},
		{"some left out", 0xbede, map[uint8]string{1: "a", 4: "bc", 9: "mid", 10: "layer"}, map[uint8]string{4: "bc"}, []IDMap{{4, 4}}},
		{"all left out", 0xbede, map[uint8]string{9: "mid", 10: "layer"}, map[uint8]string{}, nil},
		{"new id too large", 0xbede, map[uint8]string{1: "a", 2: "b"}, map[uint8]string{2: "b"}, []IDMap{{1, 15}, {2, 2}}},
		{"swapped", 0xbede, map[uint8]string{1: "a", 2: "b"}, map[uint8]string{2: "a", 1: "b"}, []IDMap{{1, 2}, {2, 1}}},
		{"two-byte", 0x1000, map[uint8]string{1: "a", 20: "twentytwentytwentytwenty", 30: ""}, map[uint8]string{200: "twentytwentytwentytwenty", 3: ""}, []IDMap{{20, 200}, {30, 3}}},
		{"another profile", 0xabcd, map[uint8]string{0: "abcdefgh"}, map[uint8]string{}, []IDMap{{1, 1}}},
	}
	for _, tt := range tests {
		for csrcs := range 3 {
			t.Run(tt.name, func(t *testing.T) {
				b := packet(t, func(p *rtp.Packet) {
					p.CSRC = make([]uint32, csrcs)
					extend(tt.profile, tt.in)(p)
				})
				size := len(b)
				h, ok := Parse(b)
				if !ok {
					t.Fatal("not parsed")
				}
				out := h.Remap(b, tt.ids)
				again, ok := Parse(out)
				if !ok || again != h {
					t.Fatalf("%+v, parsed again %+v", h, again)
				}
				if diff := cmp.Diff(tt.want, elements(h, out)); diff != "" {
					t.Error(diff)
				}
				var p rtp.Packet
				if err := p.Unmarshal(out); err != nil || string(p.Payload) != "payload" || p.SSRC != 0xdeadbeef || len(out) > size || len(p.CSRC) != csrcs {
					t.Errorf("%v %+v, %d bytes", err, p, len(out))
				}
				if len(tt.want) == 0 && len(out) != Size+4*csrcs+len("payload") {
					t.Errorf("%d bytes with nothing left", len(out))
				}
			})
		}
	}
}

// TestAgainstPion: packets of any kind read as pion/rtp reads them.
func TestAgainstPion(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		extensions := rapid.MapOfN(rapid.Uint8Range(1, 14), rapid.StringN(1, 4, 16), 0, 6).Draw(rt, "extensions")
		profile := rapid.SampledFrom([]uint16{0xbede, 0x1000}).Draw(rt, "profile")
		b := packet(t, func(p *rtp.Packet) {
			p.CSRC = make([]uint32, rapid.IntRange(0, 15).Draw(rt, "csrcs"))
			p.Payload = rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(rt, "payload")
			if len(extensions) > 0 {
				extend(profile, extensions)(p)
			}
		})
		h, ok := Parse(b)
		if !ok {
			rt.Fatal("not parsed")
		}
		if diff := cmp.Diff(extensions, elements(h, b)); diff != "" {
			rt.Fatal(diff)
		}
		var p rtp.Packet
		if err := p.Unmarshal(b); err != nil || !bytes.Equal(p.Payload, h.Payload(b)) {
			rt.Fatalf("%v", err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(packet(f, nil))
	f.Add(packet(f, extend(0xbede, map[uint8]string{1: "a", 4: "bc", 9: "mid", 10: "layer"})))
	f.Add(packet(f, extend(0x1000, map[uint8]string{1: "a", 4: "bc", 90: "mid"})))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := Parse(b)
		if !ok {
			return
		}
		before := elements(h, b)
		payload := bytes.Clone(h.Payload(b))
		out := h.Remap(b, []IDMap{{1, 4}, {4, 1}, {10, 5}})
		again, ok := Parse(out)
		if !ok || again != h || !bytes.Equal(payload, again.Payload(out)) {
			t.Fatalf("%v %+v %+v", ok, h, again)
		}
		for id, c := range elements(again, out) {
			from := map[uint8]uint8{4: 1, 1: 4, 5: 10}[id]
			if _, ok := before[from]; !ok {
				t.Fatalf("%d: %q of %q", id, c, before)
			}
		}
	})
}

func TestNoAllocation(t *testing.T) {
	b := packet(t, extend(0xbede, map[uint8]string{1: "a", 4: "bc", 9: "mid"}))
	buf := make([]byte, len(b))
	ids := []IDMap{{1, 1}, {4, 3}}
	n := testing.AllocsPerRun(1000, func() {
		copy(buf, b)
		h, _ := Parse(buf)
		h.Extension(buf, 9)
		h.Remap(buf, ids)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParseRemap(b *testing.B) {
	b.ReportAllocs()
	p := packet(b, extend(0xbede, map[uint8]string{1: "a", 4: "bc", 9: "mid"}))
	buf := make([]byte, len(p))
	ids := []IDMap{{1, 1}, {4, 3}}
	for b.Loop() {
		copy(buf, p)
		h, _ := Parse(buf)
		h.Remap(buf, ids)
	}
}

package vp8

import (
	"bytes"
	"testing"

	"github.com/pion/rtp/codecs"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name    string
		payload []byte
		ok      bool
		want    Descriptor
	}{
		{"empty", nil, false, Descriptor{}},
		{"one byte, start", []byte{0x10}, true, Descriptor{Start: true, Size: 1}},
		{"partition 1 is no start", []byte{0x11}, true, Descriptor{Size: 1}},
		{"not a reference", []byte{0x20}, true, Descriptor{NonRef: true, Size: 1}},
		{"X without flags", []byte{0x80}, false, Descriptor{}},
		{"7-bit id", []byte{0x90, 0x80, 0x7f}, true, Descriptor{Start: true, PictureID: 0x7f, Size: 3, pictureAt: 2, pictureLen: 1}},
		{"15-bit id", []byte{0x90, 0x80, 0xff, 0xff}, true, Descriptor{Start: true, PictureID: 0x7fff, Size: 4, pictureAt: 2, pictureLen: 2}},
		{"id missing", []byte{0x90, 0x80}, false, Descriptor{}},
		{"15-bit id cut", []byte{0x90, 0x80, 0xff}, false, Descriptor{}},
		{"TL0PICIDX alone", []byte{0x90, 0x40, 0x12}, true, Descriptor{Start: true, TL0PICIDX: 0x12, Size: 3, tl0At: 2}},
		{"TL0PICIDX missing", []byte{0x90, 0x40}, false, Descriptor{}},
		{"TID with sync", []byte{0x90, 0x20, 0xaf}, true, Descriptor{Start: true, HasTID: true, TID: 2, LayerSync: true, Size: 3, tidAt: 2}},
		{"KEYIDX", []byte{0x90, 0x10, 0xff}, true, Descriptor{Start: true, HasKeyIdx: true, KeyIdx: 31, Size: 3, tidAt: 2}},
		{"TID missing", []byte{0x90, 0x20}, false, Descriptor{}},
		{"all", []byte{0x90, 0xf0, 0x81, 0x02, 0x03, 0x44}, true, Descriptor{
			Start: true, PictureID: 0x102, TL0PICIDX: 3, HasTID: true, TID: 1, HasKeyIdx: true, KeyIdx: 4,
			Size: 6, pictureAt: 2, pictureLen: 2, tl0At: 4, tidAt: 5,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, ok := Parse(tt.payload)
			if ok != tt.ok || ok && d != tt.want {
				t.Errorf("%v %+v", ok, d)
			}
		})
	}
}

func TestRewrite(t *testing.T) {
	p := []byte{0x90, 0xf0, 0x81, 0x02, 0x03, 0x64, 0xaa}
	d, _ := Parse(p)
	d.SetPictureID(p, 0x7fff)
	d.SetTL0PICIDX(p, 0xff)
	d.SetKeyIdx(p, 0x3f)
	if want := []byte{0x90, 0xf0, 0xff, 0xff, 0xff, 0x7f, 0xaa}; !bytes.Equal(p, want) {
		t.Errorf("% x", p)
	}
	p = []byte{0x90, 0x80, 0x01, 0xaa}
	d, _ = Parse(p)
	d.SetPictureID(p, 0x80)
	d.SetTL0PICIDX(p, 9)
	d.SetKeyIdx(p, 9)
	if want := []byte{0x90, 0x80, 0x00, 0xaa}; !bytes.Equal(p, want) || d.Long() || !d.HasPictureID() || d.HasTL0PICIDX() {
		t.Errorf("% x", p)
	}
	p = []byte{0x10, 0xaa}
	d, _ = Parse(p)
	d.SetPictureID(p, 0x80)
	if want := []byte{0x10, 0xaa}; !bytes.Equal(p, want) {
		t.Errorf("% x", p)
	}
}

func TestKey(t *testing.T) {
	frame := []byte{0x10, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0x68, 0x41}
	tests := []struct {
		name          string
		payload       []byte
		key           bool
		width, height int
	}{
		{"640×360, scaled", frame, true, 640, 360},
		{"cut", frame[:6], true, 0, 0},
		{"descriptor only", frame[:1], false, 0, 0},
		{"interframe", []byte{0x10, 0x11, 0x02}, false, 0, 0},
		{"not the start", append([]byte{0x00}, frame[1:]...), false, 0, 0},
		{"no start code", []byte{0x10, 0x10, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8}, true, 0, 0},
	}
	for _, tt := range tests {
		d, _ := Parse(tt.payload)
		if key, w, h := d.Key(tt.payload); key != tt.key || w != tt.width || h != tt.height {
			t.Errorf("%s: %v %d×%d", tt.name, key, w, h)
		}
	}
}

// FuzzParse compares with pion's parser and checks that rewriting changes
// nothing but what it should.
func FuzzParse(f *testing.F) {
	f.Add([]byte{0x90, 0xf0, 0x81, 0x02, 0x03, 0x44, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01})
	f.Add([]byte{0x90, 0x80, 0x7f, 0x11})
	f.Add([]byte{0x10})
	f.Fuzz(func(t *testing.T, payload []byte) {
		d, ok := Parse(payload)
		var p codecs.VP8Packet
		if _, err := p.Unmarshal(payload); (err == nil) && !ok {
			t.Fatal("pion reads it")
		}
		if !ok {
			return
		}
		if d.Size > len(payload) {
			t.Fatalf("size %d of %d", d.Size, len(payload))
		}
		if len(payload) > d.Size && (p.PictureID != d.PictureID || p.TL0PICIDX != d.TL0PICIDX || p.TID != d.TID || p.KEYIDX != d.KeyIdx || (p.S == 1 && p.PID == 0) != d.Start) {
			t.Fatalf("%+v, pion %+v", d, p)
		}
		d.Key(payload)
		q := bytes.Clone(payload)
		d.SetPictureID(q, 0x1234)
		d.SetTL0PICIDX(q, 0x56)
		d.SetKeyIdx(q, 7)
		e, ok := Parse(q)
		if !ok || e.Size != d.Size || e.TID != d.TID || e.LayerSync != d.LayerSync || e.Start != d.Start ||
			d.Long() && e.PictureID != 0x1234 || d.HasTL0PICIDX() && e.TL0PICIDX != 0x56 || d.HasKeyIdx && e.KeyIdx != 7 {
			t.Fatalf("%+v became %+v", d, e)
		}
		if !bytes.Equal(q[d.Size:], payload[d.Size:]) {
			t.Fatal("changed the frame")
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	p := []byte{0x90, 0xf0, 0x81, 0x02, 0x03, 0x44, 0x10}
	for b.Loop() {
		d, _ := Parse(p)
		d.SetPictureID(p, 5)
	}
}

func TestNoAllocation(t *testing.T) {
	p := []byte{0x90, 0xf0, 0x81, 0x02, 0x03, 0x44, 0x10}
	n := testing.AllocsPerRun(1000, func() {
		d, _ := Parse(p)
		d.SetPictureID(p, d.PictureID+1)
		d.SetTL0PICIDX(p, d.TL0PICIDX+1)
		d.Key(p)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

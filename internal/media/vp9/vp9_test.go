package vp9

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pion/rtp/codecs"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name    string
		payload []byte
		want    Descriptor
	}{
		{"least", []byte{0x0c}, Descriptor{Start: true, End: true, Length: 1}},
		{"short id", []byte{0x88, 0x7f}, Descriptor{Start: true, PictureID: 0x7f, Length: 2}},
		{"long id", []byte{0xc8, 0xff, 0xff}, Descriptor{Start: true, Predicted: true, PictureID: 0x7fff, Length: 3}},
		{"layers", []byte{0xa9, 0x81, 0x02, 0x53, 0x09}, Descriptor{Start: true, NotReference: true, Layered: true, PictureID: 0x102, TID: 2, SwitchUp: true, SID: 1, InterLayer: true, TL0PICIDX: 9, Length: 5}},
		{"flexible", []byte{0xf0, 0x01, 0x00, 0x03, 0x05, 0x02}, Descriptor{Predicted: true, Layered: true, Flexible: true, PictureID: 1, Length: 6}},
		{"structure", []byte{0x0a, 0x38, 0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01, 0x68, 0x02, 0x04, 1, 0x28, 1, 2, 0xaa}, Descriptor{
			Start: true, Layers: 2, Sizes: [8]Size{{320, 180}, {640, 360}}, Length: 16,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, ok := Parse(tt.payload)
			if diff := cmp.Diff(tt.want, d, cmpopts.IgnoreUnexported(Descriptor{})); !ok || diff != "" {
				t.Error(ok, diff)
			}
			for n := range d.Length {
				if _, ok := Parse(tt.payload[:n]); ok {
					t.Errorf("took %d bytes of %d", n, d.Length)
				}
			}
		})
	}
}

func TestSet(t *testing.T) {
	b := []byte{0xa8, 0x81, 0x02, 0x50, 0x09, 0xee}
	d, _ := Parse(b)
	d.SetPictureID(b, 0x7abc)
	d.SetTL0PICIDX(b, 0xfe)
	if d, _ := Parse(b); d.PictureID != 0x7abc || d.TL0PICIDX != 0xfe || !d.HasPictureID() || !d.HasTL0PICIDX() {
		t.Errorf("%+v", d)
	}
	b = []byte{0x88, 0x7f, 0xee}
	d, _ = Parse(b)
	d.SetPictureID(b, 0x7a81)
	d.SetTL0PICIDX(b, 1)
	if d, _ := Parse(b); d.PictureID != 1 || b[2] != 0xee {
		t.Errorf("%+v", d)
	}
	b = []byte{0x08, 0xee}
	d, _ = Parse(b)
	d.SetPictureID(b, 1)
	if b[1] != 0xee {
		t.Error("wrote into the payload")
	}
}

// packets makes the packets of one picture, two for each of its layers'
// frames.
func packets(id uint16, layers int, tid uint8, key, up bool) []Descriptor {
	var list []Descriptor
	for sid := range layers {
		for half := range 2 {
			list = append(list, Descriptor{
				PictureID: id, pictureAt: 1, Layered: true, SID: uint8(sid), TID: tid, SwitchUp: up,
				Predicted: !key, InterLayer: sid > 0, Start: half == 0, End: half == 1,
			})
		}
	}
	return list
}

// shown says what is forwarded of a picture: packets, and the index of that
// which ends it.
func shown(s *Selector, list []Descriptor) string {
	n, end := 0, -1
	for i := range list {
		forward, last := s.Take(&list[i])
		if forward {
			n++
		}
		if last {
			end = i
		}
	}
	return fmt.Sprintf("%d/%d", n, end)
}

func TestSelector(t *testing.T) {
	s := NewSelector()
	s.Aim(1, 0)
	id := uint16(0x7ffd)
	step := func(what string, tid uint8, key, up bool, want string) {
		t.Helper()
		if got := shown(&s, packets(id, 3, tid, key, up)); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
		id = (id + 1) & 0x7fff
	}
	step("nothing before a key picture", 0, false, true, "0/-1")
	step("two of three layers", 0, true, true, "4/3")
	step("no higher temporal layer", 2, false, false, "0/-1")
	step("the base goes on", 0, false, true, "4/3")
	s.Aim(2, 2)
	if !s.WantsKey() {
		t.Error("wants no key picture")
	}
	step("not before the picture at which it may go up", 2, false, false, "0/-1")
	step("the base, from which on it may", 0, false, true, "4/3")
	step("more pictures a second", 2, false, false, "4/3")
	step("a higher layer with a key picture", 0, true, true, "6/5")
	s.Aim(0, 2)
	if s.WantsKey() {
		t.Error("wants a key picture to go down")
	}
	step("down at once", 1, false, true, "2/1")
	s.Aim(0, 1)
	step("fewer pictures at once", 2, false, false, "0/-1")
	step("but the middle ones", 1, false, false, "2/1")
	s.Aim(0, 2)
	step("no way up yet", 2, false, false, "0/-1")
	if sp, te := s.Current(); sp != 0 || te != 1 {
		t.Errorf("%d, %d", sp, te)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{0xa9, 0x81, 0x02, 0x53, 0x09})
	f.Add([]byte{0x0a, 0x38, 0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01, 0x68, 0x02, 0x04, 1, 0x28, 1, 2, 0xaa})
	f.Add([]byte{0xf0, 0x01, 0x00, 0x03, 0x05, 0x02})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, ok := Parse(b)
		if !ok {
			return
		}
		if d.Length > len(b) {
			t.Fatalf("%d of %d bytes", d.Length, len(b))
		}
		var p codecs.VP9Packet
		if _, err := p.Unmarshal(b); err == nil && (p.PictureID != d.PictureID || p.TID != d.TID || p.SID != d.SID || p.B != d.Start || p.E != d.End) {
			t.Fatalf("%+v, pion reads %+v", d, p)
		}
		d.SetPictureID(b, 0x1234)
		d.SetTL0PICIDX(b, 1)
		s := NewSelector()
		s.Take(&d)
	})
}

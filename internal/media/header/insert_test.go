package header

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/rtp"
)

func TestInsert(t *testing.T) {
	tests := []struct {
		name    string
		profile uint16
		in      map[uint8]string
		want    map[uint8]string
		longer  int
	}{
		{"no extension", 0, nil, map[uint8]string{5: "\x12\x34"}, 8},
		{"beside another", 0xbede, map[uint8]string{1: "a"}, map[uint8]string{1: "a", 5: "\x12\x34"}, 4},
		{"beside several", 0xbede, map[uint8]string{1: "abc", 2: "d", 9: "efghijk"}, map[uint8]string{1: "abc", 2: "d", 5: "\x12\x34", 9: "efghijk"}, 4},
		{"two-byte", 0x1000, map[uint8]string{1: "", 20: "twenty"}, map[uint8]string{1: "", 5: "\x12\x34", 20: "twenty"}, 4},
		{"another profile", 0xabcd, map[uint8]string{0: "abcd"}, map[uint8]string{}, 0},
	}
	for _, tt := range tests {
		for csrcs := range 3 {
			for _, spare := range []int{InsertRoom, 100} {
				p := packet(t, func(p *rtp.Packet) {
					p.CSRC = make([]uint32, csrcs)
					if tt.profile != 0 {
						extend(tt.profile, tt.in)(p)
					}
				})
				buf := append(bytes.Repeat([]byte{0xee}, spare), p...)
				out := Insert(buf, spare, 5, 0x1234)
				h, ok := Parse(out)
				if !ok || len(out) != len(p)+tt.longer || string(h.Payload(out)) != "payload" || !h.Marker || h.Sequence != 0xfffe || h.SSRC != 0xdeadbeef {
					t.Errorf("%s: %d bytes %+v", tt.name, len(out), h)
				}
				if diff := cmp.Diff(tt.want, elements(h, out)); diff != "" {
					t.Error(tt.name, diff)
				}
				var r rtp.Packet
				if err := r.Unmarshal(out); err != nil || len(r.CSRC) != csrcs {
					t.Errorf("%s: %v", tt.name, err)
				}
			}
		}
	}
}

func TestInsert3(t *testing.T) {
	for _, tt := range []struct {
		name    string
		profile uint16
		in      map[uint8]string
		longer  int
	}{
		{"no extension", 0, nil, 8},
		{"beside another", 0xbede, map[uint8]string{1: "a"}, 4},
		{"two-byte", 0x1000, map[uint8]string{1: "", 20: "twenty"}, 8},
	} {
		p := packet(t, func(p *rtp.Packet) {
			if tt.profile != 0 {
				extend(tt.profile, tt.in)(p)
			}
		})
		out := Insert3(append(bytes.Repeat([]byte{0xee}, InsertRoom), p...), InsertRoom, 5, [3]byte{0x12, 0x34, 0x56})
		h, ok := Parse(out)
		if !ok || len(out) != len(p)+tt.longer || string(h.Payload(out)) != "payload" || string(h.Extension(out, 5)) != "\x12\x34\x56" {
			t.Errorf("%s: %d bytes %+v %x", tt.name, len(out), h, h.Extension(out, 5))
		}
		for id, content := range tt.in {
			if string(h.Extension(out, id)) != content {
				t.Errorf("%s: %d is %q", tt.name, id, h.Extension(out, id))
			}
		}
	}
}

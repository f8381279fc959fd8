package client

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"
)

func TestSPSSize(t *testing.T) {
	tests := []struct {
		name, sps     string
		width, height int
	}{
		{"baseline, cropped", "6742c015d901b1fe4f011000000300100000030320f162e480", 426, 240},
		{"high", "67640028acd940780227e5c044000003000400000300c83c60c658", 1920, 1080},
		{"interlaced", "6764001eacd940b424d80880000003008", 720, 576},
		{"high 4:4:4", "67f4000a919b28e4f1b2e022000003000200000300641e244b2c", 100, 60},
		{"cut off", "6742c015d9", 0, 0},
		{"nothing", "67", 0, 0},
	}
	for _, tt := range tests {
		sps, err := hex.DecodeString(tt.sps[:len(tt.sps)/2*2])
		if err != nil {
			t.Fatal(err)
		}
		if w, h := spsSize(sps); w != tt.width || h != tt.height {
			t.Errorf("%s: %dx%d, want %dx%d", tt.name, w, h, tt.width, tt.height)
		}
	}
}

func FuzzH264(f *testing.F) {
	sps, _ := hex.DecodeString("6742c015d901b1fe4f011000000300100000030320f162e480")
	f.Add(makeAVCC(sps, []byte{0x68, 1}), []byte{0, 0, 0, 2, 0x65, 1})
	f.Add([]byte{1, 2, 3, 4, 0xFF, 0xE1, 0, 0}, []byte{0, 0, 1, 0x67, 0, 0, 1})
	f.Fuzz(func(t *testing.T, header, frame []byte) {
		spsSize(header)
		parameterSets(frame)
		a, err := parseAVCC(header)
		if err != nil {
			return
		}
		out := a.annexB(frame, true)
		if len(out) > 5*len(frame)+len(a.parameters) { // a start code takes the place of a length of one byte
			t.Errorf("%d bytes became %d", len(frame), len(out))
		}
		fr := Frame{Codec: H264, Data: out}
		fr.describe()
	})
}

func TestH264Forms(t *testing.T) {
	nals := [][]byte{{0x09, 0x10}, {0x67, 1, 2, 3}, {0x68, 4}, {0x65, 5, 6, 0, 0, 3, 1}}
	annexB := bytes.Join(append([][]byte{{}}, nals...), startCode)
	prefixed := lengthPrefixed(annexB)
	want := []byte{0, 0, 0, 4, 0x67, 1, 2, 3, 0, 0, 0, 2, 0x68, 4, 0, 0, 0, 7, 0x65, 5, 6, 0, 0, 3, 1}
	if !bytes.Equal(prefixed, want) {
		t.Errorf("prefixed %x, want %x", prefixed, want)
	}
	sps, pps := parameterSets(annexB)
	a, err := parseAVCC(makeAVCC(sps, pps))
	if err != nil {
		t.Fatal(err)
	}
	if got := a.annexB(prefixed, true); !bytes.Equal(got, annexB[6:]) { // without the delimiter
		t.Errorf("back again %x", got)
	}
	if got := a.annexB([]byte{0, 0, 0, 2, 0x41, 1}, false); !bytes.Equal(got, []byte{0, 0, 0, 1, 0x41, 1}) {
		t.Errorf("inter frame %x", got)
	}
	if got := a.annexB([]byte{0, 0, 0, 9, 0x41}, false); got != nil {
		t.Errorf("cut off frame %x", got)
	}
	for _, b := range [][]byte{nil, {1, 2, 3}, {0, 0, 0, 0, 0xFF, 0xE1, 0, 0}, {1, 66, 0, 31, 0xFE, 0xE0, 0}, {1, 66, 0, 31, 0xFF, 0xE1, 0, 9, 1}, {1, 66, 0, 31, 0xFF, 0xE1, 0, 1, 1}} {
		if _, err := parseAVCC(b); err == nil {
			t.Errorf("took %x", b)
		}
	}
}

func TestOpusDuration(t *testing.T) {
	ms := time.Millisecond
	tests := []struct {
		packet []byte
		want   time.Duration
	}{
		{nil, 20 * ms},
		{opusSilence, 20 * ms},
		{[]byte{0x00}, 10 * ms},
		{[]byte{0x18}, 60 * ms},
		{[]byte{12 << 3}, 10 * ms},
		{[]byte{13<<3 | 1}, 40 * ms},
		{[]byte{16 << 3}, 2500 * time.Microsecond},
		{[]byte{31<<3 | 3, 6}, 120 * ms},
		{[]byte{31<<3 | 3, 7}, 20 * ms},  // too long to be true
		{[]byte{31<<3 | 3, 0}, 20 * ms},  // no frames
		{[]byte{31<<3 | 3}, 20 * ms},     // cut off
		{[]byte{31<<3 | 2, 1}, 40 * ms},  //
		{[]byte{0x08, 1, 2, 3}, 20 * ms}, //
	}
	for _, tt := range tests {
		if got := opusDuration(tt.packet); got != tt.want {
			t.Errorf("%x: %v, want %v", tt.packet, got, tt.want)
		}
	}
}

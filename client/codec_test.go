package client

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func TestDescribe(t *testing.T) {
	sps, err := hex.DecodeString("6742c015d901b1fe4f011000000300100000030320f162e480")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name          string
		frame         Frame
		key           bool
		width, height int
	}{
		{"sound", Frame{Codec: Opus, Data: []byte{1}}, true, 0, 0},
		{"VP8 key", Frame{Codec: VP8, Data: keyFrame(640, 360, 20)}, true, 640, 360},
		{"VP8 inter", Frame{Codec: VP8, Data: interFrame(1)}, false, 0, 0},
		{"VP8 cut off", Frame{Codec: VP8, Data: keyFrame(640, 360, 20)[:9]}, false, 0, 0},
		{"H.264 key", Frame{Codec: H264, Data: bytes.Join([][]byte{{}, sps, {0x68, 1}, {0x65, 1}}, startCode)}, true, 426, 240},
		{"H.264 inter", Frame{Codec: H264, Data: bytes.Join([][]byte{{}, {0x41, 1}}, startCode)}, false, 0, 0},
	}
	for _, tt := range tests {
		f := tt.frame
		f.describe()
		if f.Key != tt.key || f.Width != tt.width || f.Height != tt.height {
			t.Errorf("%s: key %v, %dx%d", tt.name, f.Key, f.Width, f.Height)
		}
	}
}

func FuzzH264(f *testing.F) {
	sps, _ := hex.DecodeString("6742c015d901b1fe4f011000000300100000030320f162e480")
	f.Add(makeAVCC(sps, []byte{0x68, 1}), []byte{0, 0, 0, 2, 0x65, 1})
	f.Add([]byte{1, 2, 3, 4, 0xFF, 0xE1, 0, 0}, []byte{0, 0, 1, 0x67, 0, 0, 1})
	f.Fuzz(func(t *testing.T, header, frame []byte) {
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

package keyframe

import (
	"encoding/binary"
	"encoding/hex"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Sequence parameter sets that x264 wrote.
const (
	sps360Baseline  = "6742c016d900a02ff97011000003000100000300020f162e48"
	sps360High      = "67640016acd940a02ff97011000003000100000300020f162d96"
	sps1080Baseline = "6742c028d900780227e5c044000003000400000300083c60c920"
	sps1080High     = "67640028acd940780227e5c044000003000400000300083c60c658"
	sps720Baseline  = "6742c01fd9005005bb011000000300100000030020f1832480"
	sps180High      = "6764000cacd941419f9f011000000300100000030020f1429960"
)

func stapA(units ...[]byte) []byte {
	p := []byte{0x78}
	for _, u := range units {
		p = binary.BigEndian.AppendUint16(p, uint16(len(u)))
		p = append(p, u...)
	}
	return p
}

func TestInspect(t *testing.T) {
	sps := unhex(t, sps360High)
	pps := []byte{0x68, 0xeb, 0xe3, 0xcb}
	idr := []byte{0x65, 0x88, 0x84}
	start, key := Info{Start: true}, Info{Start: true, Key: true}
	tests := []struct {
		name    string
		codec   Codec
		payload []byte
		want    Info
	}{
		{"sound", Other, nil, key},
		{"VP8 empty", VP8, nil, Info{}},
		{"VP8 key", VP8, []byte{0x10, 0x10, 2, 0, 0x9d, 1, 0x2a, 0x80, 2, 0x68, 1}, Info{Start: true, Key: true, Width: 640, Height: 360}},
		{"VP8 interframe", VP8, []byte{0x10, 0x11}, start},
		{"VP8 continued", VP8, []byte{0x00, 0x10}, Info{}},
		{"VP9 empty", VP9, nil, Info{}},
		{"VP9 key", VP9, []byte{0x88, 0x01}, key},
		{"VP9 key, 15-bit id, first layer", VP9, []byte{0xa8, 0x81, 0x02, 0x00, 0x00}, key},
		{"VP9 key, second spatial layer", VP9, []byte{0xa8, 0x01, 0x02, 0x00}, Info{}},
		{"VP9 predicted", VP9, []byte{0xc8, 0x01}, start},
		{"VP9 continued", VP9, []byte{0x80, 0x01}, Info{}},
		{"VP9 cut", VP9, []byte{0x88}, Info{}},
		{"VP9 cut at layer", VP9, []byte{0xa8, 0x01}, Info{}},
		{"VP9 cut at references", VP9, []byte{0xf8, 0x01, 0x00, 0x01}, Info{}},
		{"VP9 flexible, predicted", VP9, []byte{0xf8, 0x01, 0x00, 0x01, 0x02}, start},
		{"VP9 key with two layers", VP9, []byte{0x8a, 0x01, 0x30, 0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01, 0x68}, Info{Start: true, Key: true, Width: 640, Height: 360}},
		{"VP9 structure without sizes", VP9, []byte{0x8a, 0x01, 0x20}, key},
		{"VP9 structure cut", VP9, []byte{0x8a, 0x01, 0x30, 0x01, 0x40, 0x00, 0xb4}, key},
		{"AV1 empty", AV1, nil, Info{}},
		{"AV1 key", AV1, []byte{0x18, 0x0a}, key},
		{"AV1 interframe", AV1, []byte{0x10, 0x32}, start},
		{"AV1 continued", AV1, []byte{0x90, 0x32}, Info{}},
		{"H.264 empty", H264, []byte{0x67}, Info{}},
		{"H.264 parameter sets", H264, sps, Info{Start: true, Key: true, Width: 640, Height: 360}},
		{"H.264 picture parameters", H264, pps, start},
		{"H.264 IDR without parameters", H264, idr, start},
		{"H.264 second slice", H264, []byte{0x65, 0x48}, Info{}},
		{"H.264 slice", H264, []byte{0x41, 0x9a}, start},
		{"H.264 aggregated key frame", H264, stapA(sps, pps, idr), Info{Start: true, Key: true, Width: 640, Height: 360}},
		{"H.264 aggregated, cut", H264, stapA(sps)[:20], Info{}},
		{"H.264 aggregated, cut behind", H264, stapA(sps, pps, idr)[:40], Info{Start: true, Key: true, Width: 640, Height: 360}},
		{"H.264 aggregated slices", H264, stapA([]byte{0x41, 0x9a}, []byte{0x41, 0x48}), start},
		{"H.264 fragment begins", H264, []byte{0x7c, 0x85, 0x88}, start},
		{"H.264 fragment of parameters begins", H264, append([]byte{0x7c, 0x87}, sps[1:]...), Info{Start: true, Key: true, Width: 640, Height: 360}},
		{"H.264 fragment goes on", H264, []byte{0x7c, 0x05, 0x88}, Info{}},
		{"H.264 reserved", H264, []byte{0x1e, 0x05, 0x88}, Info{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.codec.Inspect(tt.payload); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestSPSSize(t *testing.T) {
	for _, tt := range []struct {
		sps           string
		width, height int
	}{
		{sps360Baseline, 640, 360},
		{sps360High, 640, 360},
		{sps1080Baseline, 1920, 1080},
		{sps1080High, 1920, 1080},
		{sps720Baseline, 1280, 720},
		{sps180High, 320, 180},
		{sps180High[:14], 0, 0},
		{"67640028ffffffffffffffffffffffffffffff", 0, 0},
		{"67640028", 0, 0},
		{"6764002800000000000000000000000000000000", 0, 0},
	} {
		if w, h := spsSize(unhex(t, tt.sps)[1:]); w != tt.width || h != tt.height {
			t.Errorf("%s: %d×%d, want %d×%d", tt.sps, w, h, tt.width, tt.height)
		}
	}
}

func TestCodecOf(t *testing.T) {
	for name, want := range map[string]Codec{"vp8": VP8, "VP9": VP9, "H264": H264, "AV1": AV1, "opus": Other, "": Other} {
		if got := CodecOf(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzInspect(f *testing.F) {
	f.Add(uint8(VP8), []byte{0x90, 0xf0, 0x81, 0x02, 0x03, 0x44, 0x10, 2, 0, 0x9d, 1, 0x2a, 0x80, 2, 0x68, 1})
	f.Add(uint8(VP9), []byte{0x8a, 0x01, 0x30, 0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01, 0x68})
	f.Add(uint8(AV1), []byte{0x18, 0x0a})
	f.Add(uint8(H264), stapA(unhex(f, sps1080High), []byte{0x68, 0xeb}, []byte{0x65, 0x88}))
	f.Add(uint8(H264), unhex(f, sps360Baseline))
	f.Fuzz(func(t *testing.T, codec uint8, payload []byte) {
		i := Codec(codec % 5).Inspect(payload)
		if i.Key && !i.Start {
			t.Error("a key frame that does not start")
		}
		if (i.Width == 0) != (i.Height == 0) && Codec(codec%5) == H264 || i.Width < 0 || i.Height < 0 || i.Width > 1<<16 || i.Height > 1<<16 {
			t.Errorf("%d×%d", i.Width, i.Height)
		}
	})
}

func TestNoAllocation(t *testing.T) {
	p := stapA(unhex(t, sps1080High), []byte{0x68, 0xeb}, []byte{0x65, 0x88})
	if n := testing.AllocsPerRun(1000, func() { H264.Inspect(p) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkInspectVP8(b *testing.B) {
	b.ReportAllocs()
	p := []byte{0x90, 0xf0, 0x81, 0x02, 0x03, 0x44, 0x11, 2, 0}
	for b.Loop() {
		VP8.Inspect(p)
	}
}

func BenchmarkInspectH264(b *testing.B) {
	b.ReportAllocs()
	p := []byte{0x7c, 0x85, 0x88}
	for b.Loop() {
		H264.Inspect(p)
	}
}

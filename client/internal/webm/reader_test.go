package webm

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// file builds a file of a track list and what follows.
func file(track []byte, rest ...[]byte) []byte {
	b := appendElement(nil, idEBML, ebmlHeader("webm"))
	b = appendSizeN(appendID(b, idSegment), unknownSize, 8)
	b = appendElement(b, idTracks, appendElement(nil, idTrackEntry, track))
	for _, r := range rest {
		b = append(b, r...)
	}
	return b
}

func opusTrack() []byte {
	return appendTrack(nil, 1, Track{Codec: Opus, SampleRate: 48000, Channels: 1, Frame: 20 * time.Millisecond})
}

func cluster(at uint64, elements ...[]byte) []byte {
	b := appendUint(nil, idTimecode, at)
	for _, e := range elements {
		b = append(b, e...)
	}
	return appendElement(nil, idCluster, b)
}

func simple(offset int16, flags byte, data ...byte) []byte {
	return appendElement(nil, idSimpleBlock, append([]byte{0x81, byte(offset >> 8), byte(offset), flags}, data...))
}

func TestReaderOddFiles(t *testing.T) {
	ms := time.Millisecond
	group := func(reference bool) []byte {
		b := appendElement(nil, idBlock, []byte{0x81, 0, 5, 0, 7})
		if reference {
			b = append(b, appendUint(nil, idReferenceBlock, 1)...)
		}
		return appendElement(nil, idBlockGroup, b)
	}
	unknownCluster := append(appendSizeN(appendID(nil, idCluster), unknownSize, 1), appendUint(nil, idTimecode, 9)...)
	tests := []struct {
		name string
		data []byte
		want []Block
	}{
		{"no blocks", file(opusTrack()), nil},
		{"negative offset", file(opusTrack(), cluster(1000, simple(-1000, 0x80, 1))), []Block{{1, 0, true, []byte{1}}}},
		{"offset wraps at 16 bits", file(opusTrack(), cluster(40000, simple(32767, 0, 1), simple(-32768, 0, 2))), []Block{
			{1, 72767 * ms, false, []byte{1}}, {1, 7232 * ms, false, []byte{2}},
		}},
		{"block group", file(opusTrack(), cluster(0, group(false), group(true))), []Block{
			{1, 5 * ms, true, []byte{7}}, {1, 5 * ms, false, []byte{7}},
		}},
		{"cluster of unknown size", file(opusTrack(), unknownCluster, simple(1, 0, 1), cluster(30, simple(1, 0, 2))), []Block{
			{1, 10 * ms, false, []byte{1}}, {1, 31 * ms, false, []byte{2}},
		}},
		{"void and unknown elements", file(opusTrack(), appendVoid(nil, 20), cluster(0, appendVoid(nil, 5), simple(0, 0, 1))), []Block{
			{1, 0, false, []byte{1}},
		}},
		{"another track's blocks", file(opusTrack(), cluster(0, appendElement(nil, idSimpleBlock, []byte{0x82, 0, 0, 0, 1}))), nil},
		{"xiph lacing", file(opusTrack(), cluster(0, simple(0, 0x82, 2, 1, 2, 7, 8, 8, 9))), []Block{
			{1, 0, true, []byte{7}}, {1, 20 * ms, true, []byte{8, 8}}, {1, 40 * ms, true, []byte{9}},
		}},
		{"fixed lacing", file(opusTrack(), cluster(0, simple(0, 4, 1, 7, 7, 8, 8))), []Block{
			{1, 0, false, []byte{7, 7}}, {1, 20 * ms, false, []byte{8, 8}},
		}},
		{"ebml lacing", file(opusTrack(), cluster(0, simple(0, 6, 2, 0x82, 0xBE, 7, 7, 8, 9, 9))), []Block{
			{1, 0, false, []byte{7, 7}}, {1, 20 * ms, false, []byte{8}}, {1, 40 * ms, false, []byte{9, 9}},
		}},
		{"coarse time scale", file(opusTrack(), appendElement(nil, idInfo, appendUint(nil, idTimecodeScale, 10_000_000)), cluster(3, simple(1, 0, 1))), []Block{
			{1, 40 * ms, false, []byte{1}},
		}},
		{"codec delay", file(append(opusTrack(), appendUint(nil, idCodecDelay, 6_500_000)...), cluster(0, simple(7, 0, 1))), []Block{
			{1, 500 * time.Microsecond, false, []byte{1}},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, got := readAll(t, bytes.NewReader(tt.data))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestReaderRefuses(t *testing.T) {
	huge := appendSizeN(appendID(nil, idSimpleBlock), maxBlock+1, 8)
	tests := []struct {
		name  string
		data  []byte
		class error // nil: any
	}{
		{"nothing", nil, ErrNotWebM},
		{"text", []byte("RIFF....AVI "), ErrNotWebM},
		{"header only", appendElement(nil, idEBML, nil), ErrNotWebM},
		{"endless header", appendSizeN(appendID(nil, idEBML), unknownSize, 8), ErrNotWebM},
		{"no tracks in the list", append(appendElement(nil, idEBML, nil), appendElement(nil, idTracks, nil)...), ErrNotWebM},
		{"compressed track", file(append(opusTrack(), appendElement(nil, idEncodings, nil)...)), nil},
		{"track cut off", file([]byte{0x86, 0x85, 'A'}), nil},
		{"block too large", file(opusTrack(), huge), nil},
		{"time scale of zero", file(opusTrack(), appendElement(nil, idInfo, appendUint(nil, idTimecodeScale, 0))), nil},
		{"time beyond reach", file(opusTrack(), cluster(1<<49, simple(0, 0, 1))), nil},
		{"laced beyond the block", file(opusTrack(), cluster(0, simple(0, 2, 1, 200, 1))), nil},
		{"laced without count", file(opusTrack(), cluster(0, simple(0, 2))), nil},
		{"skipped element without size", file(opusTrack(), appendSizeN(appendID(nil, idCues), unknownSize, 8)), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := NewReader(bytes.NewReader(tt.data))
			if err == nil {
				_, err = d.Next()
			}
			if err == nil || tt.class != nil && !errors.Is(err, tt.class) {
				t.Errorf("error %v, want %v", err, tt.class)
			}
		})
	}
}

// The test card is a file made by ffmpeg.
func TestReadTestCard(t *testing.T) {
	f, err := os.Open(filepath.Join("..", "..", "testcard", "testcard.webm"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tracks, list := readAll(t, f)
	if len(tracks) != 3 || tracks[0].Name != "h" || tracks[1].Height != 180 || tracks[2].Delay != 6500*time.Microsecond {
		t.Errorf("tracks %+v", tracks)
	}
	count := map[uint64]int{}
	for _, b := range list {
		count[b.Track]++
	}
	if d := cmp.Diff(map[uint64]int{1: 200, 2: 200, 3: 401}, count); d != "" {
		t.Error(d)
	}
}

func TestSizes(t *testing.T) {
	for _, v := range []int{0, 1, 126, 127, 128, 16382, 16383, 16384, 1<<21 - 2, 1<<21 - 1, 1 << 28, 1<<35 - 2} {
		b := appendSize(nil, v)
		n, got := vint(b)
		if n != len(b) || got != uint64(v) {
			t.Errorf("size %d: read %d from %x", v, got, b)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(file(opusTrack(), cluster(0, simple(0, 0x80, 1), simple(20, 6, 2, 0x82, 0xBE, 7, 7, 8, 9, 9))))
	f.Add(file(opusTrack(), cluster(0, simple(0, 0x82, 2, 1, 2, 7, 8, 8, 9))))
	f.Add(file(opusTrack(), appendElement(nil, idInfo, appendUint(nil, idTimecodeScale, 1000))))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := NewReader(bytes.NewReader(data))
		if err != nil {
			return
		}
		total := 0
		for range 10000 {
			b, err := d.Next()
			if err != nil {
				return
			}
			total += len(b.Data)
		}
		if total > len(data) {
			t.Errorf("%d bytes of blocks from %d bytes of file", total, len(data))
		}
	})
}

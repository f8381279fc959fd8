package webm

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/at-wat/ebml-go"
	ebmlwebm "github.com/at-wat/ebml-go/webm"
	"github.com/google/go-cmp/cmp"
)

func tracks() []Track {
	return []Track{
		{Name: "picture", Codec: VP8, Width: 640, Height: 360},
		{Name: "sound", Codec: Opus, Private: OpusHead(2), SampleRate: 48000, Channels: 2, Frame: 20 * time.Millisecond},
	}
}

func blocks(n int) []Block {
	var list []Block
	for i := range n {
		at := time.Duration(i) * 20 * time.Millisecond
		list = append(list, Block{Track: uint64(i%2 + 1), At: at, Key: i%2 == 1 || i%50 == 0, Data: []byte{byte(i), byte(i >> 8), 3}})
	}
	return list
}

func write(t *testing.T, w io.Writer, tracks []Track, blocks []Block) *Writer {
	t.Helper()
	m, err := NewWriter(w, tracks)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if err := m.Write(int(b.Track-1), b.At, b.Key, b.Data); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func readAll(t *testing.T, r io.Reader) ([]Track, []Block) {
	t.Helper()
	d, err := NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	var list []Block
	for {
		b, err := d.Next()
		if errors.Is(err, io.EOF) {
			return d.Tracks(), list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, b)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 10, 400} {
		f := tempFile(t)
		want := blocks(n)
		if err := write(t, f, tracks(), want).Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		gotTracks, got := readAll(t, f)
		wantTracks := tracks()
		wantTracks[0].Number, wantTracks[1].Number = 1, 2
		if d := cmp.Diff(wantTracks, gotTracks); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%d blocks: %s", n, d)
		}
	}
}

func tempFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "x.webm"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// An independent implementation must see the same file.
func TestAgainstEBMLGo(t *testing.T) {
	f := tempFile(t)
	want := blocks(200)
	if err := write(t, f, tracks(), want).Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Header  ebmlwebm.EBMLHeader `ebml:"EBML"`
		Segment ebmlwebm.Segment    `ebml:"Segment"`
	}
	if err := ebml.Unmarshal(bytes.NewReader(data), &file); err != nil {
		t.Fatal(err)
	}
	if got := file.Header.DocType; got != "webm" {
		t.Errorf("document type %q", got)
	}
	if got := file.Segment.Info.Duration; got != 4000 {
		t.Errorf("duration %v ms, want 4000", got)
	}
	n := 0
	for _, c := range file.Segment.Cluster {
		for _, b := range c.SimpleBlock {
			at := time.Duration(int64(c.Timecode)+int64(b.Timecode)) * time.Millisecond
			got := Block{b.TrackNumber, at, b.Keyframe, b.Data[0]}
			if d := cmp.Diff(want[n], got); d != "" {
				t.Fatalf("block %d: %s", n, d)
			}
			n++
		}
	}
	if n != len(want) {
		t.Errorf("%d blocks, want %d", n, len(want))
	}
	checkCues(t, data, file.Segment)
}

// checkCues follows the seek head to the cues and each cue to its cluster.
func checkCues(t *testing.T, data []byte, s ebmlwebm.Segment) {
	t.Helper()
	base := bytes.Index(data, []byte{0x11, 0x4D, 0x9B, 0x74}) // the seek head begins the segment
	if s.SeekHead == nil || s.Cues == nil || base < 0 {
		t.Fatal("no seek head or no cues")
	}
	at := base + int(s.SeekHead.Seek[0].SeekPosition)
	if !bytes.HasPrefix(data[at:], []byte{0x1C, 0x53, 0xBB, 0x6B}) {
		t.Error("the seek head does not point to the cues")
	}
	if len(s.Cues.CuePoint) < 3 {
		t.Errorf("%d cues for 4 s", len(s.Cues.CuePoint))
	}
	for _, c := range s.Cues.CuePoint {
		at := base + int(c.CueTrackPositions[0].CueClusterPosition)
		if !bytes.HasPrefix(data[at:], []byte{0x1F, 0x43, 0xB6, 0x75}) {
			t.Errorf("the cue for %d ms does not point to a cluster", c.CueTime)
		}
	}
}

// A file whose writer died is whole up to the last flushed cluster.
func TestCrash(t *testing.T) {
	var b bytes.Buffer
	want := blocks(120)
	write(t, &b, tracks(), want) // no Close
	_, got := readAll(t, bytes.NewReader(b.Bytes()))
	if len(got) < 80 || !cmp.Equal(want[:len(got)], got) {
		t.Fatalf("%d of 120 blocks survived", len(got))
	}
	for cut := range b.Len() {
		d, err := NewReader(bytes.NewReader(b.Bytes()[:cut]))
		if err != nil {
			continue // cut before the tracks
		}
		for n := 0; ; n++ {
			block, err := d.Next()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Fatalf("cut at %d: %v", cut, err)
				}
				break
			}
			if !cmp.Equal(block, want[n]) {
				t.Fatalf("cut at %d: block %d differs", cut, n)
			}
		}
	}
}

func TestClusters(t *testing.T) {
	var b bytes.Buffer
	m, err := NewWriter(&b, tracks())
	if err != nil {
		t.Fatal(err)
	}
	head := b.Len()
	steps := []struct {
		name    string
		at      time.Duration
		key     bool
		size    int
		written bool
	}{
		{"first", 0, true, 1, false},
		{"within a second", 900 * time.Millisecond, false, 1, false},
		{"key frame late in the cluster", 950 * time.Millisecond, true, 1, true},
		{"a second later", 1950 * time.Millisecond, false, 1, true},
		{"an hour later", time.Hour, false, 1, true},
		{"a little back", time.Hour - 500*time.Millisecond, false, 1, false},
		{"far back", time.Minute, false, 1, true},
		{"large", time.Minute, false, 2 << 20, true},
	}
	size := head
	for _, s := range steps {
		if err := m.Write(0, s.at, s.key, make([]byte, s.size)); err != nil {
			t.Fatal(err)
		}
		if got := b.Len() > size; got != s.written {
			t.Errorf("%s: cluster written: %v", s.name, got)
		}
		size = b.Len()
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	_, got := readAll(t, &b)
	for i, s := range steps {
		if got[i].At != s.at {
			t.Errorf("%s: at %v, want %v", s.name, got[i].At, s.at)
		}
	}
}

func TestWriterErrors(t *testing.T) {
	if _, err := NewWriter(io.Discard, nil); err == nil {
		t.Error("a file without tracks")
	}
	m, err := NewWriter(io.Discard, tracks())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Write(0, -time.Second, true, nil); !errors.Is(err, ErrTime) {
		t.Errorf("negative time: %v", err)
	}
	full := &limited{n: 600}
	m, err = NewWriter(full, tracks())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err = m.Write(0, 0, true, make([]byte, 400)); err == nil {
			err = m.Flush()
		}
	}
	if !errors.Is(err, errFull) || !errors.Is(m.Close(), errFull) {
		t.Errorf("full disk: %v", err)
	}
}

var errFull = errors.New("disk full")

type limited struct{ n int }

func (l *limited) Write(b []byte) (int, error) {
	if l.n -= len(b); l.n < 0 {
		return 0, errFull
	}
	return len(b), nil
}

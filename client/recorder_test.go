package client

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"causeway/client/internal/webm"
	"causeway/protocol"
)

var recordingStart = time.Unix(100_000, 0).UTC()

func ms(n float64) time.Time {
	return recordingStart.Add(time.Duration(n * float64(time.Millisecond)))
}

func newRecorderIn(t *testing.T) (*Recorder, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "new", "folder")
	r, err := NewRecorder(dir, recordingStart)
	if err != nil {
		t.Fatal(err)
	}
	return r, dir
}

func sound(at float64) Frame {
	return Frame{Participant: "p", Name: "Ada L.", Source: protocol.Mic, Codec: Opus, Captured: ms(at), Key: true, Data: []byte{0xFC, 1}}
}

func picture(at float64, key bool) Frame {
	f := Frame{Participant: "p", Name: "Ada L.", Source: protocol.Camera, Codec: VP8, Captured: ms(at), Data: interFrame(1)}
	if key {
		f.Data = keyFrame(640, 360, 20)
	}
	f.describe()
	return f
}

func readFile(t *testing.T, dir, name string) (webm.Track, []webm.Block) {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := webm.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []webm.Block
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r.Tracks()[0], blocks
		}
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, b)
	}
}

func times(blocks []webm.Block) (list []int) {
	for _, b := range blocks {
		list = append(list, int(b.At.Milliseconds()))
	}
	return list
}

// Sound and picture of one person begin at one moment, which neither source
// need have been first at.
func TestRecorder(t *testing.T) {
	r, dir := newRecorderIn(t)
	for i := range 100 { // sound from 1000, pictures from 1070
		r.Write(sound(1000 + 20*float64(i)))
		if i >= 4 && i%2 == 0 {
			r.Write(picture(990+20*float64(i), i == 4))
		}
	}
	other := picture(2000, true)
	other.Participant, other.Name, other.Source, other.Lost = "q", "../蘇/x\x1b", protocol.Screen, 3
	r.Write(other)
	if err := r.Close(ms(4000)); err != nil {
		t.Fatal(err)
	}
	r.Write(sound(5000)) // too late

	want := Manifest{StartedAt: recordingStart, EndedAt: ms(4000), Recordings: []Recording{
		{
			File: "01-Ada-L-mic.webm", Participant: "p", Name: "Ada L.", Source: protocol.Mic, Codec: Opus,
			StartedAt: ms(1000), OffsetMS: 1000, LastMS: 1980, Frames: 100,
		},
		{
			File: "02-Ada-L-camera.webm", Participant: "p", Name: "Ada L.", Source: protocol.Camera, Codec: VP8,
			StartedAt: ms(1000), OffsetMS: 1000, FirstMS: 70, LastMS: 1950, Frames: 48, Width: 640, Height: 360,
		},
		{
			File: "03-蘇-x-screen.webm", Participant: "q", Name: "../蘇/x\x1b", Source: protocol.Screen, Codec: VP8,
			StartedAt: ms(2000), OffsetMS: 2000, Frames: 1, Lost: 3, Width: 640, Height: 360,
		},
	}}
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got Manifest
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	track, blocks := readFile(t, dir, "02-Ada-L-camera.webm")
	if track.Codec != webm.VP8 || track.Width != 640 || track.Name != "Ada L. camera" {
		t.Errorf("track %+v", track)
	}
	if d := cmp.Diff([]int{0, 110, 150}, times(blocks)[:3]); d != "" { // the first is shown from the beginning
		t.Error(d)
	}
	if _, blocks := readFile(t, dir, "01-Ada-L-mic.webm"); len(blocks) != 100 || blocks[99].At != 1980*time.Millisecond {
		t.Errorf("%d pieces of sound", len(blocks))
	}
}

func TestRecorderSound(t *testing.T) {
	tests := []struct {
		name   string
		at     []float64
		want   []int   // times of real sound in the file
		filled float64 // ms
	}{
		{"steady", []float64{0, 20, 40, 60}, []int{0, 20, 40, 60}, 0},
		{"jitter of the clock", []float64{0, 23, 38, 61}, []int{0, 20, 40, 60}, 0},
		{"one lost", []float64{0, 20, 60}, []int{0, 20, 60}, 20},
		{"silence", []float64{0, 20, 1020}, []int{0, 20, 1020}, 980},
		{"silence off the grid", []float64{0, 20, 1027}, []int{0, 20, 1027}, 985},
		{"begins late", []float64{33.5, 54}, []int{34, 54}, 32.5},
		{"twice the same", []float64{0, 20, 20, 20, 20, 40}, []int{0, 20, 40}, 0},
		{"back in time", []float64{0, 20, 40, -500, 60}, []int{0, 20, 40, 60}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, dir := newRecorderIn(t)
			r.Write(picture(0, true))
			r.Write(picture(2000, true)) // settles the beginning
			for _, at := range tt.at {
				r.Write(sound(at))
			}
			if err := r.Close(ms(3000)); err != nil {
				t.Fatal(err)
			}
			info := r.Manifest().Recordings[1]
			_, blocks := readFile(t, dir, info.File)
			var got []int
			for _, b := range blocks {
				if len(b.Data) == 2 {
					got = append(got, int(b.At.Milliseconds()))
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if info.FilledMS != tt.filled || info.Frames != len(tt.want) {
				t.Errorf("%v ms filled and %d frames", info.FilledMS, info.Frames)
			}
		})
	}
}

// Pictures are shown in order even if their clock jumps, and what comes
// before a key frame is not recorded.
func TestRecorderPictures(t *testing.T) {
	r, dir := newRecorderIn(t)
	for i, at := range []float64{0, 40, 80, 120, 110, 160, 1700} {
		r.Write(picture(at, i == 2))
	}
	if err := r.Close(ms(2000)); err != nil {
		t.Fatal(err)
	}
	_, blocks := readFile(t, dir, r.Manifest().Recordings[0].File)
	if d := cmp.Diff([]int{0, 120, 121, 160, 1700}, times(blocks)); d != "" {
		t.Error(d)
	}
}

// A camera that is switched on later is shown from the beginning: players and
// ffmpeg shift a file to its first picture. No sound is left out for it.
func TestRecorderLatePicture(t *testing.T) {
	for _, begins := range []float64{500, 3000} {
		r, dir := newRecorderIn(t)
		for at := 0.0; at < 5000; at += 20 {
			r.Write(sound(at))
			if at >= begins {
				r.Write(picture(at, at == begins))
			}
		}
		if err := r.Close(ms(5000)); err != nil {
			t.Fatal(err)
		}
		list := r.Manifest().Recordings
		_, blocks := readFile(t, dir, list[1].File)
		want := []int{0, int(begins) + 20, int(begins) + 40}
		if d := cmp.Diff(want, times(blocks)[:3]); d != "" || list[1].FirstMS != begins || list[0].Frames != 250 {
			t.Errorf("%s, %+v", d, list)
		}
	}
}

func TestRecorderH264(t *testing.T) {
	r, dir := newRecorderIn(t)
	h264 := func(at float64, data ...byte) {
		f := picture(at, false)
		f.Codec, f.Data = H264, data
		f.describe()
		r.Write(f)
	}
	h264(0, 0, 0, 1, 0x65, 1) // a key frame without parameter sets cannot begin a file
	h264(40, 0, 0, 1, 0x67, 66, 0, 31, 0, 0, 1, 0x68, 1, 0, 0, 1, 0x65, 9)
	h264(80, 0, 0, 1, 0x41, 7)
	if err := r.Close(ms(100)); err != nil {
		t.Fatal(err)
	}
	info := r.Manifest().Recordings[0]
	track, blocks := readFile(t, dir, info.File)
	if info.File != "01-Ada-L-camera.mkv" || track.Codec != webm.H264 || len(blocks) != 2 {
		t.Errorf("%s: %+v, %d frames", info.File, track, len(blocks))
	}
	if d := cmp.Diff([]byte{0, 0, 0, 2, 0x41, 7}, blocks[1].Data); d != "" {
		t.Error(d)
	}
}

// What is on the disk at any time is good up to about a second before.
func TestRecorderCrash(t *testing.T) {
	r, dir := newRecorderIn(t)
	for i := range 500 {
		r.Write(sound(20 * float64(i)))
	}
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil || len(m.Recordings) != 1 || !m.EndedAt.IsZero() {
		t.Fatalf("manifest %s", b)
	}
	if _, blocks := readFile(t, dir, m.Recordings[0].File); len(blocks) < 440 {
		t.Errorf("%d of 500 pieces of sound are safe", len(blocks))
	}
	if err := r.Close(ms(10000)); err != nil {
		t.Fatal(err)
	}
}

func TestRecorderFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewRecorder(filepath.Join(file, "x"), recordingStart); protocol.ProblemOf(err).Code != protocol.ProblemRecordingFailed {
		t.Errorf("folder in a file: %v", err)
	}
	r, dir := newRecorderIn(t)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	r.Write(sound(0))
	r.Write(sound(2000))
	for _, err := range []error{r.Err(), r.Close(ms(0)), r.Close(ms(0))} {
		if protocol.ProblemOf(err).Code != protocol.ProblemRecordingFailed {
			t.Errorf("folder gone: %v", err)
		}
	}
}

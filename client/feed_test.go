package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"causeway/client/internal/webm"
	"causeway/protocol"
)

func TestTestCard(t *testing.T) {
	f := TestCard()
	defer f.Close()
	want := []Track{
		{Source: protocol.Camera, Codec: VP8, Layer: "h", Width: 640, Height: 360},
		{Source: protocol.Camera, Codec: VP8, Layer: "q", Width: 320, Height: 180},
		{Source: protocol.Mic, Codec: Opus},
	}
	if d := cmp.Diff(want, f.Tracks()); d != "" {
		t.Error(d)
	}
	// Two rounds and a bit: every track goes on without gap or overlap.
	step := []time.Duration{40 * time.Millisecond, 40 * time.Millisecond, 20 * time.Millisecond}
	last := map[int]time.Duration{}
	var due, key time.Duration
	var loud []time.Duration
	for due < 2*testCardLength+time.Second {
		s, err := f.Next()
		if err != nil {
			t.Fatal(err)
		}
		if s.At < due {
			t.Fatalf("a sample of %v after one of %v", s.At, due)
		}
		due = s.At
		if before, ok := last[s.Track]; ok && s.At-before != step[s.Track] {
			t.Fatalf("track %d: %v follows on %v", s.Track, s.At, before)
		}
		last[s.Track] = s.At
		if s.Track == 2 && s.Level < 30 && (len(loud) == 0 || s.At-loud[len(loud)-1] > 500*time.Millisecond) {
			loud = append(loud, s.At)
		}
		if s.Track == 0 && s.Key {
			if s.At-key > 520*time.Millisecond {
				t.Errorf("no key frame between %v and %v", key, s.At)
			}
			key = s.At
		}
	}
	for i, at := range loud {
		if want := time.Duration(i)*time.Second + 400*time.Millisecond; at != want {
			t.Errorf("beep %d at %v, want %v", i, at, want)
		}
	}
	if len(loud) != 17 {
		t.Errorf("%d beeps in 17 s", len(loud))
	}
}

// writeFile makes a file of half a second: pictures and sound, the sound all
// behind the pictures.
func writeFile(t *testing.T, video webm.Track, picture func(i int) []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.webm")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w, err := webm.NewWriter(out, []webm.Track{
		video,
		{Codec: webm.Opus, Private: webm.OpusHead(2), SampleRate: 48000, Channels: 2},
		{Codec: "A_VORBIS", SampleRate: 48000, Channels: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		if err := w.Write(0, time.Duration(i)*40*time.Millisecond, i == 0, picture(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 24 {
		// Stamped as badly as milliseconds allow.
		at := time.Duration(i)*20*time.Millisecond + time.Duration(i%3)*time.Millisecond
		if err := w.Write(1, at, true, append([]byte{0xFC}, make([]byte, 10+i%2*60)...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func vp8Track() webm.Track { return webm.Track{Codec: webm.VP8, Width: 64, Height: 48} }

func TestFile(t *testing.T) {
	path := writeFile(t, vp8Track(), func(i int) []byte { return []byte{byte(i), 1} })
	f, err := OpenFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := []Track{{Source: protocol.Camera, Codec: VP8, Width: 64, Height: 48}, {Source: protocol.Mic, Codec: Opus}}
	if d := cmp.Diff(want, f.Tracks()); d != "" {
		t.Error(d)
	}
	var due time.Duration
	count := [2]int{}
	for {
		s, err := f.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if s.At < due {
			t.Errorf("%v after %v: not interleaved", s.At, due)
		}
		due = s.At
		if want := time.Duration(count[1]) * 20 * time.Millisecond; s.Track == 1 && s.At != want {
			t.Errorf("sound at %v, want %v", s.At, want)
		}
		count[s.Track]++
	}
	if count != [2]int{12, 24} {
		t.Errorf("samples %v", count)
	}
}

func TestFileLoops(t *testing.T) {
	path := writeFile(t, vp8Track(), func(i int) []byte { return []byte{byte(i), 1} })
	f, err := OpenFile(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	last := [2]time.Duration{-40 * time.Millisecond, -20 * time.Millisecond}
	for range 36*3 + 5 {
		s, err := f.Next()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := s.At-last[s.Track], []time.Duration{40, 20}[s.Track]*time.Millisecond; got != want {
			t.Errorf("track %d: %v after %v", s.Track, s.At, last[s.Track])
		}
		last[s.Track] = s.At
	}
}

func TestFileH264(t *testing.T) {
	sps, pps := []byte{0x67, 66, 0xE0, 31, 1}, []byte{0x68, 2}
	track := webm.Track{Codec: webm.H264, Private: makeAVCC(sps, pps), Width: 64, Height: 48}
	path := writeFile(t, track, func(i int) []byte { return []byte{0, 0, 0, 2, 0x65, byte(i + 1)} })
	f, err := OpenFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := f.Next()
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Join([][]byte{{}, sps, pps, {0x65, 1}}, startCode)
	if !bytes.Equal(s.Data, want) || !s.Key {
		t.Errorf("key frame %x, want %x", s.Data, want)
	}
}

func TestOpenFileRefuses(t *testing.T) {
	odd := filepath.Join(t.TempDir(), "odd")
	if err := os.WriteFile(odd, []byte("not a film"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := writeFile(t, webm.Track{Codec: webm.H264, Private: []byte{1}, Width: 1, Height: 1}, func(int) []byte { return []byte{1} })
	for _, path := range []string{odd, filepath.Join(t.TempDir(), "absent"), broken, t.TempDir()} {
		if _, err := OpenFile(path, false); protocol.ProblemOf(err).Code != protocol.ProblemSourceUnreadable {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestEstimatedLevels(t *testing.T) {
	f := &fileFeed{}
	track := &fileTrack{}
	for range 100 {
		f.level(track, make([]byte, 60))
	}
	quiet, usual, loud := f.level(track, make([]byte, 15)), f.level(track, make([]byte, 60)), f.level(track, make([]byte, 150))
	if loud >= usual || usual >= quiet || quiet >= 127 {
		t.Errorf("levels: loud %d, usual %d, quiet %d", loud, usual, quiet)
	}
	if got := f.level(track, []byte{0xF8, 0xFF, 0xFE}); got != 127 {
		t.Errorf("silence has level %d", got)
	}
}

// A scripted feed has samples at given times.
type scripted struct {
	at    []time.Duration
	delay time.Duration // of Next, once
}

func (*scripted) Tracks() []Track { return []Track{{Source: protocol.Mic, Codec: Opus}} }
func (*scripted) Close() error    { return nil }
func (s *scripted) Next() (Sample, error) {
	if len(s.at) == 0 {
		return Sample{}, io.EOF
	}
	if len(s.at) == 2 {
		<-time.After(s.delay) // a live source that has nothing for a while
	}
	at := s.at[0]
	s.at = s.at[1:]
	return Sample{At: at}, nil
}

func TestPace(t *testing.T) {
	ms := time.Millisecond
	tests := []struct {
		name  string
		at    []time.Duration
		delay time.Duration
		want  []time.Duration // of sending, since the start
		stamp []time.Duration // that it stands for
	}{
		{"in time", []time.Duration{0, 20 * ms, 40 * ms, 100 * ms}, 0, []time.Duration{0, 20 * ms, 40 * ms, 100 * ms}, []time.Duration{0, 20 * ms, 40 * ms, 100 * ms}},
		{"feed begins late", []time.Duration{time.Hour, time.Hour + 20*ms, time.Hour + 40*ms}, 0, []time.Duration{0, 20 * ms, 40 * ms}, []time.Duration{0, 20 * ms, 40 * ms}},
		{"a little behind: catches up", []time.Duration{0, 20 * ms, 40 * ms}, 300 * ms, []time.Duration{0, 300 * ms, 300 * ms}, []time.Duration{0, 20 * ms, 40 * ms}},
		{"far behind: begins anew", []time.Duration{0, 20 * ms, 40 * ms}, time.Minute, []time.Duration{0, time.Minute, time.Minute + 20*ms}, []time.Duration{0, time.Minute, time.Minute + 20*ms}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var sent, stamps []time.Duration
				err := pace(t.Context(), &scripted{tt.at, tt.delay}, func(_ Sample, captured time.Time) {
					sent = append(sent, time.Since(start))
					stamps = append(stamps, captured.Sub(start))
				})
				if err != nil {
					t.Error(err)
				}
				if d := cmp.Diff(tt.want, sent); d != "" {
					t.Error("sent", d)
				}
				if d := cmp.Diff(tt.stamp, stamps); d != "" {
					t.Error("captured", d)
				}
			})
		})
	}
}

func TestPaceStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		n := 0
		if err := pace(ctx, &scripted{at: []time.Duration{0, 20 * time.Millisecond, time.Hour}}, func(Sample, time.Time) { n++ }); err != nil || n != 2 {
			t.Errorf("%d sent, error %v", n, err)
		}
	})
}

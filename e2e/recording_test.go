//go:build linux

package e2e

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"causeway/client"
	"causeway/protocol"
)

// perSecond is how many frames the test card has of each source.
var perSecond = map[protocol.Source]float64{protocol.Mic: 50, protocol.Camera: 25}

// keyFrames is how far the test card's key frames are apart, and some time for
// the first to be asked for.
const keyFrames = 700 * time.Millisecond

// How far sound may be apart from the picture (ITU-R BT.1359).
const (
	soundEarly = 45 * time.Millisecond
	soundLate  = 125 * time.Millisecond
)

// checkRecordings checks a recording of people who published the test card
// and were in the meeting, together with the recorder, for those times.
func checkRecordings(t *testing.T, dir string, stays map[string]stay) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	m := decode[client.Manifest](t, string(data))
	files := map[string]string{}
	for _, r := range m.Recordings {
		files[r.Name+" "+string(r.Source)] = filepath.Join(dir, r.File)
		both := stays[r.Name]
		due := both.to.Sub(both.from).Seconds() * perSecond[r.Source]
		begun := r.StartedAt.Add(time.Duration(r.FirstMS * float64(time.Millisecond)))
		ended := r.StartedAt.Add(time.Duration(r.LastMS * float64(time.Millisecond)))
		head, tail := begun.Sub(both.from), both.to.Sub(ended)
		t.Logf("%s %s: %d of %.0f frames (%.1f %%), beginning after %v, ending %v early, %d packets lost, %.0f ms filled",
			r.Name, r.Source, r.Frames, due, 100*float64(r.Frames)/due, head.Round(time.Millisecond), tail.Round(time.Millisecond), r.Lost, r.FilledMS)
		if both.short && r.Source == protocol.Camera && head < keyFrames {
			due -= head.Seconds() * perSecond[r.Source] // the card makes no key frame on demand
		}
		if share := float64(r.Frames) / due; share < 0.95 {
			t.Errorf("%s: only %.1f %% of what %s published is recorded", r.File, 100*share, r.Name)
		}
		checkPlays(t, filepath.Join(dir, r.File), r.Frames)
	}
	if len(m.Recordings) != 2*len(stays) || m.EndedAt.IsZero() {
		t.Errorf("manifest: %s", data)
	}
	for name := range stays {
		checkSync(t, name, files[name+" camera"], files[name+" mic"])
	}
}

// media runs ffmpeg or ffprobe, which must have nothing to complain of.
func media(t *testing.T, tool string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(tool, append([]string{"-v", "warning"}, args...)...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil || said.Len() > 0 {
		t.Errorf("%s: %v: %s", cmd, err, said.String())
	}
	return out
}

// checkPlays decodes a whole file.
func checkPlays(t *testing.T, file string, frames int) {
	t.Helper()
	out := media(t, "ffprobe", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", file)
	var n int
	if _, err := fmt.Sscan(string(out), &n); err != nil || n < frames {
		t.Errorf("%s: ffprobe finds %q frames, not %d: %v", file, out, frames, err)
	}
	media(t, "ffmpeg", "-xerror", "-i", file, "-f", "null", "-")
}

// checkSync compares when the test card's flashes and beeps are in the two
// files, which begin at the same moment.
func checkSync(t *testing.T, name, camera, mic string) {
	t.Helper()
	flashes, beeps := flashes(t, camera), beeps(t, mic)
	var least, most time.Duration = math.MaxInt64, math.MinInt64
	pairs := 0
	for _, flash := range flashes {
		for _, beep := range beeps {
			if off := beep - flash; off.Abs() < 500*time.Millisecond {
				least, most = min(least, off), max(most, off)
				pairs++
			}
		}
	}
	t.Logf("%s: %d flashes, %d beeps; sound is later than the picture by %v to %v", name, len(flashes), len(beeps), least, most)
	if pairs < 3 || pairs < len(flashes)-1 || least < -soundEarly || most > soundLate {
		t.Errorf("%s: flashes at %v, beeps at %v", name, flashes, beeps)
	}
}

// flashes are the times at which the picture turns white.
func flashes(t *testing.T, file string) (found []time.Duration) {
	t.Helper()
	const white = 200
	out := media(t, "ffmpeg", "-i", file, "-vf", "signalstats,metadata=mode=print:key=lavfi.signalstats.YAVG:file=-", "-f", "null", "-")
	var at, luma float64
	before := float64(white) // one that is there at the beginning may have begun earlier
	for line := range strings.Lines(string(out)) {
		if _, pts, ok := strings.Cut(line, "pts_time:"); ok {
			if _, err := fmt.Sscan(pts, &at); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			continue
		}
		if _, err := fmt.Sscanf(line, "lavfi.signalstats.YAVG=%f", &luma); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if luma >= white && before < white {
			found = append(found, time.Duration(at*float64(time.Second)))
		}
		before = luma
	}
	return found
}

// beeps are the times at which the sound becomes loud.
func beeps(t *testing.T, file string) (found []time.Duration) {
	t.Helper()
	const rate, window, loud = 8000, 40, 0.1 // 5 ms
	pcm := media(t, "ffmpeg", "-i", file, "-ac", "1", "-ar", fmt.Sprint(rate), "-f", "s16le", "-")
	quiet := 0
	for i := 0; i+2*window <= len(pcm); i += 2 * window {
		var sum float64
		for j := i; j < i+2*window; j += 2 {
			v := float64(int16(binary.LittleEndian.Uint16(pcm[j:]))) / 32768
			sum += v * v
		}
		if math.Sqrt(sum/window) < loud {
			quiet++
			continue
		}
		if quiet >= 40 { // 200 ms
			found = append(found, time.Duration(i/2)*time.Second/rate)
		}
		quiet = 0
	}
	return found
}

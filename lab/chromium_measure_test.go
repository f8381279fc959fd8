//go:build linux

package lab

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A Sight is what a page tells (webclient/e2e/lab-person.mjs); times are in ms
// on the page's clock.
type Sight struct {
	Trouble
	Now     float64
	Clicked float64              // when Join was pressed
	Frames  [][2]float64         // when each picture was shown, and its height
	Streams map[string]Stream    // received, by connection and stream
	Layers  map[string]SentLayer // of the camera
	Rungs   map[string]string    // by connection
	Control string               // address of the control channel
	Steps   map[string]float64   // of joining: ms after Join was pressed
	Events  []string             // of the report, if it was asked for
}

// A SentLayer is one simulcast layer as it is encoded now.
type SentLayer struct {
	FPS    float64
	Height float64
	Limit  string
}

// A Stream are the counters of one received stream (getStats inbound-rtp).
type Stream struct {
	Kind                     string
	Received, Lost, Repaired float64
	Nacks, Plis, Freezes     float64
	FrozenS                  float64 `json:"frozen_s"`
	Decoded, Dropped, Bytes  float64
	Samples, Concealed       float64
	Played                   float64
	HeldS                    float64 `json:"held_s"` // in the jitter buffer, of all that was played
}

// Got is what a person got during a window.
type Got struct {
	FirstMS, FullMS float64 // from Join until the first picture and the first of full size; NaN-free: -1 if never
	Freezes         int     // of what was shown, by WebRTC's measure
	FrozenS         float64
	LongestMS       float64
	FPS             float64
	Height          float64 // of most pictures
	Concealed       float64 // share of the sound
	HeldMS          float64 // how long the sound was held in the jitter buffer, on average
	AudioKbps       float64
	Repaired        float64 // share of the pictures' packets
	Lost            float64
	Nacks, Plis     float64
	VideoKbps       float64
	StatFreezes     float64 // as Chromium counted
	StatFrozenS     float64
	Rungs           []string
	Gaps            []string // the long ones: when, and how long, in ms
}

// got works out what was got between two looks.
func got(begin, end Sight) Got {
	g := Got{FirstMS: -1, FullMS: -1}
	shown := slices.Clone(end.Frames)
	slices.SortStableFunc(shown, func(a, b [2]float64) int { return int(a[0] - b[0]) })
	if len(shown) > 0 {
		g.FirstMS = shown[0][0] - end.Clicked
	}
	if i := slices.IndexFunc(shown, func(f [2]float64) bool { return f[1] >= sceneHeight }); i >= 0 {
		g.FullMS = shown[i][0] - end.Clicked
	}
	g.shown(shown, begin.Now, end.Now)
	var audio, video Stream
	for id, s := range end.Streams {
		sum := &video
		if s.Kind == "audio" {
			sum = &audio
		}
		sum.add(s, begin.Streams[id])
	}
	if audio.Samples > 0 {
		g.Concealed = audio.Concealed / audio.Samples
	}
	if audio.Played > 0 {
		g.HeldMS = 1000 * audio.HeldS / audio.Played
	}
	g.AudioKbps = audio.Bytes * 8 / max(end.Now-begin.Now, 1)
	if video.Received > 0 {
		g.Repaired, g.Lost = video.Repaired/video.Received, video.Lost/video.Received
	}
	g.Nacks, g.Plis = video.Nacks, video.Plis
	g.VideoKbps = video.Bytes * 8 / max(end.Now-begin.Now, 1)
	g.StatFreezes, g.StatFrozenS = video.Freezes, video.FrozenS
	for _, rung := range end.Rungs {
		if !slices.Contains(g.Rungs, rung) {
			g.Rungs = append(g.Rungs, rung)
		}
	}
	slices.Sort(g.Rungs)
	return g
}

// add adds what was counted from one look to the next.
func (s *Stream) add(end, begin Stream) {
	s.Received += end.Received - begin.Received
	s.Lost += end.Lost - begin.Lost
	s.Repaired += end.Repaired - begin.Repaired
	s.Nacks += end.Nacks - begin.Nacks
	s.Plis += end.Plis - begin.Plis
	s.Bytes += end.Bytes - begin.Bytes
	s.Samples += end.Samples - begin.Samples
	s.Concealed += end.Concealed - begin.Concealed
	s.Played += end.Played - begin.Played
	s.HeldS += end.HeldS - begin.HeldS
	s.Freezes += end.Freezes - begin.Freezes
	s.FrozenS += end.FrozenS - begin.FrozenS
}

// shown looks at the pictures between two times. A freeze is a picture that
// stays for 150 ms longer than the thirty before did on average, and for three
// times as long (webrtc-stats, freezeCount).
func (g *Got) shown(frames [][2]float64, from, to float64) {
	var lately []float64
	heights := map[float64]int{}
	last := from
	for _, f := range frames {
		if f[0] <= from || f[0] > to {
			continue
		}
		gap := f[0] - last
		last = f[0]
		heights[f[1]]++
		g.FPS++
		g.gap(gap, lately)
		if gap > 4*1000/sceneFPS {
			g.Gaps = append(g.Gaps, fmt.Sprintf("%.0f: %.0f", f[0]-from, gap))
		}
		if lately = append(lately, gap); len(lately) > 30 {
			lately = lately[1:]
		}
	}
	g.gap(to-last, lately) // if nothing came any more
	g.FPS /= max(to-from, 1) / 1000
	for h, n := range heights {
		if n > heights[g.Height] {
			g.Height = h
		}
	}
}

// gap takes notice of the time between two pictures.
func (g *Got) gap(ms float64, lately []float64) {
	g.LongestMS = max(g.LongestMS, ms)
	mean := 1000.0 / sceneFPS
	if len(lately) > 0 {
		mean = 0
		for _, l := range lately {
			mean += l / float64(len(lately))
		}
	}
	if ms > max(3*mean, mean+150) {
		g.Freezes++
		g.FrozenS += ms / 1000
	}
}

// fullAfter says how long after a moment pictures were of full size again, and
// stayed so for a second; -1 if they did not.
func fullAfter(frames [][2]float64, from float64) float64 {
	since := -1.0
	for _, f := range frames {
		switch {
		case f[0] <= from:
		case f[1] < sceneHeight:
			since = -1
		case since < 0:
			since = f[0]
		case f[0]-since >= 1000:
			return since - from
		}
	}
	return -1
}

// String is for the log.
func (g Got) String() string {
	return fmt.Sprintf("first %.0f ms, full %.0f ms; frozen %d× %.1f s (Chromium: %.0f× %.1f s), longest %.0f ms; %.1f fps of %.0f lines, %.0f kbit/s; "+
		"sound concealed %.2f %%, held %.0f ms, %.0f kbit/s; repaired %.1f %%, lost %.1f %%, %.0f nacks, %.0f plis; over %s; gaps %v",
		g.FirstMS, g.FullMS, g.Freezes, g.FrozenS, g.StatFreezes, g.StatFrozenS, g.LongestMS, g.FPS, g.Height, g.VideoKbps,
		100*g.Concealed, g.HeldMS, g.AudioKbps, 100*g.Repaired, 100*g.Lost, g.Nacks, g.Plis, strings.Join(g.Rungs, ", "), g.Gaps)
}

// TestGot checks the arithmetic.
func TestGot(t *testing.T) {
	var end Sight
	end.Clicked, end.Now = 100, 3100
	for at := 400.0; at <= 1400; at += 40 {
		end.Frames = append(end.Frames, [2]float64{at, 135})
	}
	for at := 1900.0; at <= 3100; at += 40 { // after half a second of nothing
		end.Frames = append(end.Frames, [2]float64{at, sceneHeight})
	}
	end.Streams = map[string]Stream{"a": {Kind: "audio", Samples: 1100, Concealed: 10, Played: 1000, HeldS: 50}, "v": {Kind: "video", Received: 20, Repaired: 1}}
	begin := Sight{Now: 1100, Streams: map[string]Stream{"a": {Kind: "audio", Samples: 100}}}
	g := got(begin, end)
	if g.FirstMS != 300 || g.FullMS != 1800 || g.Freezes != 1 || g.FrozenS != 0.5 || g.LongestMS != 500 || g.Height != sceneHeight {
		t.Errorf("%v", g)
	}
	if g.Concealed != 0.01 || g.HeldMS != 50 || g.Repaired != 0.05 {
		t.Errorf("concealed %v, held %v ms, repaired %v", g.Concealed, g.HeldMS, g.Repaired)
	}
	if after := fullAfter(end.Frames, 1000); after != 900 {
		t.Errorf("full after %v ms", after)
	}
	if after := fullAfter(end.Frames, 2500); after != -1 {
		t.Errorf("full after %v ms", after)
	}
}

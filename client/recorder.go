package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"

	"causeway/protocol"
)

// A Recorder writes what is received into a folder: one file per participant
// and source, and manifest.json, which describes them. Give its Write to
// [Options.Receive].
//
// Files are WebM, or Matroska (.mkv) for H.264, which WebM does not allow.
// Those of one person's microphone and camera begin at the same moment, as do
// those of a screen and its sound, and their times come from the meeting's
// common clock; so this puts them together in sync:
//
//	ffmpeg -i 02-Ada-camera.webm -i 01-Ada-mic.webm -c copy Ada.webm
//
// Where a microphone sent nothing, silence is written, and the first picture
// is shown from the beginning of its file. Files are flushed about once a
// second: after a crash they play up to there.
type Recorder struct {
	dir   string
	start time.Time

	mu     sync.Mutex
	groups map[groupKey]*group
	takes  []*take
	saved  time.Time // when the manifest was last written, on the frames' clock
	err    error
	closed bool
}

// A Manifest is the content of manifest.json.
type Manifest struct {
	StartedAt  time.Time   `json:"started_at"`
	EndedAt    time.Time   `json:"ended_at,omitzero"` // absent while recording, and after a crash
	Recordings []Recording `json:"recordings"`
}

// A Recording describes one file.
type Recording struct {
	File        string          `json:"file"`
	Participant string          `json:"participant"`
	Name        string          `json:"name"`
	Source      protocol.Source `json:"source"`
	Codec       Codec           `json:"codec"`
	// StartedAt is the moment at the file's time 0.
	StartedAt time.Time `json:"started_at"`
	OffsetMS  float64   `json:"offset_ms"` // of it, since the recording's start
	FirstMS   float64   `json:"first_ms"`  // when the first and last frame were captured,
	LastMS    float64   `json:"last_ms"`   // in the file's time
	Frames    int       `json:"frames"`    // written, without silence that was filled in
	Lost      int       `json:"lost"`      // packets that never came
	FilledMS  float64   `json:"filled_ms"` // silence that was filled in
	Width     int       `json:"width,omitempty"`
	Height    int       `json:"height,omitempty"`
}

// groupKey names what is recorded on one time line: a person's microphone and
// camera, or a screen and its sound.
type groupKey struct {
	participant string
	screen      bool
}

// A group finds out when its time line begins: at the earliest frame of any
// of its sources, which is known once frames have come for settleTime.
type group struct {
	zero    time.Time
	settled bool
	waiting []Frame
}

const (
	settleTime   = 1500 * time.Millisecond
	maxUnsettled = 4096
	manifestName = "manifest.json"
	manifestPace = 5 * time.Second
)

// NewRecorder makes the folder if need be and begins recording at now. The
// error is the problem recording_failed.
func NewRecorder(dir string, now time.Time) (*Recorder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, protocol.Wrap(protocol.ProblemRecordingFailed, err)
	}
	r := &Recorder{dir: dir, start: now, groups: map[groupKey]*group{}}
	if err := r.save(time.Time{}); err != nil {
		return nil, protocol.Wrap(protocol.ProblemRecordingFailed, err)
	}
	return r, nil
}

// Write records a frame. It may be called from any goroutine.
func (r *Recorder) Write(f Frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.err != nil {
		return
	}
	key := groupKey{f.Participant, f.Source == protocol.Screen || f.Source == protocol.ScreenAudio}
	g := r.groups[key]
	if g == nil {
		g = &group{zero: f.Captured}
		r.groups[key] = g
	}
	if g.settled {
		r.write(g, f)
	} else {
		if f.Captured.Before(g.zero) {
			g.zero = f.Captured
		}
		g.waiting = append(g.waiting, f)
		if f.Captured.Sub(g.zero) >= settleTime || len(g.waiting) >= maxUnsettled {
			r.settle(g)
		}
	}
	if f.Captured.Sub(r.saved) >= manifestPace {
		r.saved = f.Captured
		r.fail(r.save(time.Time{}))
	}
}

func (r *Recorder) settle(g *group) {
	g.settled = true
	for _, f := range g.waiting {
		r.write(g, f)
	}
	g.waiting = nil
}

// write puts a frame into its file.
func (r *Recorder) write(g *group, f Frame) {
	t := r.take(f)
	if t == nil {
		if t = r.open(g, f); t == nil {
			return
		}
	}
	r.fail(t.write(f, f.Captured.Sub(g.zero)))
}

// take finds the file that a frame goes into. A source that changes its codec
// gets another file.
func (r *Recorder) take(f Frame) *take {
	for _, t := range r.takes {
		if t.Participant == f.Participant && t.Source == f.Source && t.Codec == f.Codec {
			return t
		}
	}
	return nil
}

// open begins a file, which for pictures takes a key frame.
func (r *Recorder) open(g *group, f Frame) *take {
	if !f.Key || len(f.Data) == 0 {
		return nil
	}
	extension := ".webm"
	if f.Codec == H264 {
		extension = ".mkv"
	}
	info := Recording{
		File:        fmt.Sprintf("%02d-%s-%s%s", len(r.takes)+1, fileName(f.Name), f.Source, extension),
		Participant: f.Participant, Name: f.Name, Source: f.Source, Codec: f.Codec,
		StartedAt: g.zero, OffsetMS: milliseconds(g.zero.Sub(r.start)), Width: f.Width, Height: f.Height,
	}
	t, err := newTake(filepath.Join(r.dir, info.File), info, f)
	if err != nil {
		r.fail(err)
		return nil
	}
	if t != nil {
		r.takes = append(r.takes, t)
		r.fail(r.save(time.Time{}))
	}
	return t
}

// fail keeps the first error.
func (r *Recorder) fail(err error) {
	if err != nil && r.err == nil {
		r.err = protocol.Wrap(protocol.ProblemRecordingFailed, err)
	}
}

// Err returns what went wrong, nil if nothing did; recording stops at the
// first error.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Manifest describes what has been recorded so far.
func (r *Recorder) Manifest() Manifest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.manifest(time.Time{})
}

// Close ends the recording and completes its files. Later frames are dropped.
func (r *Recorder) Close(now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return r.err
	}
	r.closed = true
	for _, g := range r.groups {
		if !g.settled && r.err == nil {
			r.settle(g)
		}
	}
	for _, t := range r.takes {
		r.fail(t.close())
	}
	r.fail(r.save(now))
	return r.err
}

func (r *Recorder) manifest(ended time.Time) Manifest {
	m := Manifest{StartedAt: r.start, EndedAt: ended, Recordings: []Recording{}}
	for _, t := range r.takes {
		m.Recordings = append(m.Recordings, t.Recording)
	}
	return m
}

// save writes the manifest so that it is whole at any time.
func (r *Recorder) save(ended time.Time) error {
	b, err := json.MarshalIndent(r.manifest(ended), "", "  ")
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	path := filepath.Join(r.dir, manifestName)
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o644); err != nil {
		return errors.Join(errors.New("write manifest"), err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return errors.Join(errors.New("write manifest"), err)
	}
	return nil
}

// fileName makes a participant's name fit for a file's: letters and digits of
// any script, at most 40.
func fileName(name string) string {
	var b strings.Builder
	n := 0
	for _, c := range name {
		if n++; n > 40 {
			break
		}
		if unicode.IsLetter(c) || unicode.IsDigit(c) {
			b.WriteRune(c)
		} else if s := b.String(); s != "" && !strings.HasSuffix(s, "-") {
			b.WriteByte('-')
		}
	}
	if s := strings.Trim(b.String(), "-"); s != "" {
		return s
	}
	return "unnamed"
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

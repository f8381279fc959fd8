package client

import (
	"fmt"
	"os"
	"time"

	"causeway/client/internal/webm"
	"causeway/internal/media/opus"
)

// silences are pieces of silence, longest first: CELT packets that code no
// band, so that only their configuration differs (RFC 6716 table 2).
var silences = []struct {
	duration time.Duration
	packet   []byte
}{
	{20 * time.Millisecond, []byte{0xF8, 0xFF, 0xFE}},
	{10 * time.Millisecond, []byte{0xF0, 0xFF, 0xFE}},
	{5 * time.Millisecond, []byte{0xE8, 0xFF, 0xFE}},
	{2500 * time.Microsecond, []byte{0xE0, 0xFF, 0xFE}},
}

const (
	usualSound = 20 * time.Millisecond // of a packet
	// Sound that is up to this much off its place is put where the sound
	// before it ended: clocks of the network are no finer, and decoders
	// hear every gap.
	tolerance = 15 * time.Millisecond
	// maxFill bounds the silence written at once, against clocks gone mad.
	maxFill = 24 * time.Hour
)

// A take is one file of a recording.
type take struct {
	Recording
	file *os.File
	webm *webm.Writer
	next time.Duration // where the sound so far ends, or after the last picture
}

// newTake begins the file of a source with its first frame; nil if that is
// not enough to begin with.
func newTake(path string, info Recording, first Frame) (*take, error) {
	track := webm.Track{Name: info.Name + " " + string(info.Source), Width: first.Width, Height: first.Height}
	switch first.Codec {
	case Opus:
		track.Codec, track.Private = webm.Opus, webm.OpusHead(2)
		track.SampleRate, track.Channels, track.Frame = opus.ClockRate, 2, usualSound
	case VP8:
		track.Codec = webm.VP8
	case H264:
		sps, pps := parameterSets(first.Data)
		if len(sps) < 4 || len(pps) == 0 {
			return nil, nil
		}
		track.Codec, track.Private = webm.H264, makeAVCC(sps, pps)
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("open recording: %w", err)
	}
	w, err := webm.NewWriter(file, []webm.Track{track})
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("open recording: %w", err)
	}
	return &take{Recording: info, file: file, webm: w}, nil
}

// write adds a frame that was captured at a time of the file.
func (t *take) write(f Frame, at time.Duration) error {
	t.Lost += f.Lost
	if at < 0 {
		return nil // before the file's beginning was known
	}
	stamp, err := t.place(f, at)
	if err != nil || stamp < 0 {
		return err
	}
	data := f.Data
	if f.Codec == H264 {
		data = lengthPrefixed(data)
	}
	if t.Frames == 0 {
		t.FirstMS = milliseconds(at)
	}
	if err := t.webm.Write(0, stamp, f.Key, data); err != nil {
		return err
	}
	t.LastMS = milliseconds(at)
	t.Frames++
	return nil
}

// place decides where in the file a frame goes; negative: nowhere.
func (t *take) place(f Frame, at time.Duration) (time.Duration, error) {
	if f.Codec != Opus {
		if t.Frames == 0 {
			at = 0 // shown from the beginning
		}
		at = max(at, t.next)
		t.next = at + time.Millisecond
		return at, nil
	}
	if at < t.next-tolerance {
		return -1, nil // sound that overlaps what is there
	}
	if at > t.next+maxFill {
		return -1, fmt.Errorf("a gap of %v in the sound", at-t.next)
	}
	if at > t.next+tolerance || t.Frames == 0 {
		if err := t.fill(at); err != nil {
			return -1, err
		}
		at = max(at, t.next)
	} else {
		at = t.next
	}
	t.next = at + opusDuration(f.Data)
	return at, nil
}

// fill writes silence up to at, as near as pieces of silence come.
func (t *take) fill(at time.Duration) error {
	before := t.next
	for _, s := range silences {
		for at-t.next >= s.duration {
			if err := t.webm.Write(0, t.next, true, s.packet); err != nil {
				return err
			}
			t.next += s.duration
		}
	}
	t.FilledMS += milliseconds(t.next - before)
	return nil
}

// opusDuration is how long a packet sounds, usualSound for what is not a packet.
func opusDuration(packet []byte) time.Duration {
	if p, ok := opus.Parse(packet); ok {
		return p.Duration()
	}
	return usualSound
}

func (t *take) close() error {
	err := t.webm.Close()
	if e := t.file.Close(); err == nil && e != nil {
		err = fmt.Errorf("close recording: %w", e)
	}
	return err
}

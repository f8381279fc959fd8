package client

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"causeway/client/internal/webm"
	"causeway/protocol"
)

// OpenFile opens a WebM or Matroska file as a feed: its first picture track
// (VP8 or H.264) as camera, its first sound track (Opus) as microphone. With
// loop it begins anew at its end, its times going on. Errors are the problem
// source_unreadable.
//
// Loudness cannot be had without decoding, so it is estimated from how large
// a packet is against the file's average: Opus spends bits where there is
// sound, and next to none on silence. That is good enough to be heard among
// the loudest.
func OpenFile(path string, loop bool) (Feed, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, protocol.Wrap(protocol.ProblemSourceUnreadable, err)
	}
	feed, err := newFileFeed(f, loop)
	if err != nil {
		f.Close()
		return nil, protocol.Wrap(protocol.ProblemSourceUnreadable, fmt.Errorf("%s: %w", path, err))
	}
	return feed, nil
}

const (
	lookAhead = 256 // blocks read while looking for a track's next one
	snap      = 10 * time.Millisecond
)

// A fileFeed reads tracks that may be interleaved coarsely and hands their
// blocks out in order of time. Blocks of one track keep their order: it is
// the order of decoding.
type fileFeed struct {
	file   io.ReadSeekCloser
	loop   bool
	reader *webm.Reader
	tracks []Track
	states []*fileTrack // as tracks
	ended  bool         // the reader is at its end

	zero  time.Duration // added to times in the file, so that none is negative
	round time.Duration // added to times of this round of the loop
	end   time.Duration // of this round
	any   bool          // this round had a block

	// levels, if known, are used in place of estimates: one per block of sound.
	levels []uint8
	// exact, if not 0, is how long a round lasts; what goes beyond is cut.
	exact time.Duration
}

type fileTrack struct {
	number   uint64
	decoder  avcc          // H.264 only
	grid     time.Duration // where the next piece of sound is due
	started  bool
	due      time.Duration // latest time so far: pictures may be stamped out of order
	count    int           // pieces of sound in this round
	sizes    float64       // running mean of packet sizes
	interval time.Duration // between the last two blocks
	queue    []queued
}

type queued struct {
	sample Sample
	due    time.Duration
}

func newFileFeed(f io.ReadSeekCloser, loop bool) (*fileFeed, error) {
	r, err := webm.NewReader(f)
	if err != nil {
		return nil, err
	}
	feed := &fileFeed{file: f, loop: loop, reader: r}
	sound, picture := false, false
	for _, t := range r.Tracks() {
		var codec Codec
		switch t.Codec {
		case webm.Opus:
			codec = Opus
		case webm.VP8:
			codec = VP8
		case webm.H264:
			codec = H264
		default:
			continue
		}
		if t.Video() && picture || !t.Video() && sound {
			continue
		}
		if err := feed.add(t, codec, ""); err != nil {
			return nil, err
		}
		sound, picture = sound || !t.Video(), picture || t.Video()
	}
	if len(feed.tracks) == 0 {
		return nil, errors.New("it has no VP8, H.264 or Opus track")
	}
	return feed, nil
}

func (f *fileFeed) add(t webm.Track, codec Codec, layer string) error {
	s := &fileTrack{number: t.Number}
	track := Track{Source: protocol.Mic, Codec: codec}
	if t.Video() {
		track = Track{Source: protocol.Camera, Codec: codec, Layer: layer, Width: t.Width, Height: t.Height}
	}
	if codec == H264 {
		var err error
		if s.decoder, err = parseAVCC(t.Private); err != nil {
			return err
		}
	}
	f.zero = max(f.zero, t.Delay)
	f.tracks = append(f.tracks, track)
	f.states = append(f.states, s)
	return nil
}

// Tracks implements Feed.
func (f *fileFeed) Tracks() []Track { return f.tracks }

// Close implements Feed.
func (f *fileFeed) Close() error { return f.file.Close() }

// Next implements Feed.
func (f *fileFeed) Next() (Sample, error) {
	for {
		if err := f.readAhead(); err != nil {
			return Sample{}, err
		}
		var best *fileTrack
		for _, t := range f.states {
			if len(t.queue) > 0 && (best == nil || t.queue[0].due < best.queue[0].due) {
				best = t
			}
		}
		if best != nil {
			s := best.queue[0].sample
			best.queue = best.queue[1:]
			return s, nil
		}
		if err := f.rewind(); err != nil {
			return Sample{}, err
		}
	}
}

// readAhead reads until each track has a block waiting, or enough have been
// read to give up on it.
func (f *fileFeed) readAhead() error {
	for !f.ended {
		waiting, lacking := 0, false
		for _, t := range f.states {
			waiting += len(t.queue)
			lacking = lacking || len(t.queue) == 0
		}
		if !lacking || waiting >= lookAhead {
			return nil
		}
		b, err := f.reader.Next()
		if errors.Is(err, io.EOF) {
			f.ended = true
			return nil
		}
		if err != nil {
			return protocol.Wrap(protocol.ProblemSourceUnreadable, err)
		}
		f.take(b)
	}
	return nil
}

// rewind begins the next round, if there is one.
func (f *fileFeed) rewind() error {
	if !f.loop || !f.any {
		return io.EOF
	}
	if _, err := f.file.Seek(0, io.SeekStart); err != nil {
		return protocol.Wrap(protocol.ProblemSourceUnreadable, err)
	}
	r, err := webm.NewReader(f.file)
	if err != nil {
		return protocol.Wrap(protocol.ProblemSourceUnreadable, err)
	}
	f.reader, f.ended, f.any = r, false, false
	if f.exact > 0 {
		f.end = f.round + f.exact
	}
	f.round = f.end
	for _, t := range f.states {
		t.started, t.count = false, 0
	}
	return nil
}

// take queues one block.
func (f *fileFeed) take(b webm.Block) {
	for i, t := range f.states {
		if t.number != b.Track || len(b.Data) == 0 {
			continue
		}
		s := Sample{Track: i, At: b.At + f.zero, Key: b.Key, Data: b.Data}
		var duration time.Duration
		switch f.tracks[i].Codec {
		case Opus:
			duration = opusDuration(b.Data)
			s.At = t.onGrid(s.At, duration)
			s.Level = f.level(t, b.Data)
			t.count++
		case H264:
			s.Data = t.decoder.annexB(b.Data, b.Key)
			duration = t.spacing(s.At + f.round)
		case VP8:
			duration = t.spacing(s.At + f.round)
		}
		if f.exact > 0 && s.At >= f.exact {
			return
		}
		s.At += f.round
		t.due = max(t.due, s.At)
		t.queue = append(t.queue, queued{s, t.due})
		f.end, f.any = max(f.end, s.At+duration), true
		return
	}
}

// onGrid undoes the rounding of times in files to milliseconds: sound follows
// on sound without gap or overlap, or decoders hear one.
func (t *fileTrack) onGrid(at, duration time.Duration) time.Duration {
	if t.started && (at-t.grid).Abs() < snap {
		at = t.grid
	}
	t.started = true
	t.grid = at + duration
	return at
}

// spacing estimates how long a picture is shown from the one before.
func (t *fileTrack) spacing(at time.Duration) time.Duration {
	if d := at - t.due; d > 0 && d < time.Second {
		t.interval = d
	}
	return t.interval
}

func (f *fileFeed) level(t *fileTrack, packet []byte) uint8 {
	if len(f.levels) > 0 {
		return f.levels[min(t.count, len(f.levels)-1)]
	}
	size := float64(len(packet))
	if size <= 3 { // discontinuous transmission or a code for silence
		return 127
	}
	if t.sizes == 0 {
		t.sizes = size
	}
	t.sizes += (size - t.sizes) / 64
	return uint8(min(max(60-20*size/t.sizes, 10), 70))
}

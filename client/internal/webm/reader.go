package webm

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// A Reader reads a file's blocks in the order in which they stand.
type Reader struct {
	r       *bufio.Reader
	tracks  []Track
	scale   uint64 // nanoseconds per tick
	cluster uint64 // ticks
	queue   []Block
}

// NewReader reads up to the list of tracks.
func NewReader(r io.Reader) (*Reader, error) {
	d := &Reader{r: bufio.NewReaderSize(r, 64<<10), scale: 1_000_000}
	id, size, err := readHeader(d.r)
	if err != nil || id != idEBML || size > maxHeader {
		return nil, fmt.Errorf("read header: %w", ErrNotWebM)
	}
	if err := d.skip(size); err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	for d.tracks == nil {
		id, size, err := readHeader(d.r)
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: no tracks", ErrNotWebM)
		}
		if err == nil {
			err = d.element(id, size)
		}
		if err != nil {
			return nil, fmt.Errorf("read header: %w", err)
		}
	}
	return d, nil
}

// Tracks lists the tracks of the file.
func (d *Reader) Tracks() []Track { return d.tracks }

// Next returns the next block, io.EOF after the last. A file that breaks off
// in the middle, as after a crash of its writer, ends there.
func (d *Reader) Next() (Block, error) {
	for len(d.queue) == 0 {
		id, size, err := readHeader(d.r)
		if err == nil {
			err = d.element(id, size)
		}
		if errors.Is(err, errTruncated) || errors.Is(err, io.EOF) {
			return Block{}, io.EOF
		}
		if err != nil {
			return Block{}, fmt.Errorf("read block: %w", err)
		}
	}
	b := d.queue[0]
	d.queue = d.queue[1:]
	return b, nil
}

// element takes one element. Segment and Cluster are stepped into: their
// ends need not be known, because what follows says itself what it is.
func (d *Reader) element(id uint32, size uint64) error {
	switch id {
	case idSegment, idCluster:
		return nil
	case idTimecode:
		body, err := d.body(size, 8)
		d.cluster = asUint(body)
		return err
	case idInfo:
		body, err := d.body(size, maxHeader)
		if err != nil {
			return err
		}
		return d.info(body)
	case idTracks:
		body, err := d.body(size, maxHeader)
		if err != nil {
			return err
		}
		return d.trackList(body)
	case idSimpleBlock:
		body, err := d.body(size, maxBlock)
		if err != nil {
			return err
		}
		return d.block(body, len(body) > 3 && body[3]&0x80 != 0)
	case idBlockGroup:
		body, err := d.body(size, maxBlock)
		if err != nil {
			return err
		}
		return d.group(body)
	}
	if size == unknownSize {
		return fmt.Errorf("element %X has no size", id)
	}
	return d.skip(size)
}

// body reads an element's content. It grows with what is there: a size that
// lies costs nothing.
func (d *Reader) body(size, limit uint64) ([]byte, error) {
	if size > limit {
		return nil, fmt.Errorf("element of %d bytes: more than %d", size, limit)
	}
	if size <= 64<<10 {
		b := make([]byte, size)
		if _, err := io.ReadFull(d.r, b); err != nil {
			return nil, errTruncated
		}
		return b, nil
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, d.r, int64(size)); err != nil {
		return nil, errTruncated
	}
	return b.Bytes(), nil
}

func (d *Reader) skip(size uint64) error {
	if size >= 1<<62 {
		return fmt.Errorf("element of %d bytes", size)
	}
	if _, err := io.CopyN(io.Discard, d.r, int64(size)); err != nil {
		return errTruncated
	}
	return nil
}

func (d *Reader) info(body []byte) error {
	return children(body, func(id uint32, v []byte) error {
		if id == idTimecodeScale {
			d.scale = asUint(v)
			if d.scale == 0 || d.scale > uint64(time.Second) {
				return fmt.Errorf("time scale of %d ns", d.scale)
			}
		}
		return nil
	})
}

func (d *Reader) trackList(body []byte) error {
	tracks := []Track{}
	err := children(body, func(id uint32, v []byte) error {
		if id != idTrackEntry {
			return nil
		}
		if len(tracks) == maxTracks {
			return fmt.Errorf("more than %d tracks", maxTracks)
		}
		t, err := trackEntry(v)
		tracks = append(tracks, t)
		return err
	})
	if err != nil {
		return fmt.Errorf("track %d: %w", len(tracks), err)
	}
	if len(tracks) == 0 {
		return fmt.Errorf("%w: no tracks", ErrNotWebM)
	}
	d.tracks = tracks
	return nil
}

func trackEntry(body []byte) (Track, error) {
	t := Track{SampleRate: 8000, Channels: 1} // defaults of RFC 9559 §5.1.4.1.29
	err := children(body, func(id uint32, v []byte) error {
		switch id {
		case idTrackNumber:
			t.Number = asUint(v)
		case idName:
			t.Name = asString(v)
		case idCodecID:
			t.Codec = asString(v)
		case idCodecPrivate:
			t.Private = bytes.Clone(v)
		case idCodecDelay:
			t.Delay = boundedDuration(asUint(v))
		case idDefaultDuration:
			t.Frame = boundedDuration(asUint(v))
		case idEncodings:
			return errors.New("the track is compressed or encrypted inside the file")
		case idVideo, idAudio:
			return t.format(v)
		}
		return nil
	})
	if t.Video() {
		t.SampleRate, t.Channels = 0, 0
	}
	return t, err
}

func (t *Track) format(body []byte) error {
	return children(body, func(id uint32, v []byte) error {
		switch id {
		case idPixelWidth:
			t.Width = int(min(asUint(v), 1<<16))
		case idPixelHeight:
			t.Height = int(min(asUint(v), 1<<16))
		case idSampling:
			t.SampleRate = asFloat(v)
		case idChannels:
			t.Channels = int(min(asUint(v), 255))
		}
		return nil
	})
}

// boundedDuration keeps times within what can be added up without overflow.
func boundedDuration(ns uint64) time.Duration {
	return time.Duration(min(ns, uint64(10*time.Second)))
}

func (d *Reader) group(body []byte) error {
	var block []byte
	key := true
	err := children(body, func(id uint32, v []byte) error {
		switch id {
		case idBlock:
			block = v
		case idReferenceBlock:
			key = false
		}
		return nil
	})
	if err != nil || block == nil {
		return err
	}
	return d.block(block, key)
}

func (d *Reader) track(number uint64) (Track, bool) {
	for _, t := range d.tracks {
		if t.Number == number {
			return t, true
		}
	}
	return Track{}, false
}

// block queues the frames of one block (RFC 9559 §10.2).
func (d *Reader) block(b []byte, key bool) error {
	n, number := vint(b)
	if n == 0 || len(b) < n+3 {
		return errTruncated
	}
	t, ok := d.track(number)
	if !ok {
		return nil
	}
	ticks := int64(min(d.cluster, 1<<50)) + int64(int16(uint16(b[n])<<8|uint16(b[n+1])))
	if ticks > (1<<62)/int64(d.scale) {
		return fmt.Errorf("block at tick %d: too late", ticks)
	}
	at := time.Duration(ticks*int64(d.scale)) - t.Delay
	frames, err := unlace(b[n+2], b[n+3:])
	for i, f := range frames {
		// Where each laced frame begins is known from the track only.
		d.queue = append(d.queue, Block{t.Number, at + time.Duration(i)*t.Frame, key, f})
	}
	return err
}

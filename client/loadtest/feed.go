package loadtest

import (
	"encoding/binary"
	"io"
	"sync"
	"time"

	"causeway/client"
	"causeway/protocol"
)

const (
	soundEvery = 20 * time.Millisecond
	keyEvery   = time.Second // who comes late waits for a picture no longer
	// stampAt is where a sample carries when it was made: behind the longest
	// header that is looked at (VP8's of a key frame, RFC 6386 §9.1).
	stampAt  = 10
	stampEnd = stampAt + 8

	opusTOC   = 0x78 // CELT, 20 ms, mono, one frame (RFC 6716 §3.1)
	loudSound = 20   // dB below full scale
)

// clock is what stamps count from: one for all participants of a process.
type clock time.Time

func (c clock) now() time.Duration { return time.Since(time.Time(c)) }

// stamp writes the present into a sample.
func (c clock) stamp(sample []byte) {
	binary.BigEndian.PutUint64(sample[stampAt:], uint64(c.now()))
}

// age is how long ago a sample was stamped; false: it was not.
func (c clock) age(sample []byte) (time.Duration, bool) {
	if len(sample) < stampEnd {
		return 0, false
	}
	return c.now() - time.Duration(binary.BigEndian.Uint64(sample[stampAt:])), true
}

// feed is a live source of made-up sound and pictures. Samples are made when
// they are due, so that their stamps are true.
type feed struct {
	clock  clock
	start  time.Time
	tracks []client.Track
	made   []generator // by track
	closed chan struct{}
	once   sync.Once
}

// generator makes the samples of one track.
type generator struct {
	every    time.Duration
	next     time.Duration // when the next is due, on the feed's clock
	size     int
	keyEvery int // samples; 0 is sound
	count    int
	width    int
	height   int
}

// newFeed makes the feed of a participant, nil if it publishes nothing.
func newFeed(c Config, p part, k clock) client.Feed {
	f := &feed{clock: k, closed: make(chan struct{})}
	if p.sound {
		f.tracks = append(f.tracks, client.Track{Source: protocol.Mic, Codec: client.Opus})
		f.made = append(f.made, generator{every: soundEvery, size: c.Sound})
	}
	if p.picture {
		layers := []struct {
			name  string
			scale int
		}{{"", 1}}
		if c.Simulcast {
			layers = layers[:0]
			for i, name := range []string{"q", "h", "f"} {
				layers = append(layers, struct {
					name  string
					scale int
				}{name, 4 >> i})
			}
		}
		for _, l := range layers {
			height := c.Height / l.scale
			width := height * 16 / 9
			f.tracks = append(f.tracks, client.Track{Source: protocol.Camera, Codec: client.VP8, Layer: l.name, Width: width, Height: height})
			f.made = append(f.made, generator{
				every: time.Second / time.Duration(c.FPS), keyEvery: int(keyEvery * time.Duration(c.FPS) / time.Second),
				size: max(stampEnd, c.KBPS*1000/8/c.FPS/(l.scale*l.scale)), width: width, height: height,
			})
		}
	}
	if len(f.tracks) == 0 {
		return nil
	}
	return f
}

// Tracks implements client.Feed.
func (f *feed) Tracks() []client.Track { return f.tracks }

// Next implements client.Feed: it waits until the next sample is due.
func (f *feed) Next() (client.Sample, error) {
	if f.start.IsZero() {
		f.start = time.Now()
	}
	track := 0
	for i := range f.made {
		if f.made[i].next < f.made[track].next {
			track = i
		}
	}
	g := &f.made[track]
	at := g.next
	timer := time.NewTimer(time.Until(f.start.Add(at)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.closed:
	}
	select {
	case <-f.closed: // whether or not a sample was due as well
		return client.Sample{}, io.EOF
	default:
	}
	g.next += g.every
	s := g.make()
	s.Track, s.At = track, at
	f.clock.stamp(s.Data)
	return s, nil
}

// make makes a sample without its stamp.
func (g *generator) make() client.Sample {
	s := client.Sample{Key: g.keyEvery == 0, Data: make([]byte, g.size)}
	if g.keyEvery == 0 {
		s.Level, s.Data[0] = loudSound, opusTOC
		return s
	}
	s.Key = g.count%g.keyEvery == 0
	g.count++
	if !s.Key {
		s.Data[0] = 1
		return s
	}
	copy(s.Data[3:], []byte{0x9D, 0x01, 0x2A})
	binary.LittleEndian.PutUint16(s.Data[6:], uint16(g.width))
	binary.LittleEndian.PutUint16(s.Data[8:], uint16(g.height))
	return s
}

// Close implements client.Feed.
func (f *feed) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

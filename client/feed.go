package client

import (
	"time"

	"causeway/protocol"
)

// Codec names how sound or a picture is encoded.
type Codec string

// The codecs.
const (
	Opus Codec = "opus"
	VP8  Codec = "vp8"
	H264 Codec = "h264" // frames are in Annex B form, parameter sets included
)

// A Feed is what a participant publishes: encoded sound and pictures. See
// [TestCard] and [OpenFile]; a program may bring its own.
type Feed interface {
	// Tracks lists what the feed holds; it never changes. Tracks of the
	// same source are simulcast layers of one picture, which need different
	// Layer names.
	Tracks() []Track
	// Next returns the next sample, io.EOF after the last. Samples come in
	// order of sending. One goroutine calls it, shortly before the sample
	// is due; it may block until a live source has one.
	Next() (Sample, error)
	// Close frees what the feed holds; Next is not called any more.
	Close() error
}

// A Track is one encoding of one source.
type Track struct {
	Source protocol.Source
	Codec  Codec
	Layer  string // simulcast layer: "q", "h" or "f"; "" if there is only one
	Width  int    // pixels, pictures only
	Height int
}

// A Sample is one encoded picture or piece of sound.
type Sample struct {
	Track int           // index into Feed.Tracks
	At    time.Duration // when it was captured, on a clock common to the feed's tracks
	Key   bool          // picture that needs no other
	// Level is the loudness of a piece of sound in dB below full scale, 0
	// loudest, 127 silence (RFC 6464).
	Level uint8
	Data  []byte
}

package peer

import (
	"encoding/binary"
	"errors"
	"io"
)

const (
	frameHeader = 2 // the length, RFC 4571 section 2
	// smallBuffer holds one frame of the greatest length: all that a stream
	// may make us keep before it is authenticated.
	smallBuffer = frameHeader + maxDatagram
	largeBuffer = 16 << 10
)

var errFrame = errors.New("peer: frame longer than a packet may be")

// frames takes the frames of RFC 4571 out of a stream: each packet behind its
// length in two bytes. It reads no further than its buffer reaches, so that a
// remote cannot make us keep more.
type frames struct {
	buf        []byte
	start, end int // what was read and not taken
}

// fill makes room and reads once.
func (f *frames) fill(r io.Reader) error {
	f.end = copy(f.buf, f.buf[f.start:f.end])
	f.start = 0
	n, err := r.Read(f.buf[f.end:])
	f.end += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// next takes the next whole frame, which is valid until the next fill; nil if
// there is none yet. Empty frames are legal and mean nothing.
func (f *frames) next() ([]byte, error) {
	for f.end-f.start >= frameHeader {
		n := int(binary.BigEndian.Uint16(f.buf[f.start:]))
		if n > maxDatagram {
			return nil, errFrame
		}
		from := f.start + frameHeader
		if f.end-from < n {
			return nil, nil
		}
		f.start = from + n
		if n > 0 {
			return f.buf[from : from+n : from+n], nil
		}
	}
	return nil, nil
}

// grow replaces the buffer by a larger one.
func (f *frames) grow(size int) {
	if size > len(f.buf) {
		larger := make([]byte, size)
		f.end = copy(larger, f.buf[f.start:f.end])
		f.buf, f.start = larger, 0
	}
}

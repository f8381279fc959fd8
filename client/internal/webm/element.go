package webm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
)

var errTruncated = errors.New("element is cut off")

// vint splits a variable-size integer (RFC 8794 §4) off b: its length in
// bytes and its value with the length marker taken away. Length 0: b is too
// short or no such integer.
func vint(b []byte) (n int, v uint64) {
	if len(b) == 0 || b[0] == 0 {
		return 0, 0
	}
	n = bits.LeadingZeros8(b[0]) + 1
	if len(b) < n {
		return 0, 0
	}
	v = uint64(b[0]) & (0xFF >> n)
	for _, c := range b[1:n] {
		v = v<<8 | uint64(c)
	}
	if v == 1<<(7*n)-1 { // all ones: unknown
		v = unknownSize
	}
	return n, v
}

// elementID splits an element id off b, marker kept. Ids have at most 4 bytes.
func elementID(b []byte) (n int, id uint32) {
	if len(b) == 0 || b[0] < 0x10 {
		return 0, 0
	}
	n = bits.LeadingZeros8(b[0]) + 1
	if len(b) < n {
		return 0, 0
	}
	for _, c := range b[:n] {
		id = id<<8 | uint32(c)
	}
	return n, id
}

// children calls f for each element in a master element's body.
func children(body []byte, f func(id uint32, body []byte) error) error {
	for len(body) > 0 {
		n, id := elementID(body)
		if n == 0 {
			return errTruncated
		}
		m, size := vint(body[n:])
		if m == 0 || size > uint64(len(body)-n-m) {
			return fmt.Errorf("element %X: %w", id, errTruncated)
		}
		body = body[n+m:]
		if err := f(id, body[:size]); err != nil {
			return err
		}
		body = body[size:]
	}
	return nil
}

func asUint(b []byte) uint64 {
	var v uint64
	for _, c := range b[:min(len(b), 8)] {
		v = v<<8 | uint64(c)
	}
	return v
}

func asFloat(b []byte) float64 {
	switch len(b) {
	case 4:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b)))
	case 8:
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	}
	return 0
}

func asString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// appendID writes an element id.
func appendID(b []byte, id uint32) []byte {
	for shift := 24; shift >= 0; shift -= 8 {
		if id>>shift != 0 {
			b = append(b, byte(id>>shift))
		}
	}
	return b
}

// appendSize writes a size in as few bytes as hold it.
func appendSize(b []byte, size int) []byte {
	n := 1
	for size >= 1<<(7*n)-1 { // all ones is reserved
		n++
	}
	return appendSizeN(b, uint64(size), n)
}

// appendSizeN writes a size in n bytes.
func appendSizeN(b []byte, size uint64, n int) []byte {
	size |= 1 << (7 * n)
	for n--; n >= 0; n-- {
		b = append(b, byte(size>>(8*n)))
	}
	return b
}

func appendElement(b []byte, id uint32, body []byte) []byte {
	b = appendSize(appendID(b, id), len(body))
	return append(b, body...)
}

func appendUint(b []byte, id uint32, v uint64) []byte {
	n := max(1, (bits.Len64(v)+7)/8)
	b = append(appendID(b, id), 0x80|byte(n))
	for n--; n >= 0; n-- {
		b = append(b, byte(v>>(8*n)))
	}
	return b
}

func appendFloat(b []byte, id uint32, v float64) []byte {
	b = append(appendID(b, id), 0x88)
	return binary.BigEndian.AppendUint64(b, math.Float64bits(v))
}

func appendString(b []byte, id uint32, s string) []byte {
	return appendElement(b, id, []byte(s))
}

// readHeader reads an element's id and size from a stream. io.EOF means that
// the stream ends before it, as files do.
func readHeader(r io.ByteReader) (id uint32, size uint64, err error) {
	var b [8]byte
	if b[0], err = r.ReadByte(); err != nil {
		return 0, 0, err
	}
	if b[0] < 0x10 {
		return 0, 0, fmt.Errorf("%w: no element begins with %#x", ErrNotWebM, b[0])
	}
	n := bits.LeadingZeros8(b[0]) + 1
	if err := fill(r, b[1:n]); err != nil {
		return 0, 0, err
	}
	_, id = elementID(b[:n])
	if b[0], err = r.ReadByte(); err != nil {
		return 0, 0, errTruncated
	}
	if b[0] == 0 {
		return 0, 0, fmt.Errorf("element %X: size of more than 8 bytes", id)
	}
	n = bits.LeadingZeros8(b[0]) + 1
	if err := fill(r, b[1:n]); err != nil {
		return 0, 0, err
	}
	_, size = vint(b[:n])
	return id, size, nil
}

func fill(r io.ByteReader, b []byte) (err error) {
	for i := range b {
		if b[i], err = r.ReadByte(); err != nil {
			return errTruncated
		}
	}
	return nil
}

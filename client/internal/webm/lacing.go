package webm

import "errors"

var errLacing = errors.New("laced block is malformed")

// unlace splits a block's payload into its frames (RFC 9559 §10.3).
func unlace(flags byte, b []byte) ([][]byte, error) {
	lacing := flags >> 1 & 3
	if lacing == 0 {
		return [][]byte{b}, nil
	}
	if len(b) == 0 {
		return nil, errLacing
	}
	count := int(b[0]) + 1
	b = b[1:]
	var sizes []int
	switch lacing {
	case 1:
		sizes, b = xiphSizes(b, count-1)
	case 2:
		if len(b)%count != 0 {
			return nil, errLacing
		}
		for range count - 1 {
			sizes = append(sizes, len(b)/count)
		}
	case 3:
		sizes, b = ebmlSizes(b, count-1)
	}
	if len(sizes) != count-1 {
		return nil, errLacing
	}
	frames := make([][]byte, 0, count)
	for _, n := range sizes {
		if n < 0 || n > len(b) {
			return nil, errLacing
		}
		frames = append(frames, b[:n:n])
		b = b[n:]
	}
	return append(frames, b), nil
}

// xiphSizes reads n sizes as runs of 255 and a rest.
func xiphSizes(b []byte, n int) ([]int, []byte) {
	sizes := make([]int, 0, n)
	for range n {
		size := 0
		for {
			if len(b) == 0 {
				return nil, nil
			}
			c := b[0]
			b = b[1:]
			size += int(c)
			if c < 255 {
				break
			}
		}
		sizes = append(sizes, size)
	}
	return sizes, b
}

// ebmlSizes reads a size and n-1 signed differences.
func ebmlSizes(b []byte, n int) ([]int, []byte) {
	sizes := make([]int, 0, n)
	size := 0
	for i := range n {
		l, v := vint(b)
		if l == 0 || v > maxBlock {
			return nil, nil
		}
		if i == 0 {
			size = int(v)
		} else {
			size += int(v) - (1<<(7*l-1) - 1) // RFC 9559 §10.3.3: the bias makes it signed
		}
		sizes = append(sizes, size)
		b = b[l:]
	}
	return sizes, b
}

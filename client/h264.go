package client

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// avcc converts H.264 as it stands in Matroska, NAL units behind lengths
// (ISO/IEC 14496-15 §5.2.4), to Annex B.
type avcc struct {
	lengthSize int
	parameters []byte // SPS and PPS in Annex B form
}

var startCode = []byte{0, 0, 0, 1}

var errAVCC = errors.New("its H.264 header (avcC) is malformed")

func parseAVCC(b []byte) (avcc, error) {
	if len(b) < 7 || b[0] != 1 {
		return avcc{}, errAVCC
	}
	a := avcc{lengthSize: int(b[4]&3) + 1}
	if a.lengthSize == 3 {
		return avcc{}, errAVCC
	}
	count, rest := int(b[5]&0x1F), b[6:]
	for set := range 2 {
		if set == 1 {
			if len(rest) < 1 {
				return avcc{}, errAVCC
			}
			count, rest = int(rest[0]), rest[1:]
		}
		for range count {
			if len(rest) < 2 {
				return avcc{}, errAVCC
			}
			n := int(binary.BigEndian.Uint16(rest))
			rest = rest[2:]
			if n == 0 || n > len(rest) {
				return avcc{}, errAVCC
			}
			a.parameters = append(append(a.parameters, startCode...), rest[:n]...)
			rest = rest[n:]
		}
	}
	return a, nil
}

// annexB converts one frame. Key frames get the parameter sets in front unless
// they bring their own. What cannot be taken apart is left out.
func (a avcc) annexB(b []byte, key bool) []byte {
	var out []byte
	own := false
	for len(b) > a.lengthSize {
		n := 0
		for _, c := range b[:a.lengthSize] {
			n = n<<8 | int(c)
		}
		b = b[a.lengthSize:]
		if n <= 0 || n > len(b) {
			break
		}
		own = own || b[0]&0x1F == nalSPS
		out = append(append(out, startCode...), b[:n]...)
		b = b[n:]
	}
	if key && !own && out != nil {
		out = append(bytes.Clone(a.parameters), out...)
	}
	return out
}

// NAL unit types (H.264 table 7-1).
const (
	nalIDR = 5
	nalSPS = 7
	nalPPS = 8
	nalAUD = 9
)

// nalUnits calls f for each NAL unit of an Annex B stream.
func nalUnits(b []byte, f func(nal []byte)) {
	start := -1
	for i := 0; i+2 < len(b); i++ {
		if b[i] != 0 || b[i+1] != 0 || b[i+2] != 1 {
			continue
		}
		if start >= 0 {
			f(bytes.TrimRight(b[start:i], "\x00"))
		}
		start = i + 3
		i += 2
	}
	if start >= 0 && start < len(b) {
		f(b[start:])
	}
}

// parameterSets finds the first SPS and PPS of a frame.
func parameterSets(annexB []byte) (sps, pps []byte) {
	nalUnits(annexB, func(nal []byte) {
		switch {
		case len(nal) > 0 && nal[0]&0x1F == nalSPS && sps == nil:
			sps = nal
		case len(nal) > 0 && nal[0]&0x1F == nalPPS && pps == nil:
			pps = nal
		}
	})
	return sps, pps
}

// makeAVCC writes the codec header of a Matroska track, with lengths of 4 bytes.
func makeAVCC(sps, pps []byte) []byte {
	b := []byte{1, sps[1], sps[2], sps[3], 0xFF, 0xE1}
	b = binary.BigEndian.AppendUint16(b, uint16(len(sps)))
	b = append(b, sps...)
	b = append(b, 1)
	b = binary.BigEndian.AppendUint16(b, uint16(len(pps)))
	return append(b, pps...)
}

// lengthPrefixed converts a frame from Annex B. Parameter sets stay in it, as
// the picture's size may change; delimiters go.
func lengthPrefixed(annexB []byte) []byte {
	out := make([]byte, 0, len(annexB)+16)
	nalUnits(annexB, func(nal []byte) {
		if len(nal) == 0 || nal[0]&0x1F == nalAUD {
			return
		}
		out = binary.BigEndian.AppendUint32(out, uint32(len(nal)))
		out = append(out, nal...)
	})
	return out
}

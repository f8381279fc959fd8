package seal

import (
	"encoding/binary"
	"errors"
)

const (
	maxIndex      = 1<<48 - 1 // of RTP packets under one key (RFC 3711 section 9.2)
	none          = -1        // index before the first
	rtpHeaderSize = 12

	maxRTCPIndex   = 1<<31 - 1
	encrypted      = 1 << 31 // flag before the index of an RTCP packet
	rtcpHeaderSize = 8       // that is not encrypted
	rtcpIndexSize  = 4       // at the end
	rtcpAADSize    = rtcpHeaderSize + rtcpIndexSize
)

// What is wrong with a packet.
var (
	ErrShort   = errors.New("seal: packet shorter than its header says")
	ErrSpent   = errors.New("seal: too many packets under one key")
	ErrForged  = errors.New("seal: packet not authentic")
	ErrReplay  = errors.New("seal: packet seen before, or too old to tell")
	ErrSources = errors.New("seal: one source too many")
)

// indexOf returns the index of an RTP packet, its sequence number with how often
// they have begun anew: the one next to the highest (RFC 3711 section 3.3.1).
// Before the first beginning there is nothing.
func indexOf(seq uint16, highest int64) int64 {
	if highest == none {
		return int64(seq)
	}
	if i := highest + int64(int16(seq-uint16(highest))); i >= 0 {
		return i
	}
	return int64(seq)
}

// headerSize is the length of an RTP packet's header with its extension, which
// is not encrypted.
func headerSize(packet []byte) (int, bool) {
	if len(packet) < rtpHeaderSize {
		return 0, false
	}
	n := rtpHeaderSize + 4*int(packet[0]&0x0f)
	if packet[0]&0x10 != 0 {
		if len(packet) < n+4 {
			return 0, false
		}
		n += 4 + 4*int(binary.BigEndian.Uint16(packet[n+2:]))
	}
	return n, n <= len(packet)
}

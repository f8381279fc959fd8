// Package opus reads what an Opus packet (RFC 6716 §3) says of itself without
// decoding it: how long it lasts, in which mode, and whether it is the silence
// of discontinuous transmission.
//
// The native client uses it to time what it sends and records. It keeps and
// allocates nothing.
package opus

import "time"

// MaxDuration is the longest that a packet may last (RFC 6716 §3.2.5, R5).
const MaxDuration = 120 * time.Millisecond

// ClockRate is the RTP clock of Opus, whatever the sampling rate (RFC 7587
// §4.1).
const ClockRate = 48000

// Mode is how sound is coded.
type Mode uint8

// The modes (RFC 6716 §3.1, Table 2).
const (
	SILK Mode = iota
	Hybrid
	CELT
)

// Packet is what a packet says of itself.
type Packet struct {
	Mode   Mode
	Stereo bool
	Frames int
	Frame  time.Duration // of each frame
	// DTX: the packet holds no sound, only that there is silence: at most one
	// byte behind the table of contents (RFC 6716 §2.1.9).
	DTX bool
}

// Duration is how long the packet lasts.
func (p Packet) Duration() time.Duration { return time.Duration(p.Frames) * p.Frame }

// Samples is how long the packet lasts in units of the RTP clock.
func (p Packet) Samples() uint32 {
	return uint32(p.Duration() * ClockRate / time.Second)
}

// Parse reads the first bytes of a packet, as it is an RTP payload (RFC 7587
// §4.2). It reports false if the packet is empty, has no frame, or lasts
// longer than any may.
func Parse(packet []byte) (p Packet, ok bool) {
	if len(packet) == 0 {
		return p, false
	}
	//  0 1 2 3 4 5 6 7
	// +-+-+-+-+-+-+-+-+
	// | config  |s| c |
	// +-+-+-+-+-+-+-+-+
	toc := packet[0]
	p.Mode, p.Frame = configuration(toc >> 3)
	p.Stereo = toc&0x04 != 0
	p.DTX = len(packet) <= 2
	switch toc & 0x03 {
	case 0:
		p.Frames = 1
	case 1, 2:
		p.Frames = 2
	case 3: // RFC 6716 §3.2.5: the count is in the next byte
		if len(packet) < 2 {
			return p, false
		}
		p.Frames = int(packet[1] & 0x3f)
	}
	return p, p.Frames > 0 && p.Duration() <= MaxDuration
}

// configuration is RFC 6716 §3.1, Table 2.
func configuration(c byte) (Mode, time.Duration) {
	switch {
	case c < 12:
		return SILK, [4]time.Duration{10, 20, 40, 60}[c%4] * time.Millisecond
	case c < 16:
		return Hybrid, [2]time.Duration{10, 20}[c%2] * time.Millisecond
	}
	return CELT, 2500 * time.Microsecond << (c % 4)
}

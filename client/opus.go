package client

import "time"

// opusClock is the RTP clock of Opus, Hz (RFC 7587 §4.1).
const opusClock = 48000

// videoClock is the RTP clock of pictures, Hz.
const videoClock = 90000

// opusSilence is 20 ms of silence: a CELT packet that codes no band.
var opusSilence = []byte{0xF8, 0xFF, 0xFE}

// opusDuration is how long a packet sounds (RFC 6716 §3.1), 20 ms for what is
// not a packet.
func opusDuration(packet []byte) time.Duration {
	const fallback = 20 * time.Millisecond
	if len(packet) == 0 {
		return fallback
	}
	frame := opusFrame(packet[0] >> 3)
	count := 1
	switch packet[0] & 3 {
	case 1, 2:
		count = 2
	case 3:
		if len(packet) < 2 {
			return fallback
		}
		count = int(packet[1] & 0x3F)
	}
	if d := time.Duration(count) * frame; d > 0 && d <= 120*time.Millisecond {
		return d
	}
	return fallback
}

// opusFrame is the frame duration of a configuration (RFC 6716 table 2).
func opusFrame(config byte) time.Duration {
	switch {
	case config < 12: // SILK
		return []time.Duration{10, 20, 40, 60}[config%4] * time.Millisecond
	case config < 16: // hybrid
		return []time.Duration{10, 20}[config%2] * time.Millisecond
	}
	return 2500 * time.Microsecond << (config % 4) // CELT: 2.5, 5, 10, 20 ms
}

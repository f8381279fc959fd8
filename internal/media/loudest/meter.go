package loudest

import "time"

// How the meter smooths.
const (
	attack  = 15 * time.Millisecond  // time constant upwards
	release = 400 * time.Millisecond // and downwards
	packet  = 20 * time.Millisecond  // time between packets of sound
	least   = packet / 2             // also between those that arrive together
	gap     = 3 * packet             // longer than that was silence
	between = 40 * time.Millisecond  // between two reports
	// noVoice is taken off what its sender holds for noise (RFC 6464 §3, V).
	noVoice = 15
	// threshold is how loud, in dB above the RFC 6464 scale's end of -127
	// dBov, a source must be to count as speaking: -55 dBov.
	threshold = 127 - 55
)

// Meter smooths the level of one source, up fast and down slowly, and says
// when there is something to report to the Selector. It belongs to whoever
// receives the source, so that a packet of sound takes no lock of its meeting:
// a silent source reports once, when it begins, a speaking one 25 times a
// second.
// The zero value is ready.
type Meter struct {
	loud     float64 // dB above -127 dBov
	last     time.Time
	reported time.Time
	speaking bool
	began    bool // something but silence has come
}

// Observe takes the level of one packet, in dB below full scale as RFC 6464
// has it (0 loudest, 127 silence), and whether its sender took it for speech.
// It reports whether Level is to be given to the Selector now.
func (m *Meter) Observe(level uint8, voice bool, now time.Time) (report bool) {
	target := 127 - float64(min(level, 127))
	if !voice {
		target = max(0, target-noVoice)
	}
	step := packet
	if !m.last.IsZero() {
		step = max(least, now.Sub(m.last))
	}
	m.last = now
	if step > gap { // discontinuous transmission: nothing was sent in silence
		m.loud -= m.loud * weight(step-packet, release)
		step = packet
	}
	constant := release
	if target > m.loud {
		constant = attack
	}
	m.loud += (target - m.loud) * weight(step, constant)
	was, first := m.speaking, !m.began && target > 0
	m.began = m.began || first
	m.speaking = m.loud >= threshold
	if !first && m.speaking == was && (!was || now.Sub(m.reported) < between) {
		return false
	}
	m.reported = now
	return true
}

// weight of a step in a first-order low pass.
func weight(step, constant time.Duration) float64 {
	return float64(step) / float64(step+constant)
}

// Level returns the smoothed level in dB below full scale.
func (m *Meter) Level() uint8 { return uint8(127 - m.loud + 0.5) }

// Package seqmap maps between the sequence numbers of the sources that a slot
// has carried and those of the slot's own outgoing stream, in both
// directions: forward to number a packet, backward to find the packet that a
// receiver's NACK (RFC 4585 §6.2.1) means.
//
// The outgoing stream has no gaps of its own: a switch of sources continues
// its numbers, and a packet left out on purpose is not missed. It is kept as
// few ranges of constant distance, after Galene's packetmap. The router's
// rewriter calls it for every packet of a slot; it allocates nothing. Limit:
// the last maxRanges switches and holes; what lies further back is forgotten,
// and NACKs for it are not answered.
package seqmap

import "causeway/internal/media/seqnum"

// maxRanges bounds how many switches and holes are remembered: those of a
// second, where every other picture of 30 a second is left out.
const maxRanges = 32

// A Token names a source; its meaning is the caller's.
type Token uint32

// span is a run of packets: source numbers from src on became outgoing
// numbers from out on, up to the next span's out.
type span struct {
	source Token
	src    uint64 // extended, so that a span may be as long as a meeting
	out    uint64
	// left counts the pictures that were left out since the switch.
	left uint16
}

// Map is the map of one slot. The zero value is ready; call Switch first.
type Map struct {
	started bool
	n       int    // spans in use
	since   int    // first span of the current source
	next    uint64 // next outgoing number, extended
	newest  seqnum.Unwrapper[uint16]
	spans   [maxRanges]span // oldest first
}

// Start sets the first outgoing sequence number; it must be called before the
// first Switch, if at all.
func (m *Map) Start(out uint16) {
	if !m.started {
		m.next = 1<<16 + uint64(out)
	}
}

// Switch makes source the current one. Its packet seq is the next that goes
// out; what it sent before is not mapped.
func (m *Map) Switch(source Token, seq uint16) {
	if !m.started {
		m.started = true
		m.next = max(m.next, 1<<16)
	}
	m.newest.Reset()
	src := m.newest.Peek(seq)
	m.since = m.push(span{source: source, src: src, out: m.next})
}

// push appends a span, forgetting the oldest if there is no room, and returns
// its index. A span that no packet fell in is replaced.
func (m *Map) push(s span) int {
	if m.n > 0 && m.spans[m.n-1].out == s.out {
		m.spans[m.n-1] = s
		return m.n - 1
	}
	if m.n == maxRanges {
		copy(m.spans[:], m.spans[1:])
		m.n--
		m.since = max(0, m.since-1)
	}
	m.spans[m.n] = s
	m.n++
	return m.n - 1
}

// Map returns the outgoing number of the current source's packet seq. It
// reports false for a packet from before the switch, one that was dropped, and
// one too old to know. A number that is ahead leaves room for those between.
func (m *Map) Map(seq uint16) (uint16, bool) {
	if !m.started {
		return 0, false
	}
	src := m.extend(seq)
	for i := m.n - 1; i >= m.since; i-- {
		s := &m.spans[i]
		if src < s.src {
			continue
		}
		out := s.out + src - s.src
		if i+1 < m.n && out >= m.spans[i+1].out {
			return 0, false // dropped
		}
		if out >= m.next {
			m.next = out + 1
			m.newest.Unwrap(seq)
		}
		return uint16(out), true
	}
	return 0, false
}

// extend extends a source number relative to the newest one.
func (m *Map) extend(seq uint16) uint64 {
	if _, ok := m.newest.Highest(); ok {
		return m.newest.Peek(seq)
	}
	// Nothing mapped since the switch: relative to its first packet.
	first := m.spans[m.n-1].src
	return uint64(int64(first) + int64(seqnum.Diff(seq, uint16(first))))
}

// Drop leaves the current source's packet seq out, so that the ones after it
// close up. pictures is how many pictures end with it that are left out
// altogether, see LeftOut. It reports false, and changes nothing, unless seq is
// the one just behind the newest: an outgoing number can no longer be taken back.
func (m *Map) Drop(seq, pictures uint16) bool {
	if !m.started {
		return false
	}
	s := m.spans[m.n-1]
	src := m.extend(seq)
	if s.out+src-s.src != m.next {
		return false
	}
	m.newest.Unwrap(seq)
	m.cut(s, src+1, pictures)
	return true
}

// Skip notes that pictures are left out with the current source's packet seq,
// which was mapped because it was too late to drop it. It does nothing unless
// that is the newest.
func (m *Map) Skip(seq, pictures uint16) {
	s := m.spans[m.n-1]
	if src := m.extend(seq); s.out+src-s.src+1 == m.next {
		m.cut(s, src+1, pictures)
	}
}

// cut begins a span behind s, with source number src.
func (m *Map) cut(s span, src uint64, pictures uint16) {
	i := m.push(span{source: s.source, src: src, out: m.next, left: s.left + pictures})
	m.since = min(m.since, i)
}

// LeftOut returns how many pictures had been left out, from the switch on to
// the packet that went out with a number.
func (m *Map) LeftOut(out uint16) uint16 {
	o, _ := m.Extend(out)
	for i := m.n - 1; i >= 0; i-- {
		if s := &m.spans[i]; o >= s.out {
			return s.left
		}
	}
	return 0
}

// Hole reports whether what followed the packet that went out with a number
// was left out.
func (m *Map) Hole(out uint16) bool {
	o, _ := m.Extend(out)
	for i := m.n - 1; i > 0; i-- {
		before, s := &m.spans[i-1], &m.spans[i]
		if o+1 == s.out {
			return before.source == s.source && s.src > before.src+s.out-before.out
		}
		if o >= s.out {
			return false
		}
	}
	return false
}

// Reverse returns which packet went out with an outgoing number.
func (m *Map) Reverse(out uint16) (source Token, seq uint16, ok bool) {
	o, ok := m.Extend(out)
	if !ok {
		return 0, 0, false
	}
	for i := m.n - 1; i >= 0; i-- {
		if s := &m.spans[i]; o >= s.out {
			return s.source, uint16(s.src + o - s.out), true
		}
	}
	return 0, 0, false
}

// Extend extends a number that went out within the last half cycle to 64
// bits; false if none such did.
func (m *Map) Extend(out uint16) (uint64, bool) {
	if !m.started {
		return 0, false
	}
	last := m.next - 1
	o := uint64(int64(last) + int64(seqnum.Diff(out, uint16(last))))
	return o, o <= last
}

// Next returns the outgoing number that follows the newest, extended.
func (m *Map) Next() uint64 { return m.next }

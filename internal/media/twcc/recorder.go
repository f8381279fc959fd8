package twcc

import (
	"encoding/binary"
	"time"

	"causeway/internal/media/seqnum"
)

const (
	// maxWindow is how far apart the packets may be that are remembered; one
	// further ahead begins anew.
	maxWindow = 1 << 13
	minWindow = 64
	// maxBehind is how late a packet may come to be told of once more.
	maxBehind = 512
	// maxFeedback bounds the chunks and deltas of one feedback packet, so
	// that it fits into a datagram with what is around it.
	maxFeedback = 1000
)

// Recorder remembers when packets came until it has told of them. Make it
// with NewRecorder.
type Recorder struct {
	sender, media uint32
	number        uint8
	epoch         time.Time
	seqs          seqnum.Unwrapper[uint16]
	arrivals      []int64 // µs since epoch plus one, by sequence number; 0 did not come
	base          uint64  // first packet not told of
	end           uint64  // one past the highest that came
}

// NewRecorder makes a recorder whose feedback is from the given sender.
func NewRecorder(sender uint32) *Recorder { return &Recorder{sender: sender} }

// Record notes that a packet came. now must not go backwards.
func (r *Recorder) Record(media uint32, seq uint16, now time.Time) {
	r.media = media
	if r.arrivals == nil {
		r.epoch = now
		r.arrivals = make([]int64, minWindow)
	}
	n := r.seqs.Peek(seq)
	switch {
	case r.end == 0 || n >= r.base+maxWindow || n+maxWindow < r.end:
		r.seqs.Reset()
		n = r.seqs.Unwrap(seq)
		clear(r.arrivals)
		r.base, r.end = n, n
	case n < r.base:
		if n+maxBehind < r.base || n+uint64(len(r.arrivals)) <= r.end {
			return
		}
		r.base = n // what follows is told once more
	}
	for n >= r.base+uint64(len(r.arrivals)) {
		r.grow()
	}
	for ; r.end <= n; r.end++ {
		*r.slot(r.end) = 0
	}
	r.seqs.Unwrap(seq)
	if s := r.slot(n); *s == 0 {
		*s = now.Sub(r.epoch).Microseconds() + 1
	}
}

func (r *Recorder) slot(n uint64) *int64 { return &r.arrivals[n&uint64(len(r.arrivals)-1)] }

// grow doubles the window.
func (r *Recorder) grow() {
	old, mask := r.arrivals, uint64(len(r.arrivals)-1)
	r.arrivals = make([]int64, 2*len(old))
	first := uint64(0)
	if r.end > uint64(len(old)) {
		first = r.end - uint64(len(old))
	}
	for n := first; n < r.end; n++ {
		*r.slot(n) = old[n&mask]
	}
}

// Pending reports whether there is something to tell.
func (r *Recorder) Pending() bool { return r.base < r.end }

// Append appends one feedback packet to dst, and forgets what that tells of.
// It returns dst as it is once there is nothing more; what one packet does
// not hold is in the next.
func (r *Recorder) Append(dst []byte) []byte {
	if !r.Pending() {
		return dst
	}
	at := len(dst)
	first := r.base
	for *r.slot(first) == 0 {
		first++ // the last one came
	}
	reference := (*r.slot(first) - 1) / referenceTick.Microseconds()
	dst = append(dst, 2<<6|format, transportFeedback, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, r.sender)
	dst = binary.BigEndian.AppendUint32(dst, r.media)
	dst = binary.BigEndian.AppendUint16(dst, uint16(r.base))
	dst = append(dst, 0, 0, byte(reference>>16), byte(reference>>8), byte(reference), r.number)
	r.number++
	n := r.fit(reference)
	dst = r.appendChunks(dst, n, reference)
	dst = r.appendDeltas(dst, n, reference)
	binary.BigEndian.PutUint16(dst[at+14:], uint16(n))
	for (len(dst)-at)%4 != 0 {
		dst = append(dst, 0)
	}
	binary.BigEndian.PutUint16(dst[at+2:], uint16((len(dst)-at)/4-1))
	r.base += uint64(n)
	return dst
}

// ticksAt is an arrival in ticks since the epoch.
func ticksAt(arrival int64) int64 { return (arrival - 1) / tick.Microseconds() }

// fit returns how many packets one feedback packet can tell of: as many as
// fit into it, up to a gap in time that a delta cannot express. At least one.
func (r *Recorder) fit(reference int64) int {
	last := reference * int64(referenceTick/tick)
	size, n := 0, 0
	for q := r.base; q < r.end && n < maxStatuses; q++ {
		// Two bits at worst for the symbol; what came has a delta.
		if a := *r.slot(q); a != 0 {
			d := ticksAt(a) - last
			if int64(int16(d)) != d {
				break
			}
			last += d
			size += 2 << 3
		}
		if size += 3; size > maxFeedback<<3 {
			break
		}
		n++
	}
	return n
}

// walk goes through packets as they will be told of.
type walk struct {
	r    *Recorder
	next uint64
	last int64 // ticks
}

func (r *Recorder) walk(reference int64) walk {
	return walk{r: r, next: r.base, last: reference * int64(referenceTick/tick)}
}

// step returns the symbol and the delta of the next packet.
func (w *walk) step() (symbol uint16, delta int64) {
	a := *w.r.slot(w.next)
	w.next++
	if a == 0 {
		return notReceived, 0
	}
	delta = ticksAt(a) - w.last
	w.last += delta
	if delta >= 0 && delta <= 0xff {
		return smallDelta, delta
	}
	return largeDelta, delta
}

// appendChunks appends the status chunks of n packets: a run where one chunk
// tells of more packets so than by single symbols.
func (r *Recorder) appendChunks(dst []byte, n int, reference int64) []byte {
	w := r.walk(reference)
	for n > 0 {
		ahead := w
		first, _ := ahead.step()
		run := 1
		for run < n && run < 0x1fff {
			if s, _ := ahead.step(); s != first {
				break
			}
			run++
		}
		var chunk uint16
		told := 0
		switch {
		case run == n || run >= 14 || run >= 7 && first == largeDelta:
			chunk, told = first<<13|uint16(run), run
			for range run {
				w.step()
			}
		default:
			chunk, told = w.vector(n)
		}
		dst = binary.BigEndian.AppendUint16(dst, chunk)
		n -= told
	}
	return dst
}

// vector makes a chunk of single symbols, of one bit if the next fourteen
// packets need no more, else of two.
func (w *walk) vector(n int) (chunk uint16, told int) {
	ahead, narrow := *w, true
	for range min(n, 14) {
		if s, _ := ahead.step(); s == largeDelta {
			narrow = false
		}
	}
	if narrow {
		chunk, told = 2<<14, min(n, 14)
		for i := range told {
			s, _ := w.step()
			chunk |= s << (13 - i)
		}
		return chunk, told
	}
	chunk, told = 3<<14, min(n, 7)
	for i := range told {
		s, _ := w.step()
		chunk |= s << (12 - 2*i)
	}
	return chunk, told
}

func (r *Recorder) appendDeltas(dst []byte, n int, reference int64) []byte {
	w := r.walk(reference)
	for range n {
		switch s, d := w.step(); s {
		case smallDelta:
			dst = append(dst, byte(d))
		case largeDelta:
			dst = binary.BigEndian.AppendUint16(dst, uint16(d))
		}
	}
	return dst
}

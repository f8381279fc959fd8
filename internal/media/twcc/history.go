package twcc

import (
	"time"
	"unsafe"

	"causeway/internal/media/seqnum"
	"causeway/internal/prefetch"
)

const (
	maxHistory = 1 << 13
	minHistory = 64
	// overtaken is by how much later a packet must have been sent, and have
	// come, for one that did not to count as lost: networks with jitter let
	// packets overtake each other.
	overtaken = 80 * time.Millisecond
)

// Outcome is what became of a packet.
type Outcome struct {
	Sent  time.Time
	Size  int    // bytes, as given to History.Sent
	Probe uint16 // as given to History.Sent
	// Lost: it did not come, though some of those after it did. It may still
	// come, and is then told of once more.
	Lost bool
	// Late: it was told of as lost before.
	Late    bool
	Arrived time.Duration // on the receiver's clock, whose beginning is unknown
}

// fate is what is known of a packet.
type fate uint8

const (
	unknown fate = iota // nothing was sent under the number, or it was forgotten
	inFlight
	missing // so it was told; it may come yet
	lost
	arrived
)

type record struct {
	sent  int64 // µs since the epoch
	size  uint16
	probe uint16
	fate  fate
}

// History numbers the packets that leave on one connection, and remembers
// them until feedback tells what became of them. The zero value is ready.
type History struct {
	epoch    time.Time
	records  []record // by sequence number
	next     uint64   // number of the next packet, extended
	open     uint64   // first that is in flight or missing
	newest   int64    // when the latest packet that came was sent
	inFlight int      // bytes

	heard     bool
	reference uint32        // of the latest feedback
	clock     time.Duration // the same, extended
}

// Sent notes that a packet leaves and returns its sequence number. probe
// marks what belongs together, 0 for ordinary packets.
func (h *History) Sent(size int, probe uint16, now time.Time) uint16 {
	if h.records == nil {
		h.records = make([]record, minHistory)
		h.epoch = now
	}
	n := h.next
	h.next++
	if n-h.open >= uint64(len(h.records)) {
		h.makeRoom()
	}
	r := h.at(n)
	*r = record{sent: now.Sub(h.epoch).Microseconds(), size: uint16(min(max(size, 0), 0xffff)), probe: probe, fate: inFlight}
	h.inFlight += int(r.size)
	return uint16(n)
}

// Prefetch brings what Sent needs into the processor's cache.
func (h *History) Prefetch() {
	if h.records != nil {
		prefetch.All(h.at(h.next))
	}
}

// PrefetchFeedback brings what Feedback mostly needs, the latest packets, into the
// processor's cache.
func (h *History) PrefetchFeedback() {
	if h.records != nil {
		const latest = 16
		prefetch.First(h.at(h.next-latest), latest*unsafe.Sizeof(record{}))
	}
}

func (h *History) at(n uint64) *record { return &h.records[n&uint64(len(h.records)-1)] }

// makeRoom doubles the memory, or gives up on the oldest packet.
func (h *History) makeRoom() {
	if len(h.records) == maxHistory {
		h.settle(h.at(h.open), unknown)
		h.open++
		return
	}
	old := h.records
	h.records = make([]record, 2*len(old))
	for n := h.open; n < h.open+uint64(len(old)); n++ {
		*h.at(n) = old[n&uint64(len(old)-1)]
	}
}

// settle changes what is known of a packet.
func (h *History) settle(r *record, f fate) {
	if r.fate == inFlight {
		h.inFlight -= int(r.size)
	}
	r.fate = f
}

// InFlight returns how many bytes have left of which nothing was heard yet.
func (h *History) InFlight() int { return h.inFlight }

// Forget gives up on packets that were sent before a moment, as when the
// receiver's feedback has stopped.
func (h *History) Forget(before time.Time) {
	limit := before.Sub(h.epoch).Microseconds()
	for h.open < h.next && h.at(h.open).sent < limit {
		h.settle(h.at(h.open), unknown)
		h.open++
	}
}

// Feedback appends what the feedback tells anew to dst, in the order of
// sending.
func (h *History) Feedback(f Feedback, dst []Outcome) []Outcome {
	if h.records == nil {
		return dst
	}
	start := h.unwrap(f.Reference)
	base, based := h.find(f.Base)
	for {
		seq, came, at, ok := f.Next()
		if !ok {
			break
		}
		n, known := h.find(seq)
		if !known {
			continue
		}
		r := h.at(n)
		switch {
		case came && r.fate != unknown && r.fate != arrived:
			o := h.outcome(r)
			o.Late, o.Arrived = r.fate == lost, start+at
			h.settle(r, arrived)
			h.newest = max(h.newest, r.sent)
			dst = append(dst, o)
		case !came && r.fate == inFlight:
			h.settle(r, missing)
		}
	}
	if !based {
		return dst
	}
	return h.close(base, dst)
}

// close decides over packets that may be lost, and gives up on those from
// before the first that the feedback tells of: what told of them was lost
// itself.
func (h *History) close(base uint64, dst []Outcome) []Outcome {
	settled := true // all up to here
	for n := h.open; n < h.next; n++ {
		r := h.at(n)
		switch r.fate {
		case inFlight:
			if n >= base {
				return dst
			}
			h.settle(r, unknown)
		case missing:
			if h.newest-r.sent < overtaken.Microseconds() {
				settled = false
				break
			}
			dst = h.lose(r, dst)
		}
		if settled {
			h.open = n + 1
		}
	}
	return dst
}

func (h *History) lose(r *record, dst []Outcome) []Outcome {
	h.settle(r, lost)
	o := h.outcome(r)
	o.Lost = true
	return append(dst, o)
}

func (h *History) outcome(r *record) Outcome {
	return Outcome{
		Sent: h.epoch.Add(time.Duration(r.sent) * time.Microsecond), Size: int(r.size), Probe: r.probe,
	}
}

// find returns the extended number of a packet that is remembered.
func (h *History) find(seq uint16) (uint64, bool) {
	if h.next == 0 {
		return 0, false
	}
	newest := h.next - 1
	n := int64(newest) + int64(seqnum.Diff(seq, uint16(newest)))
	if n < 0 || newest-uint64(n) >= uint64(len(h.records)) {
		return 0, false
	}
	return uint64(n), true
}

// unwrap extends the 24 bits of a reference time.
func (h *History) unwrap(reference uint32) time.Duration {
	if !h.heard {
		h.heard, h.clock = true, time.Duration(reference)*referenceTick
	} else {
		d := int32((reference-h.reference)<<8) >> 8 // the sign of 24 bits
		h.clock += time.Duration(d) * referenceTick
	}
	h.reference = reference
	return h.clock
}

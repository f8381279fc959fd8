package peer

import (
	"encoding/binary"
	"sync"
	"time"
)

const (
	maxUrgent = 64   // frames
	maxMedia  = 1024 // frames; at 1200 bytes half a second of 20 Mbit/s
)

// A queue holds what a stream has not taken yet. It is bounded by time: media
// that has waited too long is of no use to anyone, and what waits behind it
// gets older for it. Checks, handshake and reports are few and small, go
// first and are not shed for age.
type queue struct {
	backlog time.Duration // media may wait so long
	keep    time.Duration // when it has, what is older than this goes
	pool    *sync.Pool    // of *frame
	wake    chan struct{} // holds one token while there may be something to take

	mu            sync.Mutex // guards what is below
	urgent, media ring
	ending        bool // nothing is added any more
	shed          int  // packets dropped and not told yet
}

// A frame is a packet behind its length (RFC 4571).
type frame struct {
	buf [frameHeader + slotSize]byte
	n   int
	at  time.Time
}

// A ring is a bounded queue of frames whose space is reused.
type ring struct {
	items   []*frame
	head, n int
}

func (r *ring) push(f *frame) {
	if r.n == len(r.items) {
		larger := make([]*frame, max(16, 2*len(r.items)))
		for i := range r.n {
			larger[i] = r.items[(r.head+i)%len(r.items)]
		}
		r.items, r.head = larger, 0
	}
	r.items[(r.head+r.n)%len(r.items)] = f
	r.n++
}

func (r *ring) first() *frame { return r.items[r.head] }

func (r *ring) pop() *frame {
	f := r.items[r.head]
	r.items[r.head] = nil
	r.head = (r.head + 1) % len(r.items)
	r.n--
	return f
}

// begin sets how long packets may wait. Sound has no use for late packets but
// each packet is worth something without the others, so only the late ones
// go. Pictures after a gap wait for a key frame, so a gap is made large
// enough to be rare.
func (q *queue) begin(backlog time.Duration, sound bool) {
	q.backlog, q.keep = backlog, backlog/2
	if sound {
		q.keep = backlog
	}
}

// putGroup adds the packets of an outbox's group.
func (q *queue) putGroup(o *outbox, g *group, now time.Time) {
	q.mu.Lock()
	for j := g.first; j >= 0; j = o.slots[j].next {
		q.put(o.datagram(j), now)
	}
	q.mu.Unlock()
	q.signal()
}

func (q *queue) put(p []byte, now time.Time) {
	if q.ending {
		return
	}
	f := q.pool.Get().(*frame)
	binary.BigEndian.PutUint16(f.buf[:], uint16(len(p)))
	f.n = frameHeader + copy(f.buf[frameHeader:], p)
	f.at = now
	if classify(p) == kindRTP {
		q.media.push(f)
		q.expire(now)
		return
	}
	if q.urgent.n == maxUrgent { // the remote, or we ourselves, will repeat it
		q.pool.Put(q.urgent.pop())
	}
	q.urgent.push(f)
}

// expire drops what has waited too long, oldest first.
func (q *queue) expire(now time.Time) {
	limit := q.backlog
	for q.media.n > maxMedia || q.media.n > 0 && now.Sub(q.media.first().at) > limit {
		limit = q.keep
		q.pool.Put(q.media.pop())
		q.shed++
	}
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take appends what is to be sent next to buf, about limit bytes of it; ending
// tells that nothing is added any more.
func (q *queue) take(buf []byte, limit int, now time.Time) (out []byte, ending bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire(now)
	for _, r := range []*ring{&q.urgent, &q.media} {
		for r.n > 0 && (len(buf) == 0 || len(buf)+r.first().n <= limit) {
			f := r.pop()
			buf = append(buf, f.buf[:f.n]...)
			q.pool.Put(f)
		}
	}
	return buf, q.ending
}

// end lets the queue run empty and takes nothing more; false if that was so
// already.
func (q *queue) end() bool {
	q.mu.Lock()
	first := !q.ending
	q.ending = true
	q.mu.Unlock()
	q.signal()
	return first
}

// takeShed returns how many packets were shed since the last call.
func (q *queue) takeShed() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.shed
	q.shed = 0
	return n
}

// waiting returns the number of packets in the queue.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.urgent.n + q.media.n
}

// Package pace spreads packets over time, so that a key frame does not fill
// the queue of a narrow path at once.
//
// The sender asks Pass for every picture packet; as long as what it sends
// keeps to the rate, that is all, and nothing is ever queued. What may not
// pass is pushed, and popped when its time has come. Sound never waits: it is
// only charged, so that pictures make room for it. No packet waits longer than
// the configured time, whatever the rate: then the rate gives way.
//
// A Queue is not safe for concurrent use, owns no goroutine and reads no
// clock. Its memory is bounded by Config.Packets and grows as it is needed.
package pace

import "time"

// Config bounds a queue.
type Config struct {
	Burst   time.Duration // worth of the rate that may leave at once
	MaxWait time.Duration // in which everything that waits leaves
	Packets int           // most packets that wait; rounded up to a power of two
}

// minBurst is what may leave at once at any rate: a few packets.
const minBurst = 4 * 1200

// Queue holds the packets of one receiver that wait. What T says of a packet
// is the caller's business. Make it with New.
type Queue[T any] struct {
	config Config
	rate   float64 // bytes per second
	level  float64 // bytes that left ahead of the rate; less than 0 for those that may yet, besides the burst
	at     time.Time
	items  []item[T] // ring; its length is 0 or a power of two
	first  int
	n      int
	bytes  int
}

type item[T any] struct {
	value T
	size  int
	since time.Time
}

// New makes a queue. Until SetRate, everything passes.
func New[T any](c Config) *Queue[T] {
	size := 1
	for size < c.Packets {
		size <<= 1
	}
	c.Packets = size
	return &Queue[T]{config: c}
}

// SetRate sets the rate, in bits per second; 0 is none, and all passes.
func (q *Queue[T]) SetRate(bitsPerSecond int, now time.Time) {
	if rate := float64(bitsPerSecond) / 8; rate != q.rate {
		q.leak(now)
		q.rate = rate
	}
}

// Len returns how many packets wait.
func (q *Queue[T]) Len() int { return q.n }

// Bytes returns how many bytes wait.
func (q *Queue[T]) Bytes() int { return q.bytes }

// drain is the rate at which packets leave: fast enough for all that wait.
func (q *Queue[T]) drain() float64 {
	if q.n == 0 || q.config.MaxWait <= 0 {
		return q.rate
	}
	return max(q.rate, float64(q.bytes)/q.config.MaxWait.Seconds())
}

// leak takes off the level what the rate has carried away.
func (q *Queue[T]) leak(now time.Time) {
	if d := now.Sub(q.at); d > 0 {
		if q.level > 0 {
			q.level = max(0, q.level-q.drain()*d.Seconds())
		}
		q.at = now
	}
}

// burst is the level up to which packets may leave.
func (q *Queue[T]) burst() float64 { return max(minBurst, q.rate*q.config.Burst.Seconds()) }

// Charge notes a packet that leaves by itself: sound, a repair, padding.
func (q *Queue[T]) Charge(size int, now time.Time) {
	q.leak(now)
	// Bounded, so that pictures are not held up for long by what went before.
	q.level = min(q.level+float64(size), 2*q.burst())
}

// Lend lets so much of the rate leave at once, besides the burst: for what
// somebody waits for, as long as the path's own queue has room for it.
func (q *Queue[T]) Lend(d time.Duration, now time.Time) {
	q.leak(now)
	q.level -= q.rate * d.Seconds()
}

// Pass reports whether a packet may leave at once, and charges it.
func (q *Queue[T]) Pass(size int, now time.Time) bool {
	if q.n > 0 {
		return false // keep the order
	}
	if q.rate == 0 {
		return true
	}
	q.leak(now)
	if q.level >= q.burst() {
		return false
	}
	q.level += float64(size)
	return true
}

// Push puts a packet at the end. It reports false if there is no room.
func (q *Queue[T]) Push(v T, size int, now time.Time) bool {
	q.leak(now)
	if q.n == len(q.items) && !q.grow() {
		return false
	}
	q.items[(q.first+q.n)&(len(q.items)-1)] = item[T]{v, size, now}
	q.n++
	q.bytes += size
	return true
}

func (q *Queue[T]) grow() bool {
	if len(q.items) >= q.config.Packets {
		return false
	}
	items := make([]item[T], max(16, 2*len(q.items)))
	for i := range q.n {
		items[i] = q.items[(q.first+i)&(len(q.items)-1)]
	}
	q.items, q.first = items, 0
	return true
}

// Pop returns the next packet if it may leave now.
func (q *Queue[T]) Pop(now time.Time) (v T, ok bool) {
	if q.n == 0 || q.Wait(now) > 0 {
		return v, false
	}
	it := &q.items[q.first]
	v = it.value
	q.level += float64(it.size)
	q.bytes -= it.size
	*it = item[T]{}
	q.first = (q.first + 1) & (len(q.items) - 1)
	q.n--
	return v, true
}

// Wait returns how long it takes until the next packet may leave; 0 if it may
// now, or if none waits.
func (q *Queue[T]) Wait(now time.Time) time.Duration {
	q.leak(now)
	if q.n == 0 || q.rate == 0 || q.level < q.burst() {
		return 0
	}
	wait := time.Duration((q.level - q.burst() + 1) / q.drain() * float64(time.Second))
	if q.config.MaxWait > 0 {
		wait = min(wait, max(0, q.config.MaxWait-now.Sub(q.items[q.first].since)))
	}
	return wait
}

// Clear forgets what waits, as when a slot goes over to another source.
func (q *Queue[T]) Clear() {
	clear(q.items)
	q.first, q.n, q.bytes = 0, 0, 0
}

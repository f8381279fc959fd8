// Package limit counts what each client address, or anybody, does and says
// when it is too much. Servers call it before they do any work for a request.
//
// A Table is a bounded set of token buckets. When it is full, the key that has
// been quiet for longest is forgotten, so whoever floods it with keys makes
// room for himself at the cost of those who do nothing. It owns no goroutine.
package limit

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is how often something may be done: PerMinute in the long run, Burst at
// once.
type Rate struct {
	PerMinute float64 `yaml:"per_minute"`
	Burst     int     `yaml:"burst"`
}

// Table is a token bucket for each key. It may be used from any number of
// goroutines.
type Table[K comparable] struct {
	rate Rate
	max  int

	mu      sync.Mutex
	buckets map[K]*list.Element // of bucket[K]
	recent  *list.List          // the one used last in front
}

type bucket[K comparable] struct {
	key     K
	limiter *rate.Limiter
}

// NewTable makes an empty table of at most max keys.
func NewTable[K comparable](r Rate, max int) *Table[K] {
	return &Table[K]{rate: r, max: max, buckets: map[K]*list.Element{}, recent: list.New()}
}

// Allow counts one more action of the key and reports whether it is allowed.
func (t *Table[K]) Allow(key K, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.limiter(key).AllowN(now, 1)
}

// Judge reports whether an attempt of the key may be answered at all, and
// counts it if it failed. Of many attempts at once no more than the limit are
// answered: the outcome of the others must not be told, whatever it is.
func (t *Table[K]) Judge(key K, failed bool, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if failed {
		return t.limiter(key).AllowN(now, 1)
	}
	if _, known := t.buckets[key]; !known {
		return true
	}
	return t.limiter(key).TokensAt(now) >= 1
}

// limiter finds or makes the bucket of a key. The table is locked.
func (t *Table[K]) limiter(key K) *rate.Limiter {
	if e, ok := t.buckets[key]; ok {
		t.recent.MoveToFront(e)
		return e.Value.(*bucket[K]).limiter
	}
	if t.recent.Len() >= t.max {
		oldest := t.recent.Back()
		t.recent.Remove(oldest)
		delete(t.buckets, oldest.Value.(*bucket[K]).key)
	}
	b := &bucket[K]{key, rate.NewLimiter(rate.Limit(t.rate.PerMinute/60), t.rate.Burst)}
	t.buckets[key] = t.recent.PushFront(b)
	return b.limiter
}

// Retry is how long a key waits at most until it is allowed once more.
func (t *Table[K]) Retry() time.Duration {
	return time.Duration(float64(time.Minute) / t.rate.PerMinute)
}

// Client is whom an address is counted as: itself, or for IPv6 its /64, which
// is what one customer has at least.
func Client(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil { // not an address: all of those are one client
		return netip.Prefix{}
	}
	return p
}

package zone

import (
	"net/netip"
	"sync"
	"time"
)

// maxAddresses bounds the client addresses that a limiter remembers.
const maxAddresses = 1 << 16

// limiter bounds how often each address may do something: a token bucket per
// IPv4 address or IPv6 /64.
type limiter struct {
	perSecond, burst float64

	mu      sync.Mutex
	buckets map[netip.Addr]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newLimiter(perMinute, burst int) *limiter {
	return &limiter{perSecond: float64(perMinute) / 60, burst: float64(burst), buckets: map[netip.Addr]bucket{}}
}

// allow takes a token of the address, if there is one.
func (l *limiter) allow(addr netip.Addr, now time.Time) bool {
	if l.perSecond == 0 {
		return true
	}
	key := network(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets[key]
	if !ok {
		l.makeRoom(now)
		b = bucket{tokens: l.burst, at: now}
	}
	b = l.filled(b, now)
	allowed := b.tokens >= 1
	if allowed {
		b.tokens--
	}
	l.buckets[key] = b
	return allowed
}

func (l *limiter) filled(b bucket, now time.Time) bucket {
	if d := now.Sub(b.at); d > 0 {
		b.tokens = min(b.tokens+d.Seconds()*l.perSecond, l.burst)
		b.at = now
	}
	return b
}

// makeRoom forgets addresses whose buckets are full again, which is the same
// as never having seen them; if there is none, all of them.
func (l *limiter) makeRoom(now time.Time) {
	if len(l.buckets) < maxAddresses {
		return
	}
	for key, b := range l.buckets {
		if l.filled(b, now).tokens >= l.burst {
			delete(l.buckets, key)
		}
	}
	if len(l.buckets) >= maxAddresses {
		clear(l.buckets)
	}
}

// network is what one subscriber has: an IPv4 address or an IPv6 /64.
func network(addr netip.Addr) netip.Addr {
	addr = addr.Unmap()
	if addr.Is6() {
		if p, err := addr.WithZone("").Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return addr
}

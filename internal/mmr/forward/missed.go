package forward

import (
	"sync/atomic"
	"time"

	"causeway/internal/media/depdesc"
	"causeway/internal/media/header"
	"causeway/internal/media/seqnum"
)

const (
	// missedFor is how old the latest key frame may be for somebody's first
	// picture to begin with it; caches hold no more.
	missedFor = time.Second
	// missedWait is how long what came since may take on the way at most, and
	// missedBytes how much that is where nothing is known of the network. Where
	// there is more, a key frame of one's own is there as soon.
	missedWait  = 300 * time.Millisecond
	missedBytes = 64 << 10
	// caughtUp is how many packets later those that were sent from the cache
	// cannot come any more.
	caughtUp = 1000
	// aheadFor is for how long another router is asked for a picture that nobody
	// takes yet.
	aheadFor = 2 * time.Second
)

// beginning is a track's latest key frame.
type beginning struct {
	seq   uint16
	spell uint32
	epoch uint8
	at    time.Time // zero for none
	bytes int       // that have come since, its own among them

	structure *depdesc.Structure // of AV1's layers
}

// begins notes that a key frame begins with the packet. The shard is held.
func (t *track) begins(p *packet, now time.Time) {
	t.cacheMu.Lock()
	defer t.cacheMu.Unlock()
	t.latest = beginning{seq: p.Sequence, spell: p.spell, epoch: p.epoch, at: now, bytes: len(p.raw), structure: p.structure}
}

// since returns the latest key frame, if it is recent, and the last packet that
// has come. Any goroutine may ask.
func (t *track) since(now time.Time) (b beginning, last uint16, ok bool) {
	t.cacheMu.Lock()
	defer t.cacheMu.Unlock()
	if t.cache == nil || t.latest.at.IsZero() || now.Sub(t.latest.at) >= missedFor {
		return b, 0, false
	}
	last, ok = t.cache.Newest()
	return t.latest, last, ok && last-t.latest.seq < caughtUp // else numbers have jumped
}

// catchUp begins the slot's first picture with a key frame that came just before
// it was wanted, and what has come since, from the cache for repairs; false if
// there is no such key frame. It is for the first picture of a connection alone:
// later, what is late would not fit in with what was sent. The shard is held.
func (s *Slot) catchUp(sh *shard, t *track, now time.Time) bool {
	if s.pin.set || s.link.pictured || t.source.Muted() {
		return false
	}
	from, last, ok := t.since(now)
	if t.source.cfg.Far && from.spell != t.source.spell(t.layer, from.epoch) {
		return false // there is a break in it
	}
	if !ok || from.bytes > s.link.path.within(missedWait) {
		return false
	}
	buf := s.link.router.free.get(1)
	defer s.link.router.free.release(buf)
	s.link.hasten(now)
	for seq := from.seq; ; seq++ {
		n, ok := t.fetch(seq, buf.data[:])
		if ok {
			p := packet{raw: buf.data[:n], track: t, key: seq == from.seq, spell: from.spell, epoch: from.epoch, structure: from.structure}
			if p.Header, ok = header.Parse(p.raw); ok {
				s.take(sh, &p, now)
			}
		}
		if s.current != t {
			return false // the key frame is not in the cache any more
		}
		if seq == last {
			break
		}
	}
	s.caught, s.caughtTo = t, last
	return true
}

// within is how many bytes the network takes in some time.
func (p *path) within(d time.Duration) int {
	if !p.heard || p.deaf {
		return missedBytes
	}
	return int(float64(p.rate) / 8 * d.Seconds())
}

// has reports whether the slot has got a packet from the cache, and must not get
// it once more. Those that were not in the cache yet are asked for as any that
// are lost. The shard is held.
func (s *Slot) has(p *packet) bool {
	if p.track != s.caught {
		return false
	}
	ahead := seqnum.Diff(p.Sequence, s.caughtTo)
	if ahead > caughtUp || ahead < -caughtUp {
		s.caught = nil
		return false
	}
	return ahead <= 0
}

// Refresh asks for a key frame of the largest layer that comes, for somebody who
// seems to be about to take it, and can begin with it then. What is published at
// another router is asked for there, for as long, though nobody takes it. No
// shard may be held.
func (s *Source) Refresh(now time.Time) {
	if s.Muted() {
		return
	}
	layers := s.measured()
	for i := maxLayers - 1; i >= 0; i-- {
		if !layers.Active(i, now) {
			continue
		}
		first, needed := i, uint32(1)<<i
		if s.scalable {
			first, needed = 0, 2<<i-1
		}
		t := s.layers[first].Load()
		if s.cfg.Far {
			s.ahead.layers.Store(needed)
			s.ahead.until.Store(now.Add(aheadFor).UnixNano())
		} else if t == nil {
			continue
		}
		if t != nil {
			t.askKey(nil, false, now)
			s.router.Flush()
		}
		return
	}
}

// ahead is what another router is asked for ahead.
type ahead struct {
	layers atomic.Uint32 // a bit each
	until  atomic.Int64  // Unix nanoseconds
}

// wanted returns the layers, a bit each.
func (a *ahead) wanted(now time.Time) uint32 {
	if now.UnixNano() >= a.until.Load() {
		return 0
	}
	return a.layers.Load()
}

package forward

import (
	"slices"
	"time"

	"causeway/internal/media/alloc"
	"causeway/protocol"
)

const (
	// lookForTakers is how often it is looked which layers of a camera need
	// not be sent any more, and awakening how long the key frame with which a
	// layer begins again is waited for before it is asked for.
	lookForTakers = 250 * time.Millisecond
	awakening     = 500 * time.Millisecond

	allLayers = 1<<maxLayers - 1
)

// demand is what the publisher of a camera is asked to send: layers that
// nobody takes, here or on other routers, are paused.
type demand struct {
	layers alloc.Demand
	taken  uint32 // by the latest look
	next   time.Time
	since  [maxLayers]time.Time // when a layer was last asked for again
}

// Requested returns the layers that the publisher is to send, a bit each.
// LinkConfig.Notify is called when they change. Any goroutine may ask.
func (s *Source) Requested() uint32 { return s.requested.Load() }

// Layers is how many layers the source was offered with, or may have inside.
func (s *Source) Layers() int {
	if s.scalable {
		return maxLayers
	}
	return s.offered
}

// Expect has all layers sent for a while, for takers that are about to come.
// Any goroutine may call it.
func (s *Source) Expect() { s.expected.Store(true) }

// request works out what the publisher is to send, and reports whether that
// has changed. The publisher's shard is held.
func (s *Source) request(now time.Time) bool {
	d := &s.demand
	taken := s.taken()
	if d.layers.Since.IsZero() || s.Muted() || s.expected.Load() && s.expected.Swap(false) {
		d.layers, d.next, taken = alloc.Demand{Since: now}, time.Time{}, allLayers
	}
	if taken == d.taken && now.Before(d.next) {
		return false
	}
	d.taken, d.next = taken, now.Add(lookForTakers)
	d.layers.Take(taken, now)
	s.measuring.Lock()
	requested := s.measures.Request(d.layers.Wanted(now)&allLayers, now) & allLayers
	s.measuring.Unlock()
	if s.scalable {
		requested &= ^(requested + 1) // each layer needs those below it
	}
	before := s.requested.Swap(requested)
	for i := range d.since {
		if requested&^before>>i&1 != 0 {
			d.since[i] = now
		}
	}
	return requested != before
}

// taken returns the layers that are needed, here or on other routers, a bit
// each.
func (s *Source) taken() (layers uint32) {
	for i := range s.fans {
		layers |= s.fans[i].want.Load()
	}
	return layers
}

// paused reports whether the publisher was asked to pause the track, or only
// just to send it again: that begins with a key frame anyhow. So does what is
// sent of a scalable source when it gets another layer. The shard is held.
func (t *track) paused(now time.Time) bool {
	s, d := t.source, &t.source.demand
	if !s.scalable {
		since := d.since[t.layer]
		return s.Requested()>>t.layer&1 == 0 || now.Sub(since) < awakening && t.lastAt.Before(since)
	}
	since := slices.MaxFunc(d.since[:], time.Time.Compare)
	return s.taken()&^s.Requested() != 0 || now.Sub(since) < awakening && t.keys.LastKeyFrame().Before(since)
}

// request tells control when there is something to tell the publisher. The
// shard is held.
func (l *Link) request(now time.Time) {
	for i := range l.publish {
		if s := l.publish[i].source; s.cfg.Kind == protocol.Camera && s.request(now) {
			l.notify()
		}
	}
}

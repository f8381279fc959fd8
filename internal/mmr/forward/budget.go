package forward

import (
	"sync"
	"sync/atomic"
	"time"

	"causeway/internal/media/alloc"
	"causeway/internal/media/bwe"
	"causeway/internal/media/simulcast"
	"causeway/internal/media/twcc"
	"causeway/protocol"
)

// What a budget begins with and keeps to, in bits per second. It begins well
// above what the least picture needs, so that whoever comes sees a good one at
// once; a network that does not take it is known for that within 200 ms.
// Between routers there is room for many, mostly.
var (
	budgetBounds = bwe.Config{Start: 1_500_000, Min: 60_000, Max: 30_000_000}
	trunkBounds  = bwe.Config{Start: 20_000_000, Min: 300_000, Max: 1_000_000_000}
)

const (
	// wireOverhead is what a datagram has beside the RTP packet: IP and UDP
	// headers, and the tag of AES-GCM (RFC 7714).
	wireOverhead = 28 + 16
	shareEvery   = 100 * time.Millisecond
	// patience is how long the most important picture goes on, as small as can
	// be, when there is nothing left for it: an estimate may fall too far for a
	// moment, as when a busy machine is late.
	patience = 1500 * time.Millisecond
	// deafAfter is how many bytes a link sends before it gives up on a remote
	// that offered feedback and sends none.
	deafAfter = 4 << 20
)

// A Budget is what one participant's network takes, over all of their
// connections, and who gets how much of it. Links of one participant may live
// on different shards: whoever holds a shard may use the budget.
type Budget struct {
	version atomic.Uint32 // counts changes of what slots are given

	mu        sync.Mutex
	estimator *bwe.Estimator // nil before the first packet
	heard     bool           // feedback has come: what it says counts
	next      time.Time      // when to share out again
	short     time.Time      // until when there was enough for what is given
	survey    int            // rate that is looked for although nothing is sent; 0 for none
	first     int            // the most important picture: its share's index plus one
	shares    []share
	streams   []alloc.Stream // scratch

	trunks bool    // it is another router's
	loads  []*load // that its trunks carry, or would
	total  int     // bits per second of those that are given
	urgent atomic.Bool
}

// NewBudget makes the budget of one participant.
func (r *Router) NewBudget() *Budget { return new(Budget) }

// estimate returns the estimator, making it with the first packet.
func (b *Budget) estimate(now time.Time) *bwe.Estimator {
	if b.estimator == nil {
		bounds := budgetBounds
		if b.trunks {
			bounds = trunkBounds
		}
		b.estimator = bwe.New(bounds, now)
	}
	return b.estimator
}

// path is one link's part of a budget.
type path struct {
	budget *Budget
	path   *bwe.Path // nil before the first packet
	sent   int       // bytes, as long as no feedback has come
	heard  bool
	deaf   bool // no feedback comes
	rate   int  // at which to send, bits per second
}

// number notes a packet that leaves, and returns the transport-wide sequence
// number it is to carry; false if it needs none.
func (p *path) number(bytes int, now time.Time) (uint16, bool) {
	b := p.budget
	if b == nil || p.deaf {
		return 0, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.path == nil {
		p.path = b.estimate(now).NewPath()
	}
	if !p.heard {
		if p.sent += bytes; p.sent > deafAfter {
			p.deaf = true
			p.path.Close()
			return 0, false
		}
	}
	return p.path.Sent(bytes+wireOverhead, now), true
}

// follow takes note of the rate at which to send. While a queue is emptied
// what is still sent is little, and need not be held up much.
func (p *path) follow(now time.Time) {
	e := p.budget.estimator
	p.rate = max(e.Rate(now), e.Estimate()/2)
}

// feedback takes feedback of the link's remote, and reports whether the budget
// has settled, and is shared out as before.
func (p *path) feedback(f twcc.Feedback, now time.Time) (calm bool) {
	b := p.budget
	if b == nil || p.path == nil || p.deaf {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	version := b.version.Load()
	before := b.estimator.Rate(now)
	p.path.Feedback(f, now)
	p.heard, b.heard = true, true
	p.follow(now)
	if !now.Before(b.next) || b.estimator.Rate(now) < before*3/4 {
		b.share(now)
	}
	return b.estimator.Settled() && b.version.Load() == version
}

// settled reports whether nothing has to be looked after: see
// bwe.Estimator.Settled.
func (p *path) settled() bool {
	b := p.budget
	if b == nil || p.deaf {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return p.path == nil || p.heard && b.estimator.Settled()
}

// close takes the link out of the reckoning.
func (p *path) close() {
	if p.budget == nil || p.path == nil {
		return
	}
	p.budget.mu.Lock()
	defer p.budget.mu.Unlock()
	p.path.Close()
	p.path, p.deaf = nil, true
}

// padding returns how many bytes are to be sent now to find out whether the
// network takes more.
func (p *path) padding(now time.Time) int {
	b := p.budget
	if b == nil || p.path == nil || p.deaf {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.estimator.Tick(now)
	n := b.estimator.Padding(now)
	p.follow(now)
	return n
}

// lossy is the share of packets that a path must lose at any rate for repairs
// to be sent twice: one that is lost costs another round trip.
const lossy = 0.02

// lossy reports whether the path is.
func (p *path) lossy() bool {
	b := p.budget
	if b == nil || p.path == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.estimator.Inherent() >= lossy
}

// grant is what a slot is given.
type grant struct {
	height int // lines at most, 0 nothing
	// temporal is the highest temporal layer of the layer with that height.
	temporal int
	all      bool // as many as it wants: nothing is known of the network
	urgent   bool // what is sent beyond it must stop at once
}

// changed reports whether the budget has been shared out differently since
// the slot asked.
func (p *path) changed(s *Slot) bool {
	return p.budget != nil && p.budget.version.Load() != s.granted
}

// ask tells the budget what a slot wants and what its source has, and
// returns what it is given. The slot's shard is held.
func (p *path) ask(s *Slot, layers *simulcast.Layers, now time.Time) grant {
	b := p.budget
	if b == nil || p.deaf || s.cc == 0 {
		return grant{all: true}
	}
	s.granted = b.version.Load()
	b.mu.Lock()
	defer b.mu.Unlock()
	y := b.of(s)
	y.active, y.height = s.source != nil, s.height
	y.current, y.temporal = s.showing()
	y.describe(layers, s.source != nil && s.source.scalable, now)
	if !b.heard {
		return grant{all: true}
	}
	if !now.Before(b.next) || y.fresh && y.n > 0 {
		y.fresh = y.n == 0
		b.share(now)
	}
	if y.n == 0 {
		return grant{all: true} // no layer has come yet: take the first
	}
	switch {
	case y.given >= 0:
		return y.grant(y.given, b.tight(now))
	case b.first == s.share && now.Sub(y.fed) < patience:
		return y.grant(0, b.tight(now))
	}
	return grant{urgent: b.tight(now)}
}

// occupy says that a slot carries something from now on, or nothing. The
// slot's shard is held.
func (p *path) occupy(s *Slot, active bool) {
	b := p.budget
	if b == nil || s.cc == 0 || b.trunks {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if active || s.share > 0 {
		*b.of(s) = newShare(s.kind)
		b.of(s).active, b.of(s).redundant = active, s.redundant
	}
}

// weigh takes note of whether a slot's sound goes with redundancy. The slot's
// shard is held.
func (p *path) weigh(s *Slot) {
	b := p.budget
	if b == nil || s.cc == 0 || b.trunks {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.of(s).redundant = s.redundant
}

// of returns a slot's share, making it if it is new.
func (b *Budget) of(s *Slot) *share {
	if s.share == 0 {
		b.shares = append(b.shares, newShare(s.kind))
		s.share = len(b.shares)
	}
	return &b.shares[s.share-1]
}

// tight reports whether a queue has to be emptied for which it does not do to
// wait for key frames.
func (b *Budget) tight(now time.Time) bool {
	return 2*b.estimator.Rate(now) < b.estimator.Estimate()
}

// share shares the estimate out.
func (b *Budget) share(now time.Time) {
	b.next = now.Add(shareEvery)
	if b.trunks {
		b.ration(now)
		return
	}
	b.list(now)
	r := alloc.Allocate(b.estimator.Estimate(), b.streams)
	b.estimator.Want(max(r.Want+r.Want*3/10, b.survey)) // room for what package alloc keeps free, and for key frames
	changed := b.tight(now)
	keep := b.keeps(r, now)
	for i := range b.shares {
		y, given := &b.shares[i], b.streams[i].Given
		if keep && y.active && !y.thin() {
			given = max(given, y.given)
		}
		if given >= 0 {
			y.fed = now
		}
		if given != y.given {
			y.give(given, r.Given < r.Want, now)
			changed = true
		}
	}
	if changed {
		b.version.Add(1)
	}
}

const (
	// lean is the share of what is given that the estimate may fall to for a
	// while: each change of size costs two key frames, and the estimate may be
	// too low until the queue has gone for which it was lowered.
	lean      = 0.75
	leanAtAll = time.Second
)

// keeps reports whether what was given is kept, though it is a little too much.
func (b *Budget) keeps(r alloc.Result, now time.Time) bool {
	need, short := 0, false
	for i := range b.shares {
		y, s := &b.shares[i], &b.streams[i]
		switch {
		case s.Class == alloc.Sound && s.Given >= 0:
			need += s.Rungs[s.Given].Rate
		case y.active && y.given >= 0 && y.given < y.n:
			need += y.rungs[y.given].Rate
			short = short || s.Given < y.given && !y.thin()
		}
	}
	if !short || r.Given == r.Want {
		b.short = now
		return false
	}
	return now.Sub(b.short) < leanAtAll && float64(b.estimator.Estimate()) >= lean*float64(need)
}

// list lists the shares as package alloc knows them, and finds the most
// important picture.
func (b *Budget) list(now time.Time) {
	tallest, second, voices := 0, 0, 0
	for i := range b.shares {
		y := &b.shares[i]
		if y.active && y.kind == protocol.Camera {
			second = max(second, min(tallest, y.height))
			tallest = max(tallest, y.height)
		}
	}
	b.streams, b.first = b.streams[:0], 0
	for i := range b.shares {
		y := &b.shares[i]
		s := y.stream(tallest, second, now)
		if y.active && y.kind == protocol.Mic {
			if voices++; voices > 1 {
				s.Rungs = otherSound
			}
		}
		b.streams = append(b.streams, s)
		if s.Class != alloc.Sound && len(s.Rungs) > 0 && (b.first == 0 || s.Class < b.streams[b.first-1].Class) {
			b.first = i + 1
		}
	}
}

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
var budgetBounds = bwe.Config{Start: 1_500_000, Min: 60_000, Max: 30_000_000}

const (
	// wireOverhead is what a datagram has beside the RTP packet: IP and UDP
	// headers, and the tag of AES-GCM (RFC 7714).
	wireOverhead = 28 + 16
	shareEvery   = 100 * time.Millisecond
	smoothing    = 16 // parts of a layer's rate that a new measurement moves it by one of
	// settle is how long a slot that was given less is not given more: each
	// change costs a key frame.
	settle = 1500 * time.Millisecond
	// deafAfter is how many bytes a link sends before it gives up on a remote
	// that offered feedback and sends none.
	deafAfter = 4 << 20
	// soundRate is what a voice is taken to need, with headers; othersRate what
	// the others' do, since mostly one speaks; sharedRate a shared screen's.
	soundRate  = 56_000
	othersRate = 16_000
	sharedRate = 120_000
)

// Rates of layers by index, for those that have not been measured yet.
var nominalRates = [maxLayers]int{150_000, 500_000, 1_500_000}

// A Budget is what one participant's network takes, over all of their
// connections, and who gets how much of it. Links of one participant may live
// on different shards: whoever holds a shard may use the budget.
type Budget struct {
	version atomic.Uint32 // counts changes of what slots are given

	mu        sync.Mutex
	estimator *bwe.Estimator // nil before the first packet
	heard     bool           // feedback has come: what it says counts
	next      time.Time      // when to share out again
	shares    []share
	streams   []alloc.Stream // scratch
}

// share is a slot's part of a budget.
type share struct {
	slot    *Slot
	kind    protocol.Source
	active  bool
	height  int            // lines that are wanted
	current int            // layer that is sent, -1 none
	rates   [maxLayers]int // of layers, smoothed, with headers; 0 not known
	lowered time.Time      // when the slot was last given less
	rungs   [maxLayers]alloc.Rung
	layers  [maxLayers]int // by rung
	n       int            // rungs
	given   int            // rung, -1 none
}

// NewBudget makes the budget of one participant.
func (r *Router) NewBudget() *Budget { return new(Budget) }

// estimate returns the estimator, making it with the first packet.
func (b *Budget) estimate(now time.Time) *bwe.Estimator {
	if b.estimator == nil {
		b.estimator = bwe.New(budgetBounds, now)
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
	p.follow(now)
	return p.path.Sent(bytes+wireOverhead, now), true
}

// follow takes note of the rate at which to send. While a queue is emptied
// what is still sent is little, and need not be held up much.
func (p *path) follow(now time.Time) {
	e := p.budget.estimator
	p.rate = max(e.Rate(now), e.Estimate()/2)
}

// feedback takes feedback of the link's remote.
func (p *path) feedback(f twcc.Feedback, now time.Time) {
	b := p.budget
	if b == nil || p.path == nil || p.deaf {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.estimator.Rate(now)
	p.path.Feedback(f, now)
	p.heard, b.heard = true, true
	p.follow(now)
	if !now.Before(b.next) || b.estimator.Rate(now) < before*3/4 {
		b.share(now)
	}
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
	return b.estimator.Padding(now)
}

// grant is what a slot is given.
type grant struct {
	height int  // lines at most, 0 nothing
	all    bool // as many as it wants: nothing is known of the network
	urgent bool // what is sent beyond it must stop at once
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
	y.active, y.height, y.current = s.source != nil, s.height, s.taker.Current()
	y.describe(layers, now)
	if !b.heard {
		return grant{all: true}
	}
	if !now.Before(b.next) {
		b.share(now)
	}
	if y.n == 0 {
		return grant{all: true} // no layer has come yet: take the first
	}
	if y.given < 0 {
		return grant{urgent: b.tight(now)}
	}
	return grant{height: y.rungs[y.given].Height, urgent: b.tight(now)}
}

// occupy says that a slot carries something from now on, or nothing. The
// slot's shard is held.
func (p *path) occupy(s *Slot, active bool) {
	b := p.budget
	if b == nil || s.cc == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if active || s.share > 0 {
		b.of(s).active = active
	}
}

// of returns a slot's share, making it if it is new.
func (b *Budget) of(s *Slot) *share {
	if s.share == 0 {
		b.shares = append(b.shares, share{slot: s, kind: s.kind, current: -1, given: -1})
		s.share = len(b.shares)
	}
	return &b.shares[s.share-1]
}

// describe lists the layers that come as rungs.
func (y *share) describe(layers *simulcast.Layers, now time.Time) {
	was := -1
	if y.given >= 0 && y.given < y.n {
		was = y.layers[y.given]
	}
	y.n, y.given = 0, -1
	for i := range maxLayers {
		if !layers.Active(i, now) {
			continue
		}
		rate := y.smooth(i, layers.Layer(i).BitsPerSecond)
		height := layers.Height(i)
		if y.n > 0 && (height <= y.rungs[y.n-1].Height || rate <= y.rungs[y.n-1].Rate) {
			continue // not worth more
		}
		y.rungs[y.n], y.layers[y.n] = alloc.Rung{Spatial: i, Height: height, Rate: rate}, i
		if i == was {
			y.given = y.n
		}
		y.n++
	}
	if y.given < 0 && was >= 0 && y.n > 0 {
		y.given = 0
	}
}

// smooth returns a layer's rate. Key frames, which slots going up and down ask
// for, make it jump; if those jumps counted there would be no end of them.
func (y *share) smooth(layer, measured int) int {
	rate := &y.rates[layer]
	measured += measured / 12 // headers
	switch {
	case measured == 0:
	case *rate == 0:
		*rate = measured * 2 / 3 // it began with a key frame
	default:
		*rate += (measured - *rate) / smoothing
	}
	if *rate == 0 {
		return nominalRates[layer]
	}
	return *rate
}

// tight reports whether a queue has to be emptied for which it does not do to
// wait for key frames.
func (b *Budget) tight(now time.Time) bool {
	return 2*b.estimator.Rate(now) < b.estimator.Estimate()
}

// share shares the estimate out.
func (b *Budget) share(now time.Time) {
	b.next = now.Add(shareEvery)
	b.streams = b.streams[:0]
	tallest, second := 0, 0
	for i := range b.shares {
		y := &b.shares[i]
		if y.active && y.kind == protocol.Camera {
			second = max(second, min(tallest, y.height))
			tallest = max(tallest, y.height)
		}
	}
	voices := 0
	for i := range b.shares {
		s := b.shares[i].stream(tallest, second, now)
		if b.shares[i].active && b.shares[i].kind == protocol.Mic {
			if voices++; voices > 1 {
				s.Rungs = otherSound
			}
		}
		b.streams = append(b.streams, s)
	}
	r := alloc.Allocate(b.estimator.Estimate(), b.streams)
	b.estimator.Want(r.Want + r.Want*3/10) // room for what package alloc keeps free, and for key frames
	changed := b.tight(now)
	for i := range b.shares {
		y, given := &b.shares[i], b.streams[i].Given
		if given < y.given {
			y.lowered = now
		}
		if given != y.given {
			y.given, changed = given, true
		}
	}
	if changed {
		b.version.Add(1)
	}
}

var (
	sound       = []alloc.Rung{{Rate: soundRate}}
	otherSound  = []alloc.Rung{{Rate: othersRate}}
	sharedSound = []alloc.Rung{{Rate: sharedRate}}
)

// stream is the share as package alloc knows it. The tallest camera, if it is
// to be much taller than the others, is that of whoever speaks.
func (y *share) stream(tallest, second int, now time.Time) alloc.Stream {
	if !y.active {
		return alloc.Stream{Class: alloc.Other, Current: -1}
	}
	s := alloc.Stream{Rungs: y.rungs[:y.n], Height: y.height, Current: -1}
	for i := range y.n {
		if y.layers[i] == y.current {
			s.Current = i
		}
	}
	if now.Sub(y.lowered) < settle && y.given >= 0 {
		s.Height = min(s.Height, y.rungs[y.given].Height)
	}
	switch {
	case y.kind == protocol.Mic:
		s.Class, s.Rungs = alloc.Sound, sound
	case y.kind == protocol.ScreenAudio:
		s.Class, s.Rungs = alloc.Sound, sharedSound
	case y.kind == protocol.Screen:
		s.Class = alloc.Content
	case y.height == tallest && 2*tallest > 3*second:
		s.Class = alloc.Speaker
	default:
		s.Class = alloc.Other
	}
	return s
}

package forward

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"causeway/protocol"
)

// The path between two routers. Mostly it takes whatever there is. Where it
// does not, sound goes on, and pictures do without their upper layers, those of
// the least important first: they are announced as gone, so that the other
// router's participants take what is left, and end when that has had time to
// come. They are back when there is room.

const (
	// dimTime is how long a layer goes on that has been announced as gone.
	dimTime = time.Second
	// longQueue is one in which nothing may go on.
	longQueue = 100 * time.Millisecond
	// spareParts of a hundred must be free beside a layer that comes again,
	// and restAtLeast is how long it stays away, longer each time that it had to go
	// again within provedAfter.
	spareParts  = 15
	restAtLeast = 2 * time.Second
	restAtMost  = 30 * time.Second
	provedAfter = 10 * time.Second
)

// NewTrunkBudget makes the budget of the path to another router.
func (r *Router) NewTrunkBudget() *Budget { return &Budget{trunks: true} }

// load is a layer of a picture that another router takes.
type load struct {
	ssrc  uint32
	given atomic.Bool
	until atomic.Int64 // it goes on though it is not given any more, Unix nanoseconds

	// Everything below is of Budget.mu.
	kind     protocol.Source
	speaks   bool // it shows somebody who does
	rate     int  // bits per second
	changed  time.Time
	rest     time.Duration
	notAgain time.Time // not given before
}

// upper reports whether there is a lesser layer to fall back on.
func (l *load) upper() bool { return l.ssrc&layerMask > 0 }

// compareLoads puts the most important first.
func compareLoads(a, b *load) int {
	order := func(l *load) int {
		switch {
		case l.kind == protocol.Screen:
			return 0
		case l.speaks:
			return 1
		}
		return 2
	}
	upper := func(l *load) int {
		if l.upper() {
			return 1
		}
		return 0
	}
	return cmp.Or(upper(a)-upper(b), order(a)-order(b), cmp.Compare(a.ssrc&layerMask, b.ssrc&layerMask), cmp.Compare(a.ssrc, b.ssrc))
}

// ration decides what the path carries. b.mu is held.
func (b *Budget) ration(now time.Time) {
	slices.SortFunc(b.loads, compareLoads)
	estimate := b.estimator.Estimate()
	want, changed := soundRate+(protocol.AudioSlots+reserve-1)*othersRate, false
	b.total = want
	for _, l := range b.loads {
		want += l.rate
		given, most := l.given.Load(), estimate
		if !given {
			most -= estimate * spareParts / 100
		}
		fits := b.total+l.rate <= most && (given || !now.Before(l.notAgain))
		if fits != given {
			changed = true
			l.give(fits, now)
		}
		if fits {
			b.total += l.rate
		}
	}
	b.estimator.Want(want + want*3/10)
	b.urgent.Store(b.tight(now) || b.estimator.Queue() > longQueue)
	if changed {
		b.version.Add(1)
	}
}

func (l *load) give(given bool, now time.Time) {
	if !given {
		l.rest = min(2*l.rest, restAtMost)
		if now.Sub(l.changed) > provedAfter || l.rest == 0 {
			l.rest = restAtLeast
		}
		l.notAgain = now.Add(l.rest)
		l.until.Store(now.Add(dimTime).UnixNano())
	}
	l.changed = now
	l.given.Store(given)
}

// loads are those of one trunk, by synchronisation source. They belong to the
// shard's holder.
type loads struct {
	all     map[uint32]*load
	version uint32 // of the budget, when it was last served by
	weighed time.Time
	dimming time.Time // some layers end until then
}

// carries reports whether a picture's layer that is asked for is to be sent.
// The shard is held.
func (t *Trunk) carries(source *Source, ssrc uint32, now time.Time) bool {
	b := t.path.budget
	if b == nil || !source.picture() {
		return true
	}
	l := t.loads.all[ssrc]
	if l == nil {
		l = &load{ssrc: ssrc, kind: source.Kind()}
		t.loads.all[ssrc] = l
		b.mu.Lock()
		l.rate = t.rateOf(source, ssrc)
		l.given.Store(!b.heard || b.total+l.rate <= b.estimator.Estimate())
		b.total += l.rate
		b.loads = append(b.loads, l)
		b.mu.Unlock()
	}
	return l.given.Load() || !b.urgent.Load() && now.UnixNano() < l.until.Load()
}

// rateOf is what a layer takes.
func (t *Trunk) rateOf(source *Source, ssrc uint32) int {
	layers := source.measured()
	layer, rate := int(ssrc&layerMask), 0
	for i := range maxLayers {
		if i == layer || source.scalable && source.Requested()>>i&1 != 0 { // all are in one stream
			rate += layers.Layer(i).BitsPerSecond
		}
	}
	if rate > 0 {
		return rate + rate/12 // headers
	}
	return nominalRates[layer]
}

// offers reports whether a layer may be announced. The shard is held.
func (t *Trunk) offers(source *Source, layer int) bool {
	if source.scalable {
		layer = 0 // all are in one stream
	}
	l := t.loads.all[source.Stream()|uint32(layer)]
	return l == nil || l.given.Load()
}

// weigh tells the budget what the layers take, and acts on what it has decided.
// The shard is held.
func (t *Trunk) weigh(now time.Time) {
	b, y := t.path.budget, &t.loads
	if b == nil || now.Sub(y.weighed) < shareEvery {
		return
	}
	y.weighed = now
	b.mu.Lock()
	for ssrc, l := range y.all {
		if source := t.own[ssrc&streamMask]; source != nil {
			l.rate += (t.rateOf(source, ssrc) - l.rate) / 4
			l.speaks = slices.ContainsFunc(t.applied.Loud, func(s *Source) bool { return s.Owner() == source.Owner() })
		}
	}
	if b.heard && !now.Before(b.next) {
		b.share(now)
	}
	b.mu.Unlock()
	if v := b.version.Load(); v != y.version {
		y.version, y.dimming = v, now.Add(dimTime+shareEvery)
		t.says.looked = time.Time{}
	}
	if now.Before(y.dimming) {
		t.serve(now)
	}
}

// unload forgets the layers that are not asked for any more; of those that are
// not offered only when no other layer of the picture is, since who takes that
// may want more. The shard is held.
func (t *Trunk) unload() {
	b := t.path.budget
	for ssrc, l := range t.loads.all {
		_, asked := t.taken.until[ssrc]
		for layer := uint32(0); layer < maxLayers && !l.given.Load() && !asked; layer++ {
			_, asked = t.taken.until[ssrc&streamMask|layer]
		}
		if !asked || t.own[ssrc&streamMask] == nil {
			delete(t.loads.all, ssrc)
			b.drop(l)
		}
	}
}

func (b *Budget) drop(l *load) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loads = slices.DeleteFunc(b.loads, func(o *load) bool { return o == l })
}

// end forgets all.
func (y *loads) end(b *Budget) {
	for ssrc, l := range y.all {
		delete(y.all, ssrc)
		b.drop(l)
	}
}

// Withheld counts the layers that the path does not take.
func (b *Budget) Withheld() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.loads {
		if !l.given.Load() {
			n++
		}
	}
	return n
}

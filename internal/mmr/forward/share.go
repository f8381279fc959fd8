package forward

import (
	"time"

	"causeway/internal/media/alloc"
	"causeway/internal/media/simulcast"
	"causeway/internal/media/vp8"
	"causeway/protocol"
)

const (
	smoothing = 16 // parts of a layer's rate that a new measurement moves it by one of
	// settle is how long a slot that was given less is not given more: each
	// change costs a key frame. It is twice as long, and at most settleMost,
	// each time that more lasted for less than lasting.
	settle     = 1500 * time.Millisecond
	settleMost = 6 * time.Second
	lasting    = 10 * time.Second
	// bridge is how long a slot does with a part of a layer's pictures, before
	// it goes down to a smaller layer of which it can have all.
	bridge = time.Second
	// soundRate is what a voice is taken to need, with headers; othersRate what
	// the others' do, since mostly one speaks; sharedRate a shared screen's.
	soundRate  = 56_000
	othersRate = 16_000
	sharedRate = 120_000
	// twiceRate is what a voice needs that goes with redundancy.
	twiceRate = 96_000
)

// Rates of layers by index, for those that have not been measured yet.
var nominalRates = [maxLayers]int{150_000, 500_000, 1_500_000}

// maxRungs is how many combinations of layers and temporal layers there are.
const maxRungs = maxLayers * (vp8.MaxTemporal + 1)

// share is a slot's part of a budget.
type share struct {
	kind      protocol.Source
	active    bool
	fresh     bool           // has not been given anything yet
	redundant bool           // sound with redundancy
	height    int            // lines that are wanted
	current   int            // layer that is sent, -1 none
	temporal  int            // and up to which of its temporal layers
	rates     [maxLayers]int // of layers, smoothed, with headers; 0 not known
	lowered   time.Time      // when the slot was last given less
	raised    time.Time      // when it was last given more
	settle    time.Duration  // how long it is not given more
	thinned   time.Time      // since when it has a thin rung
	fed       time.Time      // when it was last given anything
	rungs     [maxRungs]alloc.Rung
	n         int // rungs
	given     int // rung, -1 none
}

func newShare(kind protocol.Source) share {
	return share{kind: kind, fresh: true, current: -1, given: -1, settle: settle}
}

// describe lists the layers that come as rungs.
func (y *share) describe(layers *simulcast.Layers, scalable bool, now time.Time) {
	was := alloc.Rung{Spatial: -1}
	if y.given >= 0 && y.given < y.n {
		was = y.rungs[y.given]
	}
	var list [maxLayers]alloc.Layer
	var below struct{ measured, sustained int }
	n, temporal := 0, 0
	for i := range maxLayers {
		if !layers.Active(i, now) {
			continue
		}
		l := layers.Layer(i)
		measured, sustained := l.BitsPerSecond, l.Sustained()
		if scalable && measured > 0 {
			below.measured += measured // a layer needs those below it
			below.sustained += sustained
			measured, sustained = below.measured, below.sustained
		}
		rate, height := y.smooth(i, measured, sustained), layers.Height(i)
		if n > 0 && (height <= list[n-1].Height || rate <= list[n-1].Rate) {
			continue // not worth more
		}
		list[n] = alloc.Layer{Index: i, Height: height, Rate: rate}
		temporal = max(temporal, l.Temporal)
		n++
	}
	class := alloc.Other
	if y.kind == protocol.Screen {
		class = alloc.Content
	}
	y.n = len(alloc.Ladder(y.rungs[:0], list[:n], temporal+1, class))
	y.given = y.rung(was.Spatial, was.Temporal)
	if y.given < 0 && was.Spatial >= 0 && y.n > 0 {
		y.given = 0
	}
}

// rung finds the one of a layer with its temporal layers up to one, -1 if there
// is none.
func (y *share) rung(spatial, temporal int) int {
	found := -1
	for i := range y.n {
		if y.rungs[i].Spatial == spatial && (found < 0 || y.rungs[i].Temporal <= temporal) {
			found = i
		}
	}
	return found
}

// grant is what a rung gives.
func (y *share) grant(rung int, urgent bool) grant {
	g := grant{height: y.rungs[rung].Height, temporal: y.rungs[rung].Temporal, urgent: urgent}
	if rung+1 == y.n || y.rungs[rung+1].Spatial != y.rungs[rung].Spatial {
		g.temporal = vp8.MaxTemporal // all there are
	}
	return g
}

// smooth returns a layer's rate. Key frames, which slots going up and down ask
// for, make it jump; if those jumps counted there would be no end of them. What
// lasts counts at once: a layer that begins may soon take many times as much.
func (y *share) smooth(layer, measured, sustained int) int {
	rate := &y.rates[layer]
	measured += measured / 12 // headers
	sustained += sustained / 12
	switch {
	case measured == 0:
	case *rate == 0:
		*rate = measured * 2 / 3 // it began with a key frame
	default:
		*rate += (measured - *rate) / smoothing
	}
	*rate = max(*rate, sustained)
	if *rate == 0 {
		return nominalRates[layer]
	}
	return *rate
}

var (
	sound       = []alloc.Rung{{Rate: soundRate}}
	twiceSound  = []alloc.Rung{{Rate: twiceRate}}
	otherSound  = []alloc.Rung{{Rate: othersRate}}
	sharedSound = []alloc.Rung{{Rate: sharedRate}}
)

// give notes what the slot is given from now on; short that not all get what
// they want.
func (y *share) give(rung int, short bool, now time.Time) {
	switch {
	case rung > y.given:
		if y.given >= 0 {
			y.raised = now
		}
	case short:
		if y.raised.After(y.lowered) {
			if now.Sub(y.raised) < lasting {
				y.settle = min(2*y.settle, settleMost)
			} else {
				y.settle = settle
			}
		}
		y.lowered = now
	}
	was := y.thin()
	if y.given = rung; y.thin() && !was {
		y.thinned = now
	}
}

// thin reports whether the slot was given a thin rung.
func (y *share) thin() bool { return y.given >= 0 && y.given < y.n && y.rungs[y.given].Thin }

// stream is the share as package alloc knows it. The tallest camera, if it is
// to be much taller than the others, is that of whoever speaks.
func (y *share) stream(tallest, second int, now time.Time) alloc.Stream {
	if !y.active {
		return alloc.Stream{Class: alloc.Other, Current: -1}
	}
	s := alloc.Stream{Rungs: y.rungs[:y.n], Height: y.height, Current: y.rung(y.current, y.temporal), Bridge: -1}
	if y.given >= 0 {
		if !y.thin() || now.Sub(y.thinned) < bridge {
			s.Bridge = y.rungs[y.given].Spatial
		}
		if !y.thin() && now.Sub(y.lowered) < y.settle {
			s.Rungs = s.Rungs[:y.given+1]
		}
	}
	switch {
	case y.kind == protocol.Mic && y.redundant:
		s.Class, s.Rungs = alloc.Sound, twiceSound
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

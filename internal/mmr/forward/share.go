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
	// change costs a key frame.
	settle = 1500 * time.Millisecond
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
	fed       time.Time      // when it was last given anything
	rungs     [maxRungs]alloc.Rung
	n         int // rungs
	given     int // rung, -1 none
}

func newShare(kind protocol.Source) share {
	return share{kind: kind, fresh: true, current: -1, given: -1}
}

// describe lists the layers that come as rungs.
func (y *share) describe(layers *simulcast.Layers, scalable bool, now time.Time) {
	was := alloc.Rung{Spatial: -1}
	if y.given >= 0 && y.given < y.n {
		was = y.rungs[y.given]
	}
	var list [maxLayers]alloc.Layer
	n, temporal, below := 0, 0, 0
	for i := range maxLayers {
		if !layers.Active(i, now) {
			continue
		}
		l := layers.Layer(i)
		measured := l.BitsPerSecond
		if scalable && measured > 0 {
			below += measured // a layer needs those below it
			measured = below
		}
		rate, height := y.smooth(i, measured), layers.Height(i)
		if n > 0 && (height <= list[n-1].Height || rate <= list[n-1].Rate) {
			continue // not worth more
		}
		list[n] = alloc.Layer{Index: i, Height: height, Rate: rate}
		temporal = max(temporal, l.Temporal)
		n++
	}
	y.n = len(alloc.Ladder(y.rungs[:0], list[:n], temporal+1, alloc.Other))
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

var (
	sound       = []alloc.Rung{{Rate: soundRate}}
	twiceSound  = []alloc.Rung{{Rate: twiceRate}}
	otherSound  = []alloc.Rung{{Rate: othersRate}}
	sharedSound = []alloc.Rung{{Rate: sharedRate}}
)

// stream is the share as package alloc knows it. The tallest camera, if it is
// to be much taller than the others, is that of whoever speaks.
func (y *share) stream(tallest, second int, now time.Time) alloc.Stream {
	if !y.active {
		return alloc.Stream{Class: alloc.Other, Current: -1}
	}
	s := alloc.Stream{Rungs: y.rungs[:y.n], Height: y.height, Current: y.rung(y.current, y.temporal)}
	if now.Sub(y.lowered) < settle && y.given >= 0 {
		s.Rungs = s.Rungs[:y.given+1]
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

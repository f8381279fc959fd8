// Package simulcast chooses which layer of a source each taker gets.
//
// Layers, one per source, is told of every packet and measures what each
// layer brings. Taker, one per slot that carries the source, aims at the layer
// that fits the wish, goes over to it at a key frame, and steps back when a
// layer stops, as senders stop layers when their uplink or processor is short.
// The router owns both; a Layers belongs to the publisher's shard, and a Taker
// of another shard works on a copy (Layers is a plain value). Nothing is
// allocated. Limit: MaxLayers layers.
package simulcast

import "time"

// MaxLayers is the most layers of one source.
const MaxLayers = 4

const (
	// window is how long bytes are counted for a bit rate.
	window = 500 * time.Millisecond
	// silence is how long nothing may come before a layer counts as stopped.
	silence = 750 * time.Millisecond
	// settled is how long a layer must have run before takers climb to it.
	settled = 300 * time.Millisecond
	// believed is how long a layer counts as coming that was announced.
	believed = 3 * time.Second
	// resuming is how long a layer counts as coming that was paused and is
	// asked for again: senders may not have the rate for it any more.
	resuming = 1500 * time.Millisecond
)

// nominal heights of layers by index, for those whose key frame was not seen.
var nominal = [MaxLayers]int{180, 360, 720, 1080}

// Layer is what is known of one layer.
type Layer struct {
	Width, Height int // of the last key frame; 0 not known
	BitsPerSecond int // over the last window; 0 not known yet
	before        int // over the one before it
	Temporal      int // its temporal layers above the lowest
	Seen          time.Time
	Since         time.Time // since when it has come without a pause
	begin         time.Time // of the current window
	bytes         int
	until         time.Time // it is believed to come
	paused        bool      // it would come, but its sender is asked not to send it
}

// Layers measures the layers of one source. The zero value is ready. A source
// without simulcast has one, number 0.
type Layers struct {
	layers [MaxLayers]Layer
}

// Packet notes a packet of a layer.
func (l *Layers) Packet(layer, bytes int, now time.Time) {
	if layer < 0 || layer >= MaxLayers {
		return
	}
	y := &l.layers[layer]
	switch {
	case !l.Active(layer, now):
		y.Since, y.begin, y.bytes, y.BitsPerSecond, y.before = now, now, 0, 0, 0
	case now.Sub(y.Seen) >= silence: // it was paused
		y.begin, y.bytes = now, 0
	}
	y.Seen = now
	if d := now.Sub(y.begin); d >= window {
		y.measured(int(int64(y.bytes) * 8 * int64(time.Second) / int64(d)))
		y.begin, y.bytes = now, 0
	}
	y.bytes += bytes
}

// Size notes the size that a layer's key frame tells; zeros are ignored.
func (l *Layers) Size(layer, width, height int) {
	if layer >= 0 && layer < MaxLayers && height > 0 {
		l.layers[layer].Width, l.layers[layer].Height = width, height
	}
}

// Temporal notes a temporal layer that was seen within a layer.
func (l *Layers) Temporal(layer, temporal int) {
	if layer >= 0 && layer < MaxLayers {
		l.layers[layer].Temporal = max(l.layers[layer].Temporal, temporal)
	}
}

// Announce notes what the router of the publisher says of a layer, for takers
// on another router, which sees only what it asks for. bitsPerSecond is 0 when
// the layer does not come; height 0 leaves it as it was.
func (l *Layers) Announce(layer, height, bitsPerSecond int, now time.Time) {
	if layer < 0 || layer >= MaxLayers {
		return
	}
	y := &l.layers[layer]
	if bitsPerSecond <= 0 {
		y.until = time.Time{}
		if last := now.Add(-silence); y.Seen.After(last) {
			y.Seen = last // it has stopped: no need to wait for silence
		}
		return
	}
	if !l.Active(layer, now) {
		y.Since = now
	}
	l.Size(layer, y.Width, height)
	y.Seen, y.until = now, now.Add(believed)
	y.measured(bitsPerSecond)
}

func (y *Layer) measured(bitsPerSecond int) {
	y.before, y.BitsPerSecond = y.BitsPerSecond, bitsPerSecond
}

// Sustained is the rate that the layer had in both of the last two windows: a
// key frame is in one of them.
func (y *Layer) Sustained() int { return min(y.before, y.BitsPerSecond) }

// Layer returns what is known of a layer.
func (l *Layers) Layer(layer int) Layer {
	if layer < 0 || layer >= MaxLayers {
		return Layer{}
	}
	return l.layers[layer]
}

// Request asks the source's sender for the layers that are wanted, a bit each,
// and returns all that it may send: if any is wanted the least as well, to which
// takers can go down at once, and those that do not come anyhow, so that it is
// seen when they could. The others are paused: they count as coming, for takers
// to choose, with the size and rate they had.
func (l *Layers) Request(wanted uint32, now time.Time) uint32 {
	if least := l.least(now); wanted != 0 && least >= 0 {
		wanted |= 1 << least
	}
	requested := wanted
	for i := range MaxLayers {
		y := &l.layers[i]
		switch {
		case wanted>>i&1 != 0:
			if y.paused {
				y.paused, y.until = false, now.Add(resuming)
			}
		case l.Active(i, now):
			y.paused = true
		default:
			requested |= 1 << i
		}
	}
	return requested
}

// least returns the active layer with the fewest lines, -1 if none is active.
func (l *Layers) least(now time.Time) int {
	least := -1
	for i := range MaxLayers {
		if l.Active(i, now) && (least < 0 || l.height(i) < l.height(least)) {
			least = i
		}
	}
	return least
}

// Active reports whether a layer comes, or would if it were asked for.
func (l *Layers) Active(layer int, now time.Time) bool {
	if layer < 0 || layer >= MaxLayers || l.layers[layer].Seen.IsZero() {
		return false
	}
	y := &l.layers[layer]
	return y.paused || now.Sub(y.Seen) < silence || now.Before(y.until)
}

// Stop notes that a layer is gone, without waiting for silence.
func (l *Layers) Stop(layer int) {
	if layer >= 0 && layer < MaxLayers {
		l.layers[layer] = Layer{}
	}
}

// Height returns a layer's height, measured or nominal.
func (l *Layers) Height(layer int) int {
	if layer < 0 || layer >= MaxLayers {
		return 0
	}
	return l.height(layer)
}

func (l *Layers) height(layer int) int {
	if h := l.layers[layer].Height; h > 0 {
		return h
	}
	return nominal[layer]
}

// Wish is what a taker would like.
type Wish struct {
	Height int // lines; 0 nothing at all
	// MaxBitsPerSecond bounds what the taker can receive; 0 is no bound.
	MaxBitsPerSecond int
}

// Choose returns the active layer that fits a wish best: the smallest that
// has the lines wished for, or four fifths of them; else the largest there
// is. Of layers above the bit rate the smallest is taken if no other is left;
// a new layer is not climbed to from current (-1 is none) before it has
// settled. If none is active, as when a shared screen stands still, it is the
// current one or the one seen last. It returns -1 if there is nothing to take.
func (l *Layers) Choose(w Wish, current int, now time.Time) int {
	if w.Height <= 0 {
		return -1
	}
	best, least := -1, l.least(now)
	for i := range MaxLayers {
		if !l.Active(i, now) {
			continue
		}
		if w.MaxBitsPerSecond > 0 && l.layers[i].BitsPerSecond > w.MaxBitsPerSecond {
			continue
		}
		if l.Active(current, now) && i != current && l.height(i) > l.height(current) && now.Sub(l.layers[i].Since) < settled {
			continue
		}
		if best < 0 || l.better(i, best, w.Height) {
			best = i
		}
	}
	switch {
	case best >= 0:
		return best
	case least >= 0:
		return least
	}
	return l.lastSeen(current)
}

// lastSeen returns current if it ever came, else the layer that came last, -1
// if none ever did.
func (l *Layers) lastSeen(current int) int {
	if current >= 0 && current < MaxLayers && !l.layers[current].Seen.IsZero() {
		return current
	}
	last := -1
	for i := range l.layers {
		if seen := l.layers[i].Seen; !seen.IsZero() && (last < 0 || seen.After(l.layers[last].Seen)) {
			last = i
		}
	}
	return last
}

// better reports whether layer a serves a wish for the height better than b.
func (l *Layers) better(a, b, height int) bool {
	ha, hb := l.height(a), l.height(b)
	enoughA, enoughB := ha*5 >= height*4, hb*5 >= height*4
	switch {
	case enoughA && enoughB:
		return ha < hb
	case enoughA != enoughB:
		return enoughA
	}
	return ha > hb
}

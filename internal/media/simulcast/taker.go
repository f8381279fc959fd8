package simulcast

import "time"

// Action is what to do with a packet for a taker.
type Action int

// The actions.
const (
	Skip    Action = iota // not for this taker
	Forward               // part of the layer that it gets
	Switch                // the first packet of another layer: go over, then forward
)

// Taker is one slot's choice among the layers of its source. Make it with
// NewTaker.
type Taker struct {
	current int // layer that is forwarded, -1 none
	target  int // layer to go over to, -1 none
}

// NewTaker makes a taker that gets nothing yet.
func NewTaker() Taker { return Taker{current: -1, target: -1} }

// Aim chooses the target anew; call it when the wish changes and every few
// tens of milliseconds. It reports whether the target has changed.
func (t *Taker) Aim(l *Layers, w Wish, now time.Time) (changed bool) {
	was := t.target
	t.target = l.Choose(w, t.current, now)
	if w.Height <= 0 {
		t.current = -1
	}
	return t.target != was
}

// Packet says what to do with a packet of a layer. key tells that a key frame
// begins with it.
func (t *Taker) Packet(layer int, key bool) Action {
	switch {
	case layer == t.target && layer != t.current && key:
		t.current = layer
		return Switch
	case layer == t.current:
		return Forward
	}
	return Skip
}

// WantsKey returns the layer whose key frame the taker waits for; false if it
// waits for none.
func (t *Taker) WantsKey() (layer int, ok bool) {
	return t.target, t.target >= 0 && t.target != t.current
}

// Current returns the layer that is forwarded, -1 if none.
func (t *Taker) Current() int { return t.current }

// Target returns the layer that the taker aims at, -1 if none.
func (t *Taker) Target() int { return t.target }

// Pause stops forwarding until the next key frame of the target.
func (t *Taker) Pause() { t.current = -1 }

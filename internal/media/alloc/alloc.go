// Package alloc shares out what a participant's network takes (package bwe)
// among the streams that they receive: sound first, whatever it costs, then
// shared content, then who speaks, then the others by the sizes asked.
//
// Each stream of pictures has a ladder of rungs, which are its layers from the
// least to the best: of a simulcast, or the spatial and temporal layers of an
// SVC stream. What is short is taken from the frame rate at first, which goes
// at once, and from the size if it stays short: then the largest picture is
// given of which all fit (Ladder). A rung above the current one must fit with
// some room, so that a budget that wavers does not make pictures waver.
//
// The router calls Allocate for a participant when the estimate, the wishes or
// the layers' rates have changed, a few times a second. It is a plain function
// of its arguments and allocates nothing.
package alloc

// Class says how important a stream is.
type Class uint8

// The classes, most important first.
const (
	Sound Class = iota
	Content
	Speaker
	Other
)

// Rung is one choice among a stream's layers.
type Rung struct {
	Spatial, Temporal int // layers, up to and including these
	Height            int // lines
	Rate              int // bits per second, with all headers
	// Thin is a part of a layer's pictures which is worth less than all of a
	// smaller one: it is given only for a while.
	Thin bool
}

// Stream is something to receive.
type Stream struct {
	Class  Class
	Rungs  []Rung // the least first
	Height int    // lines that are wanted; 0 nothing. Sound has no lines
	// Current is the rung that is received now, -1 none.
	Current int
	// Bridge is the layer of which thin rungs may be given now, -1 for none.
	Bridge int
	// Given is set to the rung to receive, -1 for none.
	Given int
}

// Result is what Allocate has found.
type Result struct {
	Given int // bits per second of all that is given
	Want  int // of all that is wanted
}

const (
	// reserve is the share of the budget, after sound, that content and the
	// speaker leave for the least rungs of the others: one in reserve.
	reserve = 3
	// slack is by how much more must be left than a higher rung costs: one
	// part in slack.
	slack = 10
)

// Allocate sets what each stream is given. Streams of one class that come
// first are given first. Only sound may exceed the budget.
func Allocate(budget int, streams []Stream) Result {
	var r Result
	left := budget
	for i := range streams {
		s := &streams[i]
		s.Given = -1
		top := s.top()
		if top < 0 {
			continue
		}
		r.Want += s.Rungs[top].Rate
		if s.Class == Sound {
			s.Given = top
			r.Given += s.Rungs[top].Rate
			left -= s.Rungs[top].Rate
		}
	}
	left = max(0, left)
	before := left
	kept := min(least(streams), left/reserve)
	left -= kept
	for _, class := range [...]Class{Content, Speaker} {
		for i := range streams {
			if s := &streams[i]; s.Class == class {
				for top := s.top(); s.Given < top && s.raise(top, &left); {
				}
			}
		}
	}
	left += kept
	spread(streams, &left)
	r.Given += before - left
	return r
}

// least is what the least rungs of all others cost.
func least(streams []Stream) int {
	sum := 0
	for i := range streams {
		if s := &streams[i]; s.Class == Other && s.top() >= 0 {
			sum += s.Rungs[0].Rate
		}
	}
	return sum
}

// spread gives the others a rung each, and then another, those first that are
// to be largest.
func spread(streams []Stream, left *int) {
	for raised := true; raised; {
		raised = false
		// One round: by falling height, in the order given where that is equal.
		for height := tallest(streams, 1<<30); height > 0; height = tallest(streams, height) {
			for i := range streams {
				s := &streams[i]
				if s.Class != Other || s.Height != height {
					continue
				}
				if next := s.next(); next <= s.top() && s.raise(next, left) {
					raised = true
				}
			}
		}
	}
}

// tallest is the greatest height asked below a bound.
func tallest(streams []Stream, below int) int {
	height := 0
	for i := range streams {
		if s := &streams[i]; s.Class == Other && s.Height < below {
			height = max(height, s.Height)
		}
	}
	return height
}

// raise gives the stream the best rung up to the given one that is above its
// own and fits.
func (s *Stream) raise(to int, left *int) bool {
	has := 0
	if s.Given >= 0 {
		has = s.Rungs[s.Given].Rate
	}
	for ; to > s.Given; to-- {
		if !s.may(to) {
			continue
		}
		cost := s.Rungs[to].Rate - has
		need := cost
		if to > s.Current {
			need += s.Rungs[to].Rate / slack
		}
		if need <= *left {
			*left -= max(0, cost)
			s.Given = to
			return true
		}
	}
	return false
}

// may reports whether a rung may be given now.
func (s *Stream) may(rung int) bool {
	r := &s.Rungs[rung]
	return !r.Thin || r.Spatial == s.Bridge
}

// next is the first rung above the given one that may be given now.
func (s *Stream) next() int {
	next := s.Given + 1
	for next < len(s.Rungs) && !s.may(next) {
		next++
	}
	return next
}

// top is the rung that serves the wish: the best of those with the least lines
// that are enough, or almost; the best of all if none is. -1 if nothing is
// wanted or there.
func (s *Stream) top() int {
	if len(s.Rungs) == 0 || s.Class != Sound && s.Height <= 0 {
		return -1
	}
	if s.Class == Sound {
		return len(s.Rungs) - 1
	}
	for i := range s.Rungs {
		if last := i+1 == len(s.Rungs) || s.Rungs[i+1].Height > s.Rungs[i].Height; last && enough(s.Rungs[i].Height, s.Height) {
			return i
		}
	}
	return len(s.Rungs) - 1
}

// enough reports whether a picture has the lines, or four fifths of them.
func enough(height, wanted int) bool { return height*5 >= wanted*4 }

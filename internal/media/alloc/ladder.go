package alloc

// Layer is one spatial layer, with all its temporal layers.
type Layer struct {
	Index  int // Rung.Spatial
	Height int
	Rate   int // bits per second; of an SVC stream with the layers below it
}

// shares are the parts of a layer's rate that its temporal layers have, in
// percent, up to and including each, by how many there are. Encoders that are
// not asked for anything else divide it so.
var shares = [...][]int{{100}, {100}, {60, 100}, {40, 60, 100}}

// muchLess is how many times as many lines a layer must have as the next
// smaller one for a part of its pictures to be worth as much as all of that.
const muchLess = 3

// Ladder appends the rungs of a stream to dst: its spatial layers, the
// smallest first, each with more and more of its temporal layers. A small
// picture that moves well is worth more than a larger one that does not, so
// that of larger ones no less than half of the frame rate is a rung, and thin;
// content is the other way round: it may come as seldom as can be.
func Ladder(dst []Rung, layers []Layer, temporal int, class Class) []Rung {
	temporal = max(1, min(temporal, len(shares)-1))
	for i, l := range layers {
		first, thin := 0, false
		if i > 0 && class != Content {
			first = max(0, temporal-2)
			thin = l.Height < muchLess*layers[i-1].Height
		}
		for t := first; t < temporal; t++ {
			dst = append(dst, Rung{
				Spatial: l.Index, Temporal: t, Height: l.Height, Rate: l.Rate * shares[temporal][t] / 100,
				Thin: thin && t+1 < temporal,
			})
		}
	}
	return ascending(dst)
}

// ascending takes out rungs that cost no less than better ones, as when a
// layer's rate has not been measured yet: then the worse ones are in vain.
func ascending(rungs []Rung) []Rung {
	kept := rungs[:0]
	for _, r := range rungs {
		for !r.Thin && len(kept) > 0 && kept[len(kept)-1].Rate >= r.Rate && kept[len(kept)-1].Height <= r.Height {
			kept = kept[:len(kept)-1]
		}
		kept = append(kept, r)
	}
	return kept
}

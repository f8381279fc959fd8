package legs

// digest stands for a set of facts: two sets with the same digest are taken
// for equal. It is the exclusive or of the facts' hashes, so that a change
// costs its own size and order does not matter.
type digest uint64

// toggle puts a fact in, or takes it out.
func (d *digest) toggle(name string, number uint64) {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := uint64(offset)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * prime
	}
	*d ^= digest(mix(h ^ mix(number+1)))
}

// mix spreads what differs in few bits over all of them (splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

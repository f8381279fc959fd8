package zone

import (
	"cmp"
	"hash/fnv"
	"slices"
)

// clearlyLess is how much less loaded the second favourite must be to take
// the first one's place. Two controllers see loads that differ a little, by
// joins that only one of them has brokered; this keeps them of one mind.
const clearlyLess = 0.1

// candidate is a router that could take a participant, as placement sees it.
type candidate struct {
	id      string
	load    float64 // 0 idle … 1 full
	leg     int     // participants of the meeting that it carries; 0: it has no leg
	suspect bool    // it did not answer lately
}

// place orders the routers for a participant of the meeting, the best first:
//
//  1. those that carry the meeting, the largest leg first: people stay together;
//  2. the meeting's two favourites by rendezvous hashing, the less loaded first;
//  3. the rest, in the order of that hash;
//
// and suspects after all others. It depends on nothing but its arguments and
// not on their order, so that two controllers that place the same new meeting
// at once agree without asking each other.
func place(meeting string, candidates []candidate) []string {
	order := slices.Clone(candidates)
	rank := map[string]uint64{}
	for _, c := range order {
		rank[c.id] = rendezvous(meeting, c.id)
	}
	slices.SortFunc(order, func(a, b candidate) int {
		return cmp.Or(
			cmp.Compare(btoi(a.suspect), btoi(b.suspect)),
			cmp.Compare(b.leg, a.leg),
			cmp.Compare(rank[b.id], rank[a.id]),
			cmp.Compare(a.id, b.id),
		)
	})
	favourites(order)
	ids := make([]string, len(order))
	for i, c := range order {
		ids[i] = c.id
	}
	return ids
}

// favourites lets the less loaded of the first two that have no leg and are
// not suspect go first.
func favourites(order []candidate) {
	i := slices.IndexFunc(order, func(c candidate) bool { return c.leg == 0 })
	if i < 0 || i+1 >= len(order) {
		return
	}
	first, second := order[i], order[i+1]
	if first.suspect || second.suspect || second.leg > 0 {
		return
	}
	if second.load <= first.load-clearlyLess {
		order[i], order[i+1] = second, first
	}
}

// rendezvous is the weight of a router for a meeting (highest random weight
// hashing, Thaler and Ravishankar 1998): when a router comes or goes, only
// the meetings that favour it are placed elsewhere.
func rendezvous(meeting, router string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(meeting))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(router))
	// FNV leaves the last bytes in the low bits; mix them into all
	// (the finaliser of SplitMix64).
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

package zone

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strings"

	"causeway/protocol"
)

const (
	// clearlyLess is how much less loaded the second favourite must be to
	// take the first one's place. Two controllers see loads that differ a
	// little, by joins that only one of them has brokered; this keeps them of
	// one mind.
	clearlyLess = 0.1
	// A router is a favourite only up to this load: so much more than the mean
	// and a little, but while there is much room everywhere it does not matter.
	favouriteFactor, favouriteSlack, favouriteLeast = 1.1, 0.05, 0.25
	// A leg on a router more loaded than this does not draw further people:
	// so much more than the mean, but not below half full, where keeping people
	// together is worth more, and at most nearly full.
	crowdedFactor, crowdedLeast, crowdedMost = 1.2, 0.5, 0.9
)

// turn is when a router's turn comes: routers of a later turn are only asked
// when none of an earlier one has room.
type turn int

const (
	first   turn = iota
	crowded      // more loaded than others
	ailing       // participants fail there
	suspect      // it did not answer lately
	avoided      // the participant comes from there
)

// candidate is a router that could take a participant, as placement sees it.
type candidate struct {
	id   string
	rank uint64  // for this meeting, see rendezvous
	load float64 // 0 idle … 1 full
	leg  int     // participants of the meeting that it carries; 0: it has no leg
	turn turn
}

// pick chooses a router for a participant of a meeting, given the mean load of
// the zone's routers. Of those whose turn comes first it is:
//
//  1. the one with the largest leg of the meeting: people stay together;
//  2. of the meeting's two favourites by rendezvous hashing, the less loaded.
//
// It depends on nothing but its arguments and not on their order, so that two
// controllers that place the same new meeting at once agree without asking
// each other. ok is false when there is no candidate.
func pick(candidates []candidate, mean float64) (_ candidate, ok bool) {
	var leg, one, two *candidate // the largest leg; favourites
	now := avoided + 1
	bound := max(favouriteLeast, mean*favouriteFactor+favouriteSlack)
	for i := range candidates {
		c := &candidates[i]
		if c.turn > now {
			continue
		}
		if c.turn < now {
			now, leg, one, two = c.turn, nil, nil, nil
		}
		switch {
		case c.leg > 0:
			if leg == nil || order(c, leg) < 0 {
				leg = c
			}
		case one == nil || favours(c, one, bound):
			one, two = c, one
		case two == nil || favours(c, two, bound):
			two = c
		}
	}
	switch {
	case leg != nil:
		return *leg, true
	case one == nil:
		return candidate{}, false
	case two != nil && two.load <= one.load-clearlyLess:
		return *two, true
	}
	return *one, true
}

// order puts larger legs first, then the meeting's favourites.
func order(a, b *candidate) int {
	return cmp.Or(cmp.Compare(b.leg, a.leg), cmp.Compare(b.rank, a.rank), strings.Compare(a.id, b.id))
}

// favours reports whether a meeting without a leg favours a over b.
func favours(a, b *candidate, bound float64) bool {
	if over := a.load > bound; over != (b.load > bound) {
		return !over
	}
	return order(a, b) < 0
}

// turnOf says when a router's turn comes, but for who comes from there.
func turnOf(ails protocol.Ailment, load, mean float64) turn {
	switch {
	case ails == protocol.AilsSilent:
		return suspect
	case ails != "":
		return ailing
	case load > min(crowdedMost, max(crowdedLeast, mean*crowdedFactor)):
		return crowded
	}
	return first
}

// hashOf is the hash (FNV-1a) of a meeting's or router's id.
func hashOf(id string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id))
	return h.Sum64()
}

// rendezvous is the weight of a router for a meeting, given their hashes
// (highest random weight hashing, Thaler and Ravishankar 1998): when a router
// comes or goes, only the meetings that favour it are placed elsewhere.
func rendezvous(meeting, router uint64) uint64 {
	return mix(mix(router) ^ meeting)
}

// mix is the finaliser of SplitMix64: FNV leaves the last bytes in the low
// bits, this puts them into all.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// untried drops the candidates that were asked already.
func untried(candidates []candidate, tried []string) []candidate {
	if len(tried) == 0 {
		return candidates
	}
	return slices.DeleteFunc(candidates, func(c candidate) bool { return slices.Contains(tried, c.id) })
}

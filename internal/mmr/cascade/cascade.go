// Package cascade works out which routers of a meeting exchange media
// directly, and by which of its neighbours the media of each other router
// reach a router.
//
// It is a pure function of the meeting's legs. Every router knows them all, so
// that all arrive at the same answer without agreeing on it, and nearly the
// same legs give nearly the same answer. While two routers know different legs
// for a moment they may disagree; package forward sees to it that nothing goes
// round in circles then. Called by package relay.
//
// The routers of a zone are connected each with each while they are few (Mesh),
// and beyond that by a tree. The zones' first routers are connected the same
// way, so that media cross between two zones once, however many routers take
// them there. The longest-standing routers with publishers are nearest to the
// root: who comes later is a leaf, and whoever leaves takes few edges along.
// Zones of which no router can be dialled are connected with those that can,
// or where there are more, hang on one of their routers.
package cascade

import (
	"cmp"
	"hash/fnv"
	"slices"
)

// The shape.
const (
	Mesh         = 5 // routers of a zone, or zones, that are connected each with each
	Branches     = 6 // routers below one of the same zone, where there are more
	ZoneBranches = 3 // zones below one, where there are more
	Premises     = 4 // zones on premises that hang on one router
	// MaxNeighbours is how many neighbours a router has at most, unless there
	// are more zones on premises than the other routers have room for.
	MaxNeighbours = max(Mesh-1, 1+ZoneBranches) + max(Mesh-1, Branches) + Premises
)

// Name names a router.
type Name struct{ Zone, MMR string }

func (n Name) compare(o Name) int {
	return cmp.Or(cmp.Compare(n.Zone, o.Zone), cmp.Compare(n.MMR, o.MMR))
}

// A Leg is a router that carries the meeting.
type Leg struct {
	Name
	Epoch      int64 // when the leg began
	OnPremises bool  // it dials, but cannot be dialled from another zone
	Publishes  bool  // somebody there may publish
	Silent     bool  // it may be dead, or is about to go: nobody is to depend on it
}

// compare puts the legs in order within a zone: whom others depend on first.
func (l *Leg) compare(o *Leg) int {
	return cmp.Or(yes(l.Silent)-yes(o.Silent), yes(l.OnPremises)-yes(o.OnPremises), yes(o.Publishes)-yes(l.Publishes),
		cmp.Compare(l.Epoch, o.Epoch), l.Name.compare(o.Name))
}

func yes(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A Tree says who exchanges media with whom. It is not changed once it is
// made.
type Tree struct {
	legs  []Leg
	index map[Name]int
	near  [][]int // neighbours
	via   [][]int // by owner, then router: the next hop towards the owner
}

// New works the tree out. The order of the legs does not matter.
func New(legs []Leg) *Tree {
	t := &Tree{index: map[Name]int{}}
	for _, l := range slices.SortedFunc(slices.Values(legs), func(a, b Leg) int { return a.compare(&b) }) {
		if _, twice := t.index[l.Name]; !twice {
			t.index[l.Name] = len(t.legs)
			t.legs = append(t.legs, l)
		}
	}
	t.near = make([][]int, len(t.legs))
	t.connect()
	for owner := range t.legs {
		t.via = append(t.via, t.towards(owner))
	}
	return t
}

// connect makes the edges.
func (t *Tree) connect() {
	zones := map[string][]int{}
	var heads []int
	for i := range t.legs {
		zone := t.legs[i].Zone
		if zones[zone] == nil {
			heads = append(heads, i)
		}
		zones[zone] = append(zones[zone], i)
	}
	var open, premises []int
	for _, h := range heads {
		t.group(zones[t.legs[h].Zone], Branches)
		if t.legs[h].OnPremises {
			premises = append(premises, h)
		} else {
			open = append(open, h)
		}
	}
	switch {
	case len(open) == 0: // perhaps they see each other
		t.group(premises, ZoneBranches)
	case len(heads) <= Mesh:
		t.group(open, ZoneBranches)
		for _, p := range premises {
			for _, o := range open {
				t.edge(p, o)
			}
		}
	default:
		t.group(open, ZoneBranches)
		t.attach(premises, open)
	}
}

// group connects routers, the first of which is the root.
func (t *Tree) group(order []int, branches int) {
	if len(order) <= Mesh {
		for i, a := range order {
			for _, b := range order[:i] {
				t.edge(a, b)
			}
		}
		return
	}
	depth, children := make([]int, len(order)), make([]int, len(order))
	for i := 1; i < len(order); i++ {
		parent := -1
		for j := range i {
			if children[j] < branches && (parent < 0 || depth[j] < depth[parent] ||
				depth[j] == depth[parent] && t.affinity(order[i], order[j]) < t.affinity(order[i], order[parent])) {
				parent = j
			}
		}
		children[parent]++
		depth[i] = depth[parent] + 1
		t.edge(order[i], order[parent])
	}
}

// attach hangs zones that cannot be dialled on routers that can: on the first
// of a zone, or where there are too many of them on others.
func (t *Tree) attach(premises, open []int) {
	hanging := make([]int, len(t.legs))
	reachable := slices.Clone(open)
	for i := range t.legs {
		if !t.legs[i].OnPremises && !t.legs[i].Silent && !slices.Contains(open, i) {
			reachable = append(reachable, i)
		}
	}
	for _, p := range premises {
		best, rank := -1, [4]int{}
		for _, r := range reachable {
			full := hanging[r] >= Premises
			at := [4]int{yes(t.legs[r].Silent), yes(full) * hanging[r], yes(!slices.Contains(open, r)), int(t.affinity(p, r))}
			if best < 0 || slices.Compare(at[:], rank[:]) < 0 {
				best, rank = r, at
			}
		}
		hanging[best]++
		t.edge(p, best)
	}
}

// affinity is lowest for the router that another one would choose among
// equals: by chance, but always the same (rendezvous hashing).
func (t *Tree) affinity(a, b int) uint32 {
	h := fnv.New64a()
	for _, s := range []string{t.legs[a].Zone, t.legs[a].MMR, t.legs[b].Zone, t.legs[b].MMR} {
		_, _ = h.Write([]byte(s)) // never fails
		_, _ = h.Write([]byte{0})
	}
	v := h.Sum64()
	v ^= v >> 32
	return uint32(v * 0x9e3779b97f4a7c15 >> 33) // 31 bits, well mixed
}

func (t *Tree) edge(a, b int) {
	t.near[a] = append(t.near[a], b)
	t.near[b] = append(t.near[b], a)
}

// towards returns the next hop from every router to the owner, by the fewest
// hops.
func (t *Tree) towards(owner int) []int {
	next := slices.Repeat([]int{-1}, len(t.legs))
	next[owner] = owner
	for queue := []int{owner}; len(queue) > 0; queue = queue[1:] {
		for _, n := range t.near[queue[0]] {
			if next[n] < 0 {
				next[n] = queue[0]
				queue = append(queue, n)
			}
		}
	}
	return next
}

// Neighbours returns whom a router exchanges media with.
func (t *Tree) Neighbours(of Name) []Name {
	i, ok := t.index[of]
	if !ok {
		return nil
	}
	var names []Name
	for _, n := range t.near[i] {
		names = append(names, t.legs[n].Name)
	}
	return names
}

// Near reports whether two routers exchange media.
func (t *Tree) Near(a, b Name) bool {
	i, ok := t.index[a]
	j, known := t.index[b]
	return ok && known && slices.Contains(t.near[i], j)
}

// Names returns all routers.
func (t *Tree) Names() []Name {
	var names []Name
	for i := range t.legs {
		names = append(names, t.legs[i].Name)
	}
	return names
}

// Via returns by which of its neighbours the media of the owner's participants
// reach a router; false if they do not.
func (t *Tree) Via(at, owner Name) (Name, bool) {
	i, ok := t.index[at]
	o, known := t.index[owner]
	if !ok || !known || i == o {
		return Name{}, false
	}
	return t.legs[t.via[o][i]].Name, true
}

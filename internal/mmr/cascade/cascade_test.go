package cascade

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// someLegs draws a meeting: routers in zones, some of which are on premises.
func someLegs(t *rapid.T, most int, premises bool) []Leg {
	zones := rapid.IntRange(1, 12).Draw(t, "zones")
	on := make([]bool, zones)
	for i := range on {
		on[i] = premises && rapid.IntRange(0, 2).Draw(t, "premises") == 0
	}
	var legs []Leg
	for i := range rapid.IntRange(1, most).Draw(t, "legs") {
		z := rapid.IntRange(0, zones-1).Draw(t, "zone")
		legs = append(legs, Leg{
			Name:       Name{fmt.Sprint("z", z), fmt.Sprint("r", i)},
			Epoch:      int64(rapid.IntRange(1, 30).Draw(t, "epoch")),
			OnPremises: on[z], Publishes: rapid.Bool().Draw(t, "publishes"),
			Silent: rapid.IntRange(0, 9).Draw(t, "silent") == 0,
		})
	}
	return legs
}

// edges lists a tree's edges.
func edges(t *Tree) map[[2]Name]bool {
	all := map[[2]Name]bool{}
	for _, l := range t.legs {
		for _, n := range t.Neighbours(l.Name) {
			if l.Name.compare(n) < 0 {
				all[[2]Name{l.Name, n}] = true
			}
		}
	}
	return all
}

// path lists the routers from one to another, that one left out.
func path(t rapid.TB, tree *Tree, from, to Name) []Name {
	var hops []Name
	for at := from; at != to; {
		next, ok := tree.Via(at, to)
		if !ok || !slices.Contains(tree.Neighbours(at), next) || len(hops) > len(tree.legs) {
			t.Fatalf("no way from %v to %v: %v", from, to, hops)
		}
		hops = append(hops, next)
		at = next
	}
	return hops
}

// Everybody is reached by everybody, by few hops over few neighbours, and all
// routers agree whatever the order in which they know the legs.
func TestEverybodyIsReached(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		legs := someLegs(t, 64, true)
		tree := New(legs)
		shuffled := slices.Clone(legs)
		rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)).Shuffle(len(legs), func(i, j int) {
			shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
		})
		other := New(shuffled)
		for _, a := range legs {
			if !slices.Equal(tree.Neighbours(a.Name), other.Neighbours(a.Name)) {
				t.Fatalf("%v has %v or %v", a.Name, tree.Neighbours(a.Name), other.Neighbours(a.Name))
			}
			for _, b := range legs {
				if a.Name == b.Name {
					continue
				}
				hops := path(t, tree, a.Name, b.Name)
				if len(hops) > 12 {
					t.Fatalf("%d hops from %v to %v", len(hops), a.Name, b.Name)
				}
				crossed := map[string]bool{a.Zone: true}
				for i, h := range append([]Name{a.Name}, hops[:len(hops)-1]...) {
					if next := hops[i].Zone; next != h.Zone {
						if crossed[next] {
							t.Fatalf("from %v to %v twice in zone %s: %v", a.Name, b.Name, next, hops)
						}
						crossed[next] = true
					}
				}
			}
		}
	})
}

// The number of neighbours is bounded.
func TestBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		legs := someLegs(t, 64, true)
		tree := New(legs)
		open, premises := 0, map[string]bool{}
		for _, l := range legs {
			if l.OnPremises {
				premises[l.Zone] = true
			} else if !l.Silent {
				open++
			}
		}
		if open > 0 && len(premises) > Premises*open {
			return
		}
		for _, l := range legs {
			if n := len(tree.Neighbours(l.Name)); n > MaxNeighbours {
				t.Fatalf("%v has %d neighbours", l.Name, n)
			}
		}
	})
}

// Between two zones there is one way at most, and never one between routers
// that cannot reach each other while somebody can be reached.
func TestBetweenZones(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		legs := someLegs(t, 64, true)
		premises := map[string]bool{}
		for _, l := range legs {
			premises[l.Zone] = l.OnPremises
		}
		open := slices.ContainsFunc(legs, func(l Leg) bool { return !l.OnPremises })
		ways := map[[2]string]int{}
		for e := range edges(New(legs)) {
			a, b := e[0].Zone, e[1].Zone
			if a == b {
				continue
			}
			if ways[[2]string{a, b}]++; ways[[2]string{a, b}] > 1 {
				t.Fatalf("several ways between %s and %s", a, b)
			}
			if open && premises[a] && premises[b] {
				t.Fatalf("%v and %v cannot reach each other", e[0], e[1])
			}
		}
	})
}

// A leg that may be dead is in nobody's way, if there is any other way.
func TestSilentIsNobodysWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		legs := someLegs(t, 40, false)
		tree := New(legs)
		silent := map[Name]bool{}
		for _, l := range legs {
			silent[l.Name] = l.Silent
		}
		for _, a := range legs {
			for _, b := range legs {
				if a.Name == b.Name || a.Silent || b.Silent {
					continue
				}
				for _, h := range path(t, tree, a.Name, b.Name) {
					if silent[h] {
						t.Fatalf("from %v to %v by %v", a.Name, b.Name, h)
					}
				}
			}
		}
	})
}

// changes counts the edges that are in only one of two trees.
func changes(a, b map[[2]Name]bool) (n int) {
	for e := range a {
		n += yes(!b[e])
	}
	for e := range b {
		n += yes(!a[e])
	}
	return n
}

// A leg that comes changes only its own edges; but for the one that makes a
// mesh a tree, and the first of a zone.
func TestWhoComesIsALeaf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		legs := someLegs(t, 60, false)
		before := edges(New(legs))
		late := Leg{Name: Name{legs[0].Zone, "late"}, Epoch: 99}
		after := edges(New(append(slices.Clone(legs), late)))
		zone := 0
		for _, l := range legs {
			zone += yes(l.Zone == late.Zone)
			if l.Zone == late.Zone && (l.Silent || l.Publishes) {
				zone = -100 // silent ones stay behind it
			}
		}
		if zone >= 0 && zone != Mesh {
			for e := range before {
				if !after[e] {
					t.Fatalf("%v is gone", e)
				}
			}
		}
		if n := changes(before, after); n > 2*Mesh+Branches {
			t.Fatalf("%d edges changed", n)
		}
	})
}

// A leg that goes, whichever, changes few edges of many.
func TestWhoGoesTakesFewAlong(t *testing.T) {
	worst := 0
	rapid.Check(t, func(t *rapid.T) {
		legs := someLegs(t, 64, true)
		gone := rapid.IntRange(0, len(legs)-1).Draw(t, "gone")
		before := edges(New(legs))
		rest := slices.Delete(slices.Clone(legs), gone, gone+1)
		n := changes(before, edges(New(rest)))
		worst = max(worst, n)
		if n > 4*MaxNeighbours {
			t.Fatalf("%d edges of %d changed", n, len(before))
		}
	})
	t.Logf("at worst %d edges", worst)
}

// Few routers of a zone exchange media each with each, more by a tree of two
// levels; other zones are behind one router.
func TestShapes(t *testing.T) {
	legs := func(zone string, n int) (all []Leg) {
		for i := range n {
			all = append(all, Leg{Name: Name{zone, fmt.Sprintf("r%02d", i)}, Epoch: int64(i), Publishes: true})
		}
		return all
	}
	farthest := func(all []Leg) (hops int) {
		tree := New(all)
		for _, a := range all {
			for _, b := range all {
				if a.Name != b.Name {
					hops = max(hops, len(path(t, tree, a.Name, b.Name)))
				}
			}
		}
		return hops
	}
	three := slices.Concat(legs("a", 12), legs("b", 12), legs("c", 12))
	for _, tt := range []struct {
		name        string
		legs        []Leg
		edges, hops int
	}{
		{"one", legs("a", 1), 0, 0},
		{"a mesh", legs("a", Mesh), Mesh * (Mesh - 1) / 2, 1},
		{"a star", legs("a", Mesh+1), Mesh, 2},
		{"a zone of forty", legs("a", 40), 39, 4},
		{"three zones of twelve", three, 3*11 + 3, 5},
		{"two zones of two", slices.Concat(legs("a", 2), legs("b", 2)), 3, 3},
	} {
		if n := len(edges(New(tt.legs))); n != tt.edges {
			t.Errorf("%s: %d edges, want %d", tt.name, n, tt.edges)
		}
		if n := farthest(tt.legs); n != tt.hops {
			t.Errorf("%s: %d hops, want %d", tt.name, n, tt.hops)
		}
	}
	// A webinar's panellists are on one router, which is nobody's leaf.
	for i := range three {
		three[i].Publishes = three[i].Name == Name{"b", "r07"}
	}
	tree := New(three)
	for _, l := range three {
		if l.Publishes {
			continue
		}
		if n := len(path(t, tree, l.Name, Name{"b", "r07"})); n > 3 {
			t.Errorf("%d hops from the panellists to %v", n, l.Name)
		}
	}
}

// Two offices that only dial out meet at a router in between.
func TestOfficesMeetInTheCloud(t *testing.T) {
	a, b := Leg{Name: Name{"office", "r"}, OnPremises: true}, Leg{Name: Name{"works", "r"}, OnPremises: true}
	cloud := Leg{Name: Name{"cloud", "r"}}
	if n := New([]Leg{a, cloud, b}).Neighbours(a.Name); !slices.Equal(n, []Name{cloud.Name}) {
		t.Errorf("the office has %v", n)
	}
	if n := New([]Leg{a, b}).Neighbours(a.Name); !slices.Equal(n, []Name{b.Name}) {
		t.Errorf("alone the office has %v", n)
	}
}

package zone

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// favouritesOf returns the ids of n idle routers, a meeting's favourite first.
func favouritesOf(meeting string, n int) []string {
	var c []candidate
	for i := range n {
		c = append(c, candidate{id: fmt.Sprintf("r%d", i)})
	}
	return place(meeting, c)
}

func TestPlace(t *testing.T) {
	f := favouritesOf("tea", 4)
	first, second, third, fourth := f[0], f[1], f[2], f[3]
	for _, c := range []struct {
		name       string
		candidates []candidate
		want       []string
	}{
		{"nobody", nil, []string{}},
		{"one", []candidate{{id: first}}, []string{first}},
		{"favourite", []candidate{{id: second}, {id: first}}, []string{first, second}},
		{"second is clearly less loaded", []candidate{{id: first, load: 0.5}, {id: second, load: 0.4}}, []string{second, first}},
		{"second is a little less loaded", []candidate{{id: first, load: 0.5}, {id: second, load: 0.41}}, []string{first, second}},
		{
			"third is no favourite however idle",
			[]candidate{{id: first, load: 0.9}, {id: second, load: 0.8}, {id: third}},
			[]string{second, first, third},
		},
		{
			"leg before favourite",
			[]candidate{{id: first}, {id: second}, {id: third, load: 0.99, leg: 1}},
			[]string{third, first, second},
		},
		{
			"largest leg first",
			[]candidate{{id: first, leg: 2}, {id: second, leg: 3}, {id: third}},
			[]string{second, first, third},
		},
		{
			"equal legs: favourite first",
			[]candidate{{id: second, leg: 2}, {id: first, leg: 2}},
			[]string{first, second},
		},
		{
			"favourites behind a leg are still weighed",
			[]candidate{{id: fourth, leg: 9}, {id: first, load: 0.6}, {id: second}, {id: third}},
			[]string{fourth, second, first, third},
		},
		{"suspect last", []candidate{{id: first, suspect: true}, {id: second, load: 0.9}}, []string{second, first}},
		{"suspect with the leg last", []candidate{{id: first, suspect: true, leg: 5}, {id: second}}, []string{second, first}},
		{"only a suspect", []candidate{{id: first, suspect: true}}, []string{first}},
		{
			"a suspect is no favourite",
			[]candidate{{id: first, load: 0.9}, {id: second, suspect: true}},
			[]string{first, second},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := place("tea", c.candidates); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// drawCandidates draws a zone.
func drawCandidates(t *rapid.T) []candidate {
	ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9-]{1,8}`), 0, 12, rapid.ID).Draw(t, "ids")
	var list []candidate
	for _, id := range ids {
		list = append(list, candidate{
			id:      id,
			load:    rapid.Float64Range(0, 1).Draw(t, "load"),
			leg:     max(0, rapid.IntRange(-5, 5).Draw(t, "leg")),
			suspect: rapid.IntRange(0, 3).Draw(t, "suspect") == 0,
		})
	}
	return list
}

func TestPlaceProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		meeting := rapid.StringMatching(`[a-z0-9-]{1,12}`).Draw(t, "meeting")
		list := drawCandidates(t)
		before := slices.Clone(list)
		got := place(meeting, list)
		if !slices.Equal(list, before) {
			t.Fatal("the argument was changed")
		}
		by := map[string]candidate{}
		for _, c := range list {
			by[c.id] = c
		}
		if len(got) != len(list) || len(slices.Compact(slices.Sorted(slices.Values(got)))) != len(list) {
			t.Fatalf("%v is no permutation of %v", got, list)
		}
		for i := 1; i < len(got); i++ {
			a, b := by[got[i-1]], by[got[i]]
			if a.suspect && !b.suspect {
				t.Fatalf("suspect %s before %s", a.id, b.id)
			}
			if a.suspect == b.suspect && a.leg < b.leg {
				t.Fatalf("%s with leg %d before %s with leg %d", a.id, a.leg, b.id, b.leg)
			}
		}
		shuffled := rapid.Permutation(list).Draw(t, "shuffled")
		if again := place(meeting, shuffled); !slices.Equal(got, again) {
			t.Fatalf("%v in one order, %v in another", got, again)
		}
	})
}

// Two controllers whose views of load differ by less than half the margin
// send a new meeting to the same router, unless the difference straddles it:
// never when both see the same side of it.
func TestPlaceAgreesOnNearViews(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		meeting := rapid.StringMatching(`[a-z0-9-]{1,12}`).Draw(t, "meeting")
		base := rapid.Float64Range(0, 0.8).Draw(t, "load")
		var one, two []candidate
		for i := range rapid.IntRange(1, 6).Draw(t, "routers") {
			id := fmt.Sprintf("r%d", i)
			one = append(one, candidate{id: id, load: base + rapid.Float64Range(0, 0.049).Draw(t, "d1")})
			two = append(two, candidate{id: id, load: base + rapid.Float64Range(0, 0.049).Draw(t, "d2")})
		}
		if a, b := place(meeting, one), place(meeting, two); a[0] != b[0] {
			t.Fatalf("one says %s, the other %s", a[0], b[0])
		}
	})
}

// A router that goes changes the place of those meetings only that had it.
func TestPlaceIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		meeting := rapid.StringMatching(`[a-z0-9-]{1,12}`).Draw(t, "meeting")
		n := rapid.IntRange(2, 8).Draw(t, "routers")
		all := favouritesOf(meeting, n)
		gone := rapid.IntRange(0, n-1).Draw(t, "gone")
		var left []candidate
		for i := range n {
			if id := fmt.Sprintf("r%d", i); id != all[gone] {
				left = append(left, candidate{id: id})
			}
		}
		if got, want := place(meeting, left), slices.Delete(slices.Clone(all), gone, gone+1); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// Many meetings spread evenly over idle routers.
func TestPlaceSpreads(t *testing.T) {
	const meetings, routers = 6000, 6
	count := map[string]int{}
	for i := range meetings {
		count[favouritesOf(fmt.Sprintf("meeting-%d", i), routers)[0]]++
	}
	for id, n := range count {
		if n < meetings/routers*8/10 || n > meetings/routers*12/10 {
			t.Errorf("router %s got %d of %d meetings", id, n, meetings)
		}
	}
	if len(count) != routers {
		t.Errorf("%d of %d routers got meetings", len(count), routers)
	}
}

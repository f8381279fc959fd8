package zone

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"causeway/protocol"
)

// place orders routers as a participant of the meeting would be sent to them
// if one after the other refused.
func place(meeting string, candidates []candidate) []string {
	left := slices.Clone(candidates)
	var sum float64
	for i := range left {
		left[i].rank = rendezvous(hashOf(meeting), hashOf(left[i].id))
		sum += left[i].load
	}
	ids := []string{}
	for mean := sum / float64(len(left)); ; {
		c, ok := pick(left, mean)
		if !ok {
			return ids
		}
		ids = append(ids, c.id)
		left = slices.DeleteFunc(left, func(o candidate) bool { return o.id == c.id })
	}
}

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
	one, two, three, four := f[0], f[1], f[2], f[3]
	for _, c := range []struct {
		name       string
		candidates []candidate
		want       []string
	}{
		{"nobody", nil, []string{}},
		{"a single one", []candidate{{id: one}}, []string{one}},
		{"favourite", []candidate{{id: two}, {id: one}}, []string{one, two}},
		{"second is clearly less loaded", []candidate{{id: one, load: 0.5}, {id: two, load: 0.4}}, []string{two, one}},
		{"second is a little less loaded", []candidate{{id: one, load: 0.5}, {id: two, load: 0.41}}, []string{one, two}},
		{
			"third is no favourite however idle",
			[]candidate{{id: one, load: 0.12}, {id: two, load: 0.1}, {id: three, load: 0.05}},
			[]string{one, two, three},
		},
		{
			"favourites are no more loaded than others",
			[]candidate{{id: one, load: 0.9}, {id: two, load: 0.8}, {id: three, load: 0.1}, {id: four, load: 0.3}},
			[]string{three, four, two, one},
		},
		{
			"leg before favourite",
			[]candidate{{id: one}, {id: two}, {id: three, load: 0.99, leg: 1}},
			[]string{three, one, two},
		},
		{
			"largest leg first",
			[]candidate{{id: one, leg: 2}, {id: two, leg: 3}, {id: three}},
			[]string{two, one, three},
		},
		{
			"equal legs: favourite first",
			[]candidate{{id: two, leg: 2}, {id: one, leg: 2}},
			[]string{one, two},
		},
		{
			"favourites behind a leg are still weighed",
			[]candidate{{id: four, load: 0.2, leg: 9}, {id: one, load: 0.2}, {id: two, load: 0.1}, {id: three, load: 0.2}},
			[]string{four, two, one, three},
		},
		{"crowded leg after who has none", []candidate{{id: one, turn: crowded, leg: 5}, {id: two}}, []string{two, one}},
		{"small leg before crowded one", []candidate{{id: one, turn: crowded, leg: 5}, {id: two}, {id: three, leg: 1}}, []string{three, two, one}},
		{"all legs crowded and nobody else", []candidate{{id: one, turn: crowded, leg: 5}, {id: two, turn: crowded, leg: 6}}, []string{two, one}},
		{"turns", []candidate{
			{id: one, turn: avoided, leg: 9}, {id: two, turn: suspect, leg: 9}, {id: three, turn: ailing, leg: 9}, {id: four, turn: crowded},
		}, []string{four, three, two, one}},
		{"suspect last", []candidate{{id: one, turn: suspect}, {id: two, load: 0.9}}, []string{two, one}},
		{"only a suspect", []candidate{{id: one, turn: suspect}}, []string{one}},
		{"a suspect is no favourite", []candidate{{id: one, load: 0.9}, {id: two, turn: suspect}}, []string{one, two}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := place("tea", c.candidates); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestTurn(t *testing.T) {
	for _, c := range []struct {
		name       string
		ails       protocol.Ailment
		load, mean float64
		want       turn
	}{
		{"idle zone", "", 0.5, 0, first},
		{"half full, others idle", "", 0.51, 0.1, crowded},
		{"as the others", "", 0.7, 0.6, first},
		{"more than the others", "", 0.73, 0.6, crowded},
		{"all nearly full", "", 0.9, 0.9, first},
		{"nearly full", "", 0.91, 0.9, crowded},
		{"not a number", "", math.NaN(), 0, first}, // it has no room, so nobody asks
		{"silent", protocol.AilsSilent, 0, 0, suspect},
		{"left by participants", protocol.AilsLeft, 0, 0, ailing},
		{"no media, and crowded", protocol.AilsNoMedia, 0.99, 0, ailing},
	} {
		if got := turnOf(c.ails, c.load, c.mean); got != c.want {
			t.Errorf("%s: turn %d, want %d", c.name, got, c.want)
		}
	}
}

// drawCandidates draws a zone.
func drawCandidates(t *rapid.T) []candidate {
	ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9-]{1,8}`), 0, 12, rapid.ID).Draw(t, "ids")
	var list []candidate
	for _, id := range ids {
		list = append(list, candidate{
			id:   id,
			load: rapid.Float64Range(0, 1).Draw(t, "load"),
			leg:  max(0, rapid.IntRange(-5, 5).Draw(t, "leg")),
			turn: turn(max(0, rapid.IntRange(-6, int(avoided)).Draw(t, "turn"))),
		})
	}
	return list
}

func TestPlaceProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		meeting := rapid.StringMatching(`[a-z0-9-]{1,12}`).Draw(t, "meeting")
		list := drawCandidates(t)
		got := place(meeting, list)
		by := map[string]candidate{}
		for _, c := range list {
			by[c.id] = c
		}
		if len(got) != len(list) || len(slices.Compact(slices.Sorted(slices.Values(got)))) != len(list) {
			t.Fatalf("%v is no permutation of %v", got, list)
		}
		for i := 1; i < len(got); i++ {
			a, b := by[got[i-1]], by[got[i]]
			if a.turn > b.turn {
				t.Fatalf("%s of turn %d before %s of turn %d", a.id, a.turn, b.id, b.turn)
			}
			if a.turn == b.turn && a.leg < b.leg {
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

// BenchmarkPick is the choice among a thousand routers, for a meeting that has
// no leg.
func BenchmarkPick(b *testing.B) {
	s := newState()
	for i := range 1000 {
		s.hear(says(fmt.Sprintf("r%d", i), 0.3), noon)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := pick(s.candidates("m", "", 0.3, noon), 0.3); !ok {
			b.Fatal("none")
		}
	}
}

package loudest

import (
	"slices"
	"testing"
)

// A newer session's source takes the place of the older one's: wherever it
// stood before, and however many others speak as loud.
func TestReplace(t *testing.T) {
	for _, c := range []struct {
		name     string
		speak    []ID // in this order, all as loud
		old, new ID
		want     []ID
	}{
		{"no place was left for it", []ID{1, 2, 3, 4}, 1, 4, []ID{4, 2, 3}},
		{"it has a place in the reserve", []ID{1, 2, 3}, 1, 3, []ID{3, 2, 0}},
		{"it has a place among the first", []ID{1, 2}, 1, 2, []ID{2, 0, 0}},
		{"the old one has no place", []ID{1, 2, 3, 4}, 4, 2, []ID{1, 2, 3}},
		{"the new one is not known", []ID{1, 2, 3}, 1, 9, []ID{3, 2, 0}},
		{"the old one is not known", []ID{1, 2, 3}, 9, 1, []ID{1, 2, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := New(2, 1)
			for _, id := range c.speak {
				s.Report(id, 20, at(0))
			}
			s.Replace(c.old, c.new)
			if got := s.Selected(nil); !slices.Equal(got, c.want) {
				t.Errorf("selected %v, want %v", got, c.want)
			}
			if s.Remove(c.old) && c.old != 9 {
				t.Error("the old one is still known")
			}
		})
	}
}

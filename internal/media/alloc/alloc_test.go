package alloc

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func sound() Stream { return Stream{Class: Sound, Rungs: []Rung{{Rate: 40}}, Current: -1} }

// simulcast is a camera in three sizes.
func simulcast(class Class, height int) Stream {
	return Stream{Class: class, Height: height, Current: -1, Rungs: []Rung{
		{Spatial: 0, Height: 180, Rate: 150}, {Spatial: 1, Height: 360, Rate: 500}, {Spatial: 2, Height: 720, Rate: 1700},
	}}
}

// given lists what streams are given.
func given(streams []Stream) string {
	var list []string
	for i := range streams {
		list = append(list, fmt.Sprint(streams[i].Given))
	}
	return strings.Join(list, " ")
}

func TestAllocate(t *testing.T) {
	tests := []struct {
		name    string
		budget  int
		streams []Stream
		want    string
		result  Result
	}{
		{"nothing", 1000, nil, "", Result{}},
		{"sound, whatever it costs", 50, []Stream{sound(), sound(), simulcast(Speaker, 180)}, "0 0 -1", Result{80, 230}},
		{"all that is wanted", 9000, []Stream{sound(), simulcast(Speaker, 720), simulcast(Other, 180)}, "0 2 0", Result{1890, 1890}},
		{"no more lines than are wanted", 9000, []Stream{simulcast(Speaker, 360), simulcast(Other, 90)}, "1 0", Result{650, 650}},
		{"almost enough lines", 9000, []Stream{simulcast(Speaker, 450)}, "1", Result{500, 500}},
		{"more lines than there are", 9000, []Stream{simulcast(Speaker, 1080)}, "2", Result{1700, 1700}},
		{"nothing wanted", 9000, []Stream{simulcast(Speaker, 0), simulcast(Other, 0)}, "-1 -1", Result{}},
		{"content before the speaker", 2400, []Stream{simulcast(Other, 180), simulcast(Speaker, 720), simulcast(Content, 2000)}, "0 1 2", Result{2350, 3550}},
		{"the speaker before the others", 2400, []Stream{simulcast(Other, 720), simulcast(Speaker, 720)}, "1 2", Result{2200, 3400}},
		{"but the others are seen", 600, []Stream{simulcast(Other, 180), simulcast(Speaker, 720)}, "0 0", Result{300, 1850}},
		{"as far as a third goes", 700, []Stream{simulcast(Speaker, 180), simulcast(Other, 180), simulcast(Other, 180), simulcast(Other, 180), simulcast(Other, 180)}, "0 0 0 0 -1", Result{600, 750}},
		{"larger ones first", 1000, []Stream{simulcast(Other, 180), simulcast(Other, 360), simulcast(Other, 360)}, "0 1 0", Result{800, 1150}},
		{"one rung each before another", 800, []Stream{simulcast(Other, 360), simulcast(Other, 360), simulcast(Other, 360)}, "0 0 0", Result{450, 1500}},
		{"too little for anything", 100, []Stream{simulcast(Content, 720)}, "-1", Result{0, 1700}},
		{"no layer has come", 1000, []Stream{{Class: Speaker, Height: 720, Current: -1}}, "-1", Result{}},
		{"less than sound", -5, []Stream{sound(), simulcast(Content, 720)}, "0 -1", Result{40, 1740}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Allocate(tt.budget, tt.streams)
			if got := given(tt.streams); got != tt.want || r != tt.result {
				t.Errorf("%q %+v, want %q %+v", got, r, tt.want, tt.result)
			}
		})
	}
}

// TestHysteresis: a rung is kept for what it costs, and reached for with a
// tenth more.
func TestHysteresis(t *testing.T) {
	s := []Stream{simulcast(Speaker, 720)}
	for _, step := range []struct {
		budget int
		want   int
	}{{1800, 1}, {1870, 2}, {1750, 2}, {1700, 2}, {1690, 1}, {1800, 1}, {1900, 2}} {
		Allocate(step.budget, s)
		if s[0].Given != step.want {
			t.Errorf("%d: %d, want %d", step.budget, s[0].Given, step.want)
		}
		s[0].Current = s[0].Given
	}
}

// rungs writes rungs as spatial.temporal:rate, with a t behind thin ones.
func rungs(list []Rung) string {
	var words []string
	for _, r := range list {
		word := fmt.Sprintf("%d.%d:%d", r.Spatial, r.Temporal, r.Rate)
		if r.Thin {
			word += "t"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestLadder(t *testing.T) {
	layers := []Layer{{0, 180, 100}, {1, 360, 500}, {2, 720, 1500}}
	tests := []struct {
		name     string
		layers   []Layer
		temporal int
		class    Class
		want     string
	}{
		{"none", nil, 1, Other, ""},
		{"one temporal layer", layers, 1, Other, "0.0:100 1.0:500 2.0:1500"},
		{"two temporal layers", layers, 2, Other, "0.0:60 0.1:100 1.0:300t 1.1:500 2.0:900t 2.1:1500"},
		{"three temporal layers", layers, 3, Speaker, "0.0:40 0.1:60 0.2:100 1.1:300t 1.2:500 2.1:900t 2.2:1500"},
		{"a much smaller one", []Layer{{0, 180, 100}, {2, 720, 1500}}, 3, Speaker, "0.0:40 0.1:60 0.2:100 2.1:900 2.2:1500"},
		{"content", layers[1:], 3, Content, "1.0:200 1.1:300 1.2:500 2.0:600 2.1:900 2.2:1500"},
		{"a larger layer that costs less", []Layer{{0, 180, 300}, {1, 360, 200}}, 1, Other, "1.0:200"},
		{"half of a larger layer costs less", []Layer{{0, 180, 300}, {1, 360, 400}}, 2, Other, "0.0:180 0.1:300 1.0:240t 1.1:400"},
		{"too many temporal layers", layers[:1], 9, Other, "0.0:40 0.1:60 0.2:100"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := rungs(Ladder(nil, tt.layers, tt.temporal, tt.class)); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// TestBridge: a part of a layer's pictures is given for a while, to whoever had
// all of them; else all of a smaller layer.
func TestBridge(t *testing.T) {
	ladder := Ladder(nil, []Layer{{0, 180, 100}, {1, 360, 500}, {2, 720, 1500}}, 2, Other)
	for _, tt := range []struct {
		budget, current, bridge int
		want                    string
	}{
		{1600, 5, 2, "2.1"},
		{1400, 5, 2, "2.0"},
		{1400, 4, -1, "1.1"},
		{1400, 4, 1, "1.1"},
		{400, 5, 2, "0.1"},
		{400, 3, 1, "1.0"},
		{70, 3, 1, "0.0"},
	} {
		for _, class := range []Class{Speaker, Other} {
			s := []Stream{{Class: class, Height: 720, Current: tt.current, Bridge: tt.bridge, Rungs: ladder}}
			Allocate(tt.budget, s)
			r := ladder[s[0].Given]
			if got := fmt.Sprintf("%d.%d", r.Spatial, r.Temporal); got != tt.want {
				t.Errorf("class %d, %d with %d bridged: %s, want %s", class, tt.budget, tt.bridge, got, tt.want)
			}
		}
	}
}

func drawStreams(rt *rapid.T) []Stream {
	var streams []Stream
	for range rapid.IntRange(0, 8).Draw(rt, "streams") {
		s := Stream{
			Class:  Class(rapid.IntRange(0, 3).Draw(rt, "class")),
			Height: rapid.SampledFrom([]int{0, 90, 180, 360, 720}).Draw(rt, "height"),
		}
		rate, height := 0, 0
		for range rapid.IntRange(0, 5).Draw(rt, "rungs") {
			rate += rapid.IntRange(1, 500).Draw(rt, "rate")
			height += rapid.SampledFrom([]int{0, 90, 180}).Draw(rt, "lines")
			s.Rungs = append(s.Rungs, Rung{Rate: rate, Height: height, Spatial: height})
		}
		for i := 1; i+1 < len(s.Rungs); i++ { // the last of a layer is the whole of it
			s.Rungs[i].Thin = s.Rungs[i].Height == s.Rungs[i+1].Height && rapid.Bool().Draw(rt, "thin")
		}
		s.Bridge = rapid.IntRange(-1, height).Draw(rt, "bridge")
		s.Current = rapid.IntRange(-1, len(s.Rungs)-1).Draw(rt, "current")
		streams = append(streams, s)
	}
	return streams
}

// TestProperties: only sound exceeds the budget; what is said to be given is;
// nobody has more than wanted; all is given where all fits.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		streams := drawStreams(rt)
		budget := rapid.IntRange(-100, 8000).Draw(rt, "budget")
		r := Allocate(budget, streams)
		sum, silent := 0, 0
		for i := range streams {
			s := &streams[i]
			if s.Given > s.top() || s.Class == Sound && s.Given != s.top() {
				rt.Fatalf("stream %d: %d of %d", i, s.Given, s.top())
			}
			if s.Given >= 0 {
				sum += s.Rungs[s.Given].Rate
				if s.Class == Sound {
					silent += s.Rungs[s.Given].Rate
				}
			}
		}
		if r.Given != sum || sum > max(budget, silent) {
			rt.Fatalf("%d given, %d said, %d of it sound, budget %d", sum, r.Given, silent, budget)
		}
		if 3*budget > 6*r.Want && r.Given != r.Want {
			rt.Fatalf("budget %d, wanted %d, given %d", budget, r.Want, r.Given)
		}
	})
}

// TestMonotone: with more to give, content and the speaker do not get less:
// the first of them whose share changes gets more.
func TestMonotone(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		few := drawStreams(rt)
		many := append([]Stream(nil), few...)
		budget := rapid.IntRange(0, 5000).Draw(rt, "budget")
		Allocate(budget, few)
		Allocate(budget+rapid.IntRange(0, 2000).Draw(rt, "more"), many)
		for _, class := range []Class{Content, Speaker} {
			for i := range few {
				if few[i].Class != class || few[i].Given == many[i].Given {
					continue
				}
				if many[i].Given < few[i].Given {
					rt.Fatalf("stream %d: %d with more than for %d", i, many[i].Given, few[i].Given)
				}
				return
			}
		}
	})
}

func TestDemand(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := Demand{Since: now}
	if got := d.Wanted(now.Add(time.Second)); got != 0xff {
		t.Errorf("%x at the beginning", got)
	}
	now = now.Add(10 * time.Second)
	d.Take(0b101, now)
	for after, want := range map[time.Duration]uint32{0: 0b101, time.Second: 0b101, linger: 0} {
		if got := d.Wanted(now.Add(after)); got != want {
			t.Errorf("%x after %v", got, after)
		}
	}
}

func TestAllocations(t *testing.T) {
	streams := []Stream{sound(), simulcast(Speaker, 720), simulcast(Other, 180), simulcast(Other, 360)}
	layers := []Layer{{0, 180, 100}, {1, 360, 500}, {2, 720, 1500}}
	ladder := make([]Rung, 0, 16)
	if n := testing.AllocsPerRun(100, func() {
		Allocate(1500, streams)
		ladder = Ladder(ladder[:0], layers, 3, Other)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

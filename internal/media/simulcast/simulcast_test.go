package simulcast

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Unix(1000, 0)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// feed has the layers come for a while: a packet of each every 20 ms.
func feed(l *Layers, from, to int, layers ...int) {
	for ms := from; ms < to; ms += 20 {
		for _, i := range layers {
			l.Packet(i, 250<<(2*i), at(ms))
		}
	}
}

// TestSustained: a key frame counts in one window, more that stays in the next.
func TestSustained(t *testing.T) {
	var l Layers
	feed(&l, 0, 2000, 1)
	steady := l.layers[1].Sustained()
	l.Packet(1, 50_000, at(2000))
	feed(&l, 2020, 4000, 1)
	if got := l.layers[1].Sustained(); got > steady*11/10 || got < steady*9/10 {
		t.Errorf("%d after a key frame, %d before", got, steady)
	}
	for ms := 4000; ms < 5100; ms += 20 {
		l.Packet(1, 4000, at(ms))
	}
	if got := l.layers[1].Sustained(); got < 3*steady {
		t.Errorf("%d a second after it has grown to four times %d", got, steady)
	}
}

func TestMeasures(t *testing.T) {
	var l Layers
	feed(&l, 0, 2000, 0, 1)
	for i, want := range []int{100_000, 400_000, 0, 0} {
		if got := l.Layer(i).BitsPerSecond; got < want*95/100 || got > want*105/100 {
			t.Errorf("layer %d: %d bit/s, want %d", i, got, want)
		}
	}
	if !l.Active(1, at(2700)) || l.Active(1, at(2750)) || l.Active(2, at(2000)) || l.Active(-1, at(0)) || l.Active(MaxLayers, at(0)) {
		t.Error("activity")
	}
	feed(&l, 4000, 4100, 1)
	if y := l.Layer(1); !y.Since.Equal(at(4000)) || y.BitsPerSecond != 0 {
		t.Errorf("after a pause: %+v", y)
	}
	l.Size(1, 640, 360)
	l.Size(1, 0, 0)
	if y := l.Layer(1); y.Height != 360 || y.Width != 640 {
		t.Errorf("%+v", y)
	}
	l.Stop(1)
	if l.Active(1, at(4100)) {
		t.Error("active after Stop")
	}
	for _, odd := range []int{-1, MaxLayers} {
		l.Packet(odd, 1, start)
		l.Size(odd, 1, 1)
		l.Stop(odd)
		if l.Layer(odd) != (Layer{}) {
			t.Error("a layer that cannot be")
		}
	}
}

func TestChoose(t *testing.T) {
	all := [][2]int{{0, 180}, {1, 360}, {2, 720}}
	reversed := [][2]int{{0, 720}, {1, 360}, {2, 180}}
	unknown := [][2]int{{0, 0}, {1, 0}, {2, 0}}
	tests := []struct {
		name   string
		layers [][2]int // index, height
		wish   Wish
		want   int
	}{
		{"nothing wished", all, Wish{}, -1},
		{"nothing there", nil, Wish{Height: 360}, -1},
		{"exact", all, Wish{Height: 360}, 1},
		{"a little more than there is", all, Wish{Height: 450}, 1},
		{"more than that", all, Wish{Height: 451}, 2},
		{"small", all, Wish{Height: 90}, 0},
		{"more than all", all, Wish{Height: 2160}, 2},
		{"the large one missing", all[:2], Wish{Height: 720}, 1},
		{"the small one missing", all[1:], Wish{Height: 90}, 1},
		{"offered largest first", reversed, Wish{Height: 180}, 2},
		{"heights not known", unknown, Wish{Height: 360}, 1},
		{"single", [][2]int{{0, 1080}}, Wish{Height: 180}, 0},
		{"bounded", all, Wish{Height: 720, MaxBitsPerSecond: 500_000}, 1},
		{"bounded below all", all, Wish{Height: 720, MaxBitsPerSecond: 10_000}, 0},
		{"bounded below all, largest first", reversed, Wish{Height: 720, MaxBitsPerSecond: 10_000}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l Layers
			for _, y := range tt.layers {
				l.Size(y[0], y[1]*16/9, y[1])
				feed(&l, 0, 1000, y[0])
			}
			if got := l.Choose(tt.wish, -1, at(1000)); got != tt.want {
				t.Errorf("layer %d, want %d", got, tt.want)
			}
		})
	}
}

// TestStandstill: a screen that does not change sends nothing for long, and
// who comes to see it must get its key frame.
func TestStandstill(t *testing.T) {
	var l Layers
	l.Packet(1, 1000, at(0))
	l.Packet(0, 1000, at(10))
	for current, want := range map[int]int{-1: 0, 0: 0, 1: 1, 2: 0} {
		if got := l.Choose(Wish{Height: 1080}, current, at(60_000)); got != want {
			t.Errorf("from %d: %d, want %d", current, got, want)
		}
	}
	k := NewTaker()
	k.Aim(&l, Wish{Height: 1080}, at(60_000))
	if i, ok := k.WantsKey(); !ok || i != 0 {
		t.Errorf("wants key of %d: %v", i, ok)
	}
}

// TestStory follows one taker through a meeting.
func TestStory(t *testing.T) {
	var l Layers
	k := NewTaker()
	state := func(ms, current, target int) {
		t.Helper()
		if k.Current() != current || k.Target() != target {
			t.Errorf("at %d ms: current %d, target %d, want %d, %d", ms, k.Current(), k.Target(), current, target)
		}
		if i, ok := k.WantsKey(); ok != (target >= 0 && target != current) || ok && i != target {
			t.Errorf("at %d ms: wants key %d %v", ms, i, ok)
		}
	}
	packet := func(layer int, key bool, want Action) {
		t.Helper()
		if got := k.Packet(layer, key); got != want {
			t.Errorf("packet of layer %d, key %v: %v, want %v", layer, key, got, want)
		}
	}
	wish := Wish{Height: 720}
	state(0, -1, -1)
	packet(0, true, Skip)

	l.Packet(0, 100, at(0)) // only the small layer has begun
	if !k.Aim(&l, wish, at(0)) || k.Aim(&l, wish, at(0)) {
		t.Error("change of target")
	}
	state(0, -1, 0)
	packet(0, false, Skip)
	packet(0, true, Switch)
	packet(0, false, Forward)
	packet(0, true, Forward)
	state(0, 0, 0)

	feed(&l, 0, 200, 0, 1, 2) // the others have, too, but not long enough ago
	k.Aim(&l, wish, at(200))
	state(200, 0, 0)
	feed(&l, 200, 400, 0, 1, 2)
	k.Aim(&l, wish, at(400))
	state(400, 0, 2)
	packet(2, false, Skip)
	packet(0, false, Forward)
	packet(1, true, Skip)
	packet(2, true, Switch)
	packet(0, true, Skip)
	state(400, 2, 2)

	feed(&l, 400, 1200, 0, 1) // the large layer stops
	k.Aim(&l, wish, at(1200))
	state(1200, 2, 1)
	packet(1, true, Switch)
	state(1200, 1, 1)

	k.Aim(&l, Wish{Height: 180}, at(1200)) // the tile becomes small
	state(1200, 1, 0)
	packet(1, false, Forward)
	packet(0, true, Switch)

	k.Pause() // path lost for a while
	state(1200, -1, 0)
	packet(0, false, Skip)
	packet(0, true, Switch)

	k.Aim(&l, Wish{}, at(1200)) // out of sight
	state(1200, -1, -1)
	packet(0, true, Skip)
}

// TestChooseProperties: what is chosen is active and, of the wish, never worse
// than what else is there.
func TestChooseProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Layers
		active := map[int]int{}
		for i := range MaxLayers {
			if h := rapid.IntRange(0, 1200).Draw(t, "height"); rapid.Bool().Draw(t, "active") {
				l.Size(i, h, h)
				feed(&l, 0, 1000, i)
				active[i] = l.height(i)
			}
		}
		w := rapid.IntRange(1, 1200).Draw(t, "wish")
		got := l.Choose(Wish{Height: w}, rapid.IntRange(-1, MaxLayers-1).Draw(t, "current"), at(1000))
		if _, ok := active[got]; ok != (len(active) > 0) {
			t.Fatalf("chose %d of %v", got, active)
		}
		for i, h := range active {
			g := active[got]
			if g*5 < w*4 && h > g || g*5 >= w*4 && h*5 >= w*4 && h < g {
				t.Fatalf("for %d lines chose %d (%d), not %d (%d)", w, got, g, i, h)
			}
		}
	})
}

func TestNoAllocation(t *testing.T) {
	var l Layers
	k, ms := NewTaker(), 0
	n := testing.AllocsPerRun(1000, func() {
		ms += 5
		l.Packet(ms%3, 1200, at(ms))
		k.Aim(&l, Wish{Height: ms % 700}, at(ms))
		k.Packet(ms%3, true)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPacket(b *testing.B) {
	b.ReportAllocs()
	var l Layers
	k, now := NewTaker(), start
	for b.Loop() {
		now = now.Add(time.Millisecond)
		l.Packet(1, 1200, now)
		k.Packet(1, false)
	}
}

package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"causeway/client"
	"causeway/protocol"
)

func TestCheck(t *testing.T) {
	if err := DefaultConfig().Check(); err != nil {
		t.Errorf("the default: %v", err)
	}
	for what, change := range map[string]func(*Config){
		"participants": func(c *Config) { c.Participants = 0 },
		"publishers":   func(c *Config) { c.Publishers = c.Participants + 1 },
		"slots":        func(c *Config) { c.Slots = 50 },
		"ramp":         func(c *Config) { c.Ramp = 0 },
		"duration":     func(c *Config) { c.Duration = time.Millisecond },
		"bitrate":      func(c *Config) { c.KBPS = 1 },
		"fps":          func(c *Config) { c.FPS = 0 },
		"height":       func(c *Config) { c.Height = 10 },
		"sound":        func(c *Config) { c.Sound = 3 },
		"mix":          func(c *Config) { c.Mix = "party" },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "use ") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestParts(t *testing.T) {
	for _, c := range []struct {
		mix               Mix
		n, publishers, of int
		want              part
	}{
		{Webinar, 20, 1, 0, part{true, true, 1}},
		{Webinar, 20, 1, 1, part{false, false, 1}},
		{Webinar, 20, 12, 15, part{false, false, 9}},
		{Webinar, 20, 0, 0, part{false, false, 1}},
		{Gallery, 20, 1, 19, part{true, true, 9}},
		{Gallery, 3, 1, 0, part{true, true, 2}},
		{Gallery, 1, 1, 0, part{true, true, 1}},
		{Audio, 20, 1, 7, part{true, false, 0}},
	} {
		cfg := Config{Mix: c.mix, Participants: c.n, Publishers: c.publishers}
		if got := cfg.part(c.of); got != c.want {
			t.Errorf("%s, %d of %d: %+v, want %+v", c.mix, c.of, c.n, got, c.want)
		}
	}
}

// TestFeed: samples are made when they are due, carry that moment, and look
// like what they are said to be.
func TestFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := DefaultConfig()
		c.Simulcast, c.KBPS, c.FPS = true, 800, 20
		k := clock(time.Now())
		f := newFeed(c, part{sound: true, picture: true}, k)
		tracks := f.Tracks()
		if len(tracks) != 4 || tracks[1].Layer != "q" || tracks[1].Height != 180 || tracks[3].Layer != "f" || tracks[3].Width != 1280 {
			t.Fatalf("tracks %+v", tracks)
		}
		counts, keys, sizes := make([]int, 4), make([]int, 4), make([]int, 4)
		for {
			s, err := f.Next()
			if err != nil {
				t.Fatal(err)
			}
			if s.At >= 2*time.Second {
				break
			}
			if now := k.now(); now < s.At || now > s.At+9*time.Millisecond { // others were on their way
				t.Fatalf("the sample for %v was made at %v", s.At, now)
			}
			time.Sleep(3 * time.Millisecond) // on its way
			if age, ok := k.age(s.Data); !ok || age != 3*time.Millisecond {
				t.Fatalf("age %v, %v", age, ok)
			}
			counts[s.Track]++
			sizes[s.Track] = len(s.Data)
			if s.Key {
				keys[s.Track]++
			}
		}
		if counts[0] != 100 || counts[1] != 40 || counts[3] != 40 || keys[0] != 100 || keys[3] != 2 || sizes[0] != c.Sound || sizes[3] != 5000 || sizes[2] != 1250 {
			t.Errorf("counts %v, keys %v, sizes %v", counts, keys, sizes)
		}
		_ = f.Close()
		if _, err := f.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("after Close: %v", err)
		}
		if newFeed(c, part{slots: 3}, k) != nil {
			t.Error("who only watches has a feed")
		}
		if _, ok := k.age([]byte("short")); ok {
			t.Error("a sample without stamp has an age")
		}
	})
}

func TestDelays(t *testing.T) {
	var h histogram
	for i := range 100 {
		h.add(time.Duration(i) * time.Millisecond)
	}
	h.add(-time.Second)
	h.add(time.Hour)
	if got, want := h.take(), (Delays{Count: 102, P50: 49, P95: 95, P99: 99, Max: 60000}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := h.take(); got != (Delays{}) {
		t.Errorf("after taking: %+v", got)
	}
}

func TestReportTextAndPage(t *testing.T) {
	r := Report{
		Mix: Gallery, Participants: 5, Joined: 4, Failed: 1, Failures: map[string]int{"zone_full": 1}, Ended: 1, JoinsPerS: 2.5,
		Routers: map[string]int{"m1": 3, "m2": 1}, Listed: map[int]int{5: 4}, Heard: map[int]int{3: 3, 2: 1},
		JoinTime: Delays{Count: 4, P50: 14}, Seconds: 10, Packets: 9990, Lost: 10, BPS: 5e6, SentBPS: 1e6,
		Server:  &Cost{Cores: 0.25, MicrosPerOut: 7.5, ResidentMB: 80},
		Waited:  Delays{P95: 130, P99: 270},
		Journal: []Progress{{Second: 1, Joined: 2, Packets: 10}, {Second: 2, Joined: 4, Packets: 900, Sound: Delays{P95: 33}}},
	}
	var text, page bytes.Buffer
	if err := errors.Join(r.WriteText(&text), r.WriteHTML(&page)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"4 of 5 joined", "1 failed: zone_full", "1 were sent away", "(0.100 %)", "5.0 Mbit/s received", "7.5 us", "routers: m1: 3, m2: 1", "heard: 2: 1, 3: 3", "list: 5: 4", "short of processor time: one step in 20 waited 130 ms or more, one in 100 270 ms"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &text)
		}
	}
	for _, want := range []string{"4 of 5 joined", "zone_full", "<svg", `points="300.0,96.0 600.0,32.0"`, "Delay of pictures", "Server", "0.100 %", "m1: 3, m2: 1", "short of processor time: one step in 20 waited 130.0 ms"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("%q is missing in the page", want)
		}
	}
	for _, bad := range []string{"http://", "https://", "<script", "ZgotmplZ"} {
		if strings.Contains(page.String(), bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	if err := (Report{}).WriteHTML(io.Discard); err != nil {
		t.Errorf("an empty report: %v", err)
	}
}

// What a process waited for is what it did since the first look, by the ends of
// the classes.
func TestWaiting(t *testing.T) {
	buckets := []float64{math.Inf(-1), 0.001, 0.01, 0.1, math.Inf(1)}
	before := waiting{Counts: []uint64{1000, 0, 0, 7}, Buckets: buckets}
	now := waiting{Counts: []uint64{1000, 90, 10, 7}, Buckets: buckets}
	if got, want := now.since(before), (Delays{Count: 100, P50: 10, P95: 100, P99: 100, Max: 100}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	now.Counts[3] = 8
	if got := now.since(before).Max; got != 100 { // the last class has no end
		t.Errorf("at most %v ms", got)
	}
	if got := (waiting{}).since(waiting{}); got != (Delays{}) {
		t.Errorf("nothing: %+v", got)
	}
	if d := waits().since(waiting{}); d.Count == 0 || d.Max < d.P50 {
		t.Errorf("this process: %+v", d)
	}
	if (Report{Waited: Delays{P95: ownDelay - 1}}).Short() || !(Report{Waited: Delays{P95: ownDelay}}).Short() {
		t.Error("short at another wait")
	}
}

// TestNobodyThere: a test of a system that does not answer ends with an error
// that says so.
func TestNobodyThere(t *testing.T) {
	c := DefaultConfig()
	c.Link, c.Participants, c.Duration = "https://127.0.0.1:1/j/123456789?pwd=x", 2, time.Second
	c.Options = client.Options{Proxy: "direct"}
	r, err := Run(context.Background(), c, nil)
	if err == nil || !strings.Contains(err.Error(), "nobody could join") || r.Failed != 2 || r.Failures[string(protocol.ProblemWebUnreachable)] != 2 {
		t.Errorf("%v, %+v", err, r)
	}
}

// An ear counts each voice once, from when it was made to forget.
func TestEar(t *testing.T) {
	e := newEar()
	for _, id := range []string{"ada", "bob", "ada"} {
		e.hear(id)
	}
	if n := e.count(); n != 2 {
		t.Errorf("%d voices", n)
	}
	e.forget()
	if e.hear("cyd"); e.count() != 1 {
		t.Errorf("%d voices after forgetting", e.count())
	}
}

// The publishers of a webinar come by the panellists' link.
func TestLinks(t *testing.T) {
	c := Config{Link: "join", Publishers: 2}
	if got := c.link(0); got != "join" {
		t.Errorf("a publisher comes by %s", got)
	}
	c.PanelLink = "panel"
	if got := []string{c.link(1), c.link(2)}; got[0] != "panel" || got[1] != "join" {
		t.Errorf("links %v", got)
	}
}

package relay

import (
	"testing"
	"time"
)

// A detour is what a receiver waits for when the router in the middle is dead:
// the first of what was sent after that.
type detour struct {
	of    string
	by    *node
	wire  *wire
	after uint32 // the last that was sent before
	took  time.Duration
}

// back notes how long it took, once something has come.
func (d *detour) back(died time.Time) bool {
	for _, word := range d.wire.words() {
		if d.took == 0 && word > d.after {
			d.took = time.Since(died)
		}
	}
	return d.took > 0
}

// detours kills the router in the middle of ten while people on three others
// speak, one of whom is seen, and waits until everybody hears and sees them
// again. It tells when the death was found out, and what each waited for.
func (w *world) detours() (found time.Duration, sound, pictures []*detour) {
	middle := w.nodes[0]
	middle.own = append(middle.own, middle.mic("root").source)
	mics := []*mic{w.nodes[3].mic("ada"), w.nodes[6].mic("bob"), w.nodes[9].mic("cyd")}
	c := w.nodes[5].cam("dan")
	w.know()
	w.pass(3 * time.Second)
	for _, m := range mics {
		for n, ear := range w.listen(m) {
			if n != middle {
				sound = append(sound, &detour{of: m.source.Owner(), by: n, wire: ear})
			}
		}
	}
	for _, n := range w.nodes {
		if n != middle && n != c.node {
			pictures = append(pictures, &detour{of: "dan", by: n, wire: n.eye(n.mesh.Source(c.Zone, c.MMR, c.source.Stream()))})
		}
	}
	step := func() {
		for _, m := range mics {
			m.say()
		}
		c.show() // 50 a second
		w.pass(20 * time.Millisecond)
	}
	for range 150 {
		step()
	}
	died := time.Now()
	w.kill(middle)
	for _, d := range append(sound, pictures...) {
		d.after = uint32(c.n) // as many as the words
	}
	var told time.Time // when the bus has told the others
	for waiting := true; waiting && time.Since(died) < 20*time.Second; {
		step()
		if told.IsZero() && w.lives(middle, Dead) > 0 {
			found = time.Since(died)
			told = time.Now().Add(w.busDelay)
		}
		if !told.IsZero() && !middle.silent && !time.Now().Before(told) {
			middle.silent = true
			w.know()
		}
		waiting = false
		for _, d := range append(sound, pictures...) {
			waiting = !d.back(died) || waiting
		}
	}
	return found, sound, pictures
}

// longest is the one that took longest, or never came.
func longest(t *testing.T, all []*detour) time.Duration {
	t.Helper()
	most := time.Duration(0)
	for _, d := range all {
		if d.took == 0 {
			t.Errorf("%v never has %s again", d.by.name, d.of)
		}
		most = max(most, d.took)
	}
	return most
}

// A router in the middle that dies is found out when it has been asked in vain
// for 600 ms and a round trip. Everybody hears and sees all others again within
// six round trips after that, the bus telling them included.
func TestDetour(t *testing.T) {
	for _, roundTrip := range []time.Duration{10 * time.Millisecond, 40 * time.Millisecond, 150 * time.Millisecond, 300 * time.Millisecond} {
		virtuallyFar(t, roundTrip/2, roundTrip/2, many(7, 3, 0), func(w *world) {
			found, sound, pictures := w.detours()
			heard, seen := longest(t, sound), longest(t, pictures)
			t.Logf("round trip %v: found out after %v, heard again after %v, seen after %v", roundTrip, found, heard, seen)
			if most := dead + roundTrip + 40*time.Millisecond; found == 0 || found > most {
				t.Errorf("found out after %v, not %v", found, most)
			}
			if most := found + 6*roundTrip + 100*time.Millisecond; heard > most || seen > most {
				t.Errorf("all was back after %v and %v, not %v", heard, seen, most)
			}
		})
	}
}

package relay

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"causeway/internal/media/offer"
	"causeway/internal/mmr/cascade"
	"causeway/internal/mmr/forward"
	"causeway/protocol"

	"github.com/pion/rtcp"
)

// many are the names of routers in three zones, one of which is on premises.
func many(a, b, c int) (names []string) {
	for i := range a {
		names = append(names, fmt.Sprint("a/r", i+1))
	}
	for i := range b {
		names = append(names, fmt.Sprint("b/r", i+1))
	}
	for i := range c {
		names = append(names, fmt.Sprintf("c/r%d*", i+1))
	}
	return names
}

// listen has every other node listen to a microphone.
func (w *world) listen(m *mic) map[*node]*wire {
	ears := map[*node]*wire{}
	for _, n := range w.nodes {
		if n != m.node {
			ears[n] = n.ear(n.mesh.Source(m.Zone, m.MMR, m.source.Stream()))
		}
	}
	return ears
}

// lost counts what was not said of what lies between the first and the last
// word, and what was said again.
func lost(words []uint32) (missing, again int) {
	said := map[uint32]bool{}
	for _, w := range words {
		again += yes(said[w])
		said[w] = true
	}
	if len(words) > 0 {
		missing = int(slices.Max(words)-slices.Min(words)) + 1 - len(said)
	}
	return missing, again
}

// Ten routers in three zones: everyone hears everyone, every word once, over
// few trunks.
func TestManyRouters(t *testing.T) {
	virtually(t, many(7, 2, 2), func(w *world) {
		var mics []*mic
		for _, n := range w.nodes {
			mics = append(mics, n.mic("at "+n.Zone+n.MMR))
		}
		w.know()
		w.pass(3 * time.Second)
		trunks := 0
		for _, n := range w.nodes {
			s := n.relays.Stats()
			if trunks += s.Legs; s.Legs > cascade.MaxNeighbours || n != w.nodes[0] && n.Zone == "a" && s.Legs != 1 {
				t.Errorf("%v has %d neighbours", n.name, s.Legs)
			}
		}
		if trunks != 2*(6+1+1+3) {
			t.Errorf("%d trunks", trunks)
		}
		for _, m := range []*mic{mics[0], mics[3], mics[8], mics[10]} {
			ears := w.listen(m)
			w.talk(2*time.Second, m)
			for n, heard := range ears {
				words := heard.words()
				if missing, again := lost(words); len(words) < 90 || missing+again > 0 {
					t.Errorf("%v hears %d words of %v, %d missing, %d again", n.name, len(words), m.name, missing, again)
				}
			}
		}
	})
}

// Of the many who speak, those who are loudest of all are heard everywhere.
func TestLoudestOfMany(t *testing.T) {
	virtually(t, many(7, 1, 0), func(w *world) {
		var mics []*mic
		for i, n := range w.nodes {
			m := n.mic(fmt.Sprint("p", i))
			m.level = byte(70 - 8*i)
			mics = append(mics, m)
		}
		w.know()
		w.pass(3 * time.Second)
		w.talk(3*time.Second, mics...)
		for i, n := range w.nodes {
			var want, got []string
			for j := len(mics) - 1; len(want) < 3; j-- {
				want = append(want, fmt.Sprint("p", j))
			}
			for _, s := range n.loudest.Selected()[:3] {
				got = append(got, s.Owner())
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%d: %v, want %v", i, got, want)
			}
		}
	})
}

// The way changes, twice: nobody misses a word, or hears one twice.
func TestWayChanges(t *testing.T) {
	virtually(t, many(7, 2, 1), func(w *world) {
		m := w.nodes[4].mic("speaker")
		w.nodes[7].mic("other")
		w.know()
		w.pass(3 * time.Second)
		ears := w.listen(m)
		w.talk(3*time.Second, m)
		root := w.nodes[4] // where somebody publishes
		for _, step := range []func(){
			func() { root.silent = true },
			func() { root.silent = false },
			func() {
				leaver := w.nodes[7]
				leaver.gone, leaver.own = true, nil
				leaver.mesh.Close()
				delete(ears, leaver)
			},
		} {
			step()
			w.know()
			w.talk(15*time.Second, m)
		}
		for n, heard := range ears {
			words := heard.words()
			if missing, again := lost(words); len(words) < 2300 || missing+again > 0 {
				t.Errorf("%v hears %d words, %d missing, %d again", n.name, len(words), missing, again)
			}
		}
		for _, n := range w.nodes {
			if s := n.relays.Stats(); !n.gone && n != root && n.Zone == "a" && s.Legs != 1 {
				t.Errorf("%v still has %d neighbours", n.name, s.Legs)
			}
		}
	})
}

// A router that is dead is found out by those next to it, within a second and
// whether anybody speaks or not. When it is known, the others find a way round
// it, and the gap is little longer than that.
func TestDeadInTheMiddle(t *testing.T) {
	for _, talking := range []bool{true, false} {
		virtually(t, many(7, 2, 0), func(w *world) {
			m := w.nodes[3].mic("speaker")
			w.nodes[0].own = append(w.nodes[0].own, w.nodes[0].mic("root").source)
			w.know()
			ears := w.listen(m)
			middle := w.nodes[0]
			delete(ears, middle)
			w.talk(3*time.Second, m)
			w.talkIf(talking, 3*time.Second, m)
			died := time.Now()
			w.kill(middle)
			for w.lives(middle, Dead) == 0 {
				w.talkIf(talking, 20*time.Millisecond, m)
			}
			if took := time.Since(died); took < 400*time.Millisecond || took > 900*time.Millisecond {
				t.Errorf("found out after %v", took)
			}
			w.talkIf(talking, 300*time.Millisecond, m)
			if n := w.lives(middle, Dead); n != 7 { // the others of its zone, and the first of the other
				t.Errorf("%d routers have found out", n)
			}
			for _, n := range w.nodes[1:] {
				if bad := w.lives(n, Dead) + w.lives(n, Doubtful); bad > 0 {
					t.Errorf("%v is doubted by %d", n.name, bad)
				}
			}
			middle.silent = true
			w.know()
			w.talk(10*time.Second, m)
			for n, heard := range ears {
				words := heard.words()
				missing, again := lost(words)
				if len(words) < 500 || missing > 60 || again > 0 {
					t.Errorf("%v hears %d words, %d missing, %d again", n.name, len(words), missing, again)
				}
			}
		})
	}
}

// kill ends a router without a word.
func (w *world) kill(n *node) {
	cut := func(from, to string) bool { return from == n.ip || to == n.ip }
	w.cut.Store(&cut)
	w.noTCP.Store(true)
	n.dead = true
}

// lives counts the routers that take another one for so much alive.
func (w *world) lives(of *node, life Life) (n int) {
	for _, o := range w.nodes {
		if o != of && !o.dead && o.mesh.Life(of.Zone, of.MMR) == life {
			n++
		}
	}
	return n
}

func (w *world) talkIf(talking bool, d time.Duration, m *mic) {
	if talking {
		w.talk(d, m)
	} else {
		w.pass(d)
	}
}

// A network that loses a tenth of all packets is no death, nor is one with a
// long way, nor a router that pauses for a moment.
func TestNotDead(t *testing.T) {
	for name, spoil := range map[string]func(w *world, dice *rand.Rand) func(from, to string) bool{
		"a tenth is lost": func(_ *world, dice *rand.Rand) func(from, to string) bool {
			return func(string, string) bool { return dice.IntN(10) == 0 }
		},
		"pauses of 0.4 s": func(w *world, _ *rand.Rand) func(from, to string) bool {
			return func(from, to string) bool {
				return (from == w.nodes[0].ip || to == w.nodes[0].ip) && time.Since(w.start)%(2*time.Second) < 400*time.Millisecond
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			virtually(t, many(4, 1, 0), func(w *world) {
				w.nodes[0].mic("speaker")
				w.know()
				w.pass(3 * time.Second)
				cut := spoil(w, rand.New(rand.NewPCG(5, 6)))
				w.cut.Store(&cut)
				for range 60 * 40 {
					w.pass(25 * time.Millisecond)
					for _, n := range w.nodes {
						if w.lives(n, Dead) > 0 {
							t.Errorf("%v is dead after %v", n.name, time.Since(w.start))
							return
						}
					}
				}
			})
		})
	}
}

// The router in the middle is about to go. The ways move off it while people
// leave it, and when it goes nobody misses a word.
func TestMiddleDrains(t *testing.T) {
	virtually(t, many(7, 2, 1), func(w *world) {
		m := w.nodes[3].mic("speaker")
		middle := w.nodes[0]
		moving := middle.mic("who moves")
		w.know()
		ears := w.listen(m)
		delete(ears, middle)
		w.talk(3*time.Second, m, moving)
		middle.silent = true // to the others
		middle.mesh.SetLeaving(true)
		w.know()
		w.talk(time.Second, m, moving)
		for _, n := range w.nodes { // those it still has neighbours in pass nothing on by it
			if via := n.mesh.routes.present; n != middle && len(via.Neighbours(middle.name)) != 1 {
				t.Errorf("%v has the router that goes in the middle: %v", n.name, via.Neighbours(middle.name))
			}
		}
		before := middle.router.Traffic()
		w.talk(10*time.Second, m)
		after := middle.router.Traffic()
		if n := after.RelayedOut - before.RelayedOut; n > 6*50*7+100 { // for the time that the old ways last
			t.Errorf("%d packets still came by the router that goes", n)
		}
		middle.gone, middle.own = true, nil
		middle.mesh.Close()
		w.know()
		w.talk(5*time.Second, m)
		for n, heard := range ears {
			words := heard.words()
			missing, again := lost(words)
			if len(words) < 900 || missing+again > 0 {
				t.Errorf("%v hears %d words, %d missing, %d again", n.name, len(words), missing, again)
			}
		}
	})
}

// However late each router hears of what, while the one in the middle drains:
// nobody misses a word of those who are elsewhere, or hears one twice.
func TestMiddleDrainsInAnyOrder(t *testing.T) {
	for seed := range uint64(8) {
		virtually(t, many(7, 1, 1), func(w *world) {
			dice := rand.New(rand.NewPCG(seed, 4))
			middle := w.nodes[0]
			middle.mic("who moves")
			mics := []*mic{w.nodes[3].mic("ada"), w.nodes[7].mic("bob"), w.nodes[2].mic("cyd")}
			w.know()
			ears := map[*mic]map[*node]*wire{}
			for _, m := range mics {
				ears[m] = w.listen(m)
				delete(ears[m], middle)
			}
			w.talk(3*time.Second, mics...)
			for _, step := range []func(){
				func() { middle.silent = true; middle.mesh.SetLeaving(true) },
				func() { middle.own = nil; w.nodes[5].mic("who moves") },
				func() { middle.gone = true; middle.mesh.Close() },
			} {
				step()
				w.knowInTurn(dice, time.Second, mics...)
			}
			w.talk(8*time.Second, mics...)
			for m, heard := range ears {
				for n, ear := range heard {
					words := ear.words()
					if missing, again := lost(words); len(words) < 500 || missing+again > 0 {
						t.Errorf("seed %d: %v hears %d words of %s, %d missing, %d again", seed, n.name, len(words), m.source.Owner(), missing, again)
					}
				}
			}
		})
	}
}

// While routers know different legs nothing goes round in circles, and nobody
// hears a word twice; when all know the same again, everybody hears all.
func TestDisagreement(t *testing.T) {
	for seed := range uint64(6) {
		virtually(t, many(6, 2, 1), func(w *world) {
			dice := rand.New(rand.NewPCG(seed, 3))
			m := w.nodes[dice.IntN(len(w.nodes))].mic("speaker")
			w.know()
			w.pass(3 * time.Second)
			ears := w.listen(m)
			for range 12 {
				w.knowIf(func(n, of *node) bool {
					of.silent = dice.IntN(3) == 0
					return of == m.node || dice.IntN(4) > 0
				})
				w.talk(time.Duration(dice.Int64N(int64(4*time.Second))), m)
			}
			for _, n := range w.nodes {
				n.silent = false
			}
			w.know()
			w.talk(12*time.Second, m)
			for n, heard := range ears {
				if _, again := lost(heard.words()); again > 0 {
					t.Errorf("seed %d: %v hears %d words again", seed, n.name, again)
				}
			}
			before := w.packets()
			w.pass(2 * time.Second) // silence: nothing goes round
			if n := w.packets() - before; n > 0 {
				t.Errorf("seed %d: %d packets in silence", seed, n)
			}
			ears = w.listen(m)
			w.talk(time.Second, m)
			for n, heard := range ears {
				words := heard.words()
				if missing, again := lost(words); len(words) < 40 || missing+again > 0 {
					t.Errorf("seed %d: %v hears %d words, %d missing, %d again", seed, n.name, len(words), missing, again)
				}
			}
		})
	}
}

// packets counts what routers have relayed.
func (w *world) packets() (n uint64) {
	for _, o := range w.nodes {
		n += o.router.Traffic().RelayedOut
	}
	return n
}

// cam publishes a picture on a node.
type cam struct {
	*node
	link   *forward.Link
	source *forward.Source
	wire   *wire
	n      int
}

func (n *node) cam(owner string) *cam {
	c := &cam{node: n, wire: &wire{}}
	c.source = n.router.NewSource(forward.SourceConfig{Owner: owner, Kind: protocol.Camera, Codec: vp8, Clock: n.router.NewClock()})
	c.source.SetMuted(false)
	c.link = n.router.NewLink(forward.LinkConfig{Kind: protocol.Video, Notify: func() {}, Publish: []forward.Publish{{
		Source: c.source, Codecs: []offer.Codec{vp8},
	}}})
	n.port.Shards()[0].Run(func() { c.link.Ready(0, c.wire, time.Now()) })
	n.own = append(n.own, c.source)
	return c
}

// keyRequests forgets and counts the wishes for key frames.
func (w *wire) keyRequests() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.rtcp {
		if _, is := p.(*rtcp.PictureLossIndication); is {
			n++
		}
	}
	w.rtcp = nil
	return n
}

// show sends a picture, which begins with its number.
func (c *cam) show() {
	c.n++
	p := make([]byte, 60)
	p[0], p[1] = 0x80, 0x80|96
	binary.BigEndian.PutUint16(p[2:], uint16(65500+c.n))
	binary.BigEndian.PutUint32(p[4:], uint32(c.n)*3600)
	binary.BigEndian.PutUint32(p[8:], 0x77)
	// A payload descriptor with picture id (RFC 7741 section 4.2), then the
	// beginning of a frame.
	p[12], p[13], p[14], p[15] = 0x90, 0x80, 0x80|byte(c.n>>8), byte(c.n)
	binary.BigEndian.PutUint32(p[pictureAt+12:], uint32(c.n))
	p[16] = 1
	if c.n == 1 || c.wire.keyRequests() > 0 {
		copy(p[16:], []byte{0, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0})
	}
	c.port.Shards()[0].Run(func() { c.link.RTP(p, time.Now()) })
	c.router.Flush()
}

// eye takes a picture on a node.
func (n *node) eye(s *forward.Source) *wire {
	w := &wire{}
	link := n.router.NewLink(forward.LinkConfig{Kind: protocol.Video, Notify: func() {}, Slots: []forward.SlotConfig{
		{ID: "v1", Kind: protocol.Camera, SSRC: 78, RTX: 79, Codecs: []offer.Codec{vp8}},
	}})
	n.port.Shards()[0].Run(func() { link.Ready(0, w, time.Now()) })
	n.router.Assign([]forward.Assignment{{Slot: link.Slots()[0], Source: s, Height: 360}}, time.Now())
	return w
}

// A picture comes by several routers, from key frame on without a gap, while
// the way changes; and a packet that is lost between two of them is had from
// the one before.
func TestPicturesComeFar(t *testing.T) {
	virtually(t, many(7, 2, 1), func(w *world) {
		c := w.nodes[4].cam("ada")
		w.know()
		w.pass(3 * time.Second)
		film := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); {
				c.show()
				w.pass(40 * time.Millisecond)
			}
		}
		eyes := map[*node]*wire{}
		for _, n := range []*node{w.nodes[1], w.nodes[8], w.nodes[9]} {
			eyes[n] = n.eye(n.mesh.Source(c.Zone, c.MMR, c.source.Stream()))
		}
		film(2 * time.Second)
		lossy := w.nodes[7].ip // on the way to the last of zone b
		dice := rand.New(rand.NewPCG(1, 2))
		cut := func(from, _ string) bool { return from == lossy && dice.IntN(20) == 0 }
		w.cut.Store(&cut)
		film(5 * time.Second)
		w.cut.Store(nil)
		w.nodes[4].silent = true
		w.know()
		film(15 * time.Second)
		w.nodes[4].silent = false
		w.know()
		film(15 * time.Second)
		for n, seen := range eyes {
			pictures := seen.words()
			got := map[uint32]bool{}
			first, last := pictures[0], uint32(0)
			for _, p := range pictures {
				got[p] = true
				last = max(last, p)
			}
			missing := 0
			for p := first; p <= last; p++ {
				missing += yes(!got[p])
			}
			if len(pictures) < 850 || missing > 0 || last-first < 850 {
				t.Errorf("%v sees %d pictures from %d to %d, %d missing", n.name, len(pictures), first, last, missing)
			}
		}
		if asked := c.wire.keyRequests(); asked > 0 {
			t.Errorf("%d wishes for key frames at last", asked)
		}
	})
}

func yes(b bool) int {
	if b {
		return 1
	}
	return 0
}

package relay

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"causeway/protocol"
)

// fault is something that happens to a world; what says what it was.
type fault struct {
	name string
	do   func(w *world, dice *rand.Rand) (what string)
}

var faults = []fault{
	{"two routers lose each other's datagrams", func(w *world, dice *rand.Rand) string {
		a, b := w.two(dice)
		cut := func(from, to string) bool { return from == a.ip && to == b.ip || from == b.ip && to == a.ip }
		w.cut.Store(&cut)
		return a.Zone + " " + b.Zone
	}},
	{"one direction is cut", func(w *world, dice *rand.Rand) string {
		a, b := w.two(dice)
		cut := func(from, to string) bool { return from == a.ip && to == b.ip }
		w.cut.Store(&cut)
		return a.Zone + " to " + b.Zone
	}},
	{"no TCP", func(w *world, _ *rand.Rand) string {
		w.noTCP.Store(true)
		return ""
	}},
	{"the bus is away", func(w *world, _ *rand.Rand) string {
		w.busDown.Store(true)
		return ""
	}},
	{"all heals", func(w *world, _ *rand.Rand) string {
		w.heal()
		return ""
	}},
	{"a leg goes or comes", func(w *world, dice *rand.Rand) string {
		n := w.nodes[dice.IntN(len(w.nodes))]
		n.gone = !n.gone
		if n.gone {
			n.mesh.Close()
			n.own = nil
		} else {
			n.join()
			n.speaker = n.mic("at " + n.Zone)
		}
		if !w.busDown.Load() {
			w.know()
		}
		return n.Zone
	}},
	{"a connection ends", func(w *world, dice *rand.Rand) string {
		a, b := w.two(dice)
		a.mesh.mu.Lock()
		defer a.mesh.mu.Unlock()
		if l := a.mesh.legs[b.name]; l != nil {
			if c := l.sides[dice.IntN(len(l.sides))].conn; c != nil {
				c.peer.Close()
			}
		}
		return a.Zone + " " + b.Zone
	}},
}

func (w *world) two(dice *rand.Rand) (a, b *node) {
	order := dice.Perm(len(w.nodes))
	return w.nodes[order[0]], w.nodes[order[1]]
}

func (w *world) heal() {
	w.cut.Store(nil)
	w.noTCP.Store(false)
	w.busDown.Store(false)
	w.know()
}

// Whatever happens to the routers of a meeting: once it has healed, everyone
// hears everyone within seconds.
func TestFaults(t *testing.T) {
	for seed := range uint64(10) {
		virtually(t, []string{"east/r1", "north/r1*", "west/r1"}, func(w *world) {
			dice := rand.New(rand.NewPCG(seed, 7))
			for _, n := range w.nodes {
				n.speaker = n.mic("at " + n.Zone)
			}
			w.know()
			w.pass(time.Second)
			var happened []string
			for range 8 {
				f := faults[dice.IntN(len(faults))]
				what := f.do(w, dice)
				happened = append(happened, fmt.Sprintf("%s %s at %v", f.name, what, time.Since(w.start)))
				w.pass(time.Duration(dice.Int64N(int64(15 * time.Second))))
			}
			w.heal()
			// The longest pause between two attempts, and a round trip or two.
			w.pass(10 * time.Second)
			if problem := w.everyoneHears(); problem != "" {
				t.Errorf("seed %d: %s\n%s", seed, problem, strings.Join(happened, "\n"))
			}
		})
	}
}

// everyoneHears lets all speak for a second and says who does not hear whom.
func (w *world) everyoneHears() (problem string) {
	type way struct{ by, of *node }
	ears := map[way]*wire{}
	var mics []*mic
	for _, by := range w.nodes {
		if by.gone {
			continue
		}
		mics = append(mics, by.speaker)
		for _, of := range w.nodes {
			if of != by && !of.gone {
				ears[way{by, of}] = by.ear(by.mesh.Source(of.Zone, of.MMR, of.speaker.source.Stream()))
			}
		}
	}
	w.talk(time.Second, mics...)
	for k, heard := range ears {
		if n := len(heard.take()); n < 45 {
			problem += fmt.Sprintf("%s hears %d packets of %s. ", k.by.Zone, n, k.of.Zone)
		}
	}
	for _, n := range w.nodes {
		others := 0
		for _, o := range w.nodes {
			if o != n && !o.gone && !n.gone {
				others++
			}
		}
		if s := n.relays.Stats(); s.Legs != others {
			problem += fmt.Sprintf("%s has %d relays, not %d; %d over UDP. ", n.Zone, s.Legs, others, s.Connections[protocol.UDP])
		}
	}
	return problem
}

package relay

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"causeway/protocol"
)

// TestTranscripts plays what may happen between three routers, east/r1 (0),
// north/r1 (1, on premises) and west/r1 (2). A line is something that
// happens, or "N: …", what router N has then: for each other leg the rungs of
// audio, video and content, - for none.
func TestTranscripts(t *testing.T) {
	for name, script := range map[string]string{
		"all are connected by UDP": `
			wait 1s
			0: north/r1 udp/udp/udp, west/r1 udp/udp/udp
			1: east/r1 udp/udp/udp, west/r1 udp/udp/udp
			2: east/r1 udp/udp/udp, north/r1 udp/udp/udp`,
		"UDP dies and comes back": `
			wait 1s
			cut 0
			wait 8s
			0: north/r1 tcp/tcp/tcp, west/r1 tcp/tcp/tcp
			1: east/r1 tcp/tcp/tcp, west/r1 udp/udp/udp
			heal
			wait 90s
			0: north/r1 udp/udp/udp, west/r1 udp/udp/udp`,
		"UDP never passes": `
			go 1
			cut 0
			wait 3s
			0: west/r1 tcp/tcp/tcp`,
		"nothing passes, and then everything": `
			wait 1s
			cut 0
			tcp off
			wait 20s
			0: north/r1 -/-/-, west/r1 -/-/-
			1: east/r1 -/-/-, west/r1 udp/udp/udp
			heal
			wait 10s
			0: north/r1 udp/udp/udp, west/r1 udp/udp/udp`,
		"what is up needs no bus": `
			wait 1s
			bus off
			wait 300s
			0: north/r1 udp/udp/udp, west/r1 udp/udp/udp`,
		"what is lost waits for the bus": `
			wait 1s
			bus off
			end 0 2
			wait 60s
			0: north/r1 udp/udp/udp, west/r1 -/udp/udp
			bus on
			wait 7s
			0: north/r1 udp/udp/udp, west/r1 udp/udp/udp`,
		"a leg goes, and comes back": `
			wait 1s
			go 2
			wait 200ms
			0: north/r1 udp/udp/udp
			2: over
			wait 60s
			come 2
			wait 1s
			0: north/r1 udp/udp/udp, west/r1 udp/udp/udp
			2: east/r1 udp/udp/udp, north/r1 udp/udp/udp`,
		"a leg is over before the others hear of it": `
			wait 1s
			over 2
			wait 2s
			0: north/r1 udp/udp/udp, west/r1 -/-/-
			go 2
			wait 200ms
			0: north/r1 udp/udp/udp`,
	} {
		t.Run(name, func(t *testing.T) {
			virtually(t, []string{"east/r1", "north/r1*", "west/r1"}, func(w *world) {
				w.know()
				for line := range strings.Lines(script) {
					if line = strings.TrimSpace(line); line != "" {
						w.play(line)
					}
				}
			})
		})
	}
}

// play carries out a line.
func (w *world) play(line string) {
	w.t.Helper()
	if who, want, is := strings.Cut(line, ": "); is {
		i, err := strconv.Atoi(who)
		must(w.t, err)
		if got := w.nodes[i].has(); got != want {
			w.t.Errorf("%v: %s: %s, want %s", time.Since(w.start), who, got, want)
		}
		return
	}
	words := append(strings.Fields(line), "", "")
	at := func(word int) *node {
		i, err := strconv.Atoi(words[word])
		must(w.t, err)
		return w.nodes[i]
	}
	switch words[0] {
	case "wait":
		d, err := time.ParseDuration(words[1])
		must(w.t, err)
		w.pass(d)
	case "cut":
		ip := at(1).ip
		cut := func(from, to string) bool { return from == ip || to == ip }
		w.cut.Store(&cut)
	case "tcp":
		w.noTCP.Store(words[1] == "off")
	case "bus":
		w.busDown.Store(words[1] == "off")
	case "heal":
		w.heal()
	case "end":
		a, b := at(1), at(2)
		a.mesh.mu.Lock()
		a.mesh.legs[b.name].sides[0].conn.peer.Close()
		a.mesh.mu.Unlock()
	case "over":
		at(1).mesh.Close()
	case "go":
		at(1).gone = true
		at(1).mesh.Close()
		w.know()
	case "come":
		at(1).gone = false
		at(1).join()
		w.know()
	default:
		w.t.Fatalf("no such line: %s", line)
	}
}

// has says what relays a router has.
func (n *node) has() string {
	if n.mesh.ctx.Err() != nil {
		return "over"
	}
	n.mesh.mu.Lock()
	defer n.mesh.mu.Unlock()
	var legs []string
	for _, l := range n.mesh.legs {
		var rungs []string
		for i := range l.sides {
			var t protocol.Transport
			if c := l.sides[i].conn; c != nil && c.up.Load() {
				t = c.peer.Stats().Transport
			}
			rungs = append(rungs, string(cmp.Or(t, "-")))
		}
		legs = append(legs, fmt.Sprintf("%s/%s %s", l.Zone, l.MMR, strings.Join(rungs, "/")))
	}
	slices.Sort(legs)
	return strings.Join(legs, ", ")
}

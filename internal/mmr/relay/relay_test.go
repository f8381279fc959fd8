package relay

import (
	"slices"
	"strings"
	"testing"
	"time"

	"causeway/internal/mmr/forward"
	"causeway/internal/peer"
	"causeway/protocol"
)

// talk has microphones speak for a while.
func (w *world) talk(d time.Duration, mics ...*mic) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, m := range mics {
			m.say()
		}
		w.pass(20 * time.Millisecond)
	}
}

// gaps counts the numbers that are missing among what was heard.
func gaps(t *testing.T, heard *wire) (n, missing int) {
	t.Helper()
	got := heard.take()
	seen := map[uint16]bool{}
	for _, h := range got {
		seen[h.Sequence] = true
	}
	if len(got) == 0 {
		return 0, 0
	}
	first, last := got[0].Sequence, got[len(got)-1].Sequence
	for s := first; s != last; s++ {
		if !seen[s] {
			missing++
		}
	}
	return len(got), missing
}

// Who dials: the one on premises, else the lower name.
func TestWhoDials(t *testing.T) {
	for _, tt := range []struct{ a, b, dials string }{
		{"east/r1", "west/r1", "east/r1"},
		{"west/r1", "east/r1", "east/r1"},
		{"east/r2", "east/r1", "east/r1"},
		{"east/r1", "west/r1*", "west/r1"},
		{"east/r1*", "west/r1", "east/r1"},
		{"east/r1*", "west/r1*", "east/r1"},
	} {
		virtually(t, []string{tt.a, tt.b}, func(w *world) {
			w.know()
			w.pass(2 * time.Second)
			log := w.asked() // not_found first, if the other has not been told yet
			if !slices.ContainsFunc(log, func(s string) bool { return strings.HasSuffix(s, "audio video content: ok") }) ||
				slices.ContainsFunc(log, func(s string) bool { return !strings.HasPrefix(s, tt.dials+" asks") }) {
				t.Errorf("%s and %s: %q", tt.a, tt.b, log)
			}
			for i, n := range w.nodes {
				o := w.nodes[1-i]
				if !n.mesh.Up(o.Zone, o.MMR) {
					t.Errorf("%s and %s: not up", tt.a, tt.b)
				}
				if s := n.relays.Stats(); s.Legs != 1 || s.Connections[protocol.UDP] != 3 {
					t.Errorf("%+v", s)
				}
			}
		})
	}
}

// Three legs: everyone hears everyone, and a leg that goes takes only itself.
func TestThreeLegs(t *testing.T) {
	virtually(t, []string{"east/r1", "north/r1*", "west/r1"}, func(w *world) {
		var mics []*mic
		for _, n := range w.nodes {
			mics = append(mics, n.mic("at "+n.Zone))
		}
		w.know()
		w.pass(time.Second)
		ears := map[[2]int]*wire{}
		for i, n := range w.nodes {
			for j, m := range mics {
				if i != j {
					ears[[2]int{i, j}] = n.ear(n.mesh.Source(m.Zone, m.MMR, m.source.Stream()))
				}
			}
		}
		w.talk(2*time.Second, mics...)
		for way, heard := range ears {
			if n, missing := gaps(t, heard); n < 95 || missing > 0 {
				t.Errorf("%v: %d packets, %d missing", way, n, missing)
			}
		}

		gone := w.nodes[2]
		source := w.nodes[0].mesh.Source("west", "r1", mics[2].source.Stream())
		gone.gone = true
		gone.mesh.Close()
		w.know()
		w.pass(100 * time.Millisecond)
		if w.nodes[0].mesh.Up("west", "r1") || w.nodes[0].mesh.Source("west", "r1", mics[2].source.Stream()) != nil || !source.Muted() {
			t.Error("the leg that is gone is still there")
		}
		w.talk(time.Second, mics...)
		if n, missing := gaps(t, ears[[2]int{0, 1}]); n < 45 || missing > 0 {
			t.Errorf("among those who stay: %d packets, %d missing", n, missing)
		}
		if n, _ := gaps(t, ears[[2]int{0, 2}]); n > 0 {
			t.Errorf("%d packets of the leg that is gone", n)
		}
	})
}

// UDP dies under a relay: it goes on over TCP, and climbs back.
func TestUDPDies(t *testing.T) {
	virtually(t, []string{"east/r1", "west/r1"}, func(w *world) {
		a, b := w.nodes[0], w.nodes[1]
		speaker, other := b.mic("bob"), a.mic("ada")
		w.know()
		w.pass(time.Second)
		heard := a.ear(a.mesh.Source("west", "r1", speaker.source.Stream()))
		w.talk(2*time.Second, speaker, other)
		heard.take()
		cut := func(string, string) bool { return true }
		w.cut.Store(&cut)
		w.talk(4*time.Second, speaker, other)
		n, missing := gaps(t, heard)
		if n < 100 {
			t.Errorf("%d packets after the cut", n)
		}
		t.Logf("after the cut: %d packets, %d missing", n, missing)
		// Without media nothing tells that the path of pictures is gone but
		// the checks.
		if s := a.relays.Stats(); s.Connections[protocol.TCP] != 3 || s.Lost != 0 {
			t.Errorf("%+v", s)
		}
		heard.take()
		w.talk(2*time.Second, speaker, other)
		if n, missing := gaps(t, heard); n < 95 || missing > 0 {
			t.Errorf("over TCP: %d packets, %d missing", n, missing)
		}
		w.cut.Store(nil)
		w.talk(90*time.Second, speaker, other)
		if s := a.relays.Stats(); s.Connections[protocol.UDP] != 3 {
			t.Errorf("did not climb back: %+v", s)
		}
		if n, missing := gaps(t, heard); n < 4400 || missing > 0 {
			t.Errorf("on the way back: %d packets, %d missing", n, missing)
		}
	})
}

// Everything between two routers is gone for a while: they find each other
// again, also when the bus comes back later than the network.
func TestLostAndFound(t *testing.T) {
	virtually(t, []string{"east/r1", "west/r1"}, func(w *world) {
		a, b := w.nodes[0], w.nodes[1]
		speaker := b.mic("bob")
		w.know()
		w.pass(time.Second)
		heard := a.ear(a.mesh.Source("west", "r1", speaker.source.Stream()))
		w.talk(time.Second, speaker)
		heard.take()
		w.asked()
		cut := func(string, string) bool { return true }
		w.cut.Store(&cut)
		w.noTCP.Store(true)
		w.busDown.Store(true)
		w.pass(30 * time.Second)
		if a.mesh.Up("west", "r1") {
			t.Error("taken for up")
		}
		if s := a.relays.Stats(); s.Lost != 3 || s.Legs != 0 {
			t.Errorf("%+v", s)
		}
		if log := w.asked(); len(log) < 5 || len(log) > 60 || !strings.HasSuffix(log[0], "nobody there to answer") {
			t.Errorf("%q", log)
		}
		w.cut.Store(nil)
		w.noTCP.Store(false)
		w.talk(2*time.Second, speaker)
		w.busDown.Store(false)
		w.talk(10*time.Second, speaker)
		heard.take()
		w.talk(time.Second, speaker)
		if n, missing := gaps(t, heard); n < 45 || missing > 0 {
			t.Errorf("%d packets, %d missing", n, missing)
		}
	})
}

// A router that starts anew is dialled anew at once, and its participants'
// new streams are heard.
func TestRouterStartsAnew(t *testing.T) {
	for _, again := range []int{0, 1} { // who dials, who is dialled
		virtually(t, []string{"east/r1", "west/r1"}, func(w *world) {
			w.know()
			w.pass(time.Second)
			n, stays := w.nodes[again], w.nodes[1-again]
			// As after SIGKILL: it says nothing.
			n.relays.Close()
			relays, err := New(n.relays.cfg)
			must(t, err)
			n.relays, n.own = relays, nil
			n.join()
			speaker := n.mic("bob")
			w.know()
			w.pass(2 * time.Second)
			heard := stays.ear(stays.mesh.Source(n.Zone, n.MMR, speaker.source.Stream()))
			w.talk(time.Second, speaker)
			if n, missing := gaps(t, heard); n < 45 || missing > 0 {
				t.Errorf("%d: %d packets, %d missing", again, n, missing)
			}
		})
	}
}

// What a router refuses of those who ask it.
func TestRefused(t *testing.T) {
	virtually(t, []string{"east/r1", "west/r1"}, func(w *world) {
		dialler, dialled := w.nodes[0], w.nodes[1]
		good := func() protocol.RelayRequest {
			c := peer.NewCredentials()
			return protocol.RelayRequest{
				Meeting: "m", Zone: "east", MMR: "r1", Fingerprint: dialler.relays.Fingerprint(),
				Connections: []protocol.RelayMember{{Kind: protocol.Audio, Ufrag: c.Ufrag, Pwd: c.Pwd}},
			}
		}
		refused := func(what string, code protocol.Code, at *node, q protocol.RelayRequest) {
			t.Helper()
			_, err := at.relays.Answer(t.Context(), q)
			if p := protocol.ProblemOf(err); err == nil || p.Code != code {
				t.Errorf("%s: %v", what, err)
			}
		}
		refused("a leg that is not known", protocol.ProblemNotFound, dialled, good())
		w.know()
		q := good()
		q.Meeting = "other"
		refused("a meeting that is not here", protocol.ProblemNotFound, dialled, q)
		q = good()
		q.Fingerprint = dialled.relays.Fingerprint()
		refused("another's certificate", protocol.ProblemForbidden, dialled, q)
		q = good()
		q.Zone, q.Fingerprint = "west", dialled.relays.Fingerprint()
		refused("the wrong way round", protocol.ProblemBadRequest, dialler, q)
		q = good()
		q.Connections = nil
		refused("no connection", protocol.ProblemBadRequest, dialled, q)
		q = good()
		q.Connections[0].Kind = "smell"
		refused("an unknown kind", protocol.ProblemBadRequest, dialled, q)
		q = good()
		q.Connections[0].Pwd = "short"
		refused("no password", protocol.ProblemBadRequest, dialled, q)
		w.pass(time.Second)
	})
}

// Set makes sources, keeps those that stay and retires those that go;
// nonsense is passed over.
func TestSet(t *testing.T) {
	virtually(t, []string{"east/r1"}, func(w *world) {
		m := w.nodes[0].mesh
		ids := []uint32{forward.NewStream(), forward.NewStream(), forward.NewStream()}
		stream := func(id uint32, kind protocol.Source) Stream {
			return Stream{ID: id, Owner: "bob", Kind: kind, Codec: opus}
		}
		leg := func(streams ...Stream) Leg {
			return Leg{Zone: "west", MMR: "r1", Fingerprint: "x", Streams: streams}
		}
		m.Set(nil, []Leg{
			leg(stream(ids[0], protocol.Mic), stream(ids[1], protocol.Screen), stream(7, protocol.Mic), stream(ids[2], "smell"), stream(ids[0], protocol.Camera)),
			{Zone: "east", MMR: "r1", Streams: []Stream{stream(ids[2], protocol.Mic)}}, // itself
		})
		first, second := m.Source("west", "r1", ids[0]), m.Source("west", "r1", ids[1])
		if first == nil || second == nil || first.Kind() != protocol.Mic || first.Owner() != "bob" || !first.Muted() {
			t.Fatal("no sources")
		}
		if m.Source("west", "r1", 7) != nil || m.Source("west", "r1", ids[2]) != nil || m.Source("east", "r1", ids[2]) != nil {
			t.Error("nonsense made a source")
		}
		second.SetMuted(false)
		m.Set(nil, []Leg{leg(stream(ids[1], protocol.Screen))})
		if m.Source("west", "r1", ids[1]) != second || second.Muted() || m.Source("west", "r1", ids[0]) != nil {
			t.Error("not the sources that stay")
		}
		m.Set(nil, nil)
		if m.Source("west", "r1", ids[1]) != nil || !second.Muted() {
			t.Error("not retired")
		}
		m.Close()
		w.pass(10 * time.Millisecond)
		m.Set(nil, []Leg{leg(stream(ids[1], protocol.Screen))})
		if m.Source("west", "r1", ids[1]) != nil {
			t.Error("made when closed")
		}
	})
}

// The connections are made one by one: when only one is lost, the others
// stay.
func TestOneIsLost(t *testing.T) {
	virtually(t, []string{"east/r1", "west/r1"}, func(w *world) {
		w.know()
		w.pass(12 * time.Second)
		w.asked()
		m := w.nodes[0].mesh
		m.mu.Lock()
		side := m.legs[w.nodes[1].name].sides[1]
		m.mu.Unlock()
		side.conn.peer.Close()
		w.pass(time.Second)
		if log := w.asked(); !slices.Equal(log, []string{"east/r1 asks west/r1: video: ok"}) {
			t.Errorf("%q", log)
		}
		if s := w.nodes[1].relays.Stats(); s.Connections[protocol.UDP] != 3 {
			t.Errorf("%+v", s)
		}
	})
}

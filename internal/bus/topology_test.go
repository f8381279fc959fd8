package bus

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"causeway/protocol"
)

// world is a hub, a zone of two controllers and a router at each of them,
// each known by its certificate.
type world struct {
	*system
	hub  *Server
	leaf [2]*Server
	port struct {
		hub  *port
		leaf [2]*port
	}
	web *Conn
	zc  [2]*Conn
	mmr [2]*Conn
}

func newWorld(t *testing.T) *world {
	w := &world{system: newSystem(t)}
	w.startHub(w.listen("127.0.0.1:0"))
	first, second := w.listen("127.0.0.1:0"), w.listen("127.0.0.1:0")
	w.startLeaf(0, first, second.address)
	w.startLeaf(1, second, first.address)
	for i := range w.mmr {
		var err error
		w.mmr[i], err = Dial(DialConfig{
			Name: fmt.Sprintf("mmr%d", i), Trust: w.trust(fmt.Sprintf("zone/z/mmr/m%d", i)),
			Servers: []string{w.port.leaf[i].address, w.port.leaf[1-i].address},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.mmr[i].Close)
	}
	return w
}

func (w *world) startHub(at *port) {
	trust := w.trust("web/w")
	hub, err := StartHub(HubConfig{Name: "w", Trust: trust})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(hub.Stop)
	at.serve(hub, trust)
	w.hub, w.port.hub, w.web = hub, at, connectTo(w.t, hub)
}

func (w *world) startLeaf(i int, at *port, other string) {
	trust := w.trust(fmt.Sprintf("zone/z/controller/zc%d", i))
	leaf, err := StartLeaf(LeafConfig{Trust: trust, Hubs: []string{w.port.hub.address}, Routes: []string{other}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(leaf.Stop)
	at.serve(leaf, trust)
	w.leaf[i], w.port.leaf[i], w.zc[i] = leaf, at, connectTo(w.t, leaf)
}

// said is a subject that everybody may use in the world's zone.
func said(to, from string) string { return protocol.SubjectMeetingLeg(to, "z", from) }

func (w *world) conns() map[string]*Conn {
	all := map[string]*Conn{"web": w.web, "zc0": w.zc[0], "zc1": w.zc[1], "m1": w.mmr[1]}
	if w.mmr[0] != nil {
		all["m0"] = w.mmr[0]
	}
	return all
}

// everyoneHears waits until what each says is heard by every other.
func (w *world) everyoneHears(when string) {
	w.t.Helper()
	for to, c := range w.conns() {
		heard := make(chan string, 1024)
		sub, err := Subscribe(c, said(to, "*"), func(_ string, m word) { heard <- m.Text })
		if err != nil {
			w.t.Fatal(err)
		}
		w.repeatUntil(when, to, heard)
		sub.Stop()
	}
}

// repeatUntil has everyone repeat itself, as owners of facts do, until to has
// heard all.
func (w *world) repeatUntil(when, to string, heard <-chan string) {
	w.t.Helper()
	missing := w.conns()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	enough := time.After(patience)
	for len(missing) > 0 {
		for from, c := range missing {
			_ = Publish(c, said(to, from), word{from}) // refused while disconnected
		}
		select {
		case from := <-heard:
			delete(missing, from)
		case <-again.C:
		case <-enough:
			w.t.Fatalf("%s: %s does not hear %v", when, to, missing)
		}
	}
}

func TestTopology(t *testing.T) {
	w := newWorld(t)
	w.everyoneHears("at first")
	w.checkRequests()
	w.checkOnce()

	w.port.leaf[0].close()
	w.leaf[0].Stop()
	w.zc[0].Close()
	w.zc[0] = w.zc[1] // the other controller stands in
	w.everyoneHears("controller 0 gone")
	w.startLeaf(0, w.listen(w.port.leaf[0].address), w.port.leaf[1].address)
	w.everyoneHears("controller 0 back")

	w.port.hub.close()
	w.hub.Stop()
	w.web.Close()
	w.web = w.zc[0]
	w.everyoneHears("hub gone") // the zone goes on
	w.startHub(w.listen(w.port.hub.address))
	w.everyoneHears("hub back")

	w.mmr[0].Close()
	w.mmr[0] = nil
	w.everyoneHears("router 0 gone")
	w.checkRequests()
	w.checkOnce()
}

// checkRequests asks from each to each, and asks nobody.
func (w *world) checkRequests() {
	w.t.Helper()
	for to, c := range w.conns() {
		sub, err := Answer(c, protocol.SubjectMeetingDo("ask", "z", to), "", func(_ context.Context, m word) (word, error) {
			return word{m.Text + " by " + to}, nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
		for from, c := range w.conns() {
			w.ask(c, from, to)
		}
		sub.Stop()
	}
	for from, c := range w.conns() {
		ctx, cancel := context.WithTimeout(w.t.Context(), patience)
		if _, err := Request[word](ctx, c, protocol.SubjectMeetingDo("ask", "z", "nobody"), word{}); !errors.Is(err, ErrNoResponder) {
			w.t.Errorf("%s asks nobody: %v", from, err)
		}
		cancel()
	}
}

// ask asks until the way to the answer is known everywhere: until then
// nobody is there.
func (w *world) ask(c *Conn, from, to string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for {
		a, err := Request[word](ctx, c, protocol.SubjectMeetingDo("ask", "z", to), word{from})
		if errors.Is(err, ErrNoResponder) {
			continue
		}
		if want := from + " by " + to; err != nil || a.Text != want {
			w.t.Fatalf("%s asks %s: %q, %v", from, to, a.Text, err)
		}
		return
	}
}

// checkOnce sends from each and looks that everyone gets it exactly once: the
// two leaves of a zone do not double what they carry.
func (w *world) checkOnce() {
	w.t.Helper()
	for to, c := range w.conns() {
		heard := make(chan string, 1024)
		sub, err := Subscribe(c, said("once", "*"), func(_ string, m word) { heard <- m.Text })
		if err != nil {
			w.t.Fatal(err)
		}
		w.everyoneHears("before counting") // the subscription is known by now
		for from, c := range w.conns() {
			for i := range 10 {
				if err := Publish(c, said("once", from), word{fmt.Sprint(from, i)}); err != nil {
					w.t.Fatal(err)
				}
			}
		}
		seen := map[string]int{}
		for range 10 * len(w.conns()) {
			seen[receive(w.t, heard)]++
		}
		for text, n := range seen {
			if n != 1 {
				w.t.Errorf("%s got %s %d times", to, text, n)
			}
		}
		sub.Stop()
	}
}

func TestDialBeforeServer(t *testing.T) {
	sys := newSystem(t)
	first := sys.listen("127.0.0.1:0")
	first.close()
	c, err := Dial(DialConfig{Name: "early", Servers: []string{first.address}, Trust: sys.trust("tunnel/t")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sub, err := Answer(c, protocol.SubjectDrainTunnel("t"), "", func(_ context.Context, m word) (word, error) { return m, nil })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	if c.Connected() {
		t.Error("connected to nothing")
	}
	trust := sys.trust("web/w")
	hub, err := StartHub(HubConfig{Trust: trust})
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Stop()
	sys.listen(first.address).serve(hub, trust)
	askUntilAnswered(t, connectTo(t, hub))
	if !c.Connected() {
		t.Error("answers without a connection")
	}
}

// askUntilAnswered asks again, as the answerer has yet to connect.
func askUntilAnswered(t *testing.T, c *Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for range again.C {
		_, err := Request[word](ctx, c, protocol.SubjectDrainTunnel("t"), word{"x"})
		if err == nil {
			return
		}
		if !errors.Is(err, ErrNoResponder) {
			t.Fatal(err)
		}
	}
}

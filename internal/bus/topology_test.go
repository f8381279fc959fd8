package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"causeway/internal/base/pki"
)

// world is a hub, a zone of two controllers and a router at each of them,
// all over TLS.
type world struct {
	t    *testing.T
	tls  *tls.Config
	hub  *Server
	leaf [2]*Server
	addr struct {
		hub  Addresses
		leaf [2]Addresses
	}
	web *Conn
	zc  [2]*Conn
	mmr [2]*Conn
}

const secret = "correct horse"

func newWorld(t *testing.T) *world {
	authority, err := pki.Open(t.TempDir(), []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, tls: authority.TLSConfig()}
	w.tls.RootCAs = authority.Pool()
	any := "127.0.0.1:0"
	w.startHub(HubConfig{Listen: any, LeafListen: any, ClusterListen: any})
	w.startLeaf(0, LeafConfig{Listen: any, ClusterListen: any})
	w.startLeaf(1, LeafConfig{Listen: any, ClusterListen: any, Routes: []string{w.addr.leaf[0].Cluster}})
	for i := range w.mmr {
		// Each knows both controllers and begins with its own.
		urls := []string{"tls://" + w.addr.leaf[i].Clients, "tls://" + w.addr.leaf[1-i].Clients}
		w.mmr[i], err = Dial(DialConfig{Name: fmt.Sprintf("mmr%d", i), URLs: urls, TLS: w.tls, Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.mmr[i].Close)
	}
	return w
}

func (w *world) startHub(cfg HubConfig) {
	cfg.TLS, cfg.Secret = w.tls, secret
	hub, err := StartHub(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(hub.Stop)
	w.hub, w.addr.hub, w.web = hub, hub.Addresses(), connectTo(w.t, hub)
}

func (w *world) startLeaf(i int, cfg LeafConfig) {
	cfg.Name, cfg.Zone, cfg.TLS, cfg.Secret = fmt.Sprintf("zc%d", i), "z", w.tls, secret
	cfg.Hubs = []string{w.addr.hub.Leaves}
	leaf, err := StartLeaf(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(leaf.Stop)
	w.leaf[i], w.addr.leaf[i], w.zc[i] = leaf, leaf.Addresses(), connectTo(w.t, leaf)
}

func (w *world) conns() map[string]*Conn {
	return map[string]*Conn{"web": w.web, "zc0": w.zc[0], "zc1": w.zc[1], "mmr0": w.mmr[0], "mmr1": w.mmr[1]}
}

// everyoneHears waits until what each says is heard by every other.
func (w *world) everyoneHears(when string) {
	w.t.Helper()
	for to, c := range w.conns() {
		heard := make(chan string, 1024)
		sub, err := Subscribe(c, "said."+to+".*", func(_ string, m word) { heard <- m.Text })
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
			_ = Publish(c, "said."+to+"."+from, word{from}) // refused while disconnected
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

	w.leaf[0].Stop()
	w.zc[0].Close()
	w.zc[0] = w.zc[1] // the other controller stands in
	w.everyoneHears("controller 0 gone")
	w.startLeaf(0, LeafConfig{
		Listen: w.addr.leaf[0].Clients, ClusterListen: w.addr.leaf[0].Cluster,
		Routes: []string{w.addr.leaf[1].Cluster},
	})
	w.everyoneHears("controller 0 back")

	w.hub.Stop()
	w.web.Close()
	w.web = w.zc[0]
	w.everyoneHears("hub gone") // the zone goes on
	w.startHub(HubConfig{Listen: w.addr.hub.Clients, LeafListen: w.addr.hub.Leaves})
	w.everyoneHears("hub back")

	w.mmr[0].Close()
	w.mmr[0] = w.mmr[1]
	w.everyoneHears("router 0 gone")
	w.checkRequests()
	w.checkOnce()
}

// checkRequests asks from each to each, and asks nobody.
func (w *world) checkRequests() {
	w.t.Helper()
	for to, c := range w.conns() {
		sub, err := Answer(c, "ask."+to, "", func(_ context.Context, m word) (word, error) {
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
		if _, err := Request[word](ctx, c, "ask.nobody", word{}); !errors.Is(err, ErrNoResponder) {
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
		a, err := Request[word](ctx, c, "ask."+to, word{from})
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
		sub, err := Subscribe(c, "once.*", func(_ string, m word) { heard <- m.Text })
		if err != nil {
			w.t.Fatal(err)
		}
		w.everyoneHears("before counting") // the subscription is known by now
		for from, c := range w.conns() {
			for i := range 10 {
				if err := Publish(c, "once."+from, word{fmt.Sprint(from, i)}); err != nil {
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

func TestWrongSecret(t *testing.T) {
	said := make(lines, 100)
	hub, err := StartHub(HubConfig{Listen: "127.0.0.1:0", Secret: secret, Log: slog.New(slog.NewTextHandler(said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Stop()
	c, err := Dial(DialConfig{Name: "thief", URLs: []string{"nats://" + hub.Addresses().Clients}, Secret: "guess"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if line := receive(t, said); !strings.Contains(line, "authentication error") {
		t.Errorf("the hub logs %q", line)
	}
	if c.Connected() {
		t.Error("connected with a wrong secret")
	}
	if err := Publish(c, "s", word{}); err == nil {
		t.Error("published with a wrong secret")
	}
}

// lines is a log whose lines can be waited for.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	select {
	case l <- string(p):
	default:
	}
	return len(p), nil
}

func TestDialBeforeServer(t *testing.T) {
	first, err := StartHub(HubConfig{Listen: "127.0.0.1:0", Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	addr := first.Addresses().Clients
	first.Stop()
	c, err := Dial(DialConfig{Name: "early", URLs: []string{"nats://" + addr}, Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sub, err := Answer(c, "early", "", func(_ context.Context, m word) (word, error) { return m, nil })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	if c.Connected() {
		t.Error("connected to nothing")
	}
	hub, err := StartHub(HubConfig{Listen: addr, Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Stop()
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
		_, err := Request[word](ctx, c, "early", word{"x"})
		if err == nil {
			return
		}
		if !errors.Is(err, ErrNoResponder) {
			t.Fatal(err)
		}
	}
}

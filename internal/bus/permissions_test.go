package bus

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"causeway/internal/base/pki"
	"causeway/protocol"
)

// realm is a hub with everybody that there is: the zones y and z, each with a
// controller; routers m and n in z; and the tunnel t.
type realm struct {
	*system
	hub   *port
	web   *Conn            // in the hub's process
	conns map[string]*Conn // by identity; a controller's is in its process
	said  int
}

func newRealm(t *testing.T) *realm {
	r := &realm{system: newSystem(t), conns: map[string]*Conn{}}
	trust := r.trust("web/w")
	hub, err := StartHub(HubConfig{Name: "w", Trust: trust})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Stop)
	r.hub, r.web = r.listen("127.0.0.1:0"), connectTo(t, hub)
	r.hub.serve(hub, trust)
	r.conns["web/w"] = r.web
	controllers := map[string]*port{}
	for _, zone := range []string{"y", "z"} {
		who := "zone/" + zone + "/controller/c"
		trust := r.trust(who)
		leaf, err := StartLeaf(LeafConfig{Trust: trust, Hubs: []string{r.hub.address}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(leaf.Stop)
		controllers[zone] = r.listen("127.0.0.1:0")
		controllers[zone].serve(leaf, trust)
		r.conns[who] = connectTo(t, leaf)
	}
	r.dial("zone/z/mmr/m", controllers["z"])
	r.dial("zone/z/mmr/n", controllers["z"])
	r.dial("zone/y/mmr/m", controllers["y"])
	r.dial("tunnel/t", r.hub)
	return r
}

func (r *realm) dial(who string, at *port) {
	c, err := Dial(DialConfig{Name: who, Trust: r.trust(who), Servers: []string{at.address}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Close)
	r.conns[who] = c
}

// What everybody may say and hear is what the others are told apart by: a
// message of this kind that comes after another shows that the other does not.
const (
	mark     = protocol.SubjectRevokedAsk // everybody may say it
	markHear = protocol.SubjectRevoked    // everybody may hear it
)

// TestRights is the matrix of who may say and hear what.
func TestRights(t *testing.T) {
	r := newRealm(t)
	const (
		zController, yController = "zone/z/controller/c", "zone/y/controller/c"
		zm, zn, ym               = "zone/z/mmr/m", "zone/z/mmr/n", "zone/y/mmr/m"
		tunnel                   = "tunnel/t"
	)
	for _, c := range []struct {
		subject     string
		speak, hear []string // who may; web may everything
	}{
		{"keys", nil, []string{zController, yController, zm, zn, ym, tunnel}},
		{"keys.ask", []string{zController, yController, zm, zn, ym, tunnel}, nil},
		{"revoked", nil, []string{zController, yController, zm, zn, ym, tunnel}},
		{"web.renew", []string{zController, yController, zm, zn, ym, tunnel}, nil},
		{"web.meeting.ended", []string{zController, yController, zm, zn, ym}, nil},
		{"meetings.ended", nil, []string{zController, yController, zm, zn, ym}},
		{"meetings.ended.ask", []string{zController, yController, zm, zn, ym}, nil},
		{"hub.ask", []string{tunnel}, []string{zController, yController, tunnel}},
		{"hub.web.w", nil, nil},
		{"hub.tunnel.t", []string{tunnel}, nil},
		{"hub.tunnel.u", nil, nil},
		{"tunnel.t.drain", nil, []string{tunnel}},
		{"tunnel.u.drain", nil, nil},
		{"hub.zone.z.controller.c", []string{zController}, []string{tunnel}},
		{"hub.zone.y.controller.c", []string{yController}, []string{tunnel}},
		{"zone.z.ask", []string{zController}, []string{zController, zm, zn}},
		{"zone.z.mmr.m.state", []string{zController, zm}, []string{zController, zm, tunnel}},
		{"zone.z.mmr.n.state", []string{zController, zn}, []string{zController, zn, tunnel}},
		{"zone.z.mmr.m.leg", []string{zController, zm}, []string{zController, zm}},
		{"zone.z.mmr.m.admit", []string{zController}, []string{zController, zm}},
		{"zone.z.mmr.m.drain", []string{zController}, []string{zController, zm}},
		{"zone.z.mmr.m.relay", []string{zController, yController, zm, zn, ym}, []string{zController, zm}},
		{"meeting.1.leg.z.m", []string{zController, zm}, []string{zController, yController, zm, zn, ym}},
		{"meeting.1.leg.y.m", []string{yController, ym}, []string{zController, yController, zm, zn, ym}},
		{"meeting.1.leg.z.m.do", []string{zController, yController, zm, zn, ym}, []string{zController, yController, zm, zn, ym}},
		{"meeting.1.ask", []string{zController, yController, zm, zn, ym}, []string{zController, yController, zm, zn, ym}},
		{"meeting.1.chat", []string{zController, yController, zm, zn, ym}, []string{zController, yController, zm, zn, ym}},
		{"meeting.1.command", []string{zController, yController, zm, zn, ym}, []string{zController, yController, zm, zn, ym}},
		{"_INBOX.web.w.x", []string{zController, yController}, nil},
		{"_INBOX.zone.z.mmr.m.x", []string{zController, yController}, []string{zController, zm}},
		{"_INBOX.zone.y.controller.c.x", []string{zController, yController}, []string{yController}},
		{"_INBOX.tunnel.t.x", []string{zController, yController}, []string{tunnel}},
		{"anything.else", nil, nil},
		{"$SYS.REQ.SERVER.PING", nil, nil},
		{">", nil, nil},
	} {
		for _, who := range []string{zController, yController, zm, zn, ym, tunnel} {
			if !strings.Contains(c.subject, ">") {
				if got, want := r.speaks(who, c.subject), slices.Contains(c.speak, who); got != want {
					t.Errorf("%s says %s: the hub hears it: %v", who, c.subject, got)
				}
			}
			if got, want := r.hears(who, c.subject), slices.Contains(c.hear, who); got != want {
				t.Errorf("%s hears %s: %v", who, c.subject, got)
			}
		}
	}
}

// speaks reports whether the hub hears what somebody says.
func (r *realm) speaks(who, subject string) bool {
	r.t.Helper()
	heard, stop := r.listenTo(r.web, subject, mark)
	defer stop()
	return r.comes(heard, subject, mark, func(text string) {
		_ = Publish(r.conns[who], subject, word{text})
		_ = Publish(r.conns[who], mark, word{text})
	})
}

// hears reports whether somebody hears what the hub says.
func (r *realm) hears(who, subject string) bool {
	r.t.Helper()
	heard, stop := r.listenTo(r.conns[who], subject, markHear)
	defer stop()
	said := subject
	if subject == ">" {
		said = "anything.at.all"
	}
	return r.comes(heard, said, markHear, func(text string) {
		_ = Publish(r.web, said, word{text})
		_ = Publish(r.web, markHear, word{text})
	})
}

// listenTo hears several subjects in the order in which messages come.
func (r *realm) listenTo(c *Conn, subjects ...string) (heard chan *nats.Msg, stop func()) {
	r.t.Helper()
	heard = make(chan *nats.Msg, 4096)
	var subs []*nats.Subscription
	for _, s := range subjects {
		sub, err := c.nc.ChanSubscribe(s, heard)
		if err != nil {
			r.t.Fatal(err)
		}
		subs = append(subs, sub)
	}
	return heard, func() {
		for _, s := range subs {
			_ = s.Unsubscribe()
		}
	}
}

// comes reports whether the message comes that is said before the marker. Both
// are said again and again: once a marker has come, everybody on the way knows
// who listens, and the first marker that was said after that decides.
func (r *realm) comes(heard <-chan *nats.Msg, subject, mark string, say func(text string)) bool {
	r.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	over := time.After(patience)
	r.said++
	begin, known, found := r.said, 0, false
	say(fmt.Sprint(r.said))
	for {
		select {
		case m := <-heard:
			var w word
			_ = json.Unmarshal(m.Data, &w)
			n, err := strconv.Atoi(w.Text)
			switch {
			case err != nil || n < begin:
			case m.Subject == subject && subject != mark:
				found = true
			case m.Subject != mark:
			case known == 0:
				known = r.said
			case n > known:
				return found || subject == mark
			}
		case <-tick.C:
			r.said++
			say(fmt.Sprint(r.said))
		case <-over:
			r.t.Fatal("the marker never came")
		}
	}
}

// TestRequestsAcrossZones: an answer finds its way where its request came from.
func TestRequestsAcrossZones(t *testing.T) {
	r := newRealm(t)
	for _, c := range []struct{ subject, by string }{
		{"zone.z.mmr.m.relay", "zone/z/mmr/m"}, {"zone.y.mmr.m.relay", "zone/y/mmr/m"}, {"web.meeting.ended", "web/w"},
	} {
		sub, err := Answer(r.conns[c.by], c.subject, "", func(_ context.Context, w word) (word, error) { return word{w.Text + " by " + c.by}, nil })
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{"web/w", "zone/z/controller/c", "zone/z/mmr/n", "zone/y/mmr/m"} {
			askAs(t, r.conns[from], c.subject, from, from+" by "+c.by)
		}
		sub.Stop()
	}
}

func askAs(t *testing.T, c *Conn, subject, text, want string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		a, err := Request[word](ctx, c, subject, word{text})
		if err == nil && a.Text == want {
			return
		}
		select {
		case <-tick.C: // the way to it is not known yet
		case <-ctx.Done():
			t.Fatalf("%s asked by %s: %q, %v", subject, text, a.Text, err)
		}
	}
}

// TestHubHoldsLeafToItsZone speaks a leaf's protocol by hand: a controller
// that does not keep to its rights by itself is kept to them by the hub.
func TestHubHoldsLeafToItsZone(t *testing.T) {
	r := newRealm(t)
	heard, stop := r.listenTo(r.web, "zone.>", "meeting.>", "keys", mark)
	defer stop()
	refused := func(say string) {
		t.Helper()
		leaf := r.rawLeaf("zone/y/controller/evil")
		leaf.say("%s", say)
		if line := leaf.until("-ERR"); !strings.Contains(line, "Permissions Violation") {
			t.Errorf("the hub said %q", line)
		}
	}
	for _, subject := range []string{"zone.z.mmr.m.state", "zone.z.mmr.m.admit", "meeting.1.leg.z.m", "keys", "hub.zone.z.controller.c"} {
		refused("LMSG " + subject + " 2\r\n{}\r\n")
	}
	refused("LS+ zone.z.mmr.m.admit\r\n")
	leaf := r.rawLeaf("zone/y/controller/evil")
	leaf.say("LMSG zone.y.mmr.m.state 2\r\n{}\r\n")
	if got := receive(t, heard).Subject; got != "zone.y.mmr.m.state" {
		t.Errorf("the hub heard %s", got)
	}

	leaf.say("LS+ >\r\nLS+ _INBOX.>\r\nLS+ keys\r\nPING\r\n")
	leaf.until("PONG")
	for _, subject := range []string{"zone.z.mmr.m.admit", "zone.z.mmr.m.drain", "_INBOX.web.w.x", "_INBOX.zone.z.mmr.m.x", "hub.zone.z.controller.c", "keys"} {
		if err := Publish(r.web, subject, word{}); err != nil {
			t.Fatal(err)
		}
	}
	if line := leaf.until("LMSG"); !strings.HasPrefix(line, "LMSG keys ") {
		t.Errorf("the leaf heard %q", line)
	}
}

// rawLeaf is a leaf's connection, without a leaf.
type rawLeaf struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func (r *realm) rawLeaf(who string) *rawLeaf {
	r.t.Helper()
	ticket := newTicket()
	c, err := r.trust(who).dial(r.t.Context(), dialler(nil), []string{r.hub.address}, protocol.ALPNLeaf, ticket, admit{roles: []pki.Role{pki.RoleWeb}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	l := &rawLeaf{r.t, c, bufio.NewReader(c)}
	l.until("INFO")
	hello, err := json.Marshal(map[string]any{"name": "evil", "cluster": "zone-y", "user": user, "pass": ticket, "headers": true})
	if err != nil {
		r.t.Fatal(err)
	}
	l.say("CONNECT %s\r\nPING\r\n", hello)
	l.until("PONG")
	return l
}

func (l *rawLeaf) say(format string, args ...any) {
	l.t.Helper()
	if _, err := fmt.Fprintf(l, format, args...); err != nil {
		l.t.Fatal(err)
	}
}

// until reads until a line begins with a word, which it returns.
func (l *rawLeaf) until(begin string) string {
	l.t.Helper()
	for {
		line, err := l.in.ReadString('\n')
		if err != nil {
			l.t.Fatalf("before %s: %v", begin, err)
		}
		if strings.HasPrefix(line, "PING") {
			_, _ = io.WriteString(l, "PONG\r\n")
		}
		if strings.HasPrefix(line, begin) {
			return line
		}
	}
}

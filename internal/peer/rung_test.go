package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"causeway/protocol"
)

// When each rung starts, by what there is and what is remembered.
func TestRungs(t *testing.T) {
	stream := func(context.Context, protocol.Transport) (net.Conn, error) { return nil, nil }
	for _, test := range []struct {
		udp    bool
		cfg    DialConfig
		wanted string
	}{
		{true, DialConfig{}, "udp 0"},
		{true, DialConfig{Stream: stream}, "udp 0 tcp 250 tls 500"},
		{true, DialConfig{Stream: stream, StreamDelay: time.Second}, "udp 0 tcp 1000 tls 2000"},
		{true, DialConfig{Stream: stream, StreamDelay: time.Millisecond}, "udp 0 tcp 250 tls 500"},
		{true, DialConfig{Stream: stream, Prefer: protocol.UDP}, "udp 0 tcp 250 tls 500"},
		{true, DialConfig{Stream: stream, Prefer: protocol.TCP}, "udp 0 tcp 0 tls 250"},
		{true, DialConfig{Stream: stream, Prefer: protocol.TLS}, "udp 0 tcp 0 tls 0"},
		{true, DialConfig{Stream: stream, Prefer: "carrier pigeon"}, "udp 0 tcp 250 tls 500"},
		{false, DialConfig{Stream: stream}, "tcp 0 tls 250"},
		{false, DialConfig{Stream: stream, Prefer: protocol.UDP}, "tcp 0 tls 250"},
		{false, DialConfig{TCP: []netip.AddrPort{sink}}, "tcp 0"},
		{true, DialConfig{TCP: []netip.AddrPort{sink}, Prefer: protocol.TLS}, "udp 0 tcp 250"},
	} {
		got := ""
		for i, r := range test.cfg.rungs(test.udp, at(0)) {
			got += fmt.Sprintf(" %s %d", r.transport, r.start.Sub(at(0)).Milliseconds())
			if r.level != i {
				t.Errorf("%s has level %d", r.transport, r.level)
			}
		}
		if got != " "+test.wanted {
			t.Errorf("%v, %+v: %s, want %s", test.udp, test.cfg.Prefer, got, test.wanted)
		}
	}
}

func TestRungBackoff(t *testing.T) {
	wait := func(r *rung, f func()) int { f(); return int(r.retry.Sub(at(0)).Milliseconds()) }
	for _, test := range []struct {
		name string
		do   func(*rung) func()
		want []int
	}{
		{"urgent", func(r *rung) func() { return func() { r.fail(at(0), true) } }, []int{250, 500, 1000, 2000, 4000, 4000}},
		{"background", func(r *rung) func() { return func() { r.fail(at(0), false) } }, []int{5000, 10000, 20000, 40000, 60000, 60000}},
		{"fell soon", func(r *rung) func() { return func() { r.fell(at(0)) } }, []int{5000, 10000, 20000, 40000, 60000, 60000}},
		{"fell late", func(r *rung) func() {
			return func() { r.gained = at(-30001); r.fell(at(0)) }
		}, []int{5000, 5000, 5000}},
	} {
		r := &rung{gained: at(-1)}
		for i, want := range test.want {
			if got := wait(r, test.do(r)); got != want {
				t.Errorf("%s: attempt %d after %d ms, want %d", test.name, i, got, want)
			}
		}
		if r.hasten(at(1)); r.retry != at(1) || r.quick != 0 {
			t.Errorf("%s: not hastened", test.name)
		}
	}
}

// How long an unanswered check is forgiven.
func TestAgentGone(t *testing.T) {
	for _, test := range []struct {
		name           string
		busy, doubtful bool
		least          time.Duration
		after          int // ms since the check
	}{
		{"idle", false, false, 0, 725},
		{"media is heard", true, false, 0, 725},
		{"media is heard on a stream", true, false, streamBusyPatience, 1500},
		{"media stopped", true, true, 0, 475},
		{"media stopped on a stream", true, true, streamPatience, 600},
	} {
		a := newAgent(1, at(0))
		a.due(at(0), at(0), false)
		a.sent(transaction{1}, 0, 0, at(0))
		a.answer(transaction{1}, at(10))
		if a.gone(at(999), test.least) {
			t.Errorf("%s: gone without a check", test.name)
		}
		a.due(at(1000), at(1000), test.busy)
		a.sent(transaction{2}, 0, 0, at(1000))
		a.doubtful = test.doubtful
		if a.gone(at(1000+test.after-1), test.least) || !a.gone(at(1000+test.after), test.least) {
			t.Errorf("%s: not gone after %d ms", test.name, test.after)
		}
		a.restart(at(3000))
		if !a.gone(at(3000), test.least) {
			t.Errorf("%s: a new socket is taken for an answer", test.name)
		}
		a.due(at(3000), at(1000), test.busy)
		a.sent(transaction{3}, 0, 0, at(3000))
		if a.answer(transaction{3}, at(3010)); a.gone(at(3010), test.least) {
			t.Errorf("%s: gone after an answer", test.name)
		}
	}
}

// A forbidden socket refuses to send once it is told to.
type forbidden struct {
	net.PacketConn
	on *atomic.Bool
}

func (f forbidden) WriteTo(b []byte, to net.Addr) (int, error) {
	if f.on.Load() {
		return 0, syscall.EPERM
	}
	return f.PacketConn.WriteTo(b, to)
}

// The system itself refuses UDP: TCP is tried at once, from the start and in
// the middle of a call; and UDP is found again when it is allowed.
func TestSystemRefusesUDP(t *testing.T) {
	for _, how := range []string{"sending", "opening"} {
		for _, fromStart := range []bool{true, false} {
			t.Run(fmt.Sprint(how, " from the start: ", fromStart), func(t *testing.T) {
				var on atomic.Bool
				on.Store(fromStart)
				laddered(t, 20*time.Millisecond, func(v *virtualNetwork, _ *wires, d *DialConfig) {
					open := d.ListenPacket
					d.ListenPacket = func() (net.PacketConn, error) {
						if how == "opening" && on.Load() {
							return nil, errors.New("forbidden")
						}
						conn, err := open()
						return forbidden{conn, &on}, err
					}
				}, func(l *ladderWorld) {
					if took := l.ready(); took > 250*time.Millisecond {
						t.Errorf("ready after %v", took)
					}
					l.speak(2*time.Second, nil)
					on.Store(true)
					if took := l.speak(5*time.Second, func() bool { return l.on(protocol.TCP) }); took > 250*time.Millisecond {
						t.Errorf("fell after %v", took)
					}
					l.speak(2*time.Second, nil)
					on.Store(false)
					if took := l.speak(2*time.Minute, func() bool { return l.on(protocol.UDP) }); took > 20*time.Second {
						t.Errorf("climbed after %v", took)
					}
				})
			})
		}
	}
}

func TestNoSocket(t *testing.T) {
	n := newNoSocket()
	must(t, n.setReadDeadline(time.Unix(1, 0)))
	if _, err := n.read(); !isTimeout(err) {
		t.Errorf("read: %v", err)
	}
	refused := 0
	o := newOutbox()
	o.buffer()
	o.add(&Conn{}, path{remote: sink}, 10)
	n.write(&o, func(_ *group, packets int, err error) {
		if err != nil {
			refused += packets
		}
	})
	if refused != 1 || n.addr().IsValid() || n.segments() != 1 {
		t.Errorf("%d refused, at %v", refused, n.addr())
	}
	must(t, n.close())
	if _, err := n.read(); err == nil || isTimeout(err) {
		t.Errorf("read after its end: %v", err)
	}
}

// The ladder's calls mean nothing to a router's side.
func TestAcceptedHasNoLadder(t *testing.T) {
	p := listenLoopback(t, 1, nil)
	c := established(t, p, sink, quiet{})
	c.Nudge()
	c.Hold(true)
	if s := c.Stats(); s.Transport != protocol.UDP || s.Remote != sink {
		t.Errorf("stats: %+v", s)
	}
}

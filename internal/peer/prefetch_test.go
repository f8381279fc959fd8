package peer

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

// expecting notes what it is told.
type expecting struct {
	Handler
	steps []int
}

func (e *expecting) Prefetch(step int) { e.steps = append(e.steps, step) }

// Whose turn is soon is told so in three steps; whoever lives on another shard
// is left alone, which somebody else may hold.
func TestAhead(t *testing.T) {
	p := &Port{byAddr: map[netip.AddrPort]*Conn{}}
	s, other := newShard(p, 0, &trickle{}), newShard(p, 1, &trickle{})
	handlers := make([]*expecting, 6)
	in := make([]datagram, len(handlers))
	for i := range handlers {
		h := new(expecting)
		c := &Conn{port: p, handler: h, expects: h}
		c.shard.Store(s)
		if i == 5 {
			c.shard.Store(other)
		}
		in[i].remote = netip.MustParseAddrPort(fmt.Sprint("192.0.2.1:", i+1))
		p.byAddr[in[i].remote], handlers[i] = c, h
	}
	s.foresee(in)
	for i := range in {
		s.ahead(i, &in[i])
		var want []int
		if 1 <= i && i < 5 {
			want = []int{0, 1, 2}[max(0, 3-i):]
		}
		if got := handlers[i].steps; !slices.Equal(got, want) {
			t.Errorf("number %d was told %v before its turn, not %v", i, got, want)
		}
	}
}

// What was looked up for a batch counts only as long as no address changes hands.
func TestForeseen(t *testing.T) {
	p := &Port{byAddr: map[netip.AddrPort]*Conn{}}
	s := newShard(p, 0, &trickle{})
	first, then := &Conn{port: p}, &Conn{port: p}
	first.shard.Store(s)
	then.shard.Store(s)
	at := netip.MustParseAddrPort("192.0.2.1:1")
	in := slices.Repeat([]datagram{{remote: at}}, fewest)
	p.mapTo(first, at)
	s.foresee(in)
	for i, want := range []*Conn{first, first, then, then} {
		if i == 2 {
			p.mapTo(then, at)
		}
		s.ahead(i, &in[i])
		if s.connFor(&in[i]) != want {
			t.Errorf("datagram %d went to the other", i)
		}
	}
}

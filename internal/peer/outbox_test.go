package peer

import (
	"net/netip"
	"testing"
)

func TestOutboxGroups(t *testing.T) {
	a, b := &Conn{tos: 1}, &Conn{tos: 2}
	here := path{remote: netip.MustParseAddrPort("192.0.2.1:1")}
	there := path{remote: netip.MustParseAddrPort("192.0.2.2:2")}
	type packet struct {
		c  *Conn
		to path
		n  int
	}
	for _, test := range []struct {
		name     string
		segments int
		packets  []packet
		groups   [][]int // slots of each group
	}{
		{"no offload", 1, []packet{{a, here, 100}, {a, here, 100}}, [][]int{{0}, {1}}},
		{
			"equal sizes join, across other connections' packets", 8,
			[]packet{{a, here, 100}, {b, there, 90}, {a, here, 100}, {b, there, 90}},
			[][]int{{0, 2}, {1, 3}},
		},
		{
			"a shorter one ends the group", 8,
			[]packet{{a, here, 100}, {a, here, 80}, {a, here, 80}, {a, here, 100}},
			[][]int{{0, 1}, {2}, {3}},
		},
		{"a longer one begins another", 8, []packet{{a, here, 80}, {a, here, 100}, {a, here, 100}}, [][]int{{0}, {1, 2}}},
		{"another path begins another", 8, []packet{{a, here, 80}, {a, there, 80}}, [][]int{{0}, {1}}},
		{"full", 2, []packet{{a, here, 80}, {a, here, 80}, {a, here, 80}}, [][]int{{0, 1}, {2}}},
		{"too long for offload", 8, []packet{{a, here, 1401}, {a, here, 1401}}, [][]int{{0}, {1}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := newOutbox()
			o.segments = test.segments
			for range 2 { // the second time in reused slots
				for _, p := range test.packets {
					o.buffer()
					o.add(p.c, p.to, p.n)
				}
				if len(o.groups) != len(test.groups) {
					t.Fatalf("%d groups", len(o.groups))
				}
				for i, want := range test.groups {
					checkGroup(t, &o, i, want)
				}
				o.reset()
			}
		})
	}
}

func checkGroup(t *testing.T, o *outbox, i int, want []int) {
	t.Helper()
	g := o.groups[i]
	if g.count != len(want) || g.tos != g.conn.tos {
		t.Errorf("group %d: %+v", i, g)
	}
	bytes := 0
	for j, s := 0, g.first; s >= 0; j, s = j+1, o.slots[s].next {
		if j >= len(want) || s != want[j] {
			t.Fatalf("group %d has slot %d at %d", i, s, j)
		}
		bytes += o.slots[s].n
	}
	if bytes != g.bytes {
		t.Errorf("group %d counts %d bytes of %d", i, g.bytes, bytes)
	}
}

func TestOutboxBytes(t *testing.T) {
	o := newOutbox()
	o.segments = 1000
	c := &Conn{}
	for !o.full() {
		o.buffer()
		o.add(c, path{}, 1400)
	}
	for _, g := range o.groups {
		if g.bytes > maxGSOBytes {
			t.Errorf("group of %d bytes", g.bytes)
		}
	}
	if o.n != maxQueued || len(o.slots) != maxQueued {
		t.Errorf("%d datagrams in %d slots", o.n, len(o.slots))
	}
}

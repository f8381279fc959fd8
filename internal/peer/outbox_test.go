package peer

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"github.com/pion/rtp"
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
	if len(o.slots) != maxQueued || o.end != maxQueued*1400 {
		t.Errorf("%d datagrams, %d bytes", len(o.slots), o.end)
	}
}

// Packets of nearly the same size are padded to it, so that they travel
// together; whoever receives them finds what was sent.
func TestPadding(t *testing.T) {
	p := listenLoopback(t, 1, nil)
	c, _, atClient := connectReady(t, p)
	s := c.server.Shard()
	s.Run(func() { _ = c.server.SendRTCP(rtcpPacket(1)) }) // nothing of before is in the outbox
	sizes := []int{1000, 999, 1000, 992, 991, 1001, 1001, 400}
	var groups []int
	s.Run(func() {
		s.flush()
		s.out.segments = maxSegments
		must(t, c.server.SendRTP(rtpPacket(0, 7, 10))) // the overhead is known from now on
		s.flush()
		s.out.segments = maxSegments
		for i, n := range sizes {
			must(t, c.server.SendRTP(rtpPacket(uint16(i+1), 7, n)))
		}
		for _, g := range s.out.groups {
			groups = append(groups, g.count)
		}
	})
	if want := []int{5, 3}; !slices.Equal(groups, want) { // 991 lacks too much, and ends its group
		t.Errorf("groups of %v, want %v", groups, want)
	}
	atClient.until(func() bool { return len(atClient.rtp) == len(sizes)+1 })
	for i, n := range sizes {
		var got rtp.Packet
		must(t, got.Unmarshal(atClient.rtp[i+1]))
		if want := rtpPacket(0, 0, n)[20:]; !bytes.Equal(got.Payload, want) || int(got.SequenceNumber) != i+1 {
			t.Errorf("packet %d has %d bytes, not %d", got.SequenceNumber, len(got.Payload), n)
		}
	}
}

// What may be sent again is not padded, whatever travels with it.
func TestVerbatim(t *testing.T) {
	p := listenLoopback(t, 1, nil)
	c, _, atClient := connectReady(t, p)
	s := c.server.Shard()
	s.Run(func() {
		s.flush()
		s.out.segments = maxSegments
		must(t, c.server.SendRTP(rtpPacket(1, 7, 100)))
		must(t, c.server.SendRTP(rtpPacket(2, 7, 100)))
		must(t, c.server.SendVerbatim(rtpPacket(3, 7, 98)))
	})
	atClient.until(func() bool { return len(atClient.rtp) == 3 })
	if got, want := atClient.rtp[2], rtpPacket(3, 7, 98); !bytes.Equal(got, want) {
		t.Errorf("%x came, not %x", got, want)
	}
}

func TestPad(t *testing.T) {
	p := rtpPacket(1, 2, 3)
	if got := pad(nil, p, 1); len(got) != len(p)+1 || got[len(p)] != 1 || got[0] != p[0]|0x20 {
		t.Errorf("%x", got)
	}
	if got := pad(nil, p, 3); !bytes.Equal(got[len(p):], []byte{0, 0, 3}) {
		t.Errorf("%x", got)
	}
	p[0] |= 0x20
	if got := pad(nil, p, 3); !bytes.Equal(got, p) {
		t.Errorf("padded twice: %x", got)
	}
}

// A glutton's socket has more each time it is polled.
type glutton struct {
	socket
	more  [][]datagram
	sent  []int
	polls int
}

func (g *glutton) poll() []datagram {
	g.polls++
	if len(g.more) == 0 {
		return nil
	}
	in := g.more[0]
	g.more = g.more[1:]
	return in
}

func (g *glutton) full() bool { return false }

func (g *glutton) write(o *outbox, _ func(*group, int, error)) { g.sent = append(g.sent, len(o.slots)) }

// What has led to much to send is sent together with what came meanwhile.
func TestBatchLooksForMore(t *testing.T) {
	for _, test := range []struct {
		name         string
		each, runs   int // datagrams sent for each that comes; how many are there
		sent, polled int
	}{
		{"nothing to send", 0, 3, 0, 0},
		{"little", worthwhile - 1, 3, worthwhile - 1, 0},
		{"much", worthwhile, 3, 3 * worthwhile, 3},
		{"and it does not end", worthwhile, 100, (maxGlances + 1) * worthwhile, maxGlances},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := listenLoopback(t, 1, nil)
			h := newRecorder()
			h.onRTP = func(c *Conn, p []byte) {
				for range test.each {
					must(t, c.SendRTP(p))
				}
			}
			c := established(t, p, sink, h)
			s := c.Shard()
			g := &glutton{socket: s.socket()}
			s.sock.Store(&socketRef{g})
			var in [][]datagram
			for _, sealed := range sealedPackets(t, gcm, test.runs) {
				in = append(in, []datagram{{data: sealed, remote: sink}})
			}
			g.more = in[1:]
			s.batch(g, in[0])
			total := 0
			for _, n := range g.sent {
				total += n
			}
			if total != test.sent || g.polls != test.polled {
				t.Errorf("%d sent after %d looks", total, g.polls)
			}
		})
	}
}

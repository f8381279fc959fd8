package relay

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"causeway/internal/media/offer"
	"causeway/internal/mmr/forward"
	"causeway/internal/peer"
	"causeway/protocol"
)

// realNode is a router on a real socket, whose bus is the other one.
func realNode(b *testing.B, zone string, other *atomic.Pointer[Relays]) *node {
	n := &node{name: name{Zone: zone, MMR: "r1"}, router: forward.New(time.Now())}
	var err error
	n.port, err = peer.Listen(peer.PortConfig{
		Listen: netip.MustParseAddrPort("127.0.0.1:0"), Shards: 1, Log: quiet,
		Tick:       func(s *peer.Shard, now time.Time) { n.router.Tick(s.Index(), now) },
		Delivered:  func(s *peer.Shard) { n.router.Deliver(s.Index()) },
		AfterBatch: func(*peer.Shard) { n.router.Flush() },
	})
	must(b, err)
	n.router.Start([]forward.Shard{n.port.Shards()[0]})
	n.relays, err = New(Config{
		Zone: n.Zone, MMR: n.MMR, Router: n.router, Port: n.port, Log: quiet,
		Ask: func(ctx context.Context, _, _ string, q protocol.RelayRequest) (protocol.RelayAnswer, error) {
			return other.Load().Answer(ctx, q)
		},
		Addresses: func() Addresses { return Addresses{UDP: []string{n.port.Addr().String()}} },
	})
	must(b, err)
	n.join()
	b.Cleanup(func() {
		n.relays.Close()
		must(b, n.port.Close())
	})
	return n
}

// counter is a participant's wire that counts.
type counter struct{ n atomic.Uint64 }

func (c *counter) SendRTP([]byte) error { c.n.Add(1); return nil }
func (c *counter) Prefetch(int)         {}

func (c *counter) SendVerbatim(p []byte) error { return c.SendRTP(p) }
func (c *counter) SendRTCP([]byte) error       { return nil }

// picture publishes a camera on a node.
func (n *node) picture() (*forward.Link, *forward.Source) {
	s := n.router.NewSource(forward.SourceConfig{Owner: "ada", Kind: protocol.Camera, Codec: vp8, Clock: n.router.NewClock()})
	s.SetMuted(false)
	l := n.router.NewLink(forward.LinkConfig{Kind: protocol.Video, Notify: func() {}, Publish: []forward.Publish{{Source: s, Codecs: []offer.Codec{vp8}}}})
	n.port.Shards()[0].Run(func() { l.Ready(0, &counter{}, time.Now()) })
	n.own = append(n.own, s)
	return l, s
}

// processor is the processor time used so far.
func processor() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRelayed sends pictures' packets of 1 kB from one router to another
// over loopback: routed, encrypted, sent, received, decrypted and routed.
// cpu-ns/packet is the processor time of both routers together.
func BenchmarkRelayed(b *testing.B) {
	for _, batch := range []int{1, 10} {
		b.Run(fmt.Sprintf("frame=%d", batch), func(b *testing.B) { benchmarkRelayed(b, batch) })
	}
}

func benchmarkRelayed(b *testing.B, batch int) {
	var toEast, toWest atomic.Pointer[Relays]
	east, west := realNode(b, "east", &toWest), realNode(b, "west", &toEast)
	toEast.Store(east.relays)
	toWest.Store(west.relays)
	w := &world{nodes: []*node{east, west}}
	link, source := east.picture()
	w.know()
	heard := &counter{}
	taker := west.router.NewLink(forward.LinkConfig{Kind: protocol.Video, Notify: func() {}, Slots: []forward.SlotConfig{
		{ID: "v1", Kind: protocol.Camera, SSRC: 77, RTX: 78, Codecs: []offer.Codec{vp8}},
	}})
	west.port.Shards()[0].Run(func() { taker.Ready(0, heard, time.Now()) })
	far := west.mesh.Source("east", "r1", source.Stream())
	west.router.Assign([]forward.Assignment{{Slot: taker.Slots()[0], Source: far, Height: 360}}, time.Now())

	packet := make([]byte, 1000)
	packet[0], packet[1] = 0x80, 96
	binary.BigEndian.PutUint32(packet[8:], 9)
	copy(packet[12:], []byte{0x90, 0x80, 0x80, 1, 0x00, 0, 0, 0x9D, 0x01, 0x2A, 0x80, 2, 0x68, 1}) // a key frame, 640 by 360
	seq := uint16(1)
	work := make([]byte, 0, 1500)
	shard := east.port.Shards()[0]
	put := func() {
		for range batch {
			seq++
			work = append(work[:0], packet...)
			binary.BigEndian.PutUint16(work[2:], seq)
			binary.BigEndian.PutUint32(work[4:], uint32(seq)*3000)
			link.RTP(work, time.Now())
		}
	}
	send := func() {
		shard.Run(put)
		east.router.Flush()
	}
	for heard.n.Load() < 100 { // until the relay is up and the picture flows
		send()
		runtime.Gosched()
	}
	b.ReportAllocs()
	b.ResetTimer()
	before, cpu := heard.n.Load(), processor()
	sent := uint64(0)
	for b.Loop() {
		send()
		sent += uint64(batch)
		for sent > heard.n.Load()-before+200 { // what socket buffers hold is not lost
			runtime.Gosched()
		}
	}
	b.ReportMetric(float64(processor()-cpu)/float64(sent), "cpu-ns/packet")
	b.ReportMetric(float64(heard.n.Load()-before)/float64(sent), "arrived")
}

package forward

import (
	"fmt"
	"testing"
	"time"

	"causeway/internal/media/header"
	"causeway/protocol"
)

// stage is a publisher and n takers on fake wires that only count, with a
// loop of packets to forward.
type stage struct {
	*rig
	pub     *publisher
	takers  []*taker
	packets [][]byte
	work    []byte
	n       int
	put     func()
}

func newStage(t testing.TB, kind protocol.Source, takers, shards int) *stage {
	r := newRig(t, shards)
	s := &stage{rig: r, work: make([]byte, 0, maxPacket)}
	codec := vp8Codec
	if kind == protocol.Mic {
		codec = opusCodec
	}
	s.pub = r.publisher("ada", kind, codec, 0, r.router.NewLoudest(func() {}))
	s.pub.wire.counting = true
	for i := range takers {
		t := r.taker(kind, 1, i%shards, codec)
		t.wire.counting = true
		s.takers = append(s.takers, t)
		t.assign(0, s.pub.source, 720)
	}
	if kind == protocol.Mic {
		s.packets = [][]byte{s.pub.sound(0x80 | 20)}
	} else {
		for range 4 {
			p := s.pub.frame(0, false, 0)
			s.packets = append(s.packets, append(p, make([]byte, 900)...))
		}
		s.pub.put(s.pub.frame(0, true, 720))
	}
	s.put = func() { s.pub.link.RTP(s.work, s.now) }
	s.forward()
	return s
}

// forward sends one packet through.
func (s *stage) forward() {
	p := s.packets[s.n%len(s.packets)]
	s.n++
	s.work = append(s.work[:0], p...)
	s.pub.seq[0]++
	header.SetSequence(s.work, s.pub.seq[0])
	s.now = s.now.Add(5 * time.Millisecond)
	s.shards[0].Run(s.put)
	s.router.Flush()
}

func (s *stage) sent() int {
	n := 0
	for _, t := range s.takers {
		n += t.wire.sent
	}
	return n
}

func TestForwardingAllocatesNothing(t *testing.T) {
	for _, kind := range []protocol.Source{protocol.Mic, protocol.Camera} {
		for _, shards := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, %d shards", kind, shards), func(t *testing.T) {
				s := newStage(t, kind, 10, shards)
				for range 3000 { // caches, free lists and inboxes grow to their size
					s.forward()
				}
				before := s.sent()
				const runs = 1000
				if n := testing.AllocsPerRun(runs, s.forward); n != 0 {
					t.Errorf("%v allocations per packet to 10 takers", n)
				}
				if got := s.sent() - before; got != 10*(runs+1) {
					t.Errorf("%d packets sent, want %d", got, 10*(runs+1))
				}
			})
		}
	}
}

func BenchmarkForward(b *testing.B) {
	for _, kind := range []protocol.Source{protocol.Mic, protocol.Camera} {
		for _, takers := range []int{10, 100} {
			for _, shards := range []int{1, 2} {
				b.Run(fmt.Sprintf("%s/takers=%d/shards=%d", kind, takers, shards), func(b *testing.B) {
					s := newStage(b, kind, takers, shards)
					for range 3000 {
						s.forward()
					}
					b.ReportAllocs()
					for b.Loop() {
						s.forward()
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*takers), "ns/packet")
				})
			}
		}
	}
}

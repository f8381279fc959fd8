package forward

import (
	"fmt"
	"testing"
	"time"

	"causeway/internal/media/header"
	"causeway/protocol"
)

// relayStage is a publisher whose packets one router sends on to another.
func relayStage(t testing.TB) (w *twin, forward func()) {
	w = newTwin(t, 1, protocol.Video)
	cam := w.camera("ada")
	w.know()
	bob := w.side[1].taker(protocol.Camera, 1, 0, vp8Codec)
	bob.assign(0, w.farOf(1, cam.source), 180)
	w.film(time.Second, cam)
	counting := &fakeWire{counting: true}
	w.side[0].shards[0].Run(func() { w.trunks[0][protocol.Video].wire = counting })
	frame := append(cam.frame(0, false, 0), make([]byte, 800)...)
	work := make([]byte, 0, maxPacket)
	s := w.side[0]
	put := func() { cam.link.RTP(work, s.now) }
	forward = func() {
		work = append(work[:0], frame...)
		cam.seq[0]++
		header.SetSequence(work, cam.seq[0])
		s.now = s.now.Add(5 * time.Millisecond)
		s.shards[0].Run(put)
		s.router.Flush()
	}
	for range 3000 {
		forward()
	}
	return w, forward
}

func TestRelayingAllocatesNothing(t *testing.T) {
	w, forward := relayStage(t)
	before := w.side[0].router.Traffic().RelayedOut
	if n := testing.AllocsPerRun(500, forward); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
	if got := w.side[0].router.Traffic().RelayedOut - before; got != 501 {
		t.Errorf("%d packets relayed", got)
	}
}

// monotonic lets a benchmark go by times like a router's: without a monotonic
// reading, reckoning with them costs several times as much.
func monotonic(b *testing.B) {
	before := epoch
	epoch = time.Now()
	b.Cleanup(func() { epoch = before })
}

func BenchmarkRelay(b *testing.B) {
	monotonic(b)
	_, forward := relayStage(b)
	b.ReportAllocs()
	for b.Loop() {
		forward()
	}
}

// BenchmarkIdleTrunk is what a tick of a trunk costs, with 20 cameras on
// either side that nobody takes.
func BenchmarkIdleTrunk(b *testing.B) {
	monotonic(b)
	w := newTwin(b, 2, protocol.Video)
	for i := range 20 {
		w.camera(fmt.Sprint("p", i))
		far := w.side[1].router.NewSource(SourceConfig{Owner: "o", Kind: protocol.Camera, Codec: vp8Codec, Clock: w.side[1].router.NewClock()})
		w.own[1] = append(w.own[1], far)
	}
	w.know()
	s := w.side[0]
	s.shards[0].Run(func() { w.trunks[0][protocol.Video].wire = &fakeWire{counting: true} })
	b.ReportAllocs()
	for b.Loop() {
		s.now = s.now.Add(25 * time.Millisecond)
		s.shards[0].Run(func() { s.router.Tick(0, s.now) })
	}
}

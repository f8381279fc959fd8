package forward

import (
	"testing"
	"time"

	"causeway/internal/media/offer"
	"causeway/internal/media/twcc"
	"causeway/protocol"
)

// BenchmarkBudget is what transport-wide numbers and the estimate add for each
// packet sent to one of 100 takers.
func BenchmarkBudget(b *testing.B) {
	for _, with := range []bool{false, true} {
		name := map[bool]string{false: "without", true: "with"}[with]
		b.Run(name, func(b *testing.B) {
			s := newStage(b, protocol.Camera, 0, 1)
			const takers = 100
			var links []*Link
			var recorders []*twcc.Recorder
			for range takers {
				c := SlotConfig{ID: "v1", Kind: protocol.Camera, SSRC: slotSSRC, RTX: slotRTX, Codecs: []offer.Codec{vp8Codec}}
				if with {
					c.TransportCC = ccID
				}
				l := s.router.NewLink(LinkConfig{Kind: protocol.Video, Notify: func() {}, Budget: s.router.NewBudget(), Slots: []SlotConfig{c}})
				s.shards[0].Run(func() { l.Ready(0, &fakeWire{counting: true}, s.now) })
				s.router.Assign([]Assignment{{Slot: l.Slots()[0], Source: s.pub.source, Height: 720}}, s.now)
				links, recorders = append(links, l), append(recorders, twcc.NewRecorder(1))
			}
			s.pub.put(s.pub.frame(0, true, 720))
			buf := make([]byte, 2048)
			feedback := func() {
				for i, l := range links {
					for n := range uint16(10) {
						recorders[i].Record(1, uint16(s.n)+n, s.now)
					}
					raw := recorders[i].Append(buf[:0])
					s.shards[0].Run(func() { l.RTCP(raw, s.now) })
				}
			}
			for range 1000 {
				s.forward()
			}
			b.ReportAllocs()
			for b.Loop() {
				s.forward()
				if with && s.n%10 == 0 {
					b.StopTimer()
					s.now = s.now.Add(-20 * time.Millisecond)
					b.StartTimer()
					feedback()
					b.StopTimer()
					s.now = s.now.Add(20 * time.Millisecond)
					b.StartTimer()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*takers), "ns/packet")
		})
	}
}

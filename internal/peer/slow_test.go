package peer

import (
	"encoding/binary"
	"testing"
	"time"

	"causeway/protocol"
)

// A stream slower than what is sent on it: old packets go, new ones stay
// fresh, and the handler is told. When the stream recovers, so does all.
func TestSlowStream(t *testing.T) {
	for _, test := range []struct {
		name           string
		tos            int
		rate, capacity int           // of the network and its buffer, in bytes
		payload        int           // of a packet
		every          time.Duration // a packet
		fresh          time.Duration // the greatest delay
		arrive         int           // percent of what the network can carry
	}{
		{"sound at twice the rate", 46 << 2, 10_000, 4 << 10, 380, 20 * time.Millisecond, 900 * time.Millisecond, 85},
		{"pictures at three times the rate", 34 << 2, 40_000, 16 << 10, 1180, 10 * time.Millisecond, 1100 * time.Millisecond, 85},
		{"pictures at six times the rate", 34 << 2, 100_000, 16 << 10, 1180, 2 * time.Millisecond, 900 * time.Millisecond, 85},
	} {
		t.Run(test.name, func(t *testing.T) {
			laddered(t, 20*time.Millisecond, func(v *virtualNetwork, w *wires, d *DialConfig) {
				v.cutOff(serverIP)
				w.capacity = test.capacity
				d.TOS = test.tos
			}, func(l *ladderWorld) {
				l.ready()
				worst, last, got := time.Duration(0), time.Duration(0), 0
				began := time.Now()
				l.atClient.onRTP = func(_ *Conn, p []byte) {
					l.atClient.note(func() {
						last = time.Since(began.Add(time.Duration(binary.BigEndian.Uint64(p[20:]))))
						worst = max(worst, last)
						got += len(p)
					})
				}
				out := l.w.ends[protocol.TCP][0].out
				send := func(d time.Duration) {
					for start := time.Now(); time.Since(start) < d; time.Sleep(test.every) {
						p := rtpPacket(uint16(l.seq), 7, test.payload)
						binary.BigEndian.PutUint64(p[20:], uint64(time.Since(began)))
						l.server.Shard().Run(func() { must(t, l.server.SendRTP(p)) })
						l.seq++
					}
				}
				out.set(func() { out.rate = test.rate })
				send(20 * time.Second)
				l.atClient.mu.Lock()
				t.Logf("the worst delay is %v, the last %v; %d packets sent", worst, last, l.seq)
				if worst > test.fresh {
					t.Errorf("the worst delay is %v", worst)
				}
				if share := got * 100 / (20 * test.rate); share < test.arrive {
					t.Errorf("%d percent of the rate used", share)
				}
				l.atClient.mu.Unlock()
				if told := l.server.Stats().Shed; told == 0 || int(told) != l.atServer.shedding() {
					t.Errorf("%d packets shed, told of %d", told, l.atServer.shedding())
				}
				out.set(func() { out.rate = 0 })
				send(2 * time.Second)
				l.atClient.mu.Lock()
				defer l.atClient.mu.Unlock()
				if last > 30*time.Millisecond {
					t.Errorf("then the last delay is %v", last)
				}
				if !l.on(protocol.TCP) {
					t.Errorf("on %v", l.client.Stats().Transport)
				}
			})
		})
	}
}

// A stream that takes nothing any more ends, and keeps little meanwhile.
func TestStuckStream(t *testing.T) {
	laddered(t, 20*time.Millisecond, func(v *virtualNetwork, w *wires, _ *DialConfig) {
		v.cutOff(serverIP)
		w.set(protocol.TLS, "none")
	}, func(l *ladderWorld) {
		l.ready()
		l.client.Hold(true)
		l.w.cut(protocol.TCP)
		var st *stream
		l.server.Shard().Run(func() { st = l.server.path.stream })
		for range 25 * 1000 {
			l.server.Shard().Run(func() { _ = l.server.SendRTP(rtpPacket(uint16(l.seq), 7, 1000)) })
			l.seq++
			if n := st.queue.waiting(); n > 600 {
				t.Fatalf("%d packets wait", n)
			}
			time.Sleep(time.Millisecond)
		}
		l.server.Shard().Run(func() {
			if l.server.path.valid() || len(l.server.streams) != 0 {
				t.Error("the stream is still there")
			}
		})
		if s := l.server.Stats(); s.SendDropped == 0 {
			t.Error("what had no path is not counted")
		}
	})
}

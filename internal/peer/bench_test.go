package peer

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// established returns a connection to a destination that never answers, keys
// set, without a handshake. Its shard belongs to the caller.
func established(tb testing.TB, p *Port, to netip.AddrPort, h Handler) *Conn {
	tb.Helper()
	return establishedWith(tb, p, to, h, gcm)
}

// BenchmarkSendRTP encrypts 1200-byte packets and sends them over loopback to
// sockets that nobody reads, as a router does: each packet to each receiver,
// so many packets of a frame at a time.
func BenchmarkSendRTP(b *testing.B) {
	for _, shape := range []struct{ receivers, frame int }{{1, 1}, {1, 8}, {100, 1}, {100, 4}} {
		b.Run(fmt.Sprintf("receivers=%d/frame=%d", shape.receivers, shape.frame), func(b *testing.B) {
			p := listenLoopback(b, 1, nil)
			conns := make([]*Conn, shape.receivers)
			for i := range conns {
				sink := packetConn(b)
				drain(b, sink)
				conns[i] = established(b, p, addrPort(sink.LocalAddr()), quiet{})
			}
			packet := rtpPacket(0, 7, 1180)
			seq := uint16(0)
			send := func() {
				for range shape.frame {
					seq++
					packet[2], packet[3] = byte(seq>>8), byte(seq)
					for _, c := range conns {
						_ = c.SendRTP(packet)
					}
				}
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				p.Shards()[0].Run(send)
				n += shape.receivers * shape.frame
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
			b.ReportMetric(float64(p.Stats().SendDropped)/float64(n), "dropped/packet")
		})
	}
}

// drain reads a socket so that its buffer does not fill.
func drain(tb testing.TB, c *net.UDPConn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var b [maxDatagram]byte
		for {
			if _, err := c.Read(b[:]); err != nil {
				return
			}
		}
	}()
	tb.Cleanup(func() {
		_ = c.Close()
		<-done
	})
}

// BenchmarkReceiveRTP decrypts and delivers 1200-byte packets from memory:
// everything but the system call.
func BenchmarkReceiveRTP(b *testing.B) {
	p := listenLoopback(b, 1, nil)
	remote := netip.MustParseAddrPort("127.0.0.1:9")
	c := established(b, p, remote, quiet{})
	sealed := sealedPackets(b, gcm, 1<<14)
	s := c.Shard()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	d := datagram{remote: remote}
	buf := make([]byte, maxDatagram)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i++; i%len(sealed) == 0 {
			c.keys.in = gcmContexts(b).in // start over, or all are replays
		}
		d.data = buf[:copy(buf, sealed[i%len(sealed)])]
		s.deliver(&d, now)
	}
}

// BenchmarkHandshake connects over loopback: from the first check until both
// sides are ready.
func BenchmarkHandshake(b *testing.B) {
	p := listenLoopback(b, 1, nil)
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		atServer, atClient := newRecorder(), newRecorder()
		c := connect(b, p, atServer, atClient)
		atServer.untilReady()
		atClient.untilReady()
		took = append(took, time.Since(start))
		c.client.Close()
		<-c.client.Done()
		c.server.Close()
		<-c.server.Done()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
}

// BenchmarkConsent answers connectivity checks.
func BenchmarkConsent(b *testing.B) {
	p := listenLoopback(b, 1, nil)
	remote := netip.MustParseAddrPort("127.0.0.1:9")
	c := established(b, p, remote, quiet{})
	check := checkFor(c)
	s := c.Shard()
	s.mu.Lock()
	defer s.mu.Unlock()
	d := datagram{remote: remote}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		d.data = check
		s.deliver(&d, now)
		s.out.reset()
	}
}

package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"causeway/protocol"
)

// serveLoopback accepts TCP for a port on 127.0.0.1, with TLS if configured,
// and returns the address and the accepted connections.
func serveLoopback(tb testing.TB, p *Port, config *tls.Config) (netip.AddrPort, func() []net.Conn) {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			transport := protocol.TCP
			if config != nil {
				conn, transport = tls.Server(conn, config), protocol.TLS
			}
			all.Go(func() { p.ServeStream(conn, transport) })
		}
	})
	tb.Cleanup(func() {
		_ = ln.Close()
		_ = p.Close()
		all.Wait()
	})
	return ln.Addr().(*net.TCPAddr).AddrPort(), func() []net.Conn {
		mu.Lock()
		defer mu.Unlock()
		return conns
	}
}

// byTCP makes a client use only TCP.
func byTCP(at netip.AddrPort) pairOption {
	return func(a *AcceptConfig, d *DialConfig) {
		d.Candidates, d.TCP = nil, []netip.AddrPort{at}
		a.Backlog, d.Backlog = time.Hour, time.Hour // a busy machine must not shed
	}
}

func tlsConfig(tb testing.TB) *tls.Config {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// Over kernel sockets, media flows over TCP and TLS, and the sockets are
// marked at both ends.
func TestKernelStreams(t *testing.T) {
	for _, name := range []string{"tcp", "tls"} {
		t.Run(name, func(t *testing.T) {
			p := listenLoopback(t, 2, nil)
			var config *tls.Config
			if name == "tls" {
				config = tlsConfig(t)
			}
			at, accepted := serveLoopback(t, p, config)
			var ours net.Conn
			for range 4 { // whichever shard the stream begins on
				c, atServer, atClient := connectReady(t, p, byTCP(at), func(_ *AcceptConfig, d *DialConfig) {
					d.Stream = func(ctx context.Context, transport protocol.Transport) (net.Conn, error) {
						conn, err := dialTCP(ctx, d.TCP)
						ours = conn
						if err == nil && config != nil {
							return tls.Client(conn, &tls.Config{InsecureSkipVerify: true}), nil
						}
						return conn, err
					}
					if config != nil {
						stream := d.Stream
						d.Stream = func(ctx context.Context, transport protocol.Transport) (net.Conn, error) {
							if transport == protocol.TCP {
								return nil, context.DeadlineExceeded
							}
							return stream(ctx, transport)
						}
					}
				})
				exchange(t, c, atServer, atClient)
				s := c.server.Stats()
				if s.Transport != protocol.Transport(name) || s.Remote != streamAddr(ours.LocalAddr()) {
					t.Errorf("server's path: %v %v", s.Transport, s.Remote)
				}
				if s := c.client.Stats(); s.Transport != protocol.Transport(name) || s.Remote != at || s.RTT <= 0 {
					t.Errorf("client's path: %+v", s)
				}
			}
			for _, conn := range append(accepted(), ours) {
				marked(t, conn, 46<<2)
			}
		})
	}
}

// exchange sends packets both ways and expects all of them.
func exchange(t *testing.T, c pair, atServer, atClient *recorder) {
	t.Helper()
	const n = 100
	for _, way := range []struct {
		from *Conn
		to   *recorder
	}{{c.client, atServer}, {c.server, atClient}} {
		for seq := range n {
			send(t, way.from, rtpPacket(uint16(65500+seq), 7, 1000-seq%3))
		}
		send(t, way.from, rtcpPacket(9))
		way.to.until(func() bool { return len(way.to.rtp) == n && len(way.to.rtcp) == 1 })
	}
}

// Many connections over streams at once, all of which end without a trace.
func TestManyStreams(t *testing.T) {
	const n = 40
	p := listenLoopback(t, 2, nil)
	at, _ := serveLoopback(t, p, nil)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			c, atServer, atClient := connectReady(t, p, byTCP(at))
			exchange(t, c, atServer, atClient)
			c.client.Close()
			<-c.client.Done()
			c.server.Close() // on a busy machine DTLS may be over, and say nothing
			<-c.server.Done()
		})
	}
	all.Wait()
	if s := p.Stats(); s.Connections != 0 || s.Strangers != 0 {
		t.Errorf("stats: %+v", s)
	}
	for _, s := range p.Shards() {
		s.Run(func() {
			if len(s.conns) != 0 {
				t.Errorf("%d connections are left", len(s.conns))
			}
		})
	}
}

// streamed returns an established connection whose path is a TCP stream that
// is read to nowhere.
func streamed(tb testing.TB, p *Port) *Conn {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		var b [64 << 10]byte
		for err == nil {
			_, err = conn.Read(b[:])
		}
		_ = conn.Close()
	})
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	c := established(tb, p, sink, quiet{})
	st := newStream(p, conn, protocol.TCP)
	if !p.admit(st) {
		tb.Fatal("not admitted")
	}
	c.Shard().Run(func() {
		c.attach(st, c.born)
		c.move(st.path(), c.born)
	})
	all.Go(func() {
		st.serve()
		p.dismiss(st)
	})
	tb.Cleanup(func() {
		st.abort()
		_ = ln.Close()
		all.Wait()
	})
	return c
}

// Sending over a stream must not allocate.
func TestStreamAllocations(t *testing.T) {
	p := listenLoopback(t, 1, nil)
	c := streamed(t, p)
	s := c.Shard()
	packet := rtpPacket(0, 7, 1180)
	n := 0
	run := func() {
		for range 8 {
			n++
			packet[2], packet[3] = byte(n>>8), byte(n)
			_ = c.SendRTP(packet)
		}
	}
	for range 2000 {
		s.Run(run)
	}
	if raceDetector {
		return // it drops from pools at random
	}
	if a := testing.AllocsPerRun(2000, func() { s.Run(run) }); a >= 1 {
		t.Errorf("%v allocations per 8 packets", a)
	}
}

// BenchmarkStreamSend encrypts 1200-byte packets and sends them over a TCP
// stream on loopback, at the pace of the writer.
func BenchmarkStreamSend(b *testing.B) {
	p := listenLoopback(b, 1, nil)
	c := streamed(b, p)
	s := c.Shard()
	q := &c.path.stream.queue
	packet := rtpPacket(0, 7, 1180)
	n := 0
	run := func() {
		for range 4 {
			n++
			packet[2], packet[3] = byte(n>>8), byte(n)
			_ = c.SendRTP(packet)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		for q.waiting() > 500 {
			runtime.Gosched()
		}
		s.Run(run)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
	b.ReportMetric(float64(c.Stats().Shed), "shed")
}

package peer

import (
	"bytes"
	"errors"
	"net/netip"
	"runtime"
	"testing"
)

func TestLoopback(t *testing.T) {
	for _, test := range []struct {
		name   string
		listen string
		dial   string
		shards int
	}{
		{"IPv4", "127.0.0.1:0", "127.0.0.1", 1},
		{"IPv6", "[::1]:0", "::1", 1},
		{"IPv4 on both families", ":0", "127.0.0.1", 2},
		{"IPv6 on both families", ":0", "::1", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := listenLoopback(t, test.shards, func(c *PortConfig) {
				c.Listen, _ = netip.ParseAddrPort(test.listen)
			})
			c, atServer, atClient := connectReady(t, p, func(_ *AcceptConfig, d *DialConfig) {
				d.Candidates = []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr(test.dial), p.Addr().Port())}
			})
			for _, way := range []struct {
				from *Conn
				to   *recorder
			}{{c.client, atServer}, {c.server, atClient}} {
				var sent [][]byte
				for seq := range 100 {
					sent = append(sent, rtpPacket(uint16(65500+seq), 7, 1000-seq%3*(maxPadding+1)))
				}
				send(t, way.from, append(sent, rtcpPacket(9))...)
				way.to.until(func() bool { return len(way.to.rtp) == len(sent) && len(way.to.rtcp) == 1 })
				for i := range sent {
					if !bytes.Equal(way.to.rtp[i], sent[i]) {
						t.Fatalf("packet %d differs", i)
					}
				}
				if !bytes.Equal(way.to.rtcp[0], rtcpPacket(9)) {
					t.Fatal("report differs")
				}
			}
			if s := c.server.Stats(); !s.Ready || s.PacketsReceived != 101 || s.PacketsSent != 101 || s.SendDropped != 0 {
				t.Errorf("server's stats: %+v", s)
			}
			if s := c.server.Stats(); s.Local != netip.MustParseAddr(test.dial) || s.Remote.Addr() != s.Local {
				t.Errorf("server's path: %v from %v", s.Remote, s.Local)
			}
			if s := c.client.Stats(); s.RTT <= 0 || s.Remote.Addr() != netip.MustParseAddr(test.dial) {
				t.Errorf("client's stats: %+v", s)
			}
		})
	}
}

func TestWrongFingerprint(t *testing.T) {
	other, err := NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	p := listenLoopback(t, 1, nil)
	atServer, atClient := newRecorder(), newRecorder()
	connect(t, p, atServer, atClient, func(a *AcceptConfig, _ *DialConfig) { a.RemoteFingerprint = other.Fingerprint() })
	atServer.untilClosed()
	atClient.untilClosed()
	if !errors.Is(atServer.err, ErrFingerprint) {
		t.Errorf("server closed with %v", atServer.err)
	}
	if atClient.err == nil || atServer.ready+atClient.ready > 0 {
		t.Errorf("client closed with %v; ready %d, %d", atClient.err, atServer.ready, atClient.ready)
	}
}

// All candidates are tried; those that lead nowhere do not matter, and both
// sides come to use the same path.
func TestCandidates(t *testing.T) {
	p := listenLoopback(t, 2, func(c *PortConfig) { c.Listen = netip.AddrPort{} })
	dead := packetConn(t)
	port := p.Addr().Port()
	for range 5 {
		c, atServer, atClient := connectReady(t, p, func(_ *AcceptConfig, d *DialConfig) {
			d.Candidates = []netip.AddrPort{
				{},
				netip.MustParseAddrPort("[2001:db8::1]:9"), addrPort(dead.LocalAddr()),
				netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port),
				netip.AddrPortFrom(netip.MustParseAddr("::ffff:127.0.0.1"), port),
				netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), port),
				netip.AddrPortFrom(netip.MustParseAddr("::1"), port),
			}
		})
		if n := len(c.client.dialled.candidates); n != 5 {
			t.Errorf("%d candidates", n)
		}
		for c.client.Stats().Remote.Addr() != c.server.Stats().Local {
			runtime.Gosched()
		}
		send(t, c.client, rtpPacket(1, 1, 10))
		send(t, c.server, rtpPacket(1, 1, 10))
		atServer.until(func() bool { return len(atServer.rtp) == 1 })
		atClient.until(func() bool { return len(atClient.rtp) == 1 })
	}
}

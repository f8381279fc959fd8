package peer

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/srtp/v3"
)

var sink = netip.MustParseAddrPort("127.0.0.1:9") // discard

// deliver hands packets to a connection as if they came from its remote.
func deliver(c *Conn, packets ...[]byte) {
	c.Shard().Run(func() {
		for _, p := range packets {
			c.Shard().deliver(&datagram{data: bytes.Clone(p), remote: sink}, time.Now())
		}
	})
}

func TestReplayedAndForgedPackets(t *testing.T) {
	for _, profile := range []srtp.ProtectionProfile{gcm, cm} {
		t.Run(profile.String(), func(t *testing.T) {
			p := listenLoopback(t, 1, nil)
			r := newRecorder()
			c := establishedWith(t, p, sink, r, profile)
			sealed := sealedPackets(t, profile, 20)
			k := testKeys(t, profile)
			report, err := k.out.RTCP(nil, rtcpPacket(7))
			must(t, err)
			forged := bytes.Clone(sealed[0])
			forged[15] ^= 1
			deliver(c, forged, sealed[0], sealed[0], sealed[2], sealed[1], sealed[2], report, report, sealed[3][:30])
			if len(r.rtp) != 3 || len(r.rtcp) != 1 {
				t.Errorf("%d packets and %d reports", len(r.rtp), len(r.rtcp))
			}
			if s := c.Stats(); s.PacketsDropped != 5 || s.PacketsReceived != 4 {
				t.Errorf("stats: %+v", s)
			}
		})
	}
}

// Sequence numbers wrap around; the keys' rollover counter follows.
func TestRollover(t *testing.T) {
	p := listenLoopback(t, 1, nil)
	r := newRecorder()
	c := established(t, p, sink, r)
	k := testKeys(t, gcm)
	var sealed [][]byte
	for i := range 1000 {
		b, err := k.out.RTP(nil, rtpPacket(uint16(65000+i), 7, 10))
		must(t, err)
		sealed = append(sealed, b)
	}
	deliver(c, sealed...)
	if len(r.rtp) != len(sealed) {
		t.Errorf("%d packets of %d", len(r.rtp), len(sealed))
	}
}

func TestSourcesAreBounded(t *testing.T) {
	p := listenLoopback(t, 1, nil)
	r := newRecorder()
	c := established(t, p, sink, r)
	k := testKeys(t, gcm)
	for ssrc := range uint32(maxSources + 10) {
		b, err := k.out.RTP(nil, rtpPacket(1, ssrc, 10))
		must(t, err)
		report, err := k.out.RTCP(nil, rtcpPacket(ssrc))
		must(t, err)
		deliver(c, b, report)
	}
	if len(r.rtp) != maxSources || len(r.rtcp) != maxSources {
		t.Errorf("%d sources of packets, %d of reports", len(r.rtp), len(r.rtcp))
	}
}

// What comes before the keys is kept, up to a bound, and follows Ready.
func TestEarlyPackets(t *testing.T) {
	p := listenLoopback(t, 1, nil)
	r := newRecorder()
	c, err := p.Accept(AcceptConfig{Remote: NewCredentials(), RemoteFingerprint: p.Fingerprint(), Handler: r})
	must(t, err)
	sealed := sealedPackets(t, gcm, 20)
	s := p.Shards()[0]
	s.Run(func() {
		p.claim(c, s)
		c.learn(sink)
	})
	deliver(c, sealed[0]) // nothing has begun: dropped
	s.Run(func() {
		if !c.startHandshake() {
			t.Error("handshake not started")
		}
	})
	deliver(c, sealed[1:]...)
	s.Run(func() { c.ready(testKeys(t, gcm), time.Now()) })
	if len(r.rtp) != maxEarly || r.order[0] != "ready" {
		t.Errorf("%d packets, %v", len(r.rtp), r.order)
	}
	if s := c.Stats(); s.PacketsDropped != uint64(len(sealed)-maxEarly) {
		t.Errorf("%d dropped", s.PacketsDropped)
	}
}

func TestSendRefuses(t *testing.T) {
	p := listenLoopback(t, 1, nil)
	c, err := p.Accept(AcceptConfig{Remote: NewCredentials(), RemoteFingerprint: p.Fingerprint(), Handler: quiet{}})
	must(t, err)
	if err := c.SendRTP(rtpPacket(1, 2, 3)); !errors.Is(err, ErrNotReady) {
		t.Error(err)
	}
	ready := established(t, p, sink, quiet{})
	p.Shards()[0].Run(func() {
		for _, packet := range [][]byte{nil, {0x80}, rtcpPacket(1), make([]byte, 100), rtpPacket(1, 2, MaxPacket)} {
			if err := ready.SendRTP(packet); !errors.Is(err, ErrPacket) {
				t.Errorf("RTP %.20x: %v", packet, err)
			}
		}
		bad := rtpPacket(1, 2, 0)
		bad[15] = 200 // the extension is longer than the packet
		if err := ready.SendRTP(bad); err == nil {
			t.Error("malformed packet sent")
		}
		for _, packet := range [][]byte{nil, rtpPacket(1, 2, 3), rtcpPacket(1)[:7]} {
			if err := ready.SendRTCP(packet); !errors.Is(err, ErrPacket) {
				t.Errorf("RTCP %.20x: %v", packet, err)
			}
		}
		if err := ready.SendRTP(rtpPacket(1, 2, MaxPacket-20)); err != nil {
			t.Errorf("longest packet: %v", err)
		}
	})
	ready.Close()
	p.Shards()[0].Run(func() {
		if err := ready.SendRTP(rtpPacket(1, 2, 3)); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if err := ready.SendRTCP(rtcpPacket(1)); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

// The packet path must not allocate, in either direction.
func TestAllocations(t *testing.T) {
	p := listenLoopback(t, 1, nil)
	c := established(t, p, sink, quiet{})
	sealed := sealedPackets(t, gcm, 5000)
	k := testKeys(t, gcm)
	reports := make([][]byte, 5000)
	for i := range reports {
		var err error
		reports[i], err = k.out.RTCP(nil, rtcpPacket(7))
		must(t, err)
	}
	check := checkFor(c)
	s := c.Shard()
	now := time.Now()
	packet, report := rtpPacket(0, 7, 1180), rtcpPacket(7)
	stranger := rtpPacket(0, 8, 1180)
	buf := make([]byte, maxDatagram)
	n := 0
	d := datagram{remote: sink}
	take := func(p []byte) {
		d.data = buf[:copy(buf, p)]
		s.deliver(&d, now)
	}
	for _, test := range []struct {
		name string
		f    func()
	}{
		{"send RTP", func() { n++; packet[3] = byte(n); _ = c.SendRTP(packet) }},
		{"send RTCP", func() { _ = c.SendRTCP(report) }},
		{"receive RTP", func() { n++; take(sealed[n]) }},
		{"receive RTCP", func() { n++; take(reports[n]) }},
		{"answer a check", func() {
			if !raceDetector {
				take(check)
			}
		}},
		{"unknown address", func() {
			u := datagram{data: stranger, remote: netip.AddrPortFrom(sink.Addr(), 10)}
			s.deliver(&u, now)
		}},
	} {
		s.mu.Lock()
		for range 2 * maxQueued { // fill the pools
			_ = c.SendRTP(packet)
		}
		n = 0
		if a := testing.AllocsPerRun(1000, test.f); a != 0 {
			t.Errorf("%s: %v allocations", test.name, a)
		}
		s.release()
	}
	run := func() { _ = c.SendRTP(packet) }
	if a := testing.AllocsPerRun(1000, func() { s.Run(run) }); a != 0 {
		t.Errorf("run and flush: %v allocations", a)
	}
}

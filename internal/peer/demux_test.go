package peer

import (
	"bytes"
	"net/netip"
	"testing"
	"time"
)

func TestClassify(t *testing.T) {
	long := func(first ...byte) []byte { return append(first, make([]byte, 40)...) }
	for _, test := range []struct {
		name   string
		packet []byte
		want   packetKind
	}{
		{"nothing", nil, kindUnknown},
		{"one byte", []byte{0x80}, kindUnknown},
		{"STUN request", long(0, 1), kindSTUN},
		{"STUN error response", long(1, 0x11), kindSTUN},
		{"last of STUN", long(3, 0xff), kindSTUN},
		{"short STUN", make([]byte, 19), kindUnknown},
		{"between STUN and ZRTP", long(4), kindUnknown},
		{"ZRTP", long(16), kindUnknown},
		{"DTLS change cipher spec", long(20), kindDTLS},
		{"DTLS handshake", long(22, 254, 253), kindDTLS},
		{"last of DTLS", long(63), kindDTLS},
		{"short DTLS", bytes.Repeat([]byte{22}, 12), kindUnknown},
		{"TURN channel", long(64), kindUnknown},
		{"before RTP", long(127), kindUnknown},
		{"RTP", long(128, 111), kindRTP},
		{"RTP with marker", long(0x90, 128|96), kindRTP},
		{"last of RTP", long(191, 0), kindRTP},
		{"short RTP", long(128, 0)[:11], kindUnknown},
		{"payload type 63, marked", long(128, 191), kindRTP},
		{"RTCP FIR (192)", long(128, 192), kindRTCP},
		{"RTCP receiver report", long(129, 201), kindRTCP},
		{"last of RTCP (223)", long(128, 223), kindRTCP},
		{"payload type 96, marked", long(128, 224), kindRTP},
		{"shortest RTCP", []byte{128, 201, 0, 1, 0, 0, 0, 1}, kindRTCP},
		{"short RTCP", []byte{128, 201, 0, 1, 0, 0, 0}, kindUnknown},
		{"reserved", long(192), kindUnknown},
		{"QUIC long header", long(0xC3), kindUnknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := classify(test.packet); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestIsClientHello(t *testing.T) {
	hello := append([]byte{22, 254, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 1)
	if !isClientHello(hello) {
		t.Error("not recognised")
	}
	for i, change := range map[int]byte{0: 23, 3: 1, 4: 1, 13: 2} {
		other := bytes.Clone(hello)
		other[i] = change
		if isClientHello(other) {
			t.Errorf("recognised although byte %d is %d", i, change)
		}
	}
	if isClientHello(hello[:13]) {
		t.Error("recognised although cut off")
	}
}

// FuzzDemux throws anything at a port from strange and from known addresses:
// nothing may panic, nothing forged may be delivered, and to strangers
// nothing may be sent.
func FuzzDemux(f *testing.F) {
	f.Add([]byte{}, true)
	f.Add(rtpPacket(1, 2, 100), true)
	f.Add(rtcpPacket(1), true)
	f.Add(append([]byte{22, 254, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 1), true)
	f.Add(append([]byte{23, 254, 253, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1}, 1), true)
	f.Add(append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, make([]byte, 12)...), false)
	p := listenLoopback(f, 1, nil)
	known := netip.MustParseAddrPort("127.0.0.1:9")
	r := newRecorder()
	c := established(f, p, known, r)
	s := c.Shard()
	f.Fuzz(func(t *testing.T, packet []byte, fromKnown bool) {
		d := datagram{data: bytes.Clone(packet), remote: netip.MustParseAddrPort("192.0.2.1:9")}
		if fromKnown {
			d.remote = known
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.deliver(&d, time.Now())
		if len(s.out.slots) > 0 {
			t.Errorf("answered %x", packet)
		}
		if rtp, _, closed, _ := r.snapshot(); rtp > 0 || closed || len(r.rtcp) > 0 {
			t.Errorf("delivered %x", packet)
		}
		if len(c.addresses) != 1 || c.handshake != nil {
			t.Error("kept something")
		}
	})
}

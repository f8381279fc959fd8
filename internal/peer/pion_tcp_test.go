package peer

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"causeway/protocol"

	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// overTCP replaces an answer's candidates by one passive TCP candidate (RFC
// 6544 section 4.5).
func overTCP(answer string, at netip.AddrPort) string {
	var b strings.Builder
	for line := range strings.Lines(answer) {
		if strings.HasPrefix(line, "a=candidate:") {
			line = fmt.Sprintf("a=candidate:1 1 tcp 1671430143 %s %d typ host tcptype passive\r\n", at.Addr(), at.Port())
		}
		b.WriteString(line)
	}
	return b.String()
}

// A whole PeerConnection connects to a passive TCP candidate, as browsers do.
func TestPionOverTCP(t *testing.T) {
	const ssrc, packets = 4711, 50
	p := listenLoopback(t, 2, nil)
	at, _ := serveLoopback(t, p, nil)
	peer := newPionPeer(t, nil)
	defer func() { must(t, peer.GracefulClose()) }()
	connected := make(chan struct{})
	peer.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			close(connected)
		}
	})
	offer, err := peer.CreateOffer(nil)
	must(t, err)
	gathered := webrtc.GatheringCompletePromise(peer.PeerConnection)
	must(t, peer.SetLocalDescription(offer))
	<-gathered
	sdp := peer.LocalDescription().SDP
	r := newRecorder()
	c, err := p.Accept(AcceptConfig{
		Remote:            Credentials{attribute(sdp, "ice-ufrag"), attribute(sdp, "ice-pwd")},
		RemoteFingerprint: attribute(sdp, "fingerprint"),
		Backlog:           time.Hour, // a busy machine must not shed
		Handler:           r,
	})
	must(t, err)
	must(t, peer.SetRemoteDescription(webrtc.SessionDescription{
		Type: webrtc.SDPTypeAnswer, SDP: overTCP(answerTo(sdp, "passive", c, p, ssrc), at),
	}))
	r.untilReady()
	<-connected
	if s := c.Stats(); s.Transport != protocol.TCP {
		t.Errorf("connected over %v", s.Transport)
	}
	for range packets {
		must(t, peer.track.WriteSample(media.Sample{Data: make([]byte, 80), Duration: 20e6}))
	}
	r.until(func() bool { return len(r.rtp) == packets || r.closed })
	for seq := range packets {
		send(t, c, rtpPacket(uint16(seq), ssrc, 80))
	}
	peer.until(func() bool { return peer.got >= packets-1 }) // the first may come before the track
}

package peer

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/transport/v5/vnet"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// pionPeer is a whole PeerConnection that offers one sending and one
// receiving audio line, as a browser would.
type pionPeer struct {
	*webrtc.PeerConnection
	track *webrtc.TrackLocalStaticSample
	mu    sync.Mutex
	cond  *sync.Cond
	got   int // RTP packets
}

func newPionPeer(t *testing.T, n *vnet.Net) *pionPeer {
	t.Helper()
	var settings webrtc.SettingEngine
	if n != nil {
		settings.SetNet(n)
	} else {
		settings.SetIncludeLoopbackCandidate(true)
		settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4, webrtc.NetworkTypeUDP4})
	}
	settings.SetICEMulticastDNSMode(0)
	settings.LoggerFactory = quietLogger()
	var engine webrtc.MediaEngine
	must(t, engine.RegisterDefaultCodecs())
	api := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(&engine),
		webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	must(t, err)
	p := &pionPeer{PeerConnection: pc}
	p.cond = sync.NewCond(&p.mu)
	p.track, err = webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "mic", "mic")
	must(t, err)
	_, err = pc.AddTransceiverFromTrack(p.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	must(t, err)
	_, err = pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	must(t, err)
	pc.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			if _, _, err := remote.ReadRTP(); err != nil {
				return
			}
			p.mu.Lock()
			p.got++
			p.mu.Unlock()
			p.cond.Broadcast()
		}
	})
	return p
}

func (p *pionPeer) received() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got
}

// until waits for a condition, which is asked with the peer locked.
func (p *pionPeer) until(condition func() bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !condition() {
		p.cond.Wait()
	}
}

// attribute finds the value of the first a=name: line.
func attribute(sdp, name string) string {
	for line := range strings.Lines(sdp) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "a="+name+":"); ok {
			return v
		}
	}
	return ""
}

// answerTo writes the answer of a lite, passive or active agent to a
// pionPeer's offer.
func answerTo(offer, setup string, c *Conn, p *Port, ssrc uint32) string {
	a := "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=group:BUNDLE 0 1\r\n"
	for i, direction := range []string{"recvonly", "sendonly"} {
		a += fmt.Sprintf("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:%d\r\na=%s\r\n"+
			"a=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=fingerprint:%s\r\na=setup:%s\r\n"+
			"a=candidate:1 1 udp 2130706431 %s %d typ host\r\na=end-of-candidates\r\n",
			i, direction, c.LocalUfrag(), c.LocalPwd(), p.Fingerprint(), setup, p.Addr().Addr(), p.Addr().Port())
		if direction == "sendonly" {
			a += fmt.Sprintf("a=ssrc:%d cname:router\r\na=msid:a1 a1\r\n", ssrc)
		}
	}
	return a
}

// A whole PeerConnection connects to a Port, both ways round in DTLS, and
// media and reports flow both ways.
func TestPionPeerConnection(t *testing.T) {
	for _, test := range []struct {
		setup string
		loss  int64
		seeds uint64
	}{
		{"passive", 0, 2}, {"passive", 5, 4}, {"passive", 20, 4}, {"active", 0, 2}, {"active", 10, 4},
	} {
		t.Run(fmt.Sprintf("%s, %d percent lost", test.setup, test.loss), func(t *testing.T) {
			for seed := range test.seeds {
				virtually(t, 20*time.Millisecond, 0, test.loss, seed, func(t *testing.T, v *virtualNetwork, p *Port) {
					talkToPion(t, v, p, test.setup, int(test.loss))
				})
			}
		})
	}
}

func talkToPion(t *testing.T, v *virtualNetwork, p *Port, setup string, loss int) {
	const ssrc, packets = 4711, 200
	peer := newPionPeer(t, v.client)
	defer func() { must(t, peer.GracefulClose()) }()
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
		Active:            setup == "active",
		Handler:           r,
	})
	must(t, err)
	start := time.Now()
	must(t, peer.SetRemoteDescription(webrtc.SessionDescription{
		Type: webrtc.SDPTypeAnswer, SDP: answerTo(sdp, setup, c, p, ssrc),
	}))
	r.untilReady()
	if _, _, closed, err := r.snapshot(); closed {
		t.Fatalf("closed: %v", err)
	}
	t.Logf("ready after %v", time.Since(start))
	time.Sleep(3 * time.Second) // until the PeerConnection has noticed, too
	for seq := range packets {
		must(t, peer.track.WriteSample(media.Sample{Data: make([]byte, 80), Duration: 20 * time.Millisecond}))
		must(t, peer.WriteRTCP([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 1}}))
		c.Shard().Run(func() { must(t, c.SendRTP(rtpPacket(uint16(seq), ssrc, 80))) })
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(time.Second)
	low := packets - packets*loss*2/100 - 1
	r.mu.Lock()
	rtp, rtcp := len(r.rtp), len(r.rtcp)
	r.mu.Unlock()
	if rtp < low || rtcp < low || peer.received() < low {
		t.Errorf("of %d packets %d arrived at the port, and %d reports; %d arrived at the PeerConnection", packets, rtp, rtcp, peer.received())
	}
}

package mmr

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"causeway/protocol"

	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// TestWaysOfBrowsers has a whole PeerConnection, as a browser is one, talk
// and listen where it has UDP, only TCP, and only TURN over TLS.
func TestWaysOfBrowsers(t *testing.T) {
	for name, configure := range map[string]func(*webrtc.SettingEngine, *webrtc.Configuration){
		"UDP": func(s *webrtc.SettingEngine, _ *webrtc.Configuration) {
			s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
		},
		"TCP": func(s *webrtc.SettingEngine, _ *webrtc.Configuration) {
			s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
		},
		"TURN": func(_ *webrtc.SettingEngine, c *webrtc.Configuration) {
			c.ICETransportPolicy = webrtc.ICETransportPolicyRelay
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.openTLS()
			ada := w.join("m1", "ada", wish{kinds: []protocol.MediaKind{protocol.Audio}})
			ada.talk(20)
			b := w.browser(configure)
			w.until("the browser hears ada", func() bool { return b.heard.Load() > 20 })
			w.until("ada hears the browser", func() bool { return len(ada.conns[protocol.Audio].in("a1")) > 20 })
			if got := b.kind(); name != "TURN" && got != strings.ToLower(name) {
				t.Errorf("it goes by %s", got)
			}
		})
	}
}

// browser is a PeerConnection in the meeting m1, with sound both ways.
type browser struct {
	*webrtc.PeerConnection
	heard atomic.Int32 // packets
}

func (w *world) browser(configure func(*webrtc.SettingEngine, *webrtc.Configuration)) *browser {
	w.t.Helper()
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	// The first admission is for the TURN server's sake: a browser that joins
	// anew knows it before it makes its connections.
	token := w.token("m1", "bob", protocol.Guest)
	info := protocol.ClientInfo{Kind: "web"}
	first, err := w.admit(protocol.AdmitRequest{Token: token, Offers: goodOffers(w.t), Client: info})
	must(err)
	turn := first.TURN[0]
	cfg := webrtc.Configuration{ICEServers: []webrtc.ICEServer{{
		URLs: []string{"turn:" + w.tls + "?transport=tcp"}, Username: turn.Username, Credential: turn.Credential,
	}}}
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetICEMulticastDNSMode(0)
	settings.SetICEProxyDialer(dialer(func() (net.Conn, error) { return w.dialTLS(w.t.Context()) })) // trusts the test's authority
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	settings.LoggerFactory = quiet
	configure(&settings, &cfg)
	if cfg.ICETransportPolicy != webrtc.ICETransportPolicyRelay {
		cfg.ICEServers = nil
	}
	var engine webrtc.MediaEngine
	must(engine.RegisterDefaultCodecs())
	api := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(&engine), webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	pc, err := api.NewPeerConnection(cfg)
	must(err)
	w.t.Cleanup(func() { _ = pc.GracefulClose() })
	b := &browser{PeerConnection: pc}
	mic, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "mic", "mic")
	must(err)
	_, err = pc.AddTransceiverFromTrack(mic, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	must(err)
	_, err = pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	must(err)
	pc.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			if _, _, err := remote.ReadRTP(); err != nil {
				return
			}
			b.heard.Add(1)
		}
	})
	description, err := pc.CreateOffer(nil)
	must(err)
	gathered := webrtc.GatheringCompletePromise(pc)
	must(pc.SetLocalDescription(description))
	<-gathered
	answer, err := w.admit(protocol.AdmitRequest{Token: token, Offers: protocol.Offers{Audio: pc.LocalDescription().SDP}, Client: info})
	must(err)
	must(pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer.Answers.Audio}))
	w.pump(20*time.Millisecond, func(int) {
		_ = mic.WriteSample(media.Sample{Data: []byte("sound of bob"), Duration: 20 * time.Millisecond})
	})
	return b
}

// A dialer adds TLS below TURN.
type dialer func() (net.Conn, error)

// Dial implements proxy.Dialer.
func (d dialer) Dial(string, string) (net.Conn, error) { return d() }

// kind is the transport of the browser's candidate in use.
func (b *browser) kind() string {
	pair, err := b.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return "nothing"
	}
	return pair.Local.Protocol.String()
}

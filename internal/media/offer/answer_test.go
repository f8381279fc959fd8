package offer

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pion/webrtc/v4"
)

var update = flag.Bool("update", false, "write the golden files")

func addrs() cmp.Option { return cmpopts.EquateComparable(netip.AddrPort{}) }

const fingerprint = "sha-256 01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF"

// router answers an offer as the router does.
func router(t testing.TB, o Description) Description {
	t.Helper()
	p := AnswerParams{
		Ufrag: "router00", Pwd: "routerpasswordrouterpassword", Fingerprint: fingerprint,
		Candidates: []Candidate{
			{Protocol: "udp", Addr: netip.MustParseAddrPort("192.0.2.7:8801"), Priority: 2130706431},
			{Protocol: "tcp", Addr: netip.MustParseAddrPort("[2001:db8::7]:8801"), Priority: 1671430143, TCPType: "passive"},
		},
		Slots: map[int]Slot{},
	}
	ssrc := uint32(1000)
	for _, kind := range []Kind{Video, Audio} {
		for n, i := range o.Receiving(kind) {
			p.Slots[i] = Slot{ID: string(kind[0]) + string(rune('1'+n)), SSRC: ssrc, RTX: ssrc + 1}
			ssrc += 2
		}
	}
	a, err := Answer(o, p)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAnswerGolden(t *testing.T) {
	for _, name := range []string{"chromium156-audio", "chromium156-audio-all", "chromium156-video", "chromium156-video-all", "chromium156-content", "firefox-audio", "firefox-video"} {
		t.Run(name, func(t *testing.T) {
			got := router(t, parsed(t, name)).String()
			file := "testdata/" + name + ".answer.sdp"
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(fixture(t, name+".answer"), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnswerRules(t *testing.T) {
	o := parsed(t, "chromium156-video-all")
	a := router(t, o)
	if a.Setup != Passive || !a.Lite || len(a.Lines) != len(o.Lines) {
		t.Errorf("setup %s, lite %v, %d lines", a.Setup, a.Lite, len(a.Lines))
	}
	camera := a.Lines[0]
	if camera.Direction != RecvOnly || !cmp.Equal(camera.RIDs, []string{"q", "h", "f"}) || len(camera.SSRCs) != 0 {
		t.Errorf("camera: %+v", camera)
	}
	for _, c := range camera.Codecs {
		if c.Name == H264 && Parameter(c.Fmtp, "packetization-mode") != "1" || c.HasFeedback("goog-remb") || !c.HasFeedback("transport-cc") || c.RTX == 0 {
			t.Errorf("codec %+v", c)
		}
	}
	for i, l := range a.Lines[1:] {
		if l.Direction != SendOnly || len(l.SSRCs) != 1 || l.RTXOf[l.SSRCs[0]] == 0 || l.RIDs != nil {
			t.Errorf("slot %d: %+v", i+1, l)
		}
	}
	for _, e := range camera.Extensions {
		if o.Lines[0].ExtensionID(e.URI) != e.ID {
			t.Errorf("extension %+v", e)
		}
	}
	if camera.ExtensionID("urn:3gpp:video-orientation") != 0 {
		t.Error("took an extension that it does not know")
	}
}

// TestAnswerRedundancy: redundant sound is answered where it is offered, behind
// what it is redundant of.
func TestAnswerRedundancy(t *testing.T) {
	a := router(t, parsed(t, "chromium156-audio-all"))
	for i, l := range a.Lines {
		if len(l.Codecs) != 1 || l.Codecs[0].PayloadType != 111 || l.Codecs[0].RED != 63 {
			t.Errorf("line %d: %+v", i, l.Codecs)
		}
	}
	if text := a.String(); !strings.Contains(text, "SAVPF 111 63\r\n") || !strings.Contains(text, "a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n") {
		t.Error(text)
	}
	if a := router(t, parsed(t, "chromium156-audio")).String(); strings.Contains(a, "red/") {
		t.Error("answered what was not offered:", a)
	}
}

func TestParseRedundancy(t *testing.T) {
	const head = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n" +
		"m=audio 9 UDP/TLS/RTP/SAVPF 63 111 64 0\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\n"
	for attributes, want := range map[string]uint8{
		"a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n":     63,
		"a=rtpmap:63 RED/48000/2\r\na=fmtp:63 111/111/111\r\n": 63,
		"a=rtpmap:63 red/48000/2\r\na=fmtp:63 111\r\n":         0,
		"a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/0\r\n":       0,
		"a=rtpmap:63 red/48000/2\r\na=fmtp:63 63/63\r\n":       0,
		"a=rtpmap:63 red/8000\r\na=fmtp:63 111/111\r\n":        0,
		"a=rtpmap:63 red/48000/2\r\n":                          0,
	} {
		d, err := Parse(head + attributes)
		if err != nil {
			t.Fatal(err)
		}
		codecs := d.Lines[0].Codecs
		i := slices.IndexFunc(codecs, func(c Codec) bool { return c.Name == Opus })
		if i < 0 || codecs[i].RED != want || (len(codecs) == 1) != (want != 0) {
			t.Errorf("%q: %+v", attributes, codecs)
		}
	}
}

func TestAnswerSetupAndSlots(t *testing.T) {
	o, err := Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	for setup, want := range map[Setup]Setup{ActPass: Passive, Active: Passive, Passive: Active, "": Passive} {
		o.Setup = setup
		if a := router(t, o); a.Setup != want {
			t.Errorf("offered %q: answered %q, want %q", setup, a.Setup, want)
		}
	}
	a, err := Answer(o, AnswerParams{Codecs: map[Kind][]Codec{Audio: nil}, Extensions: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	if !a.Lines[0].Rejected || a.Lines[0].Format != "UDP/TLS/RTP/SAVPF 111" {
		t.Errorf("line without a common codec: %+v", a.Lines[0])
	}
	if a.Lines[1].Direction != RecvOnly || len(a.Lines[1].Extensions) != 0 {
		t.Errorf("line without slot: %+v", a.Lines[1])
	}
	o.Lines[1].Direction = RecvOnly
	if a, err = Answer(o, AnswerParams{}); err != nil || a.Lines[1].Direction != Inactive {
		t.Errorf("receiving line without slot: %+v %v", a.Lines[1], err)
	}
}

func TestAnswerRefused(t *testing.T) {
	for name, change := range map[string]func(*Description){
		"no ufrag":       func(d *Description) { d.Ufrag = "" },
		"no pwd":         func(d *Description) { d.Pwd = "" },
		"no fingerprint": func(d *Description) { d.Fingerprint = "" },
		"lite":           func(d *Description) { d.Lite = true },
	} {
		d := parsed(t, "chromium156-audio")
		change(&d)
		if _, err := Answer(d, AnswerParams{}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMatchH264(t *testing.T) {
	codec := func(fmtp string) Codec { return Codec{Name: "h264", ClockRate: 90000, Fmtp: fmtp} }
	tests := []struct {
		a, b string
		same bool
	}{
		{"packetization-mode=1;profile-level-id=42e01f", "profile-level-id=42E034; packetization-mode=1", true},
		{"packetization-mode=1;profile-level-id=42e01f", "profile-level-id=4d801f;packetization-mode=1", true}, // main with constraint set 0
		{"packetization-mode=1;profile-level-id=42e01f", "packetization-mode=1;profile-level-id=42001f", false},
		{"packetization-mode=1;profile-level-id=42e01f", "profile-level-id=42e01f", false},
		{"packetization-mode=0;profile-level-id=42001f", "", true},
		{"profile-level-id=64001f", "profile-level-id=640c1f", false},
		{"profile-level-id=zz001f", "profile-level-id=zz001f", true},
		{"profile-level-id=42zz1f", "profile-level-id=42001f", false},
		{"profile-level-id=4", "profile-level-id=42001f", false},
	}
	for _, tt := range tests {
		if got := Same(codec(tt.a), codec(tt.b)); got != tt.same {
			t.Errorf("%q and %q: %v", tt.a, tt.b, got)
		}
	}
	if Same(Codec{Name: VP8, ClockRate: 90000}, Codec{Name: VP8, ClockRate: 48000}) {
		t.Error("clock rate not compared")
	}
}

// pionOffer makes an offer with pion for the camera, two slots and simulcast,
// or for the microphone and three slots.
func pionOffer(t *testing.T, kind webrtc.RTPCodecType, slots int, rids ...string) (*webrtc.PeerConnection, string) {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	mime := webrtc.MimeTypeOpus
	if kind == webrtc.RTPCodecTypeVideo {
		mime = webrtc.MimeTypeVP8
	}
	var sender *webrtc.RTPSender
	for _, r := range append(rids, "")[:max(1, len(rids))] {
		var options []func(*webrtc.TrackLocalStaticRTP)
		if r != "" {
			options = append(options, webrtc.WithRTPStreamID(r))
		}
		track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, "camera", "me", options...)
		if err != nil {
			t.Fatal(err)
		}
		if sender != nil {
			if err := sender.AddEncoding(track); err != nil {
				t.Fatal(err)
			}
			continue
		}
		tr, err := pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			t.Fatal(err)
		}
		sender = tr.Sender()
	}
	for range slots {
		if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	o, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.SetLocalDescription(o); err != nil {
		t.Fatal(err)
	}
	return pc, o.SDP
}

func TestPionTakesAnswer(t *testing.T) {
	for name, make := range map[string]func(*testing.T) (*webrtc.PeerConnection, string){
		"audio": func(t *testing.T) (*webrtc.PeerConnection, string) {
			return pionOffer(t, webrtc.RTPCodecTypeAudio, 3)
		},
		"video": func(t *testing.T) (*webrtc.PeerConnection, string) {
			return pionOffer(t, webrtc.RTPCodecTypeVideo, 2, "q", "h", "f")
		},
	} {
		t.Run(name, func(t *testing.T) {
			pc, text := make(t)
			o, err := Parse(text)
			if err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			if len(o.Lines) < 3 || !slices.Equal(o.Publishing(o.Lines[0].Kind), []int{0}) || name == "video" && len(o.Lines[0].RIDs) != 3 {
				t.Errorf("%+v", o)
			}
			a := router(t, o).String()
			if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: a}); err != nil {
				t.Errorf("%v in\n%s", err, a)
			}
		})
	}
}

// TestPionTakesNativeOffer has pion answer the native client's offers.
func TestPionTakesNativeOffer(t *testing.T) {
	d := New(Params{Ufrag: "native00", Pwd: "nativepasswordnativepassword", Fingerprint: fingerprint, Lines: []LineParams{
		{Kind: Video, Direction: SendOnly, SSRC: 1, RTX: 2, Stream: "screen"},
		{Kind: Audio, Direction: SendOnly, SSRC: 3, Stream: "screen"},
		{Kind: Video, Direction: RecvOnly},
		{Kind: Audio, Direction: RecvOnly},
		{Kind: Video, Direction: SendOnly, Stream: "camera", RIDs: []string{"q", "h"}},
	}})
	again, err := Parse(d.String())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, again, addrs()); diff != "" {
		t.Error(diff)
	}
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pc.Close() }()
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: d.String()}); err != nil {
		t.Fatalf("%v in\n%s", err, d)
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Parse(answer.SDP)
	if err != nil {
		t.Fatalf("%v in\n%s", err, answer.SDP)
	}
	if a.Lines[0].Direction != RecvOnly || a.Setup != Passive || len(a.Lines) != 5 {
		t.Errorf("%+v", a)
	}
	if got := router(t, d); got.Lines[0].Direction != RecvOnly || got.Lines[2].RTXOf[got.Lines[2].SSRCs[0]] == 0 || strings.Contains(got.String(), "m=video 0") {
		t.Errorf("router's answer:\n%s", got)
	}
}

func BenchmarkAnswer(b *testing.B) {
	text := fixture(b, "chromium156-video")
	b.ReportAllocs()
	for b.Loop() {
		d, err := Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		_ = router(b, d).String()
	}
}

func TestMatchVP9(t *testing.T) {
	for fmtp, want := range map[string]bool{"profile-id=0": true, "": true, "profile-id=2": false, "x=1;profile-id=1": false} {
		offered := []Codec{{PayloadType: 35, Name: "vp9", ClockRate: 90000, Fmtp: fmtp, RTX: 36}}
		if got := Match(offered, ForwardedCodecs(Video)); (len(got) == 1) != want {
			t.Errorf("%q: %v", fmtp, got)
		} else if want && (got[0].PayloadType != 35 || got[0].RTX != 36) {
			t.Errorf("%q: %+v", fmtp, got[0])
		}
	}
	if slices.ContainsFunc(DefaultCodecs(Video), func(c Codec) bool { return c.Name == VP9 }) {
		t.Error("the native client offers what it cannot show")
	}
}

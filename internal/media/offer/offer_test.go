package offer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func fixture(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".sdp"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func parsed(t testing.TB, name string) Description {
	t.Helper()
	d, err := Parse(fixture(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestBrowserOffers reads real offers as what they mean.
func TestBrowserOffers(t *testing.T) {
	tests := []struct {
		name       string
		kind       Kind
		lines      int
		receiving  []int
		codecs     []string
		rids       []string
		stream     bool
		extensions []string
	}{
		{"chromium156-audio", Audio, 4, []int{1, 2, 3}, []string{Opus}, nil, true, []string{URIAudioLevel, URIMID, URITransportCC}},
		{"chromium156-video", Video, 5, []int{1, 2, 3, 4}, []string{VP8, H264}, []string{"q", "h", "f"}, true, []string{URIMID, URIRID, URIRepairedRID, URITransportCC}},
		{"chromium156-content", Video, 4, []int{2}, []string{VP8, H264}, nil, true, []string{URIMID}},
		{"chromium156-content", Audio, 4, []int{3}, []string{Opus}, nil, true, []string{URIMID, URIAudioLevel}},
		{"firefox-audio", Audio, 2, []int{1}, []string{Opus, "G722", "PCMA", "telephone-event"}, nil, true, []string{URIAudioLevel, URIMID}},
		{"firefox-video", Video, 3, []int{1}, []string{VP8, H264}, []string{"q", "h", "f"}, true, []string{URIMID, URIRID, URITransportCC}},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+string(tt.kind), func(t *testing.T) {
			d := parsed(t, tt.name)
			if d.Ufrag == "" || d.Pwd == "" || len(d.Fingerprint) != len("sha-256 ")+95 || d.Setup != ActPass || d.Lite {
				t.Errorf("transport: %q %q %q %q lite %v", d.Ufrag, d.Pwd, d.Fingerprint, d.Setup, d.Lite)
			}
			if len(d.Lines) != tt.lines {
				t.Fatalf("%d lines, want %d", len(d.Lines), tt.lines)
			}
			if diff := cmp.Diff(tt.receiving, d.Receiving(tt.kind)); diff != "" {
				t.Errorf("receiving lines: %s", diff)
			}
			l := d.Lines[d.Publishing(tt.kind)[0]]
			if tt.stream != (l.Track != "") {
				t.Errorf("stream %q, track %q", l.Stream, l.Track)
			}
			if diff := cmp.Diff(tt.rids, l.RIDs); diff != "" {
				t.Errorf("rids: %s", diff)
			}
			checkCodecs(t, l, tt.codecs)
			for _, uri := range tt.extensions {
				if l.ExtensionID(uri) == 0 {
					t.Errorf("no extension %s", uri)
				}
			}
		})
	}
}

func checkCodecs(t *testing.T, l Line, want []string) {
	t.Helper()
	var names []string
	for _, c := range l.Codecs {
		names = append(names, c.Name)
		if c.ClockRate == 0 || (c.Name == VP8 || c.Name == H264) && (c.RTX == 0 || !c.HasFeedback("nack pli")) {
			t.Errorf("codec %+v", c)
		}
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("codecs: %s", diff)
	}
}

func TestRoundTrip(t *testing.T) {
	files, err := filepath.Glob("testdata/*.sdp")
	if err != nil || len(files) < 7 {
		t.Fatalf("fixtures: %v %v", files, err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".sdp")
		t.Run(name, func(t *testing.T) {
			d := parsed(t, name)
			again, err := Parse(d.String())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(d, again, addrs()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseDetails(t *testing.T) {
	d := parsed(t, "firefox-video")
	want := map[uint32]uint32{2214035941: 1087341120, 3947216055: 882301157, 4011382764: 1700459318}
	if diff := cmp.Diff(want, d.Lines[0].RTXOf); diff != "" {
		t.Error(diff)
	}
	if len(d.Lines[0].SSRCs) != 3 {
		t.Errorf("SSRCs %v", d.Lines[0].SSRCs)
	}
	app := Line{MID: "2", Kind: "application", Direction: Inactive, Rejected: true, Format: "UDP/DTLS/SCTP webrtc-datachannel"}
	if diff := cmp.Diff(app, d.Lines[2]); diff != "" {
		t.Error(diff)
	}
	if p := d.Publishing(Audio); len(p) != 0 {
		t.Errorf("publishes audio on %d", p)
	}
}

// base is a small valid description; tests change one thing of it.
const base = `v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE a v
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuv
a=fingerprint:SHA-256 aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99
a=setup:actpass
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:a
a=rtpmap:111 opus/48000/2
a=rtcp-fb:* nack
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=rtcp-mux
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:v
a=rtpmap:96 VP8/90000
a=extmap:2 urn:ietf:params:rtp-hdrext:sdes:mid
a=rtcp-mux
`

func TestRefused(t *testing.T) {
	repeat := func(line string, n int) string { return strings.Repeat(line+"\n", n) }
	numbered := func(prefix, suffix string, n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(prefix + string(rune('0'+i/10)) + string(rune('0'+i%10)) + suffix + "\n")
		}
		return b.String()
	}
	tests := []struct{ name, old, replacement string }{
		{"not sdp", base, "hello"},
		{"empty", base, ""},
		{"too large", "s=-\n", "s=" + strings.Repeat("x", MaxSize) + "\n"},
		{"too many lines", "m=video", repeat("m=video 0 UDP/TLS/RTP/SAVPF 96", MaxLines) + "m=video"},
		{"too many codecs", "SAVPF 96", "SAVPF" + strings.Repeat(" 96", MaxCodecs+1)},
		{"too many extensions", "a=extmap:2 urn:ietf:params:rtp-hdrext:sdes:mid\n", numbered("a=extmap:1", " urn:x", 1) + numbered("a=extmap:20 urn:", "", MaxExtensions)},
		{"too many ssrcs", "a=rtpmap:96", numbered("a=ssrc:10", " cname:x", MaxSSRCs+1) + "a=rtpmap:96"},
		{"too many rids", "a=rtpmap:96", numbered("a=rid:l", " send", MaxRIDs+1) + "a=rtpmap:96"},
		{"short ufrag", "ufrag:abcd", "ufrag:abc"},
		{"odd ufrag", "ufrag:abcd", "ufrag:ab cd"},
		{"short pwd", "pwd:abcdefghijklmnopqrstuv", "pwd:abcdefghijklmnopqrstu"},
		{"short fingerprint", "SHA-256 aa:", "SHA-256 "},
		{"odd fingerprint", "SHA-256 aa:", "SHA-256 zz:"},
		{"fingerprint without colons", "SHA-256 aa:bb", "SHA-256 aabb:"},
		{"fingerprint without hash", "SHA-256 ", ""},
		{"mid twice", "a=mid:v", "a=mid:a"},
		{"long mid", "a=mid:v", "a=mid:" + strings.Repeat("v", MaxToken+1)},
		{"payload type twice", "SAVPF 96\n", "SAVPF 96 111\na=rtpmap:111 H264/90000\n"},
		{"payload type as rtx", "SAVPF 96\n", "SAVPF 96 111\na=rtpmap:111 rtx/90000\na=fmtp:111 apt=96\n"},
		{"extension id twice", "extmap:2", "extmap:1"},
		{"odd payload type", "SAVPF 96", "SAVPF 96 x"},
		{"payload type too large", "SAVPF 96", "SAVPF 96 128"},
		{"odd rtpmap", "VP8/90000", "VP8/0"},
		{"rtpmap without rate", "VP8/90000", "VP8"},
		{"odd channels", "opus/48000/2", "opus/48000/two"},
		{"odd extmap", "extmap:2 urn", "extmap:x urn"},
		{"extmap without uri", "extmap:2 urn:ietf:params:rtp-hdrext:sdes:mid", "extmap:2"},
		{"odd ssrc", "a=rtpmap:96", "a=ssrc:x cname:y\na=rtpmap:96"},
		{"odd msid", "a=rtpmap:96", "a=msid:a b c\na=rtpmap:96"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(base, tt.old) {
				t.Fatalf("base has no %q", tt.old)
			}
			if _, err := Parse(strings.Replace(base, tt.old, tt.replacement, 1)); !errors.Is(err, ErrInvalid) {
				t.Errorf("error %v, want ErrInvalid", err)
			}
		})
	}
}

// TestTolerated: what is odd but harmless.
func TestTolerated(t *testing.T) {
	tests := []struct {
		name, old, replacement string
		check                  func(d Description) bool
	}{
		{"as it is", "v=0", "v=0", func(d Description) bool {
			return d.Fingerprint[:13] == "sha-256 AA:BB" && d.Lines[0].Direction == SendRecv && d.Lines[0].Codecs[0].HasFeedback("nack") && !d.Lines[1].Rejected
		}},
		{"session direction", "a=setup", "a=recvonly\na=setup", func(d Description) bool { return d.Lines[1].Direction == RecvOnly }},
		{"other fingerprints beside", "a=fingerprint:SHA-256", "a=fingerprint:sha-1 00:11\na=fingerprint:SHA-256", func(d Description) bool { return d.Fingerprint[:13] == "sha-256 AA:BB" }},
		{"line's own credentials", "a=mid:a", "a=mid:a\na=ice-ufrag:wxyz\na=setup:passive", func(d Description) bool { return d.Ufrag == "wxyz" && d.Setup == Passive }},
		{"port 0", "m=audio 9", "m=audio 0", func(d Description) bool { return d.Lines[0].Rejected && d.Lines[0].Format == "UDP/TLS/RTP/SAVPF 111" }},
		{"outside of the bundle", "BUNDLE a v", "BUNDLE v", func(d Description) bool { return d.Lines[0].Rejected && !d.Lines[1].Rejected }},
		{"no bundle", "a=group:BUNDLE a v\n", "", func(d Description) bool { return !d.Lines[0].Rejected && d.Lines[1].Rejected }},
		{"plain RTP", "m=audio 9 UDP/TLS/RTP/SAVPF", "m=audio 9 RTP/AVP", func(d Description) bool { return d.Lines[0].Rejected }},
		{"no known codec", "a=rtpmap:111 opus/48000/2\n", "", func(d Description) bool { return d.Lines[0].Rejected }},
		{"payload type of RTCP", "SAVPF 96", "SAVPF 72 96\na=rtpmap:72 H264/90000", func(d Description) bool { return len(d.Lines[1].Codecs) == 1 }},
		{"rtx of nothing", "SAVPF 96", "SAVPF 96 97\na=rtpmap:97 rtx/90000\na=fmtp:97 apt=95", func(d Description) bool { return len(d.Lines[1].Codecs) == 1 && d.Lines[1].Codecs[0].RTX == 0 }},
		{"one rid without simulcast", "a=mid:v", "a=mid:v\na=rid:x send", func(d Description) bool { return cmp.Equal(d.Lines[1].RIDs, []string{"x"}) }},
		{"simulcast's order, alternatives and pauses", "a=mid:v", "a=mid:v\na=rid:1 send\na=rid:2 send\na=rid:3 send\na=rid:r recv\na=simulcast:recv r send 3;~2,1;9", func(d Description) bool { return cmp.Equal(d.Lines[1].RIDs, []string{"3", "2"}) }},
		{"FID loop", "a=mid:v", "a=mid:v\na=ssrc-group:FID 1 2\na=ssrc-group:FID 2 1", func(d Description) bool { return d.Lines[1].SSRCs == nil && d.Lines[1].RTXOf == nil }},
		{"extension ids out of reach", "extmap:2", "extmap:4096", func(d Description) bool { return len(d.Lines[1].Extensions) == 0 }},
		{"candidates", "a=mid:a", "a=mid:a\n" +
			"a=candidate:1 1 UDP 2130706431 192.0.2.1 8801 typ host\n" +
			"a=candidate:2 1 tcp 1 2001:db8::1 9 typ host tcptype active generation 0\n" +
			"a=candidate:3 2 udp 1 192.0.2.1 8802 typ host\n" +
			"a=candidate:4 1 udp 1 name.local 8802 typ host\n" +
			"a=candidate:5 1 udp 1 192.0.2.1 8802 typ srflx raddr 1.2.3.4 rport 5\n" +
			"a=candidate:6 1 tcp 1 192.0.2.1 8802 typ host\n" +
			"a=candidate:7 1 udp 1 fe80::1%eth0 8802 typ host", func(d Description) bool {
			return len(d.Candidates) == 2 && d.Candidates[0].Protocol == "udp" && d.Candidates[0].Addr.String() == "192.0.2.1:8801" && d.Candidates[1].TCPType == "active"
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(base, tt.old) {
				t.Fatalf("base has no %q", tt.old)
			}
			d, err := Parse(strings.Replace(base, tt.old, tt.replacement, 1))
			if err != nil {
				t.Fatal(err)
			}
			if !tt.check(d) {
				t.Errorf("%+v", d)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.sdp")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Add(base)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("error %v is not ErrInvalid", err)
			}
			return
		}
		again, err := Parse(d.String())
		if err != nil {
			t.Fatalf("%v in what was made of it:\n%s", err, d.String())
		}
		if diff := cmp.Diff(d, again, addrs()); diff != "" {
			t.Fatal(diff)
		}
		a, err := Answer(d, AnswerParams{Ufrag: "abcd", Pwd: "abcdefghijklmnopqrstuv", Slots: map[int]Slot{1: {ID: "v1", SSRC: 1, RTX: 2}}})
		if err != nil {
			return
		}
		if _, err := Parse(a.String()); err != nil {
			t.Fatalf("%v in the answer:\n%s", err, a.String())
		}
	})
}

package mmr

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"causeway/internal/media/offer"
	"causeway/internal/mmr/forward"
	"causeway/internal/mmr/meeting"
	"causeway/protocol"
)

func TestDefaultConfigIsGood(t *testing.T) {
	if issues := DefaultConfig().Check(); len(issues) != 0 {
		t.Errorf("%+v", issues)
	}
}

func TestConfigChecks(t *testing.T) {
	for field, change := range map[string]func(*Config){
		"id":                  func(c *Config) { c.ID = "Ä" },
		"zone":                func(c *Config) { c.Zone = "" },
		"control_url":         func(c *Config) { c.ControlURL = "https://host/" },
		"local_control_url":   func(c *Config) { c.LocalControlURL = "wss://localhost/" },
		"media_listen":        func(c *Config) { c.MediaListen = "8801" },
		"media_tls":           func(c *Config) { c.MediaTLS = "media.example.org" },
		"public_addresses[1]": func(c *Config) { c.PublicAddresses = []string{"192.0.2.1", "0.0.0.0"} },
		"shards":              func(c *Config) { c.Shards = -1 },
		"limits.participants": func(c *Config) { c.Limits.Participants = -1 },
		"limits.egress_bps":   func(c *Config) { c.Limits.EgressBPS = math.NaN() },
	} {
		c := DefaultConfig()
		change(&c)
		issues := c.Check()
		if len(issues) != 1 || issues[0].Field != field || issues[0].Problem == "" || issues[0].Remedy == "" {
			t.Errorf("%s: %+v", field, issues)
		}
	}
}

func TestParseListen(t *testing.T) {
	for in, want := range map[string]string{
		":8801": "invalid AddrPort", "*:8801": "invalid AddrPort", "0.0.0.0:1": "0.0.0.0:1", "[::1]:0": "[::1]:0",
	} {
		got, err := parseListen(in)
		if err != nil || got.String() != want {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	if got, _ := parseListen(":8801"); got.Port() != 8801 {
		t.Errorf("port %d", got.Port())
	}
	for _, bad := range []string{"", "8801", "host:8801", ":x", ":65536", ":-1"} {
		if got, err := parseListen(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestCandidates(t *testing.T) {
	port := netip.MustParseAddrPort("[::]:8801")
	got, err := mediaCandidates([]string{"192.0.2.1", "2001:db8::1"}, port)
	if err != nil || len(got) != 2 || got[0].Addr.String() != "192.0.2.1:8801" || got[1].Addr.String() != "[2001:db8::1]:8801" {
		t.Fatalf("%+v %v", got, err)
	}
	if got[0].Priority != 2130706431 || got[1].Priority >= got[0].Priority { // RFC 8445 section 5.1.2.1
		t.Errorf("priorities %d, %d", got[0].Priority, got[1].Priority)
	}
	if got, err = mediaCandidates(nil, netip.MustParseAddrPort("127.0.0.1:5")); err != nil || len(got) != 1 || got[0].Addr.String() != "127.0.0.1:5" {
		t.Errorf("%+v %v", got, err)
	}
	got, err = mediaCandidates(nil, port)
	if err != nil || len(got) == 0 {
		t.Fatalf("%+v %v", got, err)
	}
	last := got[len(got)-1].Addr.Addr()
	for _, c := range got {
		if c.Addr.Addr().IsLoopback() && !last.IsLoopback() {
			t.Errorf("loopback %v before %v", c.Addr, last)
		}
	}
	if _, err := mediaCandidates([]string{"nonsense"}, port); err == nil {
		t.Error("nonsense was taken")
	}
}

// A machine without any network has a router all the same, for itself.
func TestNoInterfaceIsUp(t *testing.T) {
	if got := usable(nil); len(got) != 1 || !got[0].IsLoopback() {
		t.Errorf("%v", got)
	}
}

func newTestRegistry(t *testing.T) *registry {
	router := forward.New(time.Now())
	router.Start(nil)
	var r *registry
	r = newRegistry(func(_ context.Context, info protocol.MeetingInfo) *meeting.Meeting {
		return meeting.New(meeting.Config{
			Info: info, Router: router, Log: quiet(),
			Gone: r.dropSession, Count: func(n int) { r.setCount(info.ID, n) }, Ended: func(string) { r.end(info.ID, time.Now()) },
		})
	}, func(context.Context, *meeting.Meeting) {})
	return r
}

func TestRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestRegistry(t)
		info := protocol.MeetingInfo{ID: "m1"}
		_, err := r.open(info)
		wantProblem(t, err, protocol.ProblemMMRUnavailable)
		ctx, cancel := context.WithCancel(t.Context())
		r.start(ctx)
		m, err := r.open(info)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := r.open(info); again != m {
			t.Error("the same meeting was made twice")
		}
		time.Sleep(meeting.EmptyFor + 5*time.Second) // virtual time
		synctest.Wait()
		if r.carries("m1") != nil || len(r.legs()) != 0 {
			t.Error("an empty meeting is still carried")
		}
		fresh, err := r.open(info)
		if err != nil || fresh == m {
			t.Errorf("after it ran empty: %v", err)
		}
		if err := fresh.Command(ctx, protocol.MeetingCommand{End: true}); err != nil {
			t.Fatal(err)
		}
		<-fresh.Done()
		_, err = r.open(info)
		wantProblem(t, err, protocol.ProblemMeetingEnded)
		r.weather(time.Now().Add(tombstoneFor + time.Second))
		if _, err := r.open(info); err != nil {
			t.Errorf("a tombstone stands for ever: %v", err)
		}
		cancel()
		r.stop()
		_, err = r.open(info)
		wantProblem(t, err, protocol.ProblemMMRUnavailable)
	})
}

func TestTombstonesAreBounded(t *testing.T) {
	r := newTestRegistry(t)
	now := time.Now()
	r.end("first", now.Add(-time.Hour))
	for i := range maxTombstones - 1 {
		r.ended[fmt.Sprint("m", i)] = now
	}
	r.end("last", now)
	if len(r.ended) > maxTombstones || r.isEnded("first") || !r.isEnded("last") {
		t.Errorf("%d tombstones, first %v, last %v", len(r.ended), r.isEnded("first"), r.isEnded("last"))
	}
}

// TestPublishedCodec: what is offered first, but a simulcast is never scalable.
func TestPublishedCodec(t *testing.T) {
	vp8, vp9 := offer.Codec{Name: offer.VP8}, offer.Codec{Name: "vp9"}
	for _, tt := range []struct {
		rids []string
		list []offer.Codec
		want string
	}{
		{nil, []offer.Codec{vp9, vp8}, "vp9"},
		{nil, []offer.Codec{vp8, vp9}, offer.VP8},
		{[]string{"q", "h"}, []offer.Codec{vp9, vp8}, offer.VP8},
		{[]string{"f"}, []offer.Codec{vp9}, "vp9"},
	} {
		if got := published(&offer.Line{RIDs: tt.rids, Codecs: tt.list}); len(got) != 1 || got[0].Name != tt.want {
			t.Errorf("%v of %v: %v", tt.rids, tt.list, got)
		}
	}
	if got := published(&offer.Line{RIDs: []string{"q", "f"}, Codecs: []offer.Codec{vp9}}); got != nil {
		t.Errorf("a simulcast in %v", got)
	}
}

// TestCameraInTwoForms: a second line that sends pictures is the camera once
// more, if it has a scalable codec that the router forwards.
func TestCameraInTwoForms(t *testing.T) {
	forwarded := offer.ForwardedCodecs(offer.Video)
	codec := func(name string) []offer.Codec {
		return slices.DeleteFunc(slices.Clone(forwarded), func(c offer.Codec) bool { return c.Name != name })
	}
	layers := offer.Extension{ID: 12, URI: offer.URIDependencyDescriptor}
	for _, tt := range []struct {
		name       string
		codecs     []offer.Codec
		extensions []offer.Extension
		mixed      bool
		want       string // codec of the second form
	}{
		{"VP9", codec(offer.VP9), nil, false, offer.VP9},
		{"AV1", codec(offer.AV1), []offer.Extension{layers}, true, offer.AV1},
		{"AV1 before VP9", append(codec(offer.AV1), codec(offer.VP9)...), []offer.Extension{layers}, true, offer.AV1},
		{"AV1 without descriptors", append(codec(offer.AV1), codec(offer.VP9)...), nil, true, offer.VP9},
		{"AV1 without long descriptors", append(codec(offer.AV1), codec(offer.VP9)...), []offer.Extension{layers}, false, offer.VP9},
		{"nothing scalable", codec(offer.H264), nil, false, ""},
	} {
		d := offer.New(offer.Params{Ufrag: "client00", Pwd: "clientpasswordclientpasswo", Fingerprint: testFingerprint, Lines: []offer.LineParams{
			{Kind: offer.Video, Direction: offer.SendOnly, RIDs: []string{"q", "h", "f"}, Stream: "x"},
			{Kind: offer.Video, Direction: offer.SendOnly, Codecs: tt.codecs, SSRC: 7, Stream: "y"},
			{Kind: offer.Video, Direction: offer.RecvOnly, Codecs: forwarded},
		}})
		d.Mixed = tt.mixed
		for i := range d.Lines {
			d.Lines[i].Extensions = append(d.Lines[i].Extensions, tt.extensions...)
		}
		p, err := newPlan(protocol.Video, d.String())
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		got := ""
		if p.publish[1] == protocol.CameraScalable && p.answer.Lines[1].Direction == offer.RecvOnly {
			got = p.answer.Lines[1].Codecs[0].Name
		}
		if p.publish[0] != protocol.Camera || p.answer.Lines[0].Codecs[0].Name != offer.VP8 || got != tt.want || (got != "") != (len(p.publish) == 2) {
			t.Errorf("%s: %v, %q", tt.name, p.publish, got)
		}
		for i, l := range p.answer.Lines {
			described := l.ExtensionID(offer.URIDependencyDescriptor) != 0
			if av1 := slices.ContainsFunc(l.Codecs, func(c offer.Codec) bool { return c.Name == offer.AV1 }); described != av1 {
				t.Errorf("%s: line %d has AV1: %v, its layers told: %v", tt.name, i, av1, described)
			}
		}
	}
}

const testFingerprint = "sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F"

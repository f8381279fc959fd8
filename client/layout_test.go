package client

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"causeway/internal/media/offer"
	"causeway/protocol"
)

func TestArrange(t *testing.T) {
	person := func(id string) protocol.Participant {
		return protocol.Participant{ID: strings.ToLower(id), VideoMuted: strings.ToLower(id) != id}
	}
	tests := []struct {
		name     string
		slots    int
		people   string // upper case: no camera
		speakers string
		had      string // slot by slot, "-" for empty
		want     string
	}{
		{"alone", 3, "m", "", "", ""},
		{"first come", 2, "m a b c", "", "", "a b"},
		{"without camera", 2, "m A b C d", "", "", "b d"},
		{"more slots than people", 4, "m a", "", "", "a"},
		{"keeps its slot", 3, "m a b c d", "", "b d a", "b d a"},
		{"fills the gap", 3, "m a b c d", "", "b x a", "b c a"},
		{"speaker comes in", 2, "m a b c", "c", "a b", "a c"},
		{"speaker is shown", 2, "m a b c", "b", "a b", "a b"},
		{"somebody louder", 1, "m a b c", "b a", "a", "a"},
		{"self speaks", 2, "m a b c", "m", "a b", "a b"},
		{"camera off", 2, "m A b", "a", "a b", "- b"},
		{"no slots", 0, "m a b", "a", "", ""},
	}
	for _, tt := range tests {
		var people []protocol.Participant
		for _, id := range strings.Fields(tt.people) {
			people = append(people, person(id))
		}
		var speakers []protocol.Speaker
		for _, id := range strings.Fields(tt.speakers) {
			speakers = append(speakers, protocol.Speaker{Participant: id})
		}
		parse := func(s string) map[protocol.SlotID]string {
			m := map[protocol.SlotID]string{}
			for i, id := range strings.Fields(s) {
				if id != "-" {
					m[protocol.SlotID(fmt.Sprint("v", i+1))] = id
				}
			}
			return m
		}
		var had []protocol.SlotWant
		for i := range tt.slots {
			id := slotID(protocol.Video, i)
			if p := parse(tt.had)[id]; p != "" {
				had = append(had, protocol.SlotWant{Slot: id, Participant: p, MaxHeight: 720})
			}
		}
		got := map[protocol.SlotID]string{}
		for _, w := range arrange(tt.slots, 720, "m", people, speakers, had) {
			got[w.Slot] = w.Participant
			if w.MaxHeight != 720 {
				t.Errorf("%s: height %d", tt.name, w.MaxHeight)
			}
		}
		if d := cmp.Diff(parse(tt.want), got); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
	}
}

func TestPlans(t *testing.T) {
	card := TestCard()
	defer card.Close()
	screen := []Track{{Source: protocol.ScreenAudio, Codec: Opus}, {Source: protocol.Screen, Codec: H264}}
	tests := []struct {
		name    string
		tracks  []Track
		video   int
		content bool
		want    string // lines of each offer: kind, direction, rids
	}{
		{"listener", nil, 0, false, "audio: a<a<a<"},
		{"watcher", nil, 2, true, "audio: a<a<a< video: v<v< content: v<a<"},
		{"test card", card.Tracks(), 0, false, "audio: a>a<a<a< video: v>hq"},
		{"test card and watcher", card.Tracks(), 1, true, "audio: a>a<a<a< video: v>hqv< content: v<a<"},
		{"screen", screen, 0, true, "audio: a<a<a< content: v>a>v<a<"},
	}
	for _, tt := range tests {
		var got []string
		for _, p := range plans(tt.tracks, 3, tt.video, tt.content) {
			d, err := offer.Parse(p.offer("sha-256 "+strings.Repeat("AA:", 31)+"AA", "me"))
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			s := string(p.kind) + ": "
			for _, l := range d.Lines {
				s += string(l.Kind[0]) + map[offer.Direction]string{offer.SendOnly: ">", offer.RecvOnly: "<"}[l.Direction] + strings.Join(l.RIDs, "")
			}
			got = append(got, s)
			checkAnswered(t, p, d)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, s, tt.want)
		}
	}
}

// checkAnswered has the offer answered and looks at the slots that come of it.
func checkAnswered(t *testing.T, p *plan, d offer.Description) {
	t.Helper()
	slots := map[int]offer.Slot{}
	for i, l := range d.Lines {
		if l.Direction.Receives() {
			slots[i] = offer.Slot{ID: "x", SSRC: uint32(100 + i), RTX: uint32(200 + i)}
		}
	}
	a, err := offer.Answer(d, offer.AnswerParams{
		Ufrag: "ufrg", Pwd: strings.Repeat("p", 22), Fingerprint: d.Fingerprint, Slots: slots,
		Candidates: []offer.Candidate{{Protocol: "udp"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	in, err := p.accept(&a)
	if err != nil {
		t.Fatal(err)
	}
	if len(in) != p.sounds+p.picture {
		t.Errorf("%s: %d slots of %d", p.kind, len(in), p.sounds+p.picture)
	}
	for _, s := range in {
		if !strings.Contains("a1a2a3v1v2c1s1", string(s.id)) || s.ssrc == 0 || (s.rtx != 0) != (s.clock.rate == videoClock) {
			t.Errorf("%s: slot %s with SSRC %d, RTX %d", p.kind, s.id, s.ssrc, s.rtx)
		}
	}
	for _, o := range p.streams {
		if o.mid == "" || o.extensions.mid == 0 || (o.layer != "") != (o.extensions.rid != 0) {
			t.Errorf("%s: stream %q %q %+v", p.kind, o.mid, o.layer, o.extensions)
		}
	}
	if len(p.streams) > 0 { // an answer that takes nothing
		a.Lines[0].Rejected = true
		if _, err := p.accept(&a); err == nil {
			t.Error("accepted an answer that takes nothing")
		}
	}
}

func TestCheckTracks(t *testing.T) {
	mic, camera := Track{Source: protocol.Mic, Codec: Opus}, Track{Source: protocol.Camera, Codec: VP8}
	layer := func(l string) Track { return Track{Source: protocol.Camera, Codec: VP8, Layer: l} }
	tests := []struct {
		name   string
		tracks []Track
		ok     bool
	}{
		{"usual", []Track{mic, camera}, true},
		{"layers", []Track{layer("q"), layer("h"), mic}, true},
		{"two cameras", []Track{camera, camera}, false},
		{"same layer", []Track{layer("q"), layer("q")}, false},
		{"one without layer", []Track{layer("q"), camera}, false},
		{"two microphones", []Track{mic, {Source: protocol.Mic, Codec: Opus, Layer: "q"}}, false},
		{"sound as picture", []Track{{Source: protocol.Camera, Codec: Opus}}, false},
		{"unknown source", []Track{{Source: "smell", Codec: VP8}}, false},
		{"unknown codec", []Track{{Source: protocol.Camera, Codec: "av1"}}, false},
	}
	for _, tt := range tests {
		if err := checkTracks(tt.tracks); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

var moment = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

func ptr[T any](v T) *T { return &v }

// samples has one message of every type, every field filled.
var samples = map[string][]ControlMessage{
	"from_client.json": {
		Hello{Session: "0f5c", Token: "eyJ…"},
		Soon{},
		Enter{Token: "eyJ…"},
		SetState{AudioMuted: ptr(true), VideoMuted: ptr(false), Sharing: ptr(true), HandRaised: ptr(true)},
		SendChat{Text: "大家好 <hello> & goodbye"},
		Want{Slots: []SlotWant{{Slot: "v1", Participant: "p2", MaxHeight: 360}}},
		Restart{Connections: []Credentials{{Kind: Audio, Ufrag: "F7gI", Pwd: "x9cml/YzichV2+XlhiMu8g"}}},
		HostAction{Action: HostMute, Participant: "p2"},
		Leave{},
		Ping{N: 7},
	},
	"from_router.json": {
		Standby{ForMS: 60000},
		Welcome{
			Meeting:     MeetingInfo{ID: "m1", Number: "1234567890", Topic: "Standup", ScheduledAt: &moment, Kind: KindWebinar},
			Participant: "p1",
			Admitted:    1773500966000,
			Participants: []Participant{{
				ID: "p1", Name: "Ann", Role: Host, JoinedAt: moment, ClientKind: "web", AudioMuted: true,
				VideoMuted: true, Sharing: true, HandRaisedAt: moment, Path: PathOK,
			}},
			Slots: []SlotState{{Slot: "a1", Participant: "p2", Source: Mic}},
			Chat:  []Chat{{ID: "c1", From: "p2", Name: "Ben", Text: "hi", At: moment}},
			Parts: 1, Attendees: 811, NowMS: 1000.5,
		},
		Roster{
			Changed: []Participant{{ID: "p2", Name: "Ben", Role: Guest, JoinedAt: moment, Path: PathConnecting}},
			Left:    []Left{{ID: "p3", Reason: FarewellLost}},
		},
		Audience{Attendees: 812},
		Slots{Slots: []SlotState{{Slot: "v1", Participant: "p2", Source: Camera}, {Slot: "v2"}}},
		Sync{NowMS: 2000.25, Slots: []SlotSync{{Slot: "v1", RTP: 4294967295, ClockRate: 90000, AtMS: 1999.75}}},
		Speakers{Speakers: []Speaker{{Participant: "p2", Level: 23}}},
		Chat{ID: "c2", From: "p1", Name: "Ann", Text: "hello", At: moment, Panel: true},
		Layers{Source: Camera, Active: []bool{true, true, false}},
		Muted{By: "p1"},
		Move{DeadlineMS: 30000, Reason: ResumeDrain},
		Farewell{Reason: FarewellRemoved, By: "p1"},
		Refusal{Problem: *NewProblem(ProblemNotHost, "mute"), Fatal: true},
		Pong{N: 7, NowMS: 3000},
	},
}

// TestGolden holds the wire form of every control message; the web client's
// tests read the same files.
func TestGolden(t *testing.T) {
	for name, messages := range samples {
		t.Run(name, func(t *testing.T) {
			var lines [][]byte
			for _, m := range messages {
				b, err := EncodeControl(m)
				if err != nil {
					t.Fatal(err)
				}
				lines = append(lines, b)
			}
			got := append([]byte("[\n"), append(bytes.Join(lines, []byte(",\n")), "\n]\n"...)...)
			file := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("the wire form changed; if meant, run with -update (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSamplesAreComplete makes sure that no message is missing above.
func TestSamplesAreComplete(t *testing.T) {
	for name, all := range map[string][]ControlMessage{"from_client.json": FromClient, "from_router.json": FromRouter} {
		var have, want []string
		for _, m := range samples[name] {
			have = append(have, m.ControlType())
		}
		for _, m := range all {
			want = append(want, m.ControlType())
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestControlRoundTrip(t *testing.T) {
	decoders := map[string]func([]byte) (ControlMessage, error){
		"from_client.json": DecodeFromClient, "from_router.json": DecodeFromRouter,
	}
	for name, decode := range decoders {
		for _, m := range samples[name] {
			data, err := EncodeControl(m)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decode(data)
			if err != nil {
				t.Fatalf("%s: %v", m.ControlType(), err)
			}
			if diff := cmp.Diff(m, reflect.ValueOf(got).Elem().Interface(), cmp.AllowUnexported(Problem{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", m.ControlType(), diff)
			}
		}
	}
}

func TestDecodeControlRefuses(t *testing.T) {
	for name, data := range map[string]string{
		"nothing":       ``,
		"not JSON":      `hello`,
		"no type":       `{}`,
		"array":         `[]`,
		"wrong field":   `{"type":"ping","n":"seven"}`,
		"other way":     `{"type":"welcome"}`,
		"number type":   `{"type":1}`,
		"too large":     `{"type":"send_chat","text":"` + strings.Repeat("a", MaxControlMessage) + `"}`,
		"trailing text": `{"type":"leave"} x`,
	} {
		t.Run(name, func(t *testing.T) {
			if m, err := DecodeFromClient([]byte(data)); err == nil {
				t.Errorf("decoded as %T", m)
			}
		})
	}
	if _, err := DecodeFromRouter([]byte(`{"type":"future"}`)); !errors.Is(err, ErrUnknownMessage) {
		t.Errorf("unknown type gave %v", err)
	}
}

func FuzzDecodeFromClient(f *testing.F) {
	for _, m := range samples["from_client.json"] {
		data, _ := EncodeControl(m)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := DecodeFromClient(data)
		if err != nil {
			return
		}
		again, err := EncodeControl(m)
		if err != nil {
			t.Fatalf("decoded but cannot be encoded: %v", err)
		}
		if !json.Valid(again) {
			t.Fatalf("not JSON: %s", again)
		}
	})
}

package protocol

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// legSamples has one message of each kind that legs exchange, every field
// filled.
var legSamples = []any{
	LegUpdate{
		Epoch: 1789000000000000, Version: 7, Whole: true, Part: 1, Parts: 2,
		Changed: []LegPerson{{
			Participant: Participant{
				ID: "p1", Name: "Ann", Role: Host, JoinedAt: moment, ClientKind: "web", AudioMuted: true,
				VideoMuted: true, Sharing: true, HandRaisedAt: moment, Path: PathOK,
			},
			Revision: 6, Admitted: 1789000000123, Established: true,
			Sources: []LegSource{{
				Kind: Camera, Stream: 4294967295,
				Codec: LegCodec{Name: "VP9", ClockRate: 90000, Channels: 1, Fmtp: "profile-id=0", PayloadType: 98},
			}},
			Scalable: []string{"VP9", "AV1"}, CameraScalable: true,
		}},
		Left:     []LegLeft{{ID: "p2", Reason: FarewellLeft}},
		Settings: []LegSetting{{Key: "removed/p3", Value: "p1", Clock: 4, By: "tokyo/mmr-1"}},
		People:   1<<64 - 1, Set: 1 << 63, Chat: 5, Fingerprint: "sha-256 AB:CD", OnPremises: true, Gone: true,
	},
	LegAsk{Zone: "tokyo", MMR: "mmr-1", People: true, Shared: true},
	LegChat{Messages: []Chat{{ID: "c1", From: "p1", Name: "Ann", Text: "hi", At: moment}}},
	LegDo{Meeting: "m1", By: "p1", Action: HostMute, Participant: "p2"},
}

func TestLegsGolden(t *testing.T) {
	var got bytes.Buffer
	for _, m := range legSamples {
		line, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(append(line, '\n'))
		back := reflect.New(reflect.TypeOf(m))
		if err := json.Unmarshal(line, back.Interface()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, back.Elem().Interface()); diff != "" {
			t.Errorf("%T does not come back the same:\n%s", m, diff)
		}
	}
	file := filepath.Join("testdata", "legs.jsonl")
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the wire form changed; if meant, run with -update (-want +got):\n%s", diff)
	}
}

func TestLegSubjects(t *testing.T) {
	for got, want := range map[string]string{
		SubjectMeeting("m"):              "meeting.m.>",
		SubjectMeetingLeg("m", "z", "r"): "meeting.m.leg.z.r",
		SubjectMeetingDo("*", "z", "r"):  "meeting.*.leg.z.r.do",
		SubjectMeetingAsk("m"):           "meeting.m.ask",
		SubjectMeetingChat("m"):          "meeting.m.chat",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"causeway/client"
	"causeway/protocol"
)

var updateView = flag.Bool("update-view", false, "write the golden files of the live view anew")

func exampleView() viewState {
	s := viewState{
		Topic: "Tulips", Number: "123456789", Self: "me", Zone: "taipei", MMR: "mmr-1",
		Elapsed: time.Hour + 2*time.Minute + 3*time.Second,
		Levels:  map[string]int{"a": 12, "b": 60},
		People: []protocol.Participant{
			{ID: "me", Name: "Ada Lovelace", Role: protocol.Host, AudioMuted: true, VideoMuted: true, Path: protocol.PathOK},
			{ID: "a", Name: "蘇東坡", Role: protocol.Guest, Path: protocol.PathOK, HandRaisedAt: time.Unix(1, 0)},
			{ID: "b", Name: "Mallory\x1b[2J\u202e who has a very long name", VideoMuted: true, Path: protocol.PathSilent, Sharing: true},
		},
		Recording: true, Files: 2, Frames: 1234,
	}
	for i, kind := range protocol.MediaKinds {
		s.Media = append(s.Media, viewMedia{
			Kind: kind, Sent: 3.21e4 * float64(i*50+1), Received: 512,
			Traffic: client.Traffic{
				Transport: protocol.UDP, Remote: "192.0.2.7:8801", Path: "active", RTT: time.Duration(i) * 7300 * time.Microsecond,
				MediaReport: protocol.MediaReport{PacketsReceived: 990, PacketsLost: uint64(i * 10)},
			},
		})
	}
	for _, n := range []string{"one", "two", "three", "four", "five", "six"} {
		s.News = append(s.News, "12:00:00 "+n)
	}
	return s
}

func TestView(t *testing.T) {
	crowd := exampleView()
	for range 40 {
		crowd.People = append(crowd.People, protocol.Participant{Name: "Someone", Path: protocol.PathOK})
	}
	tests := []struct {
		name          string
		state         viewState
		width, height int
	}{
		{"usual", exampleView(), 100, 30},
		{"narrow", exampleView(), 40, 24},
		{"crowd", crowd, 80, 24},
		{"empty", viewState{}, 80, 24},
		{"tiny", exampleView(), 10, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lines := render(tt.state, tt.width, tt.height)
			if len(lines) > tt.height {
				t.Errorf("%d lines on a screen of %d", len(lines), tt.height)
			}
			for _, l := range lines {
				if clip(l, tt.width) != l || clean(l) != l {
					t.Errorf("line %q does not fit", l)
				}
			}
			got := strings.Join(lines, "\n") + "\n"
			path := filepath.Join("testdata", "view-"+tt.name+".txt")
			if *updateView {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestViewOfNothing(*testing.T) {
	for w := range 20 {
		for h := range 20 {
			render(exampleView(), w, h)
		}
	}
}

// The screen is drawn in one write, in the size that the terminal has at the
// time, and left as it was found.
func TestScreen(t *testing.T) {
	var out writes
	width := 40
	s := newScreen(&out, func() (int, int) { return width, 12 })
	s.draw(exampleView()) // not open yet
	s.open()
	s.draw(exampleView())
	width = 20
	s.draw(exampleView())
	s.close()
	s.close()
	if len(out) != 4 || out[0] != enterScreen || out[3] != leaveScreen {
		t.Fatalf("%d writes: %q", len(out), []string(out))
	}
	for i, want := range []int{40, 20} {
		frame := strings.TrimSuffix(strings.TrimPrefix(out[i+1], home), clearBelow)
		lines := strings.Split(frame, "\r\n")
		if len(lines) != 12 {
			t.Errorf("%d lines", len(lines))
		}
		for _, l := range lines {
			text, ok := strings.CutSuffix(l, clearLine)
			if !ok || clip(text, want) != text {
				t.Errorf("line %q", l)
			}
		}
	}
	var none *screen
	none.open()
	none.draw(viewState{})
	none.close()
}

type writes []string

func (w *writes) Write(b []byte) (int, error) {
	*w = append(*w, string(bytes.Clone(b)))
	return len(b), nil
}

func TestClip(t *testing.T) {
	tests := []struct {
		s     string
		width int
		want  string
	}{
		{"abc", 3, "abc"},
		{"abc", 2, "ab"},
		{"蘇東坡", 5, "蘇東"},
		{"e\u0301e\u0301", 1, "e\u0301"},
		{"abc", 0, ""},
	}
	for _, tt := range tests {
		if got := clip(tt.s, tt.width); got != tt.want {
			t.Errorf("%q to %d: %q, want %q", tt.s, tt.width, got, tt.want)
		}
	}
	if got := pad("蘇", 4); got != "蘇  " {
		t.Errorf("padded %q", got)
	}
}

package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"causeway/client"
	"causeway/protocol"
)

// A view gathers what the live view shows, from a meeting.
type view struct {
	meeting  *client.Meeting
	recorder *client.Recorder
	began    time.Time
	last     time.Time
	bytes    map[protocol.MediaKind][2]uint64
	state    viewState
}

// viewState is what the live view shows; drawing it is pure.
type viewState struct {
	Topic, Number string
	Self          string // participant id
	Zone, MMR     string
	Elapsed       time.Duration
	People        []protocol.Participant
	Levels        map[string]int // of who speaks, dB below full scale
	Media         []viewMedia
	Files, Frames int // of the recording
	Recording     bool
	News          []string // latest last
}

// viewMedia is a row of the table of media connections.
type viewMedia struct {
	Kind     protocol.MediaKind
	Traffic  client.Traffic
	Sent     float64 // bits per second
	Received float64
}

// newsKept is how many happenings the view remembers.
const newsKept = 50

func newView(m *client.Meeting, r *client.Recorder, now time.Time) *view {
	v := &view{meeting: m, recorder: r, began: now, last: now, bytes: map[protocol.MediaKind][2]uint64{}}
	v.update(now)
	return v
}

// event notes what happened.
func (v *view) event(e client.Event) {
	switch e.Kind {
	case client.Speaking, client.Carries, client.KeyWanted, client.Changed:
		return
	}
	v.state.News = append(v.state.News, e.At.Format("15:04:05 ")+clean(e.String()))
	v.state.News = v.state.News[max(0, len(v.state.News)-newsKept):]
}

// update asks the meeting how things stand.
func (v *view) update(now time.Time) {
	s := &v.state
	info, report := v.meeting.Info(), v.meeting.Report()
	s.Topic, s.Number, s.Self = info.Topic, info.Number, v.meeting.Self().ID
	s.Zone, s.MMR, s.Elapsed = report.Zone, report.MMR, now.Sub(v.began)
	s.People = v.meeting.Participants()
	s.Levels = map[string]int{}
	for _, p := range v.meeting.Speakers() {
		s.Levels[p.Participant] = p.Level
	}
	s.Media = s.Media[:0]
	traffic := v.meeting.Traffic()
	interval := now.Sub(v.last).Seconds()
	for _, kind := range protocol.MediaKinds {
		t, ok := traffic[kind]
		if !ok {
			continue
		}
		row, was := viewMedia{Kind: kind, Traffic: t}, v.bytes[kind]
		if interval > 0 && t.BytesSent >= was[0] && t.BytesReceived >= was[1] {
			row.Sent = float64(t.BytesSent-was[0]) * 8 / interval
			row.Received = float64(t.BytesReceived-was[1]) * 8 / interval
		}
		v.bytes[kind] = [2]uint64{t.BytesSent, t.BytesReceived}
		s.Media = append(s.Media, row)
	}
	v.last = now
	if v.recorder != nil {
		s.Recording, s.Files, s.Frames = true, 0, 0
		for _, r := range v.recorder.Manifest().Recordings {
			s.Files++
			s.Frames += r.Frames
		}
	}
}

// render draws the state into at most height lines of at most width columns,
// without escape sequences.
func render(s viewState, width, height int) []string {
	head := []string{
		fmt.Sprintf("%s  %s   %s", orElse(s.Topic, "Meeting"), s.Number, clock(s.Elapsed)),
		fmt.Sprintf("zone %s, router %s", s.Zone, s.MMR),
		"",
	}
	media := []string{"", "connection  path    rtt       out        in      lost  remote"}
	for _, m := range s.Media {
		media = append(media, fmt.Sprintf("%-10s  %-6s %5s %9s %9s %7.2f%%  %s %s", m.Kind, m.Traffic.Path,
			roundTrip(m.Traffic.RTT), bitRate(m.Sent), bitRate(m.Received), lossPercent(m.Traffic), m.Traffic.Transport, m.Traffic.Remote))
	}
	if s.Recording {
		media = append(media, "", fmt.Sprintf("recording   %d files, %d frames", s.Files, s.Frames))
	}
	foot := "Ctrl-C leaves."
	room := height - len(head) - len(media) - 2
	people := renderPeople(s, max(room-4, 1))
	lines := append(append(head, people...), media...)
	if rest := height - len(lines) - 2; rest > 1 {
		lines = append(lines, "")
		news := s.News[max(0, len(s.News)-(rest-1)):]
		lines = append(lines, news...)
	}
	lines = append(lines, "", foot)
	lines = lines[:min(len(lines), max(height, 0))]
	for i := range lines {
		lines[i] = clip(clean(lines[i]), width)
	}
	return lines
}

func renderPeople(s viewState, room int) []string {
	lines := make([]string, 0, len(s.People)+1)
	for _, p := range s.People {
		if len(lines) == room-1 && len(s.People) > room {
			return append(lines, fmt.Sprintf("  … and %d more", len(s.People)-len(lines)))
		}
		level, speaks := s.Levels[p.ID]
		marks := []string{}
		mark := func(set bool, word string) {
			if set {
				marks = append(marks, word)
			}
		}
		mark(p.ID == s.Self, "you")
		mark(p.Role == protocol.Host, "host")
		mark(p.Role == protocol.Attendee, "watching")
		mark(p.AudioMuted, "muted")
		mark(!p.VideoMuted, "camera")
		mark(p.Sharing, "sharing")
		mark(!p.HandRaisedAt.IsZero(), "hand up")
		mark(p.Path != protocol.PathOK, string(p.Path))
		lines = append(lines, fmt.Sprintf("%s %s %s", meter(level, speaks), pad(clip(clean(p.Name), 24), 24), strings.Join(marks, ", ")))
	}
	return lines
}

// meter draws how loud somebody is, in six columns.
func meter(level int, speaks bool) string {
	if !speaks {
		return "  ····"
	}
	bars := min(max((70-level)/12, 1), 4)
	return "▶ " + strings.Repeat("█", bars) + strings.Repeat("·", 4-bars)
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func clock(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

func roundTrip(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1fms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%dms", d.Milliseconds())
}

func bitRate(bps float64) string {
	if bps >= 1e6 {
		return fmt.Sprintf("%.2fMb/s", bps/1e6)
	}
	return fmt.Sprintf("%.0fkb/s", bps/1e3)
}

func lossPercent(t client.Traffic) float64 {
	if t.PacketsReceived+t.PacketsLost == 0 {
		return 0
	}
	return 100 * float64(t.PacketsLost) / float64(t.PacketsReceived+t.PacketsLost)
}

// clean takes control characters out of what others have written, so that
// nobody's name can play with the terminal.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) {
			return -1
		}
		return c
	}, s)
}

// columns is how many columns a character takes.
func columns(c rune) int {
	switch {
	case unicode.In(c, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case c >= 0x1100 && c <= 0x115F, c >= 0x2E80 && c <= 0xA4CF, c >= 0xAC00 && c <= 0xD7A3,
		c >= 0xF900 && c <= 0xFAFF, c >= 0xFE30 && c <= 0xFE6F, c >= 0xFF00 && c <= 0xFF60,
		c >= 0xFFE0 && c <= 0xFFE6, c >= 0x1F300 && c <= 0x1FAFF, c >= 0x20000 && c <= 0x3FFFD:
		return 2
	}
	return 1
}

// clip shortens s to width columns.
func clip(s string, width int) string {
	n := 0
	for i, c := range s {
		if n += columns(c); n > width {
			return s[:i]
		}
	}
	return s
}

// pad lengthens s to width columns.
func pad(s string, width int) string {
	for _, c := range s {
		width -= columns(c)
	}
	return s + strings.Repeat(" ", max(width, 0))
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/at-wat/ebml-go"
	"github.com/at-wat/ebml-go/webm"

	"causeway/client"
	"causeway/protocol"
)

// upForJoin runs `causeway up` on free ports for a test, and makes a meeting.
func upForJoin(t *testing.T) (ca string, meeting created) {
	t.Helper()
	dir := t.TempDir()
	ctx, stop := context.WithCancel(context.Background())
	out, in := io.Pipe()
	var tasks sync.WaitGroup
	tasks.Go(func() {
		defer in.Close()
		args := []string{"up", "--listen", "127.0.0.1:0", "--http", "off", "--media-port", "0", "--data", dir, "--json"}
		if status := execute(ctx, args, console{in, os.Stderr}); status != 0 {
			t.Errorf("up: exit status %d", status)
		}
	})
	t.Cleanup(func() {
		stop()
		tasks.Wait()
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal("up was never ready")
	}
	var ready readiness
	if err := json.Unmarshal(line, &ready); err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	args := []string{"meeting", "create", "--server", ready.Web, "--ca", ready.CA, "--api-key", ready.APIKey, "--json"}
	if status := execute(ctx, args, console{&printed, os.Stderr}); status != 0 {
		t.Fatalf("meeting create: exit status %d", status)
	}
	if err := json.Unmarshal(printed.Bytes(), &meeting); err != nil {
		t.Fatal(err)
	}
	return ready.CA, meeting
}

// joinWith runs `causeway join` to its end.
func joinWith(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = execute(t.Context(), append([]string{"join"}, args...), console{&out, &errs})
	return status, out.String(), errs.String()
}

// One participant publishes the test card, another records it: nearly all of
// it must be in the files, in sync.
func TestJoinPublishAndRecord(t *testing.T) {
	ca, meeting := upForJoin(t)
	dir := t.TempDir()
	var tasks sync.WaitGroup
	tasks.Go(func() {
		status, out, errs := joinWith(t, meeting.JoinURL, "--ca", ca, "--name", "Ada", "--publish", "testcard", "--duration", "6s", "--report", "-")
		if status != 0 {
			t.Errorf("publisher: exit status %d\n%s", status, errs)
		}
		checkReport(t, []byte(out), protocol.Audio, protocol.Video)
	})
	report := filepath.Join(dir, "report.json")
	recording := filepath.Join(dir, "recording")
	status, out, errs := joinWith(t, meeting.HostURL, "--ca", ca, "--name", "Rec", "--record", recording, "--duration", "4s", "--report", report, "--json")
	tasks.Wait()
	if status != 0 {
		t.Errorf("recorder: exit status %d\n%s", status, errs)
	}
	b, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	checkReport(t, b, protocol.Audio, protocol.Video, protocol.Content)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	checkReport(t, []byte(lines[len(lines)-1]), protocol.Audio)
	checkRecording(t, recording)
}

func checkReport(t *testing.T, b []byte, kinds ...protocol.MediaKind) {
	t.Helper()
	var r protocol.Report
	if err := json.Unmarshal(b, &r); err != nil {
		t.Errorf("report: %v\n%s", err, b)
		return
	}
	if !r.OK || len(r.Phases) != 4 || r.FirstMediaMS <= 0 || r.Zone == "" || r.MMR == "" {
		t.Errorf("report %s", b)
	}
	for _, p := range r.Phases {
		if !p.OK {
			t.Errorf("phase %s failed: %v", p.Name, p.Error)
		}
	}
	for _, k := range kinds {
		if r.Media[k].DSCP != k.DSCP() || r.Media[k].Remote == "" {
			t.Errorf("%s: %+v", k, r.Media[k])
		}
	}
}

// checkRecording compares the files with what the test card holds.
func checkRecording(t *testing.T, dir string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m client.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	when := testCardTimes(t)
	skew := map[protocol.Source]time.Duration{} // of the file's time against the card's
	for _, r := range m.Recordings {
		blocks := readBlocks(t, filepath.Join(dir, r.File))
		last := len(blocks) - 1
		for last > 0 && when[string(blocks[last].data)] < 0 {
			last--
		}
		at, ok := when[string(blocks[last].data)]
		if !ok {
			t.Errorf("%s: the last block was never sent", r.File)
		}
		skew[r.Source] = blocks[last].at - at
		rate := map[protocol.Source]float64{protocol.Mic: 50, protocol.Camera: 25}[r.Source]
		if due := (r.LastMS - r.FirstMS) / 1000 * rate; r.Frames < 70 || float64(r.Frames) < 0.95*due || r.Name != "Ada" {
			t.Errorf("%s: %d frames of %.0f, by %s", r.File, r.Frames, due, r.Name)
		}
	}
	if len(m.Recordings) != 2 || m.EndedAt.IsZero() {
		t.Errorf("manifest %s", b)
	}
	// They may have caught different rounds of 8 s.
	off := (skew[protocol.Mic] - skew[protocol.Camera]) % (8 * time.Second)
	if off > 4*time.Second {
		off -= 8 * time.Second
	} else if off < -4*time.Second {
		off += 8 * time.Second
	}
	if off < -45*time.Millisecond || off > 125*time.Millisecond {
		t.Errorf("sound is %v behind the picture", off)
	}
	t.Logf("sound is %v behind the picture", off)
}

// testCardTimes maps the test card's samples to their times in a round, -1 for
// those that occur more than once.
func testCardTimes(t *testing.T) map[string]time.Duration {
	t.Helper()
	card := client.TestCard()
	defer card.Close()
	when := map[string]time.Duration{}
	for {
		s, err := card.Next()
		if err != nil {
			t.Fatal(err)
		}
		if s.At >= 8*time.Second {
			return when
		}
		if _, twice := when[string(s.Data)]; twice {
			s.At = -1
		}
		when[string(s.Data)] = s.At
	}
}

type block struct {
	at   time.Duration
	data []byte
}

func readBlocks(t *testing.T, path string) (list []block) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var file struct {
		Header  webm.EBMLHeader `ebml:"EBML"`
		Segment webm.Segment    `ebml:"Segment"`
	}
	if err := ebml.Unmarshal(f, &file); err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("%s: %v", path, err)
	}
	for _, c := range file.Segment.Cluster {
		for _, b := range c.SimpleBlock {
			at := time.Duration(int64(c.Timecode)+int64(b.Timecode)) * time.Millisecond
			list = append(list, block{at, b.Data[0]})
		}
	}
	if len(list) == 0 {
		t.Fatalf("%s holds nothing", path)
	}
	return list
}

// What goes wrong is said in plain words, with exit status 1.
func TestJoinProblems(t *testing.T) {
	ca, meeting := upForJoin(t)
	wrong, _, _ := strings.Cut(meeting.JoinURL, "?")
	tests := []struct {
		name string
		args []string
		says string
	}{
		{"not a link", []string{"https://example.org/"}, "not a meeting link"},
		{"wrong passcode", []string{wrong + "?pwd=no", "--ca", ca}, "passcode is not right"},
		{"unknown authority", []string{meeting.JoinURL}, "certificate is not trusted"},
		{"no such file to publish", []string{meeting.JoinURL, "--ca", ca, "--publish", "absent.webm"}, "cannot be read"},
		{"no such authority", []string{meeting.JoinURL, "--ca", "absent.pem"}, "absent.pem"},
		{"nothing to record", []string{meeting.JoinURL, "--ca", ca, "--record", t.TempDir(), "--duration", "100ms"}, "nothing was received"},
		{"report not to be written", []string{meeting.JoinURL, "--ca", ca, "--duration", "100ms", "--report", filepath.Join(t.TempDir(), "a", "b")}, "--report"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, _, errs := joinWith(t, tt.args...)
			joined := strings.Contains(errs, "joined")
			if status != 1 || !strings.Contains(errs, tt.says) || joined != (tt.says == "nothing was received") {
				t.Errorf("exit status %d, says %s", status, errs)
			}
		})
	}
}

// Who interrupts a join is not told of a network that is to blame.
func TestJoinInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, stderr bytes.Buffer
	if status := execute(ctx, []string{"join", "https://127.0.0.1:1/j/123456789"}, console{&out, &stderr}); status != 1 || stderr.String() != "causeway: "+errEarly.Error()+"\n" {
		t.Errorf("status %d, said %q", status, stderr.String())
	}
}

// A failed join has a report too.
func TestJoinReportsFailure(t *testing.T) {
	status, out, _ := joinWith(t, "https://127.0.0.1:1/j/123456789", "--report", "-")
	var r protocol.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if status != 1 || r.OK || len(r.Phases) != 1 || r.Phases[0].Error == nil || r.Phases[0].Error.Code != protocol.ProblemWebUnreachable {
		t.Errorf("exit status %d, report %s", status, out)
	}
}

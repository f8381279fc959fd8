package loudest

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the transcripts anew")

var start = time.Unix(1000, 0)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// A transcript is a text: lines "NAME LEVEL FROM-TO" say who speaks when (ms)
// and how loud, "noise" behind it that it is no speech; "NAME leaves AT";
// "#" begins a comment. Lines that begin with ">" are what came of it.
type event struct {
	ms    int
	name  string
	level int // -1 leaves
	voice bool
}

// play runs the script over 3 places and 1 in reserve, and returns every
// change of the choice.
func play(t *testing.T, script []string) (changes []string) {
	t.Helper()
	var events []event
	names := []string{"-"}
	id := func(name string) ID {
		for i, n := range names {
			if n == name {
				return ID(i)
			}
		}
		names = append(names, name)
		return ID(len(names) - 1)
	}
	for _, line := range script {
		var e event
		var from, to int
		if n, _ := fmt.Sscanf(line, "%s leaves %d", &e.name, &e.ms); n == 2 {
			e.level = -1
			events = append(events, e)
			continue
		}
		if n, _ := fmt.Sscanf(line, "%s %d %d-%d", &e.name, &e.level, &from, &to); n != 4 {
			t.Fatalf("malformed line %q", line)
		}
		e.voice = !strings.HasSuffix(line, "noise")
		for e.ms = from; e.ms < to; e.ms += 20 {
			events = append(events, e)
		}
	}
	sort.SliceStable(events, func(i, j int) bool { return events[i].ms < events[j].ms })
	s := New(3, 1)
	meters := map[string]*Meter{}
	for _, e := range events {
		if meters[e.name] == nil {
			meters[e.name] = &Meter{}
		}
		m, changed := meters[e.name], false
		switch {
		case e.level < 0:
			changed = s.Remove(id(e.name))
		case m.Observe(uint8(e.level), e.voice, at(e.ms)):
			changed = s.Report(id(e.name), m.Level(), at(e.ms))
		}
		if changed {
			line := fmt.Sprintf("> %5d ms:", e.ms)
			for i, n := range s.Selected(nil) {
				if i == 3 {
					line += " |"
				}
				line += " " + names[n]
			}
			changes = append(changes, line)
		}
	}
	return changes
}

func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got, script []string
			flush := func() {
				got = append(got, play(t, script)...)
				script = nil
			}
			for sc := bufio.NewScanner(strings.NewReader(string(b))); sc.Scan(); {
				line := sc.Text()
				switch {
				case strings.HasPrefix(line, ">"):
					continue
				case line == "":
					flush()
				case line[0] != '#':
					script = append(script, line)
				}
				got = append(got, line)
			}
			flush()
			text := strings.Join(got, "\n") + "\n"
			if *update {
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(b), text); diff != "" {
				t.Error(diff)
			}
		})
	}
}

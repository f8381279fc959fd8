package store_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"causeway/internal/store"
)

// TestKilledWriter is the process that TestKill kills: it adds meetings and
// prints the number of each as soon as it is committed.
func TestKilledWriter(t *testing.T) {
	dsn := os.Getenv("STORE_TEST_WRITE_TO")
	if dsn == "" {
		return // only a part of TestKill
	}
	s, err := store.Open(context.Background(), dsn, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		m := meeting(i)
		if err := s.CreateMeeting(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Println("committed", m.Number); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKill kills a process in the middle of its writing; whatever it said was
// committed must be there.
func TestKill(t *testing.T) {
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "store.db")
	writer := exec.Command(os.Args[0], "-test.run=^TestKilledWriter$")
	writer.Env = append(os.Environ(), "STORE_TEST_WRITE_TO="+dsn)
	out, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	var committed []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var number string
		if n, _ := fmt.Sscanf(lines.Text(), "committed %s", &number); n == 1 {
			committed = append(committed, number)
		}
		if len(committed) == 50 {
			if err := writer.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := writer.Wait(); err == nil || len(committed) < 50 {
		t.Fatalf("the writer ended by itself (%v) after %d meetings", err, len(committed))
	}
	s := open(t, dsn)
	for _, number := range committed {
		if _, err := s.Meeting(context.Background(), number); err != nil {
			t.Errorf("meeting %s was committed and is lost: %v", number, err)
		}
	}
}

// BenchmarkOpen measures what opening a migrated SQLite file adds to a start.
func BenchmarkOpen(b *testing.B) {
	dsn := "sqlite:" + filepath.Join(b.TempDir(), "store.db")
	for b.Loop() {
		s, err := store.Open(context.Background(), dsn, slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

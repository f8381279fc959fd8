package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"causeway/internal/store"
	"causeway/internal/store/storetest"
	"causeway/protocol"

	"github.com/google/go-cmp/cmp"
)

var postgres *storetest.Server

func TestMain(m *testing.M) { os.Exit(storetest.Main(m, &postgres)) }

var noon = time.Date(2026, 3, 4, 12, 0, 0, 123456000, time.UTC)

func open(t testing.TB, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), dsn, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// both runs a test on SQLite and on PostgreSQL. dsn names an empty database.
func both(t *testing.T, f func(t *testing.T, dsn string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, "sqlite:"+filepath.Join(t.TempDir(), "a b%.db")) })
	t.Run("postgres", func(t *testing.T) { f(t, postgres.Database(t)) })
}

func meeting(i int) store.Meeting {
	return store.Meeting{
		ID: fmt.Sprintf("m-%02d", i), Number: fmt.Sprintf("%010d", i), Topic: "Tea & 茶", Passcode: "pass",
		HostSecret: "secret", PanelSecret: []string{"", "panel"}[i%2], Owner: "k-1", CreatedAt: noon.Add(time.Duration(i/2) * 500 * time.Millisecond),
	}
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestMeetings(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		ctx, s := context.Background(), open(t, dsn)
		planned := noon.Add(time.Hour).In(time.FixedZone("Taipei", 8*3600))
		m := meeting(1)
		m.ScheduledAt = &planned
		if err := s.CreateMeeting(ctx, m); err != nil {
			t.Fatal(err)
		}
		utc := planned.UTC()
		m.ScheduledAt = &utc
		if diff := cmp.Diff(m, must[store.Meeting](t)(s.Meeting(ctx, m.Number))); diff != "" {
			t.Errorf("created: (-want +got)\n%s", diff)
		}

		again := meeting(2)
		again.Number = m.Number
		if err := s.CreateMeeting(ctx, again); !errors.Is(err, store.ErrTaken) {
			t.Errorf("number in use: %v, want ErrTaken", err)
		}

		topic := "Coffee"
		m.Topic = topic
		if diff := cmp.Diff(m, must[store.Meeting](t)(s.UpdateMeeting(ctx, m.Number, store.MeetingChange{Topic: &topic}))); diff != "" {
			t.Errorf("updated topic: (-want +got)\n%s", diff)
		}
		later, code := utc.Add(time.Minute), "other"
		m.ScheduledAt, m.Passcode = &later, code
		got := must[store.Meeting](t)(s.UpdateMeeting(ctx, m.Number, store.MeetingChange{Passcode: &code, ScheduledAt: &later}))
		if diff := cmp.Diff(m, got); diff != "" {
			t.Errorf("updated the rest: (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff([]store.Meeting{m}, must[[]store.Meeting](t)(s.MeetingsByID(ctx, []string{"none", m.ID}))); diff != "" {
			t.Errorf("by id: (-want +got)\n%s", diff)
		}
		if none := must[[]store.Meeting](t)(s.MeetingsByID(ctx, nil)); len(none) != 0 {
			t.Errorf("by no id: %v", none)
		}

		if _, err := s.Meeting(ctx, "999999999"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("unknown number: %v, want ErrNotFound", err)
		}
		if _, err := s.UpdateMeeting(ctx, "999999999", store.MeetingChange{Topic: &topic}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("update of unknown number: %v, want ErrNotFound", err)
		}
	})
}

func TestEndMeeting(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		ctx, s := context.Background(), open(t, dsn)
		m := meeting(1)
		if err := s.CreateMeeting(ctx, m); err != nil {
			t.Fatal(err)
		}
		for i, want := range []bool{true, false} {
			if got := must[bool](t)(s.EndMeeting(ctx, m.ID, noon.Add(time.Duration(i)*time.Hour))); got != want {
				t.Errorf("end %d: %t, want %t", i, got, want)
			}
		}
		if got := must[store.Meeting](t)(s.Meeting(ctx, m.Number)); got.EndedAt == nil || !got.EndedAt.Equal(noon) {
			t.Errorf("ended at %v, want %v: the first end counts", got.EndedAt, noon)
		}
		if got := must[bool](t)(s.EndMeeting(ctx, "unknown", noon)); got {
			t.Error("ended a meeting that does not exist")
		}
		if err := s.DeleteMeeting(ctx, m.ID, noon); err != nil {
			t.Error(err)
		}
		if err := s.DeleteMeeting(ctx, m.ID, noon); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("second delete: %v, want ErrNotFound", err)
		}
	})
}

// TestEndedMeetings holds that ends are known also of meetings that were
// deleted, for as long as they are asked for.
func TestEndedMeetings(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		ctx, s := context.Background(), open(t, dsn)
		var m []store.Meeting
		for i := range 6 {
			m = append(m, meeting(i))
			if err := s.CreateMeeting(ctx, m[i]); err != nil {
				t.Fatal(err)
			}
			if i > 0 { // the first goes on
				must[bool](t)(s.EndMeeting(ctx, m[i].ID, noon.Add(time.Duration(i)*time.Minute)))
			}
		}
		want := func(since time.Time, limit int, ids ...string) {
			t.Helper()
			if diff := cmp.Diff(ids, must[[]string](t)(s.EndedMeetings(ctx, since, limit))); diff != "" {
				t.Errorf("since %v: (-want +got)\n%s", since, diff)
			}
		}
		want(noon, 10, m[5].ID, m[4].ID, m[3].ID, m[2].ID, m[1].ID)
		for _, i := range []int{0, 2, 4} { // the first is deleted while it goes on
			if err := s.DeleteMeeting(ctx, m[i].ID, noon.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		want(noon, 10, m[0].ID, m[5].ID, m[4].ID, m[3].ID, m[2].ID, m[1].ID)
		want(noon, 2, m[0].ID, m[5].ID)
		want(noon.Add(4*time.Minute), 10, m[0].ID, m[5].ID, m[4].ID)
		want(noon.Add(2*time.Hour), 10)
		if n := must[int64](t)(s.ForgetEnded(ctx, noon.Add(5*time.Minute))); n != 2 {
			t.Errorf("%d forgotten", n)
		}
		want(noon, 10, m[0].ID, m[5].ID, m[3].ID, m[1].ID)
	})
}

func TestPages(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		ctx, s := context.Background(), open(t, dsn)
		const n = 7 // pairs share a time, at fractions and full seconds
		for i := range n {
			if err := s.CreateMeeting(ctx, meeting(i)); err != nil {
				t.Fatal(err)
			}
		}
		for limit := 1; limit <= n+1; limit++ {
			var got []string
			for after, pages := "", 0; pages <= n; pages++ {
				page, next, err := s.Meetings(ctx, after, limit)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range page {
					got = append(got, m.ID)
				}
				if next == "" {
					break
				}
				after = next
			}
			if diff := cmp.Diff([]string{"m-06", "m-05", "m-04", "m-03", "m-02", "m-01", "m-00"}, got); diff != "" {
				t.Errorf("pages of %d: (-want +got)\n%s", limit, diff)
			}
		}
		for _, after := range []string{"x", "!", "e30x", "bnVsbA\x00", "eyJ0IjoiMjAyNi0wMy0wNFQxMjowMDowMFoiLCJpIjoiXHUwMDAwIn0"} {
			if _, _, err := s.Meetings(ctx, after, 1); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("cursor %q: %v, want ErrNotFound", after, err)
			}
		}
	})
}

func TestAPIKeys(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		ctx, s := context.Background(), open(t, dsn)
		a := store.APIKey{ID: "k-1", Name: "ci", CreatedAt: noon}
		b := store.APIKey{ID: "k-2", Name: "ops", CreatedAt: noon.Add(time.Second)}
		for _, k := range []store.APIKey{b, a} {
			if err := s.CreateAPIKey(ctx, k, "the key of "+k.ID); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]store.APIKey{a, b}, must[[]store.APIKey](t)(s.APIKeys(ctx))); diff != "" {
			t.Errorf("list: (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(a, must[store.APIKey](t)(s.FindAPIKey(ctx, "the key of k-1"))); diff != "" {
			t.Errorf("found: (-want +got)\n%s", diff)
		}
		if err := s.DeleteAPIKey(ctx, "k-1"); err != nil {
			t.Error(err)
		}
		for _, key := range []string{"", "the key of k-1", "k-2", "the key of k-2\x00", "\xff"} {
			if _, err := s.FindAPIKey(ctx, key); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("key %q: %v, want ErrNotFound", key, err)
			}
		}
		if err := s.DeleteAPIKey(ctx, "k-1"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("second delete: %v, want ErrNotFound", err)
		}
	})
}

func TestSigningKeys(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		open(t, dsn) // migrated; what follows is about the keys
		const nodes = 4
		var got [nodes][]store.SigningKey
		var group sync.WaitGroup
		for i := range nodes {
			s := open(t, dsn)
			group.Go(func() {
				k := store.SigningKey{KID: fmt.Sprintf("kid-%d", i), Seed: bytes.Repeat([]byte{byte(i)}, 32), CreatedAt: noon}
				if err := s.AddFirstSigningKey(ctx, k); err != nil {
					t.Error(err)
				}
				keys, err := s.SigningKeys(ctx)
				if err != nil {
					t.Error(err)
				}
				got[i] = keys
			})
		}
		group.Wait()
		if len(got[0]) != 1 || len(got[0][0].Seed) != 32 || got[0][0].RetiredAt != nil {
			t.Fatalf("keys %+v, want one", got[0])
		}
		for i := range nodes {
			if diff := cmp.Diff(got[0], got[i]); diff != "" {
				t.Errorf("node %d has another key: (-first +it)\n%s", i, diff)
			}
		}
	})
}

func TestReports(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		ctx, s := context.Background(), open(t, dsn)
		var size int // of each
		for i := range 4 {
			r := store.Report{ID: fmt.Sprintf("r-%d", i), ReceivedAt: noon.Add(time.Duration(i) * time.Hour), Report: protocol.Report{
				OK: i%2 == 0, Meeting: fmt.Sprintf("%09d", i%2), Participant: "p", Zone: "a\x00b",
				Phases: []protocol.PhaseReport{{Name: protocol.PhaseLookup, OK: true}},
			}}
			size = must[int](t)(s.AddReport(ctx, r))
		}
		list := func(meeting, after string, limit int) (ids, next string) {
			page, next, err := s.Reports(ctx, meeting, after, limit)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page {
				if len(r.Report.Phases) != 1 || r.Report.Zone != "a\x00b" {
					t.Errorf("report %s came back as %+v", r.ID, r.Report)
				}
				ids += r.ID + " "
			}
			return ids, next
		}
		first, next := list("", "", 3)
		second, end := list("", next, 3)
		if first+second != "r-3 r-2 r-1 r-0 " || end != "" {
			t.Errorf("pages %q, %q, then %q", first, second, end)
		}
		if ids, _ := list("000000001", "", 10); ids != "r-3 r-1 " {
			t.Errorf("of one meeting: %q", ids)
		}
		for _, c := range []struct {
			name  string
			from  time.Time
			most  int
			bytes int
			left  string
		}{
			{"few", noon, 4, 5 * size, "r-3 r-2 r-1 r-0 "},
			{"by age", noon.Add(time.Hour), 4, 5 * size, "r-3 r-2 r-1 "},
			{"by number", noon, 2, 5 * size, "r-3 r-2 "},
			{"by bytes", noon, 4, 2*size - 10, "r-3 "}, // "ok":false is longer than "ok":true
			{"all", noon, 4, 1, ""},
		} {
			before, _ := list("", "", 10)
			n := must[int64](t)(s.DeleteReports(ctx, c.from, c.most, int64(c.bytes)))
			left, _ := list("", "", 10)
			if left != c.left || int(n) != strings.Count(before, "r-")-strings.Count(left, "r-") {
				t.Errorf("%s: deleted %d, left %q", c.name, n, left)
			}
		}
	})
}

func TestOpenAgain(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		for i := range 3 { // migrated once, then as it was
			s, err := store.Open(ctx, dsn, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.CreateMeeting(ctx, meeting(i)); err != nil {
				t.Error(err)
			}
			if page, _, err := s.Meetings(ctx, "", 10); err != nil || len(page) != i+1 {
				t.Errorf("open %d: %d meetings, %v", i, len(page), err)
			}
			if err := errors.Join(s.Ping(ctx), s.Close()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestNewerDatabase(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		open(t, dsn)
		driver, source := "pgx", dsn
		if file, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
			driver, source = "sqlite", strings.ReplaceAll(file, "%", "%25")
			source = "file:" + source
		}
		db, err := sql.Open(driver, source)
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.ExecContext(ctx, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, $1)`, true)
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(ctx, dsn, slog.New(slog.DiscardHandler))
		if err == nil {
			t.Fatal("opened", s.Close())
		}
		if !strings.Contains(err.Error(), "run a newer causeway") {
			t.Error(err)
		}
	})
}

// TestManyAtOnce writes and reads from many goroutines over two openings of one
// database; nothing may fail for being locked.
func TestManyAtOnce(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		ctx, stores := context.Background(), []*store.Store{open(t, dsn), open(t, dsn)}
		var group sync.WaitGroup
		var made atomic.Int32
		for i := range 32 {
			s := stores[i%2]
			group.Go(func() {
				m := meeting(i)
				m.Number = meeting(i / 2).Number // of two with a number one is refused
				switch err := s.CreateMeeting(ctx, m); {
				case errors.Is(err, store.ErrTaken):
				case err != nil:
					t.Error(err)
				default:
					made.Add(1)
				}
				if _, err := s.Meeting(ctx, m.Number); err != nil {
					t.Error(err)
				}
				if _, err := s.EndMeeting(ctx, m.ID, noon); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if made.Load() != 16 {
			t.Errorf("%d meetings were made of 16 numbers", made.Load())
		}
	})
}

func TestOpenAtOnce(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				s, err := store.Open(context.Background(), dsn, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	})
}

func TestCannotOpen(t *testing.T) {
	folder := t.TempDir()
	text := filepath.Join(folder, "text")
	if err := os.WriteFile(text, bytes.Repeat([]byte("not a database "), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	server := postgres.Database(t)
	for _, c := range []struct{ name, dsn, want string }{
		{"no kind", "file.db", "write sqlite:FILE"},
		{"unknown kind", "mysql://x", "write sqlite:FILE"},
		{"empty", "", "write sqlite:FILE"},
		{"no file", "sqlite:", "does not name a file"},
		{"parameters", "sqlite:x?mode=ro", "without '?'"},
		{"no folder", "sqlite:" + filepath.Join(folder, "none", "x.db"), "make the folder"},
		{"a folder", "sqlite:" + folder, "name a file on a local disk"},
		{"folder is a file", "sqlite:" + filepath.Join(text, "x.db"), "name a file on a local disk"},
		{"not a database", "sqlite:" + text, "is not a SQLite database"},
		{"not writable", "sqlite:/proc/version", "cannot be"},
		{"bad address", "postgres://u:topsecret@host:port/x", "write postgres://"},
		{"nobody there", "postgres://u:topsecret@127.0.0.1:1/x", "check that it runs"},
		{"no such database", strings.Replace(server, "/causeway_test_", "/other_", 1), "createdb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := store.Open(context.Background(), c.dsn, slog.New(slog.DiscardHandler))
			if err == nil {
				t.Fatal("opened", s.Close())
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "topsecret") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want one line with %q and no password", err, c.want)
			}
			t.Log(err)
		})
	}
}

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // the database/sql driver "pgx"
	_ "modernc.org/sqlite"             // the database/sql driver "sqlite"
)

// dialect is one of the two databases, and where it is.
type dialect struct {
	postgres bool
	source   string // what the driver is given
	place    string // what people are told: a file, or host:port/database
}

// parseDSN reads "sqlite:FILE" or "postgres://…".
func parseDSN(dsn string) (dialect, error) {
	scheme, rest, _ := strings.Cut(dsn, ":")
	switch scheme {
	case "sqlite":
		if rest == "" || strings.ContainsAny(rest, "?#\x00") {
			return dialect{}, fmt.Errorf("the database %q does not name a file; write sqlite:FILE, without '?' or '#' in the name", dsn)
		}
		return dialect{source: sqliteSource(rest), place: rest}, nil
	case "postgres", "postgresql":
		c, err := pgx.ParseConfig(dsn)
		if err != nil {
			return dialect{}, fmt.Errorf("the PostgreSQL address is not valid (%w); write postgres://USER:PASSWORD@HOST:PORT/DATABASE", err)
		}
		return dialect{postgres: true, source: dsn, place: fmt.Sprintf("%s:%d/%s", c.Host, c.Port, c.Database)}, nil
	}
	return dialect{}, fmt.Errorf("the database has the unknown kind %q; write sqlite:FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE", scheme)
}

// sqliteSource is the driver's address of a file. Transactions take the write
// lock when they begin (_txlock), or two that read first could both fail.
// Times are written as SQLite's own functions read them, and sort as text.
func sqliteSource(file string) string {
	q := url.Values{
		"_pragma":      {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"},
		"_txlock":      {"immediate"},
		"_texttotime":  {"1"},
		"_time_format": {"sqlite"},
		"_timezone":    {"UTC"},
	}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath(), RawQuery: q.Encode()}).String()
}

func (d dialect) driver() string {
	if d.postgres {
		return "pgx"
	}
	return "sqlite"
}

// limit bounds the connections. SQLite has one writer at a time whatever is
// done, so a few connections serve its readers.
func (d dialect) limit(db *sql.DB) {
	if d.postgres {
		db.SetMaxOpenConns(20)
		db.SetMaxIdleConns(5)
		db.SetConnMaxIdleTime(5 * time.Minute)
		return
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
}

// prepare makes the SQLite file, readable by its owner only, and finds out
// whether it and its folder (for the write-ahead log beside it) can be written.
func (d dialect) prepare() error {
	if d.postgres {
		return nil
	}
	f, err := os.OpenFile(d.place, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return d.explain(err)
	}
	if err := f.Close(); err != nil {
		return d.explain(err)
	}
	probe, err := os.CreateTemp(filepath.Dir(d.place), ".causeway-probe-*")
	if err != nil {
		return d.explain(err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// sentence is an error in one sentence for people, with its remedy.
type sentence struct {
	text string
	err  error
}

// Error gives the sentence and, in parentheses and on one line, the cause.
func (e *sentence) Error() string {
	return e.text + " (" + strings.Join(strings.Fields(e.err.Error()), " ") + ")"
}

func (e *sentence) Unwrap() error { return e.err }

// explain turns an error of opening or reaching the database into a sentence
// with its remedy. Passwords do not appear in it.
func (d dialect) explain(err error) error {
	if errors.Is(err, errNewer) {
		return err
	}
	if d.postgres {
		return &sentence{explainPostgres(d.place, err), err}
	}
	return &sentence{explainSQLite(d.place, err), err}
}

func explainSQLite(file string, err error) string {
	folder, text := filepath.Dir(file), err.Error()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("the database file %s cannot be made because the folder %s does not exist; make the folder or name another file", file, folder)
	case errors.Is(err, fs.ErrPermission), strings.Contains(text, "readonly"), strings.Contains(text, "read-only"):
		return fmt.Sprintf("the database file %s or its folder cannot be written; give the user who runs causeway the right to write to %s or name another file", file, folder)
	case strings.Contains(text, "not a database"):
		return fmt.Sprintf("the file %s is not a SQLite database; name another file", file)
	}
	return fmt.Sprintf("the database file %s cannot be opened; name a file on a local disk that causeway may write", file)
}

func explainPostgres(place string, err error) string {
	var refused *pgconn.ConnectError
	var answer *pgconn.PgError
	switch {
	case errors.As(err, &answer) && answer.Code == "3D000": // invalid_catalog_name
		return fmt.Sprintf("PostgreSQL has no such database (%s); make it with createdb or correct the address", place)
	case errors.As(err, &answer) && strings.HasPrefix(answer.Code, "28"): // invalid authorization
		return fmt.Sprintf("PostgreSQL at %s refused the user or password; correct them in the database address", place)
	case errors.As(err, &answer) && answer.Code == "42501": // insufficient_privilege
		return fmt.Sprintf("the PostgreSQL user may not make tables in %s; grant it CREATE on the schema", place)
	case errors.As(err, &refused), errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("PostgreSQL at %s cannot be reached; check that it runs and that the address is right", place)
	}
	return fmt.Sprintf("PostgreSQL at %s failed; its log tells more", place)
}

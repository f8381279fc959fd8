package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// ErrNotFound says that there is no such row.
var ErrNotFound = errors.New("not found")

// ErrTaken says that a number is in use already.
var ErrTaken = errors.New("already taken")

// Store is an open, migrated database.
type Store struct {
	db      *sql.DB
	dialect dialect
}

// Open opens the database that dsn names, "sqlite:FILE" or "postgres://…", and
// brings its tables up to date. A SQLite file that does not exist is made; its
// folder must exist. Errors are one sentence for the person who runs the
// server, with what to do.
func Open(ctx context.Context, dsn string, log *slog.Logger) (*Store, error) {
	d, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	if err := d.prepare(); err != nil {
		return nil, err
	}
	db, err := sql.Open(d.driver(), d.source)
	if err != nil {
		return nil, d.explain(err)
	}
	d.limit(db)
	s := &Store{db: db, dialect: d}
	if err := s.migrate(ctx, log); err != nil {
		return nil, errors.Join(d.explain(err), db.Close())
	}
	return s, nil
}

// Close closes the database. What runs at the moment is waited for.
func (s *Store) Close() error { return s.db.Close() }

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.db.PingContext(ctx); err != nil {
		return s.dialect.explain(err)
	}
	return nil
}

// exec runs a statement and returns how many rows it changed.
func (s *Store) exec(ctx context.Context, what, query string, args ...any) (int64, error) {
	r, err := s.db.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, fmt.Errorf("store: %s: %w", what, err)
	}
	n, err := r.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("store: %s: %w", what, err)
	}
	return n, nil
}

// collect runs a query and scans every row of it.
func collect[T any](ctx context.Context, s *Store, what string, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", what, err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("store: %s: %w", what, err)
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("store: %s: %w", what, err)
	}
	return all, nil
}

// one runs a query that has one row or none, which is ErrNotFound.
func one[T any](ctx context.Context, s *Store, what string, scan func(row) (T, error), query string, args ...any) (T, error) {
	v, err := scan(s.db.QueryRowContext(ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return v, fmt.Errorf("store: %s: %w", what, err)
	}
	return v, nil
}

// row is what *sql.Row and *sql.Rows have in common.
type row interface{ Scan(dest ...any) error }

// stamp is a time as the database keeps it: UTC, in the microseconds that
// PostgreSQL has.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// stampOrNull is stamp, with nil for NULL.
func stampOrNull(t *time.Time) any {
	if t == nil {
		return nil
	}
	return stamp(*t)
}

// timeOrNil reads a column that may be NULL.
func timeOrNil(t sql.NullTime) *time.Time {
	if !t.Valid {
		return nil
	}
	u := t.Time.UTC()
	return &u
}

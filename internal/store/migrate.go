package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// errNewer says that the tables are not ours any more.
var errNewer = errors.New("the database was made by a newer causeway; run a newer causeway or name another database")

// migrate brings the tables up to date. A database that is up to date already
// costs two queries. Several processes may do this at once: on PostgreSQL an
// advisory lock lets one pass at a time; on SQLite, which has none, whoever
// fails because another was quicker looks again.
func (s *Store) migrate(ctx context.Context, log *slog.Logger) error {
	newest, err := newestMigration()
	if err != nil {
		return err
	}
	var failed error
	for before := int64(-2); ; {
		have, err := s.version(ctx)
		switch {
		case err != nil:
			return errors.Join(failed, err)
		case have == newest:
			return nil
		case have > newest:
			return fmt.Errorf("%w (it is of version %d, and this one knows %d)", errNewer, have, newest)
		case have == before:
			return failed // and nobody else got any further
		}
		before = have
		if failed = s.up(ctx, log); failed == nil {
			return nil
		}
	}
}

// up runs the migrations that the database lacks.
func (s *Store) up(ctx context.Context, log *slog.Logger) error {
	folder, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("open migrations: %w", err)
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger())}
	kind := goose.DialectSQLite3
	if s.dialect.postgres {
		kind = goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return fmt.Errorf("make migration lock: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(kind, s.db, folder, options...)
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	done, err := p.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for _, m := range done {
		log.Info("database migrated", "version", m.Source.Version, "duration", m.Duration)
	}
	return nil
}

// version is the newest migration that the database has, -1 for one that has
// not even the table of versions.
func (s *Store) version(ctx context.Context) (int64, error) {
	find := `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'goose_db_version'`
	if s.dialect.postgres {
		find = `SELECT count(*) FROM pg_tables WHERE tablename = 'goose_db_version' AND schemaname = ANY (current_schemas(false))`
	}
	var tables int
	if err := s.db.QueryRowContext(ctx, find).Scan(&tables); err != nil {
		return 0, fmt.Errorf("look for tables: %w", err)
	}
	if tables == 0 {
		return -1, nil
	}
	var v sql.NullInt64
	if err := s.db.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version WHERE is_applied`).Scan(&v); err != nil {
		return 0, fmt.Errorf("read version of tables: %w", err)
	}
	return v.Int64, nil
}

// newestMigration is the version of the last file in migrations.
func newestMigration() (int64, error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return 0, fmt.Errorf("list migrations: %w", err)
	}
	if len(files) == 0 {
		return 0, errors.New("this program holds no migrations")
	}
	v, err := goose.NumericComponent(files[len(files)-1])
	if err != nil {
		return 0, fmt.Errorf("number of migration: %w", err)
	}
	return v, nil
}

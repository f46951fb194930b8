// Package sqlite implements a node's store.Store on one SQLite file.
//
// Writes go through one connection and begin with BEGIN IMMEDIATE. The journal is
// a write-ahead log synchronised on each commit (synchronous=FULL): what has
// been committed survives a crash of the process and of the machine. Reads
// run beside on their own connections.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/entente-hub/entente/node/store"
)

// busyTimeout is how long a statement waits for a lock, in milliseconds: of a
// backup tool, for nobody else writes here.
const busyTimeout = "10000"

// readers is the number of connections for reading.
const readers = 4

//go:embed migrations/*.sql
var migrations embed.FS

// Store is a store.Store on one SQLite file.
type Store struct {
	write *sql.DB // one connection
	read  *sql.DB
}

var _ store.Store = (*Store)(nil)

// Open opens the database at a path, and creates it with mode 0600 if there is
// none. The directory must exist. A database that others than its owner may read
// or write is refused, as is one with a newer schema than this program's.
func Open(ctx context.Context, path string) (*Store, error) {
	path, err := prepareFile(path)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	s := new(Store)
	if s.write, err = sql.Open("sqlite", dsn(path, "_txlock", "immediate")); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = sql.Open("sqlite", dsn(path, "_query_only", "1")); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: %w", err), s.write.Close())
	}
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: %s: %w", path, err), s.Close())
	}
	return s, nil
}

func (s *Store) start(ctx context.Context) error {
	if err := migrate(ctx, s.write); err != nil {
		return err
	}
	// SQLite passes over settings that it can not follow, such as a write-ahead
	// log on some network file systems.
	var journal string
	var sync, keys int
	err := s.write.QueryRowContext(ctx, "SELECT j.journal_mode, s.synchronous, f.foreign_keys FROM"+
		" pragma_journal_mode j, pragma_synchronous s, pragma_foreign_keys f").Scan(&journal, &sync, &keys)
	if err != nil {
		return err
	}
	if journal != "wal" || sync != 2 || keys != 1 {
		return fmt.Errorf("journal_mode=%s synchronous=%d foreign_keys=%d: want wal, 2, 1", journal, sync, keys)
	}
	return nil
}

// prepareFile creates the file with mode 0600, which SQLite gives to the files
// beside it too. An existing one is looked at and not opened: closing a
// descriptor would drop the locks that this process may hold on it.
func prepareFile(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		return path, f.Close()
	}
	if !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return "", fmt.Errorf("%s has mode %04o: it must be its owner's alone (0600)", path, perm)
	}
	return path, nil
}

func dsn(path, option, value string) string {
	q := url.Values{
		"_busy_timeout": {busyTimeout},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"1"},
		"_dqs":          {"0"},
		"_defensive":    {"1"},
		"_pragma":       {"trusted_schema(0)", "journal_size_limit(67108864)"},
		option:          {value},
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}
	return u.String()
}

// migrate brings the schema up to date, and refuses one that a newer program has
// migrated further.
func migrate(ctx context.Context, db *sql.DB) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("reading schema version: %w", err)
	}
	if current > target {
		return fmt.Errorf("database has schema version %d, this program knows versions up to %d", current, target)
	}
	return nil
}

// inTx runs f in one transaction on the writing connection. An error of f's is
// returned as it is, and nothing is written.
func (s *Store) inTx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("sqlite: committing: %w", err)
	}
	return nil
}

// changeOne runs one conditional statement; ErrStale unless it changes one row.
func changeOne(ctx context.Context, tx *sql.Tx, query string, args ...any) error {
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if n != 1 {
		return store.ErrStale
	}
	return nil
}

// notFound turns the absence of a row into store.ErrNotFound.
func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return fmt.Errorf("sqlite: %w", err)
}

// collect reads all rows of a query.
func collect[T any](ctx context.Context, db *sql.DB, scan func(scanner) (T, error), query string, args ...any) (list []T, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("sqlite: %w", err)
		}
		list = append(list, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	return list, nil
}

type scanner interface{ Scan(dest ...any) error }

func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// Ping implements store.Store: it writes one row.
func (s *Store) Ping(ctx context.Context) error {
	if _, err := s.write.ExecContext(ctx, "UPDATE probe SET writes = writes + 1"); err != nil {
		return fmt.Errorf("sqlite: ping: %w", err)
	}
	return nil
}

// Close implements store.Store.
func (s *Store) Close() error { return errors.Join(s.read.Close(), s.write.Close()) }

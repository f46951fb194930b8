// Package sqlite implements a node's store.Store on one SQLite file.
//
// What is durable and how reads and writes stand to one another, package
// sqlitefile says.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/sqlitefile"
)

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
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	f, err := sqlitefile.Open(ctx, path, dir, readers)
	if err != nil {
		return nil, err
	}
	s := &Store{write: f.Write, read: f.Read}
	if err := s.readRecalls(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
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

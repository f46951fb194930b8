// Package sqlite implements store.Store on one SQLite file, for a hub of one
// process. Several processes on the file are safe, but do not wake each other.
//
// What is durable and how reads and writes stand to one another, package
// sqlitefile says. A token of which something is to be erased is stored under a key of its
// own (package shroud), which an Erase overwrites in its place, with all copies that SQLite
// has left of what it opens. The commit then empties the write-ahead log; if a read is under
// way that still needs it, the next commit or Scrub does, and Close at the latest. What a Trim
// erased is overwritten as any row that is (secure_delete): pieces of it may stay in the free
// space of pages.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/internal/gate"
	"github.com/entente-hub/entente/hub/store/internal/plan"
	"github.com/entente-hub/entente/sqlitefile"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is a store.Store on one SQLite file.
type Store struct {
	write *sql.DB // one connection
	read  *sql.DB
	stmts statements
	edge  plan.Edge

	// unscrubbed: the log may hold pages as they were before an erasure.
	unscrubbed atomic.Bool

	gate gate.Gate
	done chan struct{} // closed by Close
	subs sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// Open opens the database at a path, and creates it if there is none. The
// directory must exist. A database that others than its owner may read or
// write is refused, as is one with a newer schema than this program's.
func Open(ctx context.Context, path string) (*Store, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	f, err := sqlitefile.Open(ctx, path, dir, max(4, runtime.GOMAXPROCS(0)))
	if err != nil {
		return nil, err
	}
	s := &Store{write: f.Write, read: f.Read, done: make(chan struct{})}
	s.unscrubbed.Store(true) // whatever the process before this one came to
	if err := s.stmts.prepare(ctx, s.write); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: %s: %w", path, err), s.Close())
	}
	return s, nil
}

// Close waits for calls under way and closes the file.
func (s *Store) Close() error {
	if !s.gate.Close() {
		return nil
	}
	close(s.done)
	s.subs.Wait()
	return errors.Join(s.stmts.close(), s.read.Close(), s.write.Close())
}

// Ping writes one row.
func (s *Store) Ping(ctx context.Context) error {
	leave, err := s.gate.Enter()
	if err != nil {
		return err
	}
	defer leave()
	if _, err := s.write.ExecContext(ctx, "UPDATE probe SET writes = writes + 1"); err != nil {
		return fmt.Errorf("sqlite: ping: %w", err)
	}
	return nil
}

// Subscribe returns a channel on which nothing comes: the hub that uses the
// file is the only one, and knows what it wrote.
func (s *Store) Subscribe(ctx context.Context) (<-chan store.Wake, error) {
	leave, err := s.gate.Enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	ch := make(chan store.Wake)
	s.subs.Go(func() {
		defer close(ch)
		select {
		case <-ctx.Done():
		case <-s.done:
		}
	})
	return ch, nil
}

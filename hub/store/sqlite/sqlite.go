// Package sqlite implements store.Store on one SQLite file, for a hub of one
// process. Several processes on the file are safe, but do not wake each other.
//
// Writes go through one connection and begin with BEGIN IMMEDIATE, so that what
// a commit reads stays true until it is through. The journal is a write-ahead
// log synchronised on each commit (synchronous=FULL): a commit that has
// returned survives a crash of the process and of the machine. Reads run beside
// on their own connections, each on a consistent snapshot.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/internal/gate"
	"github.com/entente-hub/entente/hub/store/internal/plan"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// busyTimeout is how long a statement waits for another process's lock, in
// milliseconds.
const busyTimeout = "10000"

// Store is a store.Store on one SQLite file.
type Store struct {
	write *sql.DB // one connection
	read  *sql.DB
	stmts statements
	edge  plan.Edge

	gate gate.Gate
	done chan struct{} // closed by Close
	subs sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// Open opens the database at a path, and creates it if there is none. The
// directory must exist. A database that others than its owner may read or
// write is refused, as is one with a newer schema than this program's.
func Open(ctx context.Context, path string) (*Store, error) {
	path, err := prepareFile(path)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	s := &Store{done: make(chan struct{})}
	if s.write, err = sql.Open("sqlite", dsn(path, "_txlock", "immediate")); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = sql.Open("sqlite", dsn(path, "_query_only", "1")); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: %w", err), s.write.Close())
	}
	readers := max(4, runtime.GOMAXPROCS(0))
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
	if err := s.checkDurable(ctx); err != nil {
		return err
	}
	return s.stmts.prepare(ctx, s.write)
}

// checkDurable makes sure that the settings took: SQLite ignores those that it
// can not follow, such as a write-ahead log on some network file systems.
func (s *Store) checkDurable(ctx context.Context) error {
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
// beside it too. An existing file it only looks at: closing any descriptor of a
// file would drop the locks that this process's SQLite holds on it.
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

func dsn(path string, options ...string) string {
	q := url.Values{
		"_busy_timeout": {busyTimeout},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"1"},
		"_dqs":          {"0"},
		"_defensive":    {"1"},
		"_pragma":       {"trusted_schema(0)", "journal_size_limit(67108864)"},
	}
	for i := 0; i < len(options); i += 2 {
		q.Set(options[i], options[i+1])
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}
	return u.String()
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

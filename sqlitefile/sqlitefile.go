// Package sqlitefile opens the embedded database of a hub or a node: one SQLite
// file that survives a crash, is its owner's alone, and has the schema that the
// program knows.
package sqlitefile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
)

// busyTimeout is how long a statement waits for another process's lock, in
// milliseconds.
const busyTimeout = "10000"

// File is an open database. Writes go through one connection and begin with BEGIN
// IMMEDIATE, so that what a transaction reads stays true until it is through. The
// journal is a write-ahead log synchronised on each commit (synchronous=FULL): a
// commit that has returned survives a crash of the process and of the machine.
// What is deleted is overwritten in the file (secure_delete). Reads run beside, on their own connections, each on a consistent snapshot.
//
// What is deleted or replaced is overwritten with zeros (secure_delete=ON) as soon as
// its pages are written back from the write-ahead log. Older pages in the log itself
// are overwritten as it is used again, and go with it when the file is closed.
type File struct {
	Write *sql.DB // one connection
	Read  *sql.DB // can not write
}

// Open opens the database at a path, and creates it with mode 0600 if there is
// none, and brings its schema up to date with goose migrations. The directory must
// exist. A database that others than its owner may read or write is refused, as
// is one with a newer schema than this program's.
func Open(ctx context.Context, path string, migrations fs.FS, readers int) (*File, error) {
	path, err := prepareFile(path)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	f := new(File)
	if f.Write, err = openDB(dsn(path, "_txlock", "immediate")); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	f.Write.SetMaxOpenConns(1)
	if f.Read, err = openDB(dsn(path, "_query_only", "1")); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: %w", err), f.Write.Close())
	}
	f.Read.SetMaxOpenConns(readers)
	f.Read.SetMaxIdleConns(readers)
	if err = migrate(ctx, f.Write, migrations); err == nil {
		err = f.checkDurable(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: %s: %w", path, err), f.Close())
	}
	return f, nil
}

// Close closes all connections.
func (f *File) Close() error { return errors.Join(f.Read.Close(), f.Write.Close()) }

// checkDurable makes sure that the settings took: SQLite ignores those that it
// can not follow, such as a write-ahead log on some network file systems.
func (f *File) checkDurable(ctx context.Context) error {
	var journal string
	var sync, keys, erase int
	err := f.Write.QueryRowContext(ctx, "SELECT j.journal_mode, s.synchronous, f.foreign_keys, d.secure_delete FROM"+
		" pragma_journal_mode j, pragma_synchronous s, pragma_foreign_keys f, pragma_secure_delete d").Scan(&journal, &sync, &keys, &erase)
	if err != nil {
		return err
	}
	if journal != "wal" || sync != 2 || keys != 1 || erase != 1 {
		return fmt.Errorf("journal_mode=%s synchronous=%d foreign_keys=%d secure_delete=%d: want wal, 2, 1, 1", journal, sync, keys, erase)
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

func openDB(dsn string) (*sql.DB, error) {
	c, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(preparing{c}), nil
}

func dsn(path, option, value string) string {
	q := url.Values{
		"_busy_timeout": {busyTimeout},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"1"},
		"_dqs":          {"0"},
		"_defensive":    {"1"},
		"_pragma":       {"trusted_schema(0)", "secure_delete(1)", "journal_size_limit(67108864)"},
		option:          {value},
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}
	return u.String()
}

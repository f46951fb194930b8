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
	"time"

	"github.com/pressly/goose/v3"
)

// ErrDamaged says that a file is no SQLite database, or not a sound one.
var ErrDamaged = errors.New("the database is damaged")

// progressEvery is how often Snapshot reports.
const progressEvery = time.Second

// Snapshot writes what a database held at one moment to a new file of mode 0600,
// on stable storage when it returns nil. Processes that use the database go on
// reading and writing meanwhile; of their transactions each is in the snapshot with
// all of its writes or not at all, and so is everything that was committed before
// the call. It is SQLite's VACUUM INTO: one read transaction, whose result is built
// anew, so that nothing of what has been deleted is left in it, which a copy of the
// pages would hand on. What is written in the meantime stays in the write-ahead log
// until it is through.
//
// progress, if not nil, is called once a second from another goroutine with the
// bytes written so far and those expected, which are never fewer. The source is
// neither migrated nor changed. With an error there is no file at to; fs.ErrExist is
// wrapped where there was one before.
func Snapshot(ctx context.Context, path, to string, progress func(done, total int64)) (err error) {
	f, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(to))
		}
	}()
	db, err := openAsIs(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var size int64
	if err := db.QueryRowContext(ctx, "SELECT (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)").Scan(&size); err != nil {
		return fmt.Errorf("sqlite: %s: %w", path, err)
	}
	stop := report(f, size, progress)
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", to) // an empty file is taken
	stop()
	if err != nil {
		return fmt.Errorf("sqlite: copying %s: %w", path, err)
	}
	return f.Sync()
}

// report calls progress with the size of a file that grows until stop is called.
func report(f *os.File, total int64, progress func(done, total int64)) (stop func()) {
	if progress == nil {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			if info, err := f.Stat(); err == nil {
				progress(min(info.Size(), total), total)
			}
		}
	}()
	return func() { close(done); <-ended }
}

// Version returns the version of the schema that a database has, and changes
// nothing. The error wraps ErrDamaged if the file is no database of ours.
func Version(ctx context.Context, path string) (version int64, err error) {
	db, err := openAsIs(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version").Scan(&version); err != nil {
		return 0, fmt.Errorf("%w: reading its schema version: %w", ErrDamaged, err)
	}
	return version, nil
}

// Newest returns the version of the last of goose's migrations.
func Newest(migrations fs.FS) (newest int64, err error) {
	names, err := fs.Glob(migrations, "*.sql")
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		v, err := goose.NumericComponent(name)
		if err != nil {
			return 0, fmt.Errorf("migration %s: %w", name, err)
		}
		newest = max(newest, v)
	}
	return newest, nil
}

// Check reads all of a database and makes sure that it hangs together: pages,
// rows, indexes, constraints and references between tables. It changes nothing.
// Errors about what is wrong with it wrap ErrDamaged.
func Check(ctx context.Context, path string) (err error) {
	db, err := openAsIs(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, query := range []string{"PRAGMA integrity_check(1)",
		"SELECT CASE count(*) WHEN 0 THEN 'ok' ELSE count(*) || ' rows refer to what is not there' END FROM pragma_foreign_key_check"} {
		var said string
		err := db.QueryRowContext(ctx, query).Scan(&said)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		case said != "ok":
			return fmt.Errorf("%w: %s", ErrDamaged, said)
		}
	}
	return nil
}

// openAsIs opens a database that exists for reading alone, on one connection, and
// leaves journal and schema as they are. It may be in use by other processes.
// PRAGMA query_only would refuse VACUUM INTO; mode=ro does not, for it is about the
// file.
func openAsIs(path string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	q := url.Values{
		"mode":          {"ro"},
		"_busy_timeout": {busyTimeout},
		"_dqs":          {"0"},
		"_defensive":    {"1"},
		"_pragma":       {"trusted_schema(0)", "cell_size_check(1)"},
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

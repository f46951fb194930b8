package sqlitefile_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/entente-hub/entente/sqlitefile"
)

var ctx = context.Background()

// ledger has two tables of which every transaction keeps the sums equal.
var ledger = fstest.MapFS{
	"00001_initial.sql": {Data: []byte(`-- +goose Up
CREATE TABLE debit (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL, filler BLOB) STRICT;
CREATE TABLE credit (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL, debit INTEGER NOT NULL REFERENCES debit (id)) STRICT;
CREATE INDEX by_amount ON credit (amount);
`)},
}

func open(t *testing.T, path string) *sqlitefile.File {
	t.Helper()
	f, err := sqlitefile.Open(ctx, path, ledger, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // closed twice where the test has done it
	return f
}

// book writes one transaction.
func book(f *sqlitefile.File, n int) error {
	tx, err := f.Write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	if _, err := tx.Exec("INSERT INTO debit VALUES (?, ?, zeroblob(3000))", n, n); err != nil {
		return err
	}
	if _, err := tx.Exec("INSERT INTO credit VALUES (?, ?, ?)", n, n, n); err != nil {
		return err
	}
	return tx.Commit()
}

// booked is how many transactions a file holds; it fails if one of them is half there.
func booked(t *testing.T, path string) int {
	t.Helper()
	if err := sqlitefile.Check(ctx, path); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n, last, debit, credit int
	if err := db.QueryRow("SELECT count(*), coalesce(max(id), 0), sum(amount), (SELECT sum(amount) FROM credit) FROM debit").
		Scan(&n, &last, &debit, &credit); err != nil {
		t.Fatal(err)
	}
	if debit != credit || n != last {
		t.Fatalf("%d transactions up to %d, sums %d and %d", n, last, debit, credit)
	}
	return n
}

// TestSnapshotWhileWriting: each snapshot holds whole transactions, all of those that
// were committed before it began, and none after a gap.
func TestSnapshotWhileWriting(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "live.db")
	f := open(t, path)
	n := 0
	for ; n < 200; n++ {
		if err := book(f, n+1); err != nil {
			t.Fatal(err)
		}
	}
	stop, stopped, written := make(chan struct{}), make(chan error), make(chan int, 1)
	written <- n
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if err := book(f, n+1); err != nil {
				stopped <- err
				return
			}
			n++
			<-written
			written <- n
		}
	}()
	for i := range 5 {
		before := <-written
		written <- before
		to := filepath.Join(dir, string(rune('a'+i)))
		if err := sqlitefile.Snapshot(ctx, path, to, nil); err != nil {
			t.Error(err)
			break
		}
		if got := booked(t, to); got < before {
			t.Errorf("%d transactions in the snapshot, %d were committed before", got, before)
		}
		if info, err := os.Stat(to); err != nil || info.Mode() != 0o600 {
			t.Errorf("%v %v", info, err)
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestSnapshotLeavesAsItWas: source and what is there already stay as they are.
func TestSnapshotLeavesAsItWas(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "live.db")
	f := open(t, path)
	if err := book(f, 1); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "copy")
	if err := os.WriteFile(to, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := sqlitefile.Snapshot(ctx, path, to, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("written over a file: %v", err)
	}
	if raw, err := os.ReadFile(to); err != nil || string(raw) != "mine" {
		t.Errorf("%q %v", raw, err)
	}
	fresh := filepath.Join(dir, "fresh")
	gone, cancel := context.WithCancel(ctx)
	cancel()
	for name, fails := range map[string]func() error{
		"no source": func() error { return sqlitefile.Snapshot(ctx, filepath.Join(dir, "none"), fresh, nil) },
		"no SQLite": func() error { return sqlitefile.Snapshot(ctx, to, fresh, nil) },
		"cancelled": func() error { return sqlitefile.Snapshot(gone, path, fresh, nil) },
	} {
		if err := fails(); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Stat(fresh); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: something is left: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a source was made")
	}
	if err := sqlitefile.Snapshot(ctx, path, fresh, nil); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(before) {
		t.Errorf("the source has changed: %v", err)
	}
}

// TestSnapshotForgets: what was deleted is not handed on, though its pages stand in
// the source yet.
func TestSnapshotForgets(t *testing.T) {
	dir := t.TempDir()
	path, secret := filepath.Join(dir, "live.db"), "a text that is found only once"
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=secure_delete(0)")
	if err != nil {
		t.Fatal(err)
	}
	for _, stmt := range []string{"CREATE TABLE t (x)", "INSERT INTO t VALUES ('" + secret + "')", "DELETE FROM t"} {
		if _, err := db.Exec(stmt); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "copy")
	if err := sqlitefile.Snapshot(ctx, path, to, nil); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]bool{path: true, to: false} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte(secret)) != want {
			t.Errorf("%s holds the text: %v", filepath.Base(file), !want)
		}
	}
}

func TestVersions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "live.db")
	open(t, path)
	if v, err := sqlitefile.Version(ctx, path); v != 1 || err != nil {
		t.Error(v, err)
	}
	if v, err := sqlitefile.Newest(ledger); v != 1 || err != nil {
		t.Error(v, err)
	}
	more := fstest.MapFS{"00001_a.sql": {}, "00012_b.sql": {}, "00003_c.sql": {}}
	if v, err := sqlitefile.Newest(more); v != 12 || err != nil {
		t.Error(v, err)
	}
	more["x.sql"] = &fstest.MapFile{}
	if _, err := sqlitefile.Newest(more); err == nil {
		t.Error("a migration without a number")
	}
}

// TestCheckFinds: whatever is cut off or turned round in the pages.
func TestCheckFinds(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "live.db")
	f := open(t, path)
	for n := range 100 {
		if err := book(f, n+1); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := func(name string, change func([]byte) []byte) {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, change(bytes.Clone(sound)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := sqlitefile.Check(ctx, file); !errors.Is(err, sqlitefile.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	damaged("cut", func(b []byte) []byte { return b[:len(b)/2] })
	damaged("no database", func(b []byte) []byte { return bytes.Repeat([]byte("x"), 4096) })
	damaged("empty page", func(b []byte) []byte { clear(b[4096 : 2*4096]); return b })
	if err := os.WriteFile(filepath.Join(dir, "orphan"), sound, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "orphan"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("DELETE FROM debit WHERE id = 7"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	damaged("dangling", func([]byte) []byte {
		raw, err := os.ReadFile(filepath.Join(dir, "orphan"))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	})
}

package sqlitefile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
)

// kept opens a database with one connection, whose statements are kept.
func kept(t *testing.T) *sql.DB {
	t.Helper()
	db, err := openDB(dsn(filepath.Join(t.TempDir(), "a.db"), "_txlock", "immediate"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	db.SetMaxOpenConns(1)
	run(t, db, "CREATE TABLE n (n INTEGER PRIMARY KEY) STRICT")
	for n := range 100 {
		run(t, db, "INSERT INTO n VALUES (?)", n)
	}
	return db
}

func run(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatal(query, err)
	}
}

func count(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	if err := db.QueryRow("SELECT count(*) FROM n").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestPragmaAgain: a setting that SQLite follows when its statement is prepared, and not
// when it is run, is followed each time all the same.
func TestPragmaAgain(t *testing.T) {
	db := kept(t)
	for _, set := range []int{10, 20, 10, 20} {
		run(t, db, fmt.Sprintf(" pragma busy_timeout = %d", set))
		var got int
		if err := db.QueryRow("PRAGMA busy_timeout").Scan(&got); err != nil || got != set {
			t.Errorf("set to %d it is %d, %v", set, got, err)
		}
	}
}

// TestHalfRead: a statement that was left half read, by its reader, by the end of its
// context or by an error, is as new when it is run again, and holds up nothing.
func TestHalfRead(t *testing.T) {
	db := kept(t)
	const query = "SELECT n FROM n WHERE 1 / (n - ?) IS NULL OR n >= 0 ORDER BY n"
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		rows, err := db.QueryContext(ctx, query, -1)
		if err != nil || !rows.Next() {
			t.Fatal(err)
		}
		cancel()
		for rows.Next() {
		}
		if err := rows.Close(); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		rows, err = db.Query(query, -1)
		if err != nil {
			t.Fatal(err)
		}
		if !rows.Next() || rows.Close() != nil {
			t.Error("not read")
		}
		run(t, db, "VACUUM") // refused while any statement is at work
		if err := db.QueryRow("SELECT abs(-9223372036854775808 + n) FROM n WHERE n >= ? ORDER BY n", 0).Scan(new(int)); err == nil {
			t.Error("no error")
		}
		if _, err := db.Exec("INSERT INTO n VALUES (?)", 7); err == nil { // it is there
			t.Error("stored twice")
		}
		run(t, db, "DELETE FROM n WHERE n = 7")
		run(t, db, "INSERT INTO n VALUES (?)", 7)
		if n := count(t, db); n != 100 {
			t.Errorf("%d rows", n)
		}
	}
}

// TestSchemaChanges: a kept statement sees a table that has changed meanwhile, and the
// end of a transaction that SQL has rolled back.
func TestSchemaChanges(t *testing.T) {
	db := kept(t)
	for i := range 3 {
		if n := count(t, db); n != 100 {
			t.Errorf("%d rows", n)
		}
		run(t, db, fmt.Sprintf("ALTER TABLE n ADD COLUMN c%d INTEGER", i))
		run(t, db, "CREATE TABLE m AS SELECT * FROM n")
		run(t, db, "DROP TABLE n")
		run(t, db, "ALTER TABLE m RENAME TO n")
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("DELETE FROM n"); err != nil {
			t.Error(err)
		}
		if _, err := tx.Exec("ROLLBACK"); err != nil {
			t.Error(err)
		}
		if err := tx.Rollback(); err == nil {
			t.Error("rolled back twice")
		}
	}
}

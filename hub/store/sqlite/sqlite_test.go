package sqlite_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/sqlite"
	"github.com/entente-hub/entente/hub/store/storetest"
)

func fresh(t testing.TB) func(testing.TB) store.Store {
	path := filepath.Join(t.TempDir(), "hub.db")
	return func(t testing.TB) store.Store { return open(t, path) }
}

func open(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Error(err) // not Fatal: some tests open in goroutines
		panic(err)
	}
	return s
}

func TestContract(t *testing.T) { storetest.Run(t, fresh) }

func TestCrash(t *testing.T) {
	if path := os.Getenv(storetest.CrashEnv); path != "" {
		t.Fatal(storetest.CrashChild(open(t, path), os.Stdout, os.Args[len(os.Args)-1]))
	}
	path := filepath.Join(t.TempDir(), "hub.db")
	storetest.Crash(t, "TestCrash", path, func(t testing.TB) store.Store { return open(t, path) })
}

// TestFile: the file and those beside it are their owner's alone, and nothing
// else is opened.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "odd name %20?mode=ro&#'.db")
	s := open(t, path)
	if _, err := s.Commit(t.Context(), []store.Write{{Entries: [][]byte{{1}}}}); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name(), info.Mode(), err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("this is a text and no database at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{path, dir, text, filepath.Join(dir, "absent", "hub.db")} {
		if s, err := sqlite.Open(t.Context(), bad); err == nil {
			t.Errorf("%s was opened", bad)
			s.Close()
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "absent")); err == nil {
		t.Error("a directory was made")
	}
}

func rawDB(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestNewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.db")
	open(t, path).Close()
	db := rawDB(t, path)
	if _, err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)"); err != nil {
		t.Fatal(err)
	}
	if s, err := sqlite.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "99999") {
		t.Fatalf("%v, %v", s, err)
	}
}

// TestHalfMigrated: a migration that fails leaves no table of ours behind.
func TestHalfMigrated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	db := rawDB(t, path)
	if _, err := db.Exec("CREATE TABLE feeds (in_the_way)"); err != nil {
		t.Fatal(err)
	}
	if s, err := sqlite.Open(t.Context(), path); err == nil {
		t.Fatalf("opened: %v", s)
	}
	var n int
	if err := db.QueryRow("SELECT count(*) FROM sqlite_master WHERE name LIKE 'log_%'").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d tables: %v", n, err)
	}
	if _, err := db.Exec("DROP TABLE feeds"); err != nil {
		t.Fatal(err)
	}
	open(t, path).Close()
}

// TestDamagedLog: a log whose stored hashes do not make its root is not
// appended to.
func TestDamagedLog(t *testing.T) {
	for _, damage := range []string{
		"UPDATE log_hashes SET hash = zeroblob(32) WHERE idx = 3",
		"DELETE FROM log_hashes WHERE idx = 3",
		"UPDATE log_head SET root = zeroblob(32)",
		"UPDATE log_head SET size = 2",
		"DELETE FROM log_head",
	} {
		path := filepath.Join(t.TempDir(), "hub.db")
		s := open(t, path)
		w := []store.Write{{Entries: [][]byte{{1}, {2}, {3}}}}
		if _, err := s.Commit(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := rawDB(t, path).Exec(damage); err != nil {
			t.Fatal(err)
		}
		s = open(t, path)
		if r, err := s.Commit(t.Context(), w); err == nil {
			t.Errorf("%s: committed: %v", damage, r)
		}
		s.Close()
	}
}

// TestInterned: a label of one originator is stored once.
func TestInterned(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.db")
	s := open(t, path)
	defer s.Close()
	storetest.CommitLabels(t, s)
	var labels, portions, orphans int
	err := rawDB(t, path).QueryRow("SELECT (SELECT count(*) FROM labels), (SELECT count(*) FROM portions),"+
		" (SELECT count(*) FROM portions p LEFT JOIN labels l ON l.id = p.label LEFT JOIN alerts a ON a.id = p.alert"+
		" WHERE l.originator IS NOT a.originator)").Scan(&labels, &portions, &orphans)
	if err != nil || labels != storetest.Labels || portions != storetest.Portions || orphans != 0 {
		t.Errorf("%d labels, %d portions, %d orphans: %v", labels, portions, orphans, err)
	}
}

// TestPlans: no statement in use scans a table that grows with the alerts, or
// sorts what it could read in order.
func TestPlans(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.db")
	s := open(t, path)
	defer s.Close()
	db := rawDB(t, path)
	for _, query := range sqlite.Queries {
		rows, err := db.Query("EXPLAIN QUERY PLAN "+query, make([]any, args(query))...)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			table, scans := strings.CutPrefix(detail, "SCAN ")
			if scans && !scanned[strings.Fields(table)[0]] || strings.Contains(detail, "TEMP B-TREE") && !sqlite.Sorting[query] {
				t.Errorf("%s: %s", query, detail)
			}
		}
		if err := rows.Err(); err != nil {
			t.Errorf("%s: %v", query, err)
		}
		rows.Close()
	}
}

// scanned are the tables of one row or few rows, and those that a query makes for
// itself.
var scanned = map[string]bool{"log_head": true, "probe": true, "settled": true, "proposals": true, "bundles": true,
	"json_each": true, "places": true, "(subquery-3)": true}

// args returns how many arguments a query takes: the highest that it numbers, or
// one for each question mark.
func args(query string) int {
	for n := 9; n > 0; n-- {
		if strings.Contains(query, "?"+strconv.Itoa(n)) {
			return n
		}
	}
	return strings.Count(query, "?")
}

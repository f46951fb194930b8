package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/entente-hub/entente/hub/store/storetest"
	"github.com/entente-hub/entente/sqlitefile"
)

// older makes a database of an earlier schema, with what fill writes.
func older(t *testing.T, schemas []string, fill func(t testing.TB, run func(sql string), blob func([]byte) string)) (path string) {
	t.Helper()
	files := make(fstest.MapFS)
	for _, name := range schemas {
		sql, err := os.ReadFile(filepath.Join("migrations", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: sql}
	}
	path = filepath.Join(t.TempDir(), "hub.db")
	f, err := sqlitefile.Open(t.Context(), path, files, 1)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, func(sql string) {
		if _, err := f.Write.ExecContext(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}, func(b []byte) string { return fmt.Sprintf("x'%x'", b) })
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestVersion1: a database of the first schema is brought up to date, with all
// that is in it.
func TestVersion1(t *testing.T) {
	path := older(t, []string{"00001_initial.sql"}, storetest.Version1)
	s := open(t, path)
	storetest.CheckVersion1(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkSound(t, path)
}

// TestVersion2: what an earlier schema left open is mended, and what it stored in the clear
// is nowhere in the file any more.
func TestVersion2(t *testing.T) {
	path := older(t, []string{"00001_initial.sql", "00002_resettle.sql"}, storetest.Version2)
	for _, token := range storetest.Tokens2 {
		if found(t, filepath.Dir(path), token) == 0 {
			t.Errorf("%q is not in the file", token)
		}
	}
	s := open(t, path)
	storetest.CheckVersion2(t, s)
	for _, token := range storetest.Tokens2 {
		if n := found(t, filepath.Dir(path), token); n > 0 {
			t.Errorf("%q was found %d times", token, n)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkSound(t, path)
}

func checkSound(t *testing.T, path string) {
	t.Helper()
	var broken int
	db := rawDB(t, path)
	if err := db.QueryRow("SELECT count(*) FROM pragma_foreign_key_check").Scan(&broken); err != nil || broken != 0 {
		t.Errorf("%d broken references: %v", broken, err)
	}
	var ok string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&ok); err != nil || ok != "ok" {
		t.Errorf("%s: %v", ok, err)
	}
}

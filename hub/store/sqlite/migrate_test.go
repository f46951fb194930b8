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

// TestVersion1: a database of the first schema is brought up to date, with all
// that is in it.
func TestVersion1(t *testing.T) {
	const first = "00001_initial.sql"
	sql, err := os.ReadFile(filepath.Join("migrations", first))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "hub.db")
	f, err := sqlitefile.Open(t.Context(), path, fstest.MapFS{first: {Data: sql}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	storetest.Version1(t, func(sql string) {
		if _, err := f.Write.ExecContext(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}, func(b []byte) string { return fmt.Sprintf("x'%x'", b) })
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	storetest.CheckVersion1(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
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

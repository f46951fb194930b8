package postgres_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/entente-hub/entente/hub/store/pgtest"
	"github.com/entente-hub/entente/hub/store/postgres"
	"github.com/entente-hub/entente/hub/store/storetest"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/pressly/goose/v3"
)

// older makes a database of an earlier schema, with what fill writes.
func older(t *testing.T, schemas []string, fill func(t testing.TB, run func(sql string), blob func([]byte) string)) (dsn string) {
	t.Helper()
	files := make(fstest.MapFS)
	for _, name := range schemas {
		text, err := os.ReadFile(filepath.Join("migrations", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: text}
	}
	dsn = pgtest.New(t)
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	fill(t, func(sql string) {
		if _, err := db.ExecContext(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}, func(b []byte) string { return fmt.Sprintf(`'\x%x'`, b) })
	return dsn
}

// TestVersion1: a database of the first schema is brought up to date, with all
// that is in it.
func TestVersion1(t *testing.T) {
	dsn := older(t, []string{"00001_initial.sql"}, storetest.Version1)
	s := open(t, dsn, postgres.Options{})
	defer s.Close()
	storetest.CheckVersion1(t, s)
	checkReferences(t, dsn)
}

// TestVersion2: what an earlier schema left open is mended, and what it stored in the clear
// is nowhere in the database's files any more.
func TestVersion2(t *testing.T) {
	dsn := older(t, []string{"00001_initial.sql", "00002_resettle.sql"}, storetest.Version2)
	for i, n := range found(t, dsn, storetest.Tokens2...) {
		if n == 0 {
			t.Errorf("token %d is not in the files", i)
		}
	}
	s := open(t, dsn, postgres.Options{})
	defer s.Close()
	storetest.CheckVersion2(t, s)
	for i, n := range found(t, dsn, storetest.Tokens2...) {
		if n > 0 {
			t.Errorf("token %d was found %d times", i, n)
		}
	}
	checkReferences(t, dsn)
}

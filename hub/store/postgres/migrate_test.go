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

// TestVersion1: a database of the first schema is brought up to date, with all
// that is in it.
func TestVersion1(t *testing.T) {
	const first = "00001_initial.sql"
	text, err := os.ReadFile(filepath.Join("migrations", first))
	if err != nil {
		t.Fatal(err)
	}
	dsn := pgtest.New(t)
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectPostgres, db, fstest.MapFS{first: {Data: text}}, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	storetest.Version1(t, func(sql string) {
		if _, err := db.ExecContext(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}, func(b []byte) string { return fmt.Sprintf(`'\x%x'`, b) })
	s := open(t, dsn, postgres.Options{})
	defer s.Close()
	storetest.CheckVersion1(t, s)
	checkReferences(t, dsn)
}

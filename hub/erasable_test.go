package hub_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/crypto/sdjwt"
	"github.com/entente-hub/entente/hub/store/sqlite"
)

// inFiles counts how many of the disclosures of a token stand in the files of a folder.
func inFiles(t testing.TB, dir, token string) (n int) {
	t.Helper()
	parsed, err := sdjwt.Parse(token)
	if err != nil || len(parsed.Disclosures) == 0 {
		t.Fatal(parsed, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Disclosures {
			n += strings.Count(string(raw), d.Encoded[:24])
		}
	}
	return n
}

// TestStoredBefore: what an earlier version of the program has stored, in the clear and
// to be erased when the alert ends, is looked at: each portion ends when its label says,
// and nothing stays in the clear in the file.
func TestStoredBefore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "hub.db")
	st, err := sqlite.Open(t.Context(), path)
	w := worldOn(t, opened(t, st, err))
	short := label("XB")
	short.Retention = alert.Date(w.clock.now().AddDate(0, 0, 2).Format(time.DateOnly))
	a := w.compose("XA", short, label("XB"))
	a.Expires = w.clock.now().AddDate(0, 0, 10).Unix()
	token := w.sign(a)
	w.publish("XA", token)
	if n := inFiles(t, dir, token); n != 0 {
		t.Errorf("%d disclosures are in the file in the clear", n)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec("PRAGMA foreign_keys = 0; DELETE FROM erasable_keys; UPDATE shrouded SET clear = 1; UPDATE alerts SET erase_at = 1, token = ?", []byte(token))
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if inFiles(t, dir, token) == 0 {
		t.Error("nothing is in the file in the clear")
	}
	w.await("everything has its key", func() bool {
		w.LookForEnded()
		return inFiles(t, dir, token) == 0
	})
	w.erased(a, "p1", "p2")
	w.clock.advance(4 * 24 * time.Hour)
	w.erased(a, "p2")
	if n := w.row(a).EraseAt; n != a.Expires {
		t.Errorf("looked at next at %d, want %d", n, a.Expires)
	}
}

package sqlite_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/storetest"
)

// found counts how often a text stands in the files of a directory.
func found(t testing.TB, dir, text string) (n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		n += strings.Count(string(b), text)
	}
	return n
}

// keyOf returns what opens an alert's token.
func keyOf(t testing.TB, path string, row int) (key string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var raw []byte
	if err := db.QueryRow("SELECT key FROM erasable_keys WHERE n = ?", row).Scan(&raw); err != nil || len(raw) != 32 {
		t.Fatal(raw, err)
	}
	return string(raw)
}

// TestErased: of a token nothing is in any of the files in the clear, ever; and of the key
// that opened what was erased nothing is left while the database is open and after, however
// often rows were moved before. Where a reader was in the way that is so after it has gone.
func TestErased(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "hub.db")
	s := open(t, path)
	defer s.Close()
	var keys, tokens []string
	commit := func(w store.Write) {
		t.Helper()
		results, err := s.Commit(t.Context(), []store.Write{w})
		if err != nil || results[0].Outcome != store.Done {
			t.Fatalf("%+v, %v", results, err)
		}
	}
	const alerts = 250 // so many that the table of keys has several pages
	for i := range alerts {
		tokens = append(tokens, strings.Repeat(fmt.Sprintf("token %d ", i), 1+i%7*40))
		commit(storetest.Erasable(i, tokens[i], 7))
		if n := i * 13 / 29; i%29 == 28 { // in part: what is left has another key, over the old one
			keys = append(keys, keyOf(t, path, n+1))
			commit(store.Write{Erase: &store.Erase{Row: int64(n + 1), Before: 7, Token: "less", EraseAt: 8}})
		}
		keys = append(keys, keyOf(t, path, i+1))
	}
	if found(t, dir, keys[0]) != 1 || found(t, dir, keys[len(keys)-1]) == 0 {
		t.Error("keys that are in use are not in the files")
	}
	for row := 1; row <= alerts; row++ {
		before := int64(7)
		if a, err := s.Alert(t.Context(), "XA", storetest.Erasable(row-1, "", 0).Accept.ID, 1); err != nil || a.Token != tokens[row-1] && a.Token != "less" {
			t.Fatalf("alert %d: %+v, %v", row, a, err)
		} else {
			before = a.EraseAt
		}
		keys = append(keys, keyOf(t, path, row))
		commit(store.Write{Erase: &store.Erase{Row: int64(row), Before: before, Token: "skeleton"}})
	}
	gone := func() {
		t.Helper()
		all := make(map[string]bool, len(keys))
		for _, k := range keys {
			all[k] = true
		}
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i+32 <= len(raw); i++ {
				if all[string(raw[i:i+32])] {
					t.Errorf("%s holds an erased key at %d", f, i)
				}
			}
		}
		for _, text := range []string{tokens[0], tokens[1][:30]} {
			if n := found(t, dir, text); n > 0 {
				t.Errorf("%q was found %d times", text, n)
			}
		}
	}
	gone()

	commit(storetest.Erasable(alerts, "one more", 7))
	last := keyOf(t, path, alerts+1)
	reader, err := rawDB(t, path).BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := reader.QueryRow("SELECT count(*) FROM alerts").Scan(&n); err != nil || n != alerts+1 {
		t.Fatal(n, err)
	}
	commit(store.Write{Erase: &store.Erase{Row: alerts + 1, Before: 7, Token: "skeleton"}})
	if clean, err := s.Scrub(t.Context()); clean || err != nil || found(t, dir, last) == 0 {
		t.Errorf("the reader was in nobody's way: %t, %v", clean, err)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if clean, err := s.Scrub(t.Context()); !clean || err != nil || found(t, dir, last) > 0 {
		t.Errorf("scrubbed: %t, %v", clean, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	gone()
}

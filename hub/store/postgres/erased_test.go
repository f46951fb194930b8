package postgres_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/pgtest"
	"github.com/entente-hub/entente/hub/store/postgres"
	"github.com/entente-hub/entente/hub/store/storetest"
	"github.com/jackc/pgx/v5"
)

// found counts how often each of some texts stands in the files of a database's tables, once
// the server has written them.
func found(t *testing.T, dsn string, texts ...string) (counts []int) {
	t.Helper()
	exec(t, dsn, "CHECKPOINT")
	dir := query[string](t, dsn, "SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database WHERE datname = current_database()")
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	counts = make([]int, len(texts))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil && !os.IsNotExist(err) { // the server removes what it has no use for
			t.Fatal(err)
		}
		for i, text := range texts {
			counts[i] += bytes.Count(b, []byte(text))
		}
	}
	return counts
}

func keyOf(t *testing.T, dsn string, row int) string {
	t.Helper()
	return string(query[[]byte](t, dsn, fmt.Sprintf("SELECT key FROM erasable_keys WHERE n = %d", row)))
}

// scrubbed has a hub that has just begun scrub, which need not wait for its share of the
// time. Whatever else the server does may still be in the way for a moment.
func scrubbed(t *testing.T, dsn string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; <-time.After(20 * time.Millisecond) {
		s := open(t, dsn, postgres.Options{})
		clean, err := s.Scrub(t.Context())
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if clean {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("never clean: ", err)
		}
	}
}

// TestErased: of a token nothing is in the database's files in the clear, ever; and of the
// key that opened what was erased nothing is left once it is scrubbed. What is not erased
// can still be read.
func TestErased(t *testing.T) {
	dsn := pgtest.New(t)
	s := open(t, dsn, postgres.Options{})
	defer s.Close()
	commit := func(w store.Write) {
		t.Helper()
		results, err := s.Commit(t.Context(), []store.Write{w})
		if err != nil || results[0].Outcome != store.Done {
			t.Fatalf("%+v, %v", results, err)
		}
	}
	scrubbed(t, dsn)
	tokens := []string{strings.Repeat("in the page ", 20), strings.Repeat("on pages of its own ", 5000), "erased in part", "not erased"}
	var keys []string
	for i, token := range tokens {
		commit(storetest.Erasable(i, token, 7))
		keys = append(keys, keyOf(t, dsn, i+1))
	}
	scrubbed(t, dsn) // there is nothing to do
	commit(store.Write{Erase: &store.Erase{Row: 1, Before: 7, Token: "skeleton 1"}})
	commit(store.Write{Erase: &store.Erase{Row: 2, Before: 7, Token: "skeleton 2"}})
	commit(store.Write{Erase: &store.Erase{Row: 3, Before: 7, Token: "less", EraseAt: 9}})
	for i, n := range found(t, dsn, keys...) {
		if n == 0 {
			t.Errorf("key %d is not in the files before they are scrubbed", i)
		}
	}
	scrubbed(t, dsn)
	keys = append(keys, keyOf(t, dsn, 3))
	for i, n := range found(t, dsn, append(keys, tokens[0][:10], tokens[1][:10], tokens[2], tokens[3])...) {
		if (n > 0) != (i == 3 || i == 4) {
			t.Errorf("text %d was found %d times", i, n)
		}
	}
	for i, want := range []string{"skeleton 1", "skeleton 2", "less", tokens[3]} {
		a, err := s.Alert(t.Context(), "XA", storetest.Erasable(i, "", 0).Accept.ID, 1)
		if err != nil || a.Token != want {
			t.Errorf("alert %d: %+v, %v", i, a, err)
		}
	}
	commit(store.Write{Erase: &store.Erase{Row: 3, Before: 9, Token: "skeleton 3"}})
	scrubbed(t, dsn)
	if n := found(t, dsn, keys[4])[0]; n > 0 {
		t.Errorf("the key of what was left was found %d times", n)
	}
}

// TestScrubLater: a transaction that may still see what was erased, or that is in the way,
// is told of, and made up for when it has ended, by whichever hub looks next.
func TestScrubLater(t *testing.T) {
	dsn := pgtest.New(t)
	s := open(t, dsn, postgres.Options{})
	defer s.Close()
	for i, first := range []string{"SELECT count(*) FROM feeds", "SELECT count(*) FROM erasable_keys", "SELECT count(*) FROM labels"} {
		if _, err := s.Commit(t.Context(), []store.Write{storetest.Erasable(i, "token", 7)}); err != nil {
			t.Fatal(err)
		}
		key := keyOf(t, dsn, i+1)
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		for _, sql := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ", first} {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Commit(t.Context(), []store.Write{{Erase: &store.Erase{Row: int64(i + 1), Before: 7, Token: "what is left", EraseAt: []int64{0, 0, 9}[i]}}}); err != nil {
			t.Fatal(err)
		}
		other := open(t, dsn, postgres.Options{})
		clean, err := other.Scrub(t.Context())
		if clean || (err != nil) != (i == 1) || found(t, dsn, key)[0] == 0 {
			t.Errorf("%s: scrubbed: %t, %v", first, clean, err)
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
		if _, err := s.Commit(t.Context(), []store.Write{{Entries: [][]byte{{1}}}}); err != nil { // nobody has to wait for it
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		scrubbed(t, dsn)
		if n := found(t, dsn, key)[0]; n > 0 {
			t.Errorf("%s: the key was found %d times", first, n)
		}
	}
}

// TestScrubShare: while something is in the way that a rewrite can not get rid of, the hub
// does not do it again and again.
func TestScrubShare(t *testing.T) {
	dsn := pgtest.New(t)
	s := open(t, dsn, postgres.Options{})
	defer s.Close()
	if _, err := s.Commit(t.Context(), []store.Write{storetest.Erasable(0, "token", 7)}); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, sql := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM feeds"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Commit(t.Context(), []store.Write{{Erase: &store.Erase{Row: 1, Before: 7, Token: "less", EraseAt: 9}}}); err != nil {
		t.Fatal(err)
	}
	exec(t, dsn, "UPDATE shrouded SET clear = true") // as it is after a migration
	file := func() int64 {
		return query[int64](t, dsn, "SELECT relfilenode::bigint FROM pg_class WHERE oid = 'alerts'::regclass")
	}
	first := file()
	if clean, err := s.Scrub(t.Context()); clean || err != nil {
		t.Fatal(clean, err)
	}
	second := file()
	if clean, err := s.Scrub(t.Context()); clean || err != nil {
		t.Fatal(clean, err)
	}
	if third := file(); first == second || second != third {
		t.Errorf("the table's file: %d, then %d, then %d", first, second, third)
	}
}

// TestScrubNotOwned: a server that does not rewrite a table says so in a warning alone: the
// store takes that for no success.
func TestScrubNotOwned(t *testing.T) {
	dsn := pgtest.New(t)
	open(t, dsn, postgres.Options{}).Close()
	role := "r_" + strings.ToLower(rand.Text())
	exec(t, dsn, "CREATE ROLE "+role+" LOGIN")
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), dsn)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(context.Background(), "DROP OWNED BY "+role+"; DROP ROLE "+role); err != nil {
			t.Error(err)
		}
	})
	exec(t, dsn, "GRANT ALL ON ALL TABLES IN SCHEMA public TO "+role)
	s := open(t, strings.Replace(dsn, "user=entente", "user="+role, 1), postgres.Options{})
	defer s.Close()
	for _, w := range []store.Write{storetest.Erasable(0, "token", 7), {Erase: &store.Erase{Row: 1, Before: 7, Token: "skeleton"}}} {
		if _, err := s.Commit(t.Context(), []store.Write{w}); err != nil {
			t.Fatal(err)
		}
	}
	if clean, err := s.Scrub(t.Context()); clean || err == nil || !strings.Contains(err.Error(), "own") {
		t.Errorf("scrubbed: %t, %v", clean, err)
	}
}

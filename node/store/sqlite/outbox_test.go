package sqlite_test

import (
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/node/store/sqlite"
	"github.com/entente-hub/entente/sqlitefile"
)

// reopened is the database after something was done to it without the program.
func reopened(t *testing.T, path string, statements ...string) *sqlite.Store {
	t.Helper()
	dir, err := fs.Sub(sqlite.Migrations, "migrations")
	must(t, err)
	f, err := sqlitefile.Open(ctx, path, dir, 1)
	must(t, err)
	for _, s := range statements {
		_, err := f.Write.Exec(s)
		must(t, err)
	}
	must(t, f.Close())
	return open(t, path)
}

// What is sendable comes in the order of the queue, urgent alerts first, and never more
// at once than a request may hold.
func TestSendable(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	for n := range 10 {
		o := outgoing(n)
		o.Urgent = n == 4 || n == 6
		if n == 7 {
			o.Token = strings.Repeat("x", alert.MaxBytes-10)
		}
		must(t, s.Enqueue(ctx, o))
	}
	names := func(limit int) (got []string) {
		t.Helper()
		list, err := s.Sendable(ctx, limit)
		must(t, err)
		for _, o := range list {
			got = append(got, strings.TrimPrefix(string(o.ID), "id-"))
		}
		return got
	}
	settle := func(n int) store.Settled {
		return store.Settled{ID: alert.ID(fmt.Sprintf("id-%d", n)), Version: 1, Settlement: store.Settlement{State: store.Accepted, Receipt: "r"}}
	}
	if got := names(3); !slices.Equal(got, []string{"4", "6", "0"}) {
		t.Error(got)
	}
	if got := names(100); !slices.Equal(got, []string{"4", "6", "0", "1", "2", "3", "5"}) {
		t.Error(got)
	}
	must(t, s.SettleAll(ctx, []store.Settled{settle(4), settle(6), settle(0), settle(1), settle(2)}))
	if err := s.SettleAll(ctx, []store.Settled{settle(3), settle(2)}); err == nil {
		t.Error("settled twice")
	}
	if got := names(100); !slices.Equal(got, []string{"3", "5"}) {
		t.Error(got)
	}
	must(t, s.SettleAll(ctx, []store.Settled{settle(3), settle(5)}))
	if got := names(100); !slices.Equal(got, []string{"7", "8"}) {
		t.Error(got)
	}
	if got := names(-1); len(got) != 0 {
		t.Error(got)
	}
}

// The queue is read from an index, however long it is.
func TestSendablePlan(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	must(t, open(t, path).Close())
	dir, err := fs.Sub(sqlite.Migrations, "migrations")
	must(t, err)
	f, err := sqlitefile.Open(ctx, path, dir, 1)
	must(t, err)
	defer f.Close()
	for name, text := range map[string]string{
		"sent":    plan(t, f.Read, sqlite.SelectSendable, 1),
		"carried": plan(t, f.Read, sqlite.SelectQueued, 0, 1),
	} {
		if !strings.Contains(text, "outbox_queue") || strings.Contains(text, "TEMP B-TREE") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// plan is how the database goes about a statement.
func plan(t *testing.T, db *sql.DB, query string, args ...any) string {
	t.Helper()
	rows, err := db.QueryContext(ctx, "EXPLAIN QUERY PLAN "+query, args...)
	must(t, err)
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		must(t, rows.Scan(&id, &parent, &unused, &detail))
		plan.WriteString(detail + "\n")
	}
	must(t, rows.Err())
	return plan.String()
}

// A list of the outbox tells of recalls without its tokens, also of those that were stored
// before there was a column for it.
func TestRecallsOfTheOutbox(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	s := open(t, path)
	recall := alert.Recall{Mode: alert.Purge, Reason: "mistaken"}
	payload := map[string]any{"iss": "XA", "sub": "018bcfe5-6800-7000-8000-000000000001", "ver": 2,
		"jti": base64.RawURLEncoding.EncodeToString(make([]byte, 16)), "iat": 1, "exp": 2,
		"_sd_alg": "sha-256", "prev": base64.RawURLEncoding.EncodeToString(make([]byte, 32)), "recall": recall}
	raw, err := json.Marshal(payload)
	must(t, err)
	if _, err := alert.ParsePayload(raw); err != nil {
		t.Fatal(err)
	}
	version := func(n int, token string, r *alert.Recall) {
		o := outgoing(0)
		o.Version, o.Token, o.Recall = n, token, r
		must(t, s.Enqueue(ctx, o))
	}
	version(1, "token-0", nil)
	version(2, "h."+base64.RawURLEncoding.EncodeToString(raw)+".s~", &recall)
	version(3, "no token", nil)
	want := []*alert.Recall{nil, &recall, nil}
	for range 2 {
		list, err := s.Outbox(ctx, 10)
		must(t, err)
		var got []*alert.Recall
		for _, o := range list {
			got = append(got, o.Recall)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		must(t, s.Close())
		s = reopened(t, path, "UPDATE outbox SET recall = NULL WHERE version > 1")
	}
}

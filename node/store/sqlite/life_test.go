package sqlite_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/node/store/sqlite"
	"github.com/entente-hub/entente/sqlitefile"
)

// received is a page of one delivery of XB's alert "a", due at a moment.
func received(seq int64, version int, due int64, text string) store.Reception {
	p := func(seq int64) store.Position {
		if seq == 0 {
			return store.Position{}
		}
		return store.Position{Seq: seq, Chain: fmt.Sprint(seq)}
	}
	return store.Reception{Before: p(seq - 1), After: p(seq), Items: []store.Item{{Seq: seq, Digest: "d", ReceivedAt: at,
		Delivery: []byte(text), Originator: "XB", ID: "a", Version: version, SignedDigest: "s", Due: due}}}
}

func left(text string, due int64) func(store.Item) (store.Item, error) {
	return func(i store.Item) (store.Item, error) {
		i.Delivery, i.Kept, i.Due = []byte(text), "kept", due
		return i, nil
	}
}

var purge = store.Purge{Originator: "XB", ID: "a", Version: 1, Digest: "s", Cause: feed.Recalled, Portions: []alert.PortionID{"p0", "p1"}, At: 7}

// TestReceiveErases: a page, what it erases and the receipts are stored together or not
// at all, and what is erased is in no file any more.
func TestReceiveErases(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	s := open(t, path)
	secret := strings.Repeat("secret", 2000)
	must(t, s.Receive(ctx, received(1, 1, 10, secret)))
	r := received(2, 2, 0, "recall")
	r.Items[0].Recall = alert.Purge
	r.Purges = []store.Purge{purge}
	for _, bad := range []store.Erasure{
		{Seq: 9, Left: left("x", 0)},
		{Seq: 1, Left: func(store.Item) (store.Item, error) { return store.Item{}, errors.New("damaged") }},
	} {
		r.Erasures = []store.Erasure{{Seq: 1, Left: left("left", 20)}, bad}
		if err := s.Receive(ctx, r); err == nil {
			t.Error("stored")
		}
		if i, err := s.Received(ctx, "XB", "a", 1); err != nil || string(i.Delivery) != secret || i.Kept != "" || i.Latest != 1 || i.Ended != "" {
			t.Errorf("%v, %v", i.Kept, err)
		}
	}
	r.Erasures = []store.Erasure{{Seq: 1, Left: left("left", 20)}}
	must(t, s.Receive(ctx, r))
	must(t, s.Scrub(ctx))
	i, err := s.Received(ctx, "XB", "a", 1)
	must(t, err)
	if string(i.Delivery) != "left" || i.Kept != "kept" || i.Due != 20 || i.Latest != 2 || i.Ended != alert.Purge {
		t.Errorf("%+v", i)
	}
	purges, err := s.PurgesOf(ctx, "XB", "a", 1)
	must(t, err)
	want := purge
	want.N = 1
	if d := cmp.Diff([]store.Purge{want}, purges); d != "" {
		t.Error(d)
	}
	for _, name := range []string{path, path + "-wal"} {
		raw, err := os.ReadFile(name)
		must(t, err)
		if bytes.Contains(raw, []byte("secretsecret")) || strings.HasSuffix(name, "-wal") && len(raw) > 0 {
			t.Errorf("%s: %d bytes", name, len(raw))
		}
	}
}

// TestDue: what is due comes in order, the inbox's and the outbox's, and a queued alert
// never.
func TestDue(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	next := func(want int64) {
		t.Helper()
		if got, err := s.NextDue(ctx); err != nil || got != want {
			t.Errorf("%d, %v; want %d", got, err, want)
		}
	}
	next(0)
	for seq, due := range []int64{30, 10, 0, 20} {
		must(t, s.Receive(ctx, received(int64(seq)+1, seq+1, due, "x")))
	}
	next(10)
	list, err := s.Due(ctx, 20, 10)
	must(t, err)
	if d := cmp.Diff([]store.Due{{Seq: 2, Originator: "XB", ID: "a", Due: 10}, {Seq: 4, Originator: "XB", ID: "a", Due: 20}}, list); d != "" {
		t.Error(d)
	}
	o := outgoing(1)
	o.Due = 5
	must(t, s.Enqueue(ctx, o))
	next(10)
	must(t, s.Settle(ctx, o.ID, 1, store.Settlement{State: store.Accepted, Receipt: "r"}))
	next(5)
	out, err := s.DueOutgoing(ctx, 5, 10)
	must(t, err)
	if len(out) != 1 || out[0].Token != o.Token || out[0].Due != 5 {
		t.Errorf("%+v", out)
	}
	must(t, s.Erase(ctx, store.Erase{Outgoing: []store.OutgoingErasure{{ID: o.ID, Version: 1, Digest: o.Digest, Token: "left"}}}))
	if got, err := s.Outgoing(ctx, o.ID, 1); err != nil || got.Token != "left" || got.Due != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	next(10)
}

// TestPurges: a receipt is signed once, then waits until it is taken or refused.
func TestPurges(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	r := received(1, 1, 10, "x")
	r.Acks = []store.Ack{{Seq: 1, Chain: "chain"}}
	must(t, s.Receive(ctx, r))
	signed := purge
	signed.Token = "token"
	must(t, s.Erase(ctx, store.Erase{Purges: []store.Purge{purge, signed, purge}}))
	if acks, err := s.Acks(ctx, 10); err != nil || len(acks) != 0 {
		t.Errorf("%v, %v", acks, err)
	}
	acks, purges, err := s.Unsigned(ctx, 10)
	must(t, err)
	if len(acks) != 1 || acks[0] != r.Acks[0] || len(purges) != 2 || purges[0].N != 1 || purges[1].N != 3 {
		t.Errorf("%v, %v", acks, purges)
	}
	acks[0].Token, purges[0].Token = "ack", "first"
	must(t, s.Signed(ctx, acks, purges[:1]))
	purges[0].Token = "again"
	must(t, s.Signed(ctx, nil, purges[:1]))
	list, err := s.Purges(ctx, 10)
	must(t, err)
	if len(list) != 2 || list[0].Token != "first" || list[1].Token != "token" {
		t.Errorf("%v", list)
	}
	must(t, s.PurgesTaken(ctx, []int64{1, 99}))
	must(t, s.PurgeRefused(ctx, 2, ""))
	if err := s.PurgeRefused(ctx, 99, ""); !errors.Is(err, store.ErrStale) {
		t.Error(err)
	}
	list, err = s.Purges(ctx, 10)
	must(t, err)
	c, err := s.Counts(ctx)
	must(t, err)
	if acks, err = s.Acks(ctx, 10); err != nil || len(acks) != 1 || acks[0].Token != "ack" || len(list) != 0 || c.Purges != 1 {
		t.Errorf("%v, %v, %v, %+v", acks, err, list, c)
	}
}

// TestNumbers: one version of a number counts, and any of those that were refused is
// shown where there is no other.
func TestNumbers(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	version := func(v int, token string) store.Outgoing {
		o := outgoing(1)
		o.Version, o.Token, o.Digest = v, token, token
		return o
	}
	refused := store.Settlement{State: store.Refused, Problem: "not-admitted"}
	if _, err := s.Current(ctx, "id-1", 0); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	must(t, s.Enqueue(ctx, version(1, "one")))
	for _, token := range []string{"two", "other two"} {
		must(t, s.Enqueue(ctx, version(2, token)))
		must(t, s.Settle(ctx, "id-1", 2, refused))
	}
	must(t, s.Enqueue(ctx, version(3, "three")))
	for below, want := range map[int]string{0: "three", 3: "one", 2: "one"} {
		if o, err := s.Current(ctx, "id-1", below); err != nil || o.Token != want {
			t.Errorf("below %d: %+v, %v", below, o, err)
		}
	}
	if o, err := s.Outgoing(ctx, "id-1", 2); err != nil || o.Token != "other two" {
		t.Errorf("%+v, %v", o, err)
	}
	if err := s.Renumber(ctx, "id-1", 3, version(1, "x")); !errors.Is(err, store.ErrExists) {
		t.Error(err)
	}
	if err := s.Renumber(ctx, "id-1", 2, version(4, "x")); !errors.Is(err, store.ErrStale) {
		t.Error(err)
	}
	must(t, s.Renumber(ctx, "id-1", 3, version(2, "third two")))
	if o, err := s.Outgoing(ctx, "id-1", 2); err != nil || o.Token != "third two" || o.State != store.Queued {
		t.Errorf("%+v, %v", o, err)
	}
	if list, err := s.Outbox(ctx, 10); err != nil || len(list) != 4 || list[0].Digest != "third two" || list[0].Token != "" {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestBeforeLife: a database of an earlier schema is read as it is, and once all of it
// has been looked at nothing of it is in the clear.
func TestBeforeLife(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	old := fstest.MapFS{}
	for _, name := range []string{"00001_initial.sql", "00002_latest.sql", "00003_own.sql"} {
		raw, err := fs.ReadFile(sqlite.Migrations, "migrations/"+name)
		must(t, err)
		old[name] = &fstest.MapFile{Data: raw}
	}
	f, err := sqlitefile.Open(ctx, path, old, 1)
	must(t, err)
	secret := strings.Repeat("secret", 100)
	for i := range 50 {
		_, err := f.Write.Exec("INSERT INTO inbox (seq, digest, received_at, delivery, originator, id, version, signed_digest) VALUES (?, 'd', 1, ?, 'XB', ?, 1, 's')",
			i+1, []byte(secret), fmt.Sprint(i))
		must(t, err)
	}
	_, err = f.Write.Exec("INSERT INTO outbox (id, version, token, digest, state, queued_at, receipt) VALUES ('o', 1, ?, 'd', 'accepted', 1, 'r')", secret)
	must(t, err)
	must(t, f.Close())
	s := open(t, path)
	if i, err := s.Received(ctx, "XB", "7", 1); err != nil || string(i.Delivery) != secret {
		t.Errorf("%+v, %v", i, err)
	}
	if o, err := s.Outgoing(ctx, "o", 1); err != nil || o.Token != secret {
		t.Errorf("%+v, %v", o, err)
	}
	due, err := s.Due(ctx, time.Now().Unix(), 100)
	must(t, err)
	out, err := s.DueOutgoing(ctx, time.Now().Unix(), 100)
	must(t, err)
	if len(due) != 50 || len(out) != 1 {
		t.Errorf("%d and %d due", len(due), len(out))
	}
	e := store.Erase{Outgoing: []store.OutgoingErasure{{ID: "o", Version: 1, Digest: "d", Token: secret, Due: 99}}}
	for _, d := range due {
		e.Erasures = append(e.Erasures, store.Erasure{Seq: d.Seq, Left: left(secret, 99)})
	}
	must(t, s.Erase(ctx, e))
	must(t, s.Scrub(ctx))
	if i, err := s.Received(ctx, "XB", "7", 1); err != nil || string(i.Delivery) != secret {
		t.Errorf("%+v, %v", i, err)
	}
	raw, err := os.ReadFile(path)
	must(t, err)
	if bytes.Contains(raw, []byte("secretsecret")) {
		t.Error("it is in the clear")
	}
}

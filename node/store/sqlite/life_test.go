package sqlite_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
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
	must(t, settleOne(s, o.ID, 1, store.Settlement{State: store.Accepted, Receipt: "r"}))
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

// TestRecallMakesDue: a recall that is accepted, in whichever way that is learned, makes due
// at once all else of its alert, what was refused too, and nothing that is erased.
func TestRecallMakesDue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	s := open(t, path)
	version := func(n, v int, due int64, recall alert.RecallMode) store.Outgoing {
		o := outgoing(n)
		o.Version, o.Due, o.Digest = v, due, fmt.Sprint(n, v, recall)
		if recall != "" {
			o.Recall = &alert.Recall{Mode: recall, Reason: "mistaken"}
		}
		return o
	}
	accepted := store.Settlement{State: store.Accepted, Receipt: "r"}
	settle := func(o store.Outgoing, how store.Settlement) {
		t.Helper()
		must(t, s.Enqueue(ctx, o))
		must(t, settleOne(s, o.ID, o.Version, how))
	}
	for n := range 3 {
		settle(version(n, 1, 70, ""), accepted)
		settle(version(n, 2, 80, ""), store.Settlement{State: store.Refused, Problem: "not-admitted"})
		settle(version(n, 2, 0, ""), accepted)
	}
	settle(version(0, 3, 0, alert.CeaseUse), accepted)
	must(t, s.Enqueue(ctx, version(0, 4, 0, alert.Purge)))
	settle(version(1, 3, 0, alert.CeaseUse), accepted)
	ended := func(what string, n int) { // the first n alerts
		t.Helper()
		list, err := s.Outbox(ctx, 100)
		must(t, err)
		for _, o := range list {
			purged := o.ID < alert.ID(fmt.Sprint("id-", n))
			recall := o.Recall != nil && o.Recall.Mode == alert.Purge
			if o.Purged != (purged && !recall) || (o.Due == 1) != (purged && o.Due > 0) {
				t.Errorf("%s: version %d of %s, due at %d, is purged: %t", what, o.Version, o.ID, o.Due, o.Purged)
			}
		}
	}
	ended("before", 0)
	must(t, settleOne(s, "id-0", 4, accepted))
	ended("settled", 1)
	regained := version(1, 4, 0, alert.Purge)
	regained.Receipt = "r"
	must(t, s.Enqueue(ctx, regained))
	_, err := s.Regain(ctx, regained)
	must(t, err)
	ended("regained, was queued", 2)
	regained = version(2, 3, 0, alert.Purge)
	regained.Receipt = "r"
	_, err = s.Regain(ctx, regained)
	must(t, err)
	ended("regained", 3)
	must(t, s.Close())
	s = open(t, path)
	ended("opened again", 3)
	if list, err := s.DueOutgoing(ctx, 1, 100); err != nil || len(list) != 6 {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestRecallDuringErasure: what was read before the recall was accepted does not put off what
// that has made due.
func TestRecallDuringErasure(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	o := outgoing(1)
	o.Due, o.Digest = 70, "first"
	accepted := store.Settlement{State: store.Accepted, Receipt: "r"}
	must(t, s.Enqueue(ctx, o))
	must(t, settleOne(s, o.ID, 1, accepted))
	recall := o
	recall.Version, recall.Due, recall.Digest, recall.Recall = 2, 0, "recall", &alert.Recall{Mode: alert.Purge, Reason: "mistaken"}
	must(t, s.Enqueue(ctx, recall))
	must(t, settleOne(s, o.ID, 2, accepted))
	for _, due := range []int64{80, 0} {
		must(t, s.Erase(ctx, store.Erase{Outgoing: []store.OutgoingErasure{{ID: o.ID, Version: 1, Digest: o.Digest, Token: "less", Due: due}}}))
		got, err := s.Outgoing(ctx, o.ID, 1)
		must(t, err)
		if want := min(due, 1); got.Due != want || got.Token != "less" {
			t.Errorf("due at %d, want %d, with %q", got.Due, want, got.Token)
		}
	}
}

// TestLabelsOfWhatIsErased: the labels of an alert stand beside what is left of it until it
// expires.
func TestLabelsOfWhatIsErased(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	o := outgoing(1)
	must(t, s.Enqueue(ctx, o))
	must(t, settleOne(s, o.ID, 1, store.Settlement{State: store.Accepted, Receipt: "r"}))
	labels := []store.DraftPortion{{ID: "p", Label: json.RawMessage(`{"x":"<&>"}`)}}
	is := func(want []store.DraftPortion) {
		t.Helper()
		got, err := s.Outgoing(ctx, o.ID, 1)
		must(t, err)
		if diff := cmp.Diff(want, got.Labels); diff != "" {
			t.Error(diff)
		}
	}
	is(nil)
	x := store.OutgoingErasure{ID: o.ID, Version: 1, Digest: o.Digest, Token: "less", Labels: labels, Expires: at.Unix()}
	must(t, s.Erase(ctx, store.Erase{Outgoing: []store.OutgoingErasure{x}}))
	is(labels)
	x.Token, x.Labels, x.Expires = "none", nil, 0
	must(t, s.Erase(ctx, store.Erase{Outgoing: []store.OutgoingErasure{x}}))
	is(labels)
	for _, when := range []time.Duration{-time.Second, 0} {
		n, err := s.EraseDrafts(ctx, at.Add(when), 10)
		must(t, err)
		if when < 0 {
			is(labels)
			continue
		}
		is(nil)
		if n != 1 { // else nobody would have the database give it up
			t.Errorf("%d are said to be erased", n)
		}
	}
}

// TestManyVersions: what an accepted version costs does not grow with those before it.
func TestManyVersions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	s := open(t, path)
	db, err := sql.Open("sqlite", path)
	must(t, err)
	defer db.Close()
	text := plan(t, db, sqlite.EndOthers, "id-0")
	if !strings.Contains(text, "USING INDEX outbox_ended (id=?)") || strings.Contains(text, "SCAN ") {
		t.Error(text)
	}
	must(t, s.Close())
}

// TestBeforeEnds: what an earlier version of the program has stored to end later than it
// does now is looked at once; a draft ends with its labels' first retention.
func TestBeforeEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	old := fstest.MapFS{}
	all, err := fs.Glob(sqlite.Migrations, "migrations/*.sql")
	must(t, err)
	for _, name := range all {
		if name = filepath.Base(name); name < "00009" {
			raw, err := fs.ReadFile(sqlite.Migrations, "migrations/"+name)
			must(t, err)
			old[name] = &fstest.MapFile{Data: raw}
		}
	}
	f, err := sqlitefile.Open(ctx, path, old, 1)
	must(t, err)
	for i, row := range []struct {
		id      string
		version int
		due     int64
	}{{"a", 1, 90}, {"a", 1, 0}, {"a", 2, 90}, {"b", 1, 90}} {
		_, err := f.Write.Exec("INSERT INTO inbox (seq, digest, received_at, delivery, originator, id, version, signed_digest, due) VALUES (?, 'd', 1, x'00', 'XB', ?, ?, 's', ?)",
			i+1, row.id, row.version, row.due)
		must(t, err)
	}
	_, err = f.Write.Exec("INSERT INTO outbox (id, version, token, digest, state, queued_at, receipt, due, recall) VALUES" +
		" ('o', 1, x'00', 'd', 'accepted', 1, 'r', 90, ''), ('p', 1, x'00', 'd', 'accepted', 1, 'r', 0, '')")
	must(t, err)
	until := time.Date(2027, 3, 31, 12, 0, 0, 0, time.UTC)
	for id, labels := range map[string]string{"none": `null`, "later": `{"retention":"2027-03-31"}`, "sooner": `{"retention":"2027-03-12"}`, "without": `{"policy":"p"}`} {
		_, err := f.Write.Exec("INSERT INTO drafts (id, author, digest, body, portions, created_at, expires_at, state) VALUES (?, 'ann', 'd', x'00', ?, 1, ?, 'pending')",
			id, `[{"id":"p0","label":{"retention":"2027-06-30"}},{"id":"p1","label":`+labels+`}]`, until.UnixMicro())
		must(t, err)
	}
	must(t, f.Close())
	s := open(t, path)
	due, err := s.Due(ctx, 100, 100)
	must(t, err)
	if want := []store.Due{{Seq: 1, Originator: "XB", ID: "a", Due: 1}, {Seq: 3, Originator: "XB", ID: "a", Due: 90}, {Seq: 4, Originator: "XB", ID: "b", Due: 90}}; cmp.Diff(want, due) != "" {
		t.Errorf("%+v", due)
	}
	if out, err := s.DueOutgoing(ctx, 100, 100); err != nil || len(out) != 1 || out[0].ID != "o" || out[0].Due != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	for id, want := range map[store.DraftID]time.Time{"none": until, "later": until, "without": until, "sooner": time.Date(2027, 3, 13, 0, 0, 0, 0, time.UTC)} {
		if d, err := s.Draft(ctx, id, at); err != nil || !d.ExpiresAt.Equal(want) {
			t.Errorf("%s: %+v, %v", id, d, err)
		}
	}
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
	if acks, err := s.AcksAfter(ctx, 0, 10); err != nil || len(acks) != 0 {
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
	list, err := s.PurgesAfter(ctx, 0, 10)
	must(t, err)
	if len(list) != 2 || list[0].Token != "first" || list[1].Token != "token" {
		t.Errorf("%v", list)
	}
	must(t, s.PurgesTaken(ctx, []int64{1, 99}))
	must(t, s.PurgeRefused(ctx, 2, ""))
	if err := s.PurgeRefused(ctx, 99, ""); !errors.Is(err, store.ErrStale) {
		t.Error(err)
	}
	list, err = s.PurgesAfter(ctx, 0, 10)
	must(t, err)
	c, err := s.Counts(ctx)
	must(t, err)
	if acks, err = s.AcksAfter(ctx, 0, 10); err != nil || len(acks) != 1 || acks[0].Token != "ack" || len(list) != 0 || c.Purges != 1 {
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
		must(t, settleOne(s, "id-1", 2, refused))
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

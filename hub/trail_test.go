package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/trust"
)

const (
	day       = 24 * time.Hour
	trailDays = 30
)

func (w *world) auditor() keys.Signer {
	w.Helper()
	return only(w, loadKeys(w, w.Auditor(), "keys"))
}

// hold is the next word of the auditor on a legal hold.
func (w *world) hold(h *federation.LegalHold) []byte {
	w.Helper()
	return w.dated(federation.TypeLegalHold, h, w.auditor())
}

// dated signs the next statement of its chain with today's date, however far the clock of
// the test is ahead: who verifies the log goes by the real one.
func (w *world) dated(t federation.StatementType, body federation.Body, signer keys.Signer) []byte {
	w.Helper()
	head, _ := w.Directory().Head(t, body.Subject())
	raw, err := trust.Sign(w.Context(), t, body, head, time.Now(), signer)
	if err != nil {
		w.Fatal(err)
	}
	return raw
}

// forgetful is the registry with a rule by which the trail is erased.
func (w *world) forgetful() []byte {
	w.Helper()
	return w.dated(federation.TypeRegistry, w.changedRegistry(func(r *federation.Registry) { r.Rules.TrailRetentionDays = trailDays }), w.authority()["authority"])
}

func holdOn(id federation.HoldID, scope federation.HoldScope) *federation.LegalHold {
	return &federation.LegalHold{ID: id, Reason: "proceedings", Scope: scope}
}

// trailWorld is a federation that erases its trail, at noon: no test of it sees midnight
// but where it moves the clock over it.
func trailWorld(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	w.noon()
	w.submitTo(w.Hub, w.forgetful())
	w.settle()
	return w
}

// noon moves the clock to the next noon.
func (w *world) noon() {
	now := w.clock.now().UTC()
	w.clock.advance(now.Truncate(day).Add(day + day/2).Sub(now))
}

// trim has a hub erase what is due.
func (w *world) trim(h *hub.Hub) {
	w.Helper()
	if err := h.TrimNow(w.Context()); err != nil {
		w.Fatal(err)
	}
}

// log reads the whole log: nil for what is erased.
func (w *world) log() [][]byte {
	w.Helper()
	leaves, err := w.store.Entries(w.Context(), 0, 1<<30)
	if err != nil {
		w.Fatal(err)
	}
	return leaves
}

// append puts entries into the log, and returns the index of the first and the leaves.
func (w *world) append(entries ...audit.Entry) (int64, [][]byte) {
	w.Helper()
	var write store.Write
	for i, e := range entries {
		e.Salt = fmt.Sprintf("ABCDEFGHIJKLMNOPQRSTUVWXYZ%d", i)
		write.Entries = append(write.Entries, e.Leaf())
	}
	res, err := w.store.Commit(w.Context(), []store.Write{write})
	if err != nil {
		w.Fatal(err)
	}
	return res[0].Index, write.Entries
}

var heldIDs = []alert.ID{"01890000-0000-7000-8000-000000000001", "01890000-0000-7000-8000-000000000002", "01890000-0000-7000-8000-000000000003"}

// oldEntries are of the last hundred days, about in order, of all sorts.
func oldEntries(r *rand.Rand, now time.Time, n int) []audit.Entry {
	pick := func() alert.MemberID { return members[r.IntN(len(members))] }
	var out []audit.Entry
	for i := range n {
		at := now.Add(-100*day + time.Duration(i)*100*day/time.Duration(n) - time.Duration(r.IntN(int(4*time.Minute))))
		about := &audit.Alert{Originator: pick(), ID: heldIDs[r.IntN(len(heldIDs))], Version: 1, Digest: "d"}
		e := []audit.Entry{
			{Kind: audit.Admission, Actor: string(about.Originator), Alert: about},
			{Kind: audit.Release, Actor: "hub", Alert: about, Recipient: pick(), Seq: 1},
			{Kind: audit.Received, Actor: string(pick()), Proof: "e30.e30.c2ln"},
			{Kind: audit.Refusal, Actor: string(pick()), Problem: "p"},
			{Kind: audit.Decided, Actor: "hub", Decision: &audit.Decision{Label: "l", Content: []alert.MemberID{pick()}}},
			{Kind: audit.Statement, Actor: "hub", Statement: &audit.Named{Type: "consent", Subject: string(pick()) + "/" + string(about.ID), Revision: 1, Digest: "d"}},
			{Kind: audit.Statement, Actor: "hub", Statement: &audit.Named{Type: "policy", Subject: "release", Revision: 1, Digest: "d"}},
			{Kind: audit.Settled, Actor: "hub"},
		}[r.IntN(8)]
		e.At = at.UnixMicro()
		out = append(out, e)
	}
	return out
}

// texts collects every text in a JSON value, and the parts of those with slashes.
func texts(v any, into map[string]bool) {
	switch v := v.(type) {
	case string:
		for _, part := range strings.Split(v, "/") {
			into[part] = true
		}
	case []any:
		for _, e := range v {
			texts(e, into)
		}
	case map[string]any:
		for _, e := range v {
			texts(e, into)
		}
	}
}

// mayErase is the oracle: by the words of the entry, whatever they mean to the hub.
func mayErase(t testing.TB, leaf []byte, now time.Time, holds map[federation.HoldID]*federation.LegalHold) bool {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal(leaf, &e); err != nil {
		t.Fatal(err)
	}
	y, m, d := now.UTC().Date()
	first := time.Date(y, m, d-trailDays, 0, 0, 0, 0, time.UTC)
	if e["kind"] == "decision" {
		first = time.Date(y, m, d-trailDays-1, 0, 0, 0, 0, time.UTC)
	}
	if e["kind"] == "trimmed" || !time.UnixMicro(int64(e["at"].(float64))).Before(first) {
		return false
	}
	named := make(map[string]bool)
	texts(e, named)
	for _, h := range holds {
		if h.Lifted || h.ValidFrom != 0 && now.Unix() < h.ValidFrom || h.ValidUntil != 0 && now.Unix() >= h.ValidUntil {
			continue
		}
		if h.Scope.All || e["kind"] == "decision" {
			return false
		}
		for _, m := range h.Scope.Members {
			if named[string(m)] {
				return false
			}
		}
		for _, id := range h.Scope.Alerts {
			if named[string(id)] {
				return false
			}
		}
	}
	return true
}

// TestTrailProperty: whatever the log, the holds and the times, exactly what the oracle
// permits is erased, and the whole log verifies.
func TestTrailProperty(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	w := trailWorld(t)
	holds := map[federation.HoldID]*federation.LegalHold{"hold-0": holdOn("hold-0", federation.HoldScope{Members: []alert.MemberID{"XA", "XB"}})}
	w.submitTo(w.Hub, w.hold(holds["hold-0"]))
	first, added := w.append(oldEntries(r, w.clock.now(), 2300)...) // more than two pages
	known := append(w.log()[:first], added...)
	note, err := w.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	erased := make(map[int]bool)
	check := func(step string) {
		t.Helper()
		log := w.log()
		known = append(known, log[len(known):]...)
		w.trim(w.Hub)
		now := w.clock.now()
		log = w.log()
		for i, leaf := range known {
			erased[i] = erased[i] || mayErase(t, leaf, now, holds)
			if (log[i] == nil) != erased[i] {
				t.Fatalf("%s: entry %d, erased %t, may be %t: %s", step, i, log[i] == nil, erased[i], leaf)
			}
		}
		if report := w.verifyLog(); report.Erased != int64(count0(erased)) || (len(report.ErasedBy) > 0) != (report.Erased > 0) {
			t.Fatalf("%s: %d erased, reported %d by %v", step, count0(erased), report.Erased, report.ErasedBy)
		}
	}
	stale := func(id federation.HoldID) bool { h, ok := holds[id]; return !ok || h.Lifted }
	for step := range 10 {
		id := federation.HoldID(fmt.Sprintf("hold-%d", r.IntN(3)))
		h := randomHold(r, id, w.clock.now())
		if !stale(id) && r.IntN(2) == 0 {
			lifted := *holds[id]
			h = &lifted
			h.Lifted = true
		}
		w.submitTo(w.Hub, w.hold(h))
		holds[h.ID] = h
		check(fmt.Sprintf("step %d, %+v", step, *h))
		w.clock.advance(time.Duration(r.IntN(9)) * day)
		check(fmt.Sprintf("step %d, later", step))
	}
	if n := count0(erased); n < 500 || len(w.log())-n < 200 {
		t.Errorf("%d erased, %d left: the test has no bite", n, len(w.log())-n)
	}
	// What was signed before anything was erased still holds.
	if _, err := hub.VerifyLog(t.Context(), w.store, "hub", w.deps(w.store).Authority, note); err != nil {
		t.Error(err)
	}
}

func count0(set map[int]bool) (n int) {
	for _, is := range set {
		if is {
			n++
		}
	}
	return n
}

// randomHold begins and ends, if at all, at midnights of the test's noons.
func randomHold(r *rand.Rand, id federation.HoldID, now time.Time) *federation.LegalHold {
	h := holdOn(id, federation.HoldScope{})
	switch r.IntN(6) {
	case 0:
		h.Scope.All = true
	case 1, 2:
		h.Scope.Alerts = slices.Clone(heldIDs[:1+r.IntN(2)])
	default:
		h.Scope.Members = slices.Clone(members[:1+r.IntN(2)])
	}
	edge := func(days int) int64 { return now.Add(time.Duration(days)*day + day/2).Unix() }
	if r.IntN(3) == 0 {
		h.ValidFrom = edge(r.IntN(6) - 2)
	}
	if r.IntN(2) == 0 {
		h.ValidUntil = edge(6 + r.IntN(10))
	}
	return h
}

// TestTrailIsKeptWithoutARule: what nobody has ruled nobody erases.
func TestTrailIsKeptWithoutARule(t *testing.T) {
	w := newWorld(t)
	w.clock.advance(300 * day)
	w.trim(w.Hub)
	if n := count(w.entries(), audit.Trimmed); n != 0 {
		t.Errorf("%d records of erasure", n)
	}
	w.verifyLog()
}

// doctored is a store in which somebody has changed entries by hand.
type doctored struct {
	store.Store
	leaves map[int64][]byte
}

func (d doctored) Entries(ctx context.Context, from int64, limit int) ([][]byte, error) {
	out, err := d.Store.Entries(ctx, from, limit)
	for i := range out {
		if leaf, ok := d.leaves[from+int64(i)]; ok {
			out[i] = leaf
		}
	}
	return out, err
}

// TestErasedByHand: what was removed without a record is found, whether before or behind
// the checkpoint a record of something else stands; and so is what was put back.
func TestErasedByHand(t *testing.T) {
	w := trailWorld(t)
	early, err := w.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := w.log()
	w.submitTo(w.Hub, w.hold(holdOn("case", federation.HoldScope{Members: []alert.MemberID{"XB"}})))
	w.clock.advance((trailDays + 2) * day)
	w.trim(w.Hub)
	after := w.log()
	late, err := w.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gone, kept := slices.IndexFunc(after, func(l []byte) bool { return l == nil }), slices.IndexFunc(after, func(l []byte) bool { return l != nil })
	record := slices.IndexFunc(after, func(l []byte) bool { return strings.Contains(string(l), `"kind":"trimmed"`) })
	if gone < 0 || kept < 0 || kept >= len(before) || record < 0 {
		t.Fatalf("erased %d, kept %d of %d, recorded %d", gone, kept, len(before), record)
	}
	forged, err := audit.Parse(after[record])
	if err != nil {
		t.Fatal(err)
	}
	forged.Trim.Runs[len(forged.Trim.Runs)-1].Last = int64(record)
	for name, tt := range map[string]struct {
		leaves map[int64][]byte
		want   string
	}{
		"untouched":       {nil, ""},
		"erased by hand":  {map[int64][]byte{int64(kept): nil}, "removed without a record"},
		"the record":      {map[int64][]byte{int64(record): nil}, "removed without a record"},
		"put back":        {map[int64][]byte{int64(gone): before[gone]}, "is there"},
		"something else":  {map[int64][]byte{int64(gone): before[kept]}, "root"},
		"another's leaf":  {map[int64][]byte{int64(kept): before[(kept+1)%len(before)]}, "root"},
		"a forged record": {map[int64][]byte{int64(record): forged.Leaf()}, "not"},
	} {
		st := doctored{w.store, tt.leaves}
		for _, note := range [][]byte{early, late} {
			_, err := hub.VerifyLog(t.Context(), st, "hub", w.deps(w.store).Authority, note)
			if (tt.want == "") != (err == nil) || err != nil && !errors.Is(err, hub.ErrLog) {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err := hub.ReadLog(t.Context(), st)
		if (tt.want == "") != (err == nil) || err != nil && (!errors.Is(err, hub.ErrLog) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

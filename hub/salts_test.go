package hub_test

import (
	"encoding/base32"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/tlog"
)

// TestEntriesAreSalted: vulnerability: consistency proofs show hashes of entries to members, and all that an
// entry says can be guessed: a dozen kinds, few members, a time.
// attack: XD hashes every entry that it can think of and finds who has got what; or it sees by equal hashes
// that the same thing happened twice.
// guarantee: each entry, of whatever kind, has 128 random bits or more of its own. Two equal events at one
// moment have different leaf hashes.
func TestEntriesAreSalted(t *testing.T) {
	w := newWorld(t)
	moment := time.Now()
	d := w.deps(w.store)
	d.Now = func() time.Time { return moment }
	frozen, stop := w.run(d)
	defer stop()
	for range 2 {
		if err := frozen.Refuse(t.Context(), "XA", problem.New(problem.Malformed, "no alert")); problem.KindOf(err) != problem.Malformed {
			t.Fatal(err)
		}
	}
	w.everyKind()

	seen := make(map[string]bool)
	columns := make(map[int]map[byte]bool)
	kinds := make(map[audit.Kind]bool)
	hashes := make(map[tlog.Hash]bool)
	var refusals []audit.Entry
	entries := w.entries()
	for _, e := range entries {
		kinds[e.Kind], seen[e.Salt], hashes[tlog.LeafHash(e.Leaf())] = true, true, true
		if e.Kind == audit.Refusal {
			refusals = append(refusals, e)
		}
		if len(e.Salt)*5 < 128 { // five bits a character: see below
			t.Errorf("%s: salt %q", e.Kind, e.Salt)
		}
		for i := range len(e.Salt) {
			if columns[i] == nil {
				columns[i] = make(map[byte]bool)
			}
			columns[i][e.Salt[i]] = true
		}
		if _, err := base32.StdEncoding.DecodeString(e.Salt[:24]); err != nil {
			t.Errorf("%s: salt %q: %v", e.Kind, e.Salt, err)
		}
	}
	if len(kinds) != 9 {
		t.Errorf("only these kinds: %v", kinds)
	}
	if len(seen) != len(entries) || len(hashes) != len(entries) {
		t.Errorf("%d salts and %d hashes of %d entries", len(seen), len(hashes), len(entries))
	}
	for i, c := range columns {
		if len(c) < 2 {
			t.Errorf("character %d of all %d salts is the same", i, len(entries))
		}
	}
	if len(refusals) != 2 {
		t.Fatalf("%d refusals", len(refusals))
	}
	if diff := cmp.Diff(refusals[0], refusals[1], cmpopts.IgnoreFields(audit.Entry{}, "Salt")); diff != "" {
		t.Fatalf("not equal but for their salts:\n%s", diff)
	}
	if tlog.LeafHash(refusals[0].Leaf()) == tlog.LeafHash(refusals[1].Leaf()) {
		t.Error("equal events have equal leaf hashes")
	}
}

// everyKind has an entry of every kind but a refusal written.
func (w *world) everyKind() {
	w.Helper()
	for _, to := range []alert.Audience{"XB", "XC", "federation"} {
		_, token := w.issue("XA", label(to))
		w.publish("XA", token)
	}
	chain := feed.ChainStart("XB")
	for _, item := range w.poll("XB", 0).Items {
		chain = feed.Next(chain, item.Seq, item.Digest)
		if err := w.Acknowledge(w.Context(), "XB", []string{w.ackAs(w.nodes["XB"], "XB", item.Seq, chain, w.clock.now())}); err != nil {
			w.Fatal(err)
		}
	}
	if _, _, err := w.Preview(w.Context(), "XA", "", 0, nil); err != nil {
		w.Fatal(err)
	}
	_, token := w.issue("XA", bilateral())
	w.publish("XA", token)
	w.submitTo(w.Hub, w.suspension(true))
	w.settle()
	w.poll("XB", 2)
}

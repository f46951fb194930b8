package hub_test

import (
	"encoding/base64"
	"testing"

	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/tlog"
)

func TestLogIsConsistent(t *testing.T) {
	w := newWorld(t)
	key := w.deps(w.store).Signer.Public()
	var seen []tlog.Checkpoint
	look := func() {
		note, err := w.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		cp, err := tlog.OpenCheckpoint(note, key, feed.Origin("hub"))
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, cp)
	}
	look()
	look() // the same
	for range 5 {
		_, token := w.issue("XA", label("federation"))
		w.publish("XA", token)
		look()
	}
	w.poll("XB", 0)
	look()
	for i, old := range seen {
		for _, cp := range seen[i:] {
			hashes, err := w.Consistency(t.Context(), old.Size, cp.Size)
			if err != nil {
				t.Fatal(err)
			}
			var path tlog.ConsistencyPath
			for _, h := range hashes {
				raw, err := base64.StdEncoding.DecodeString(h)
				if err != nil {
					t.Fatal(err)
				}
				path = append(path, tlog.Hash(raw))
			}
			if err := tlog.VerifyConsistency(path, cp.Size, cp.Root, old.Size, old.Root); err != nil {
				t.Errorf("%d → %d: %v", old.Size, cp.Size, err)
			}
			if old.Root[0]++; cp.Size > old.Size && tlog.VerifyConsistency(path, cp.Size, cp.Root, old.Size, old.Root) == nil {
				t.Errorf("%d → %d: another history passes", old.Size, cp.Size)
			}
			old.Root[0]--
		}
	}
	last := seen[len(seen)-1]
	for _, sizes := range [][2]int64{{0, 1}, {2, 1}, {1, last.Size + 1}, {-1, last.Size}} {
		if _, err := w.Consistency(t.Context(), sizes[0], sizes[1]); problem.KindOf(err) != problem.Malformed {
			t.Errorf("proof of %v: %v", sizes, err)
		}
	}
	r := w.verifyLog()
	if r.Size != last.Size || r.Entries[audit.Admission] != 5 || r.Entries[audit.Release] != 5 {
		t.Errorf("the log holds %+v", r)
	}
}

// A label is decided once a revision, however often it is published under.
func TestDecisionsAreRecordedOnceARevision(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		_, token := w.issue("XA", label("XB"), label("XB"), bilateral())
		w.publish("XA", token)
	}
	if n := count(w.entries(), audit.Decided); n != 2 {
		t.Errorf("%d decisions in the log, want one a label", n)
	}
	w.poll("XB", 0)
	if n := count(w.entries(), audit.Decided); n != 2 {
		t.Errorf("%d decisions after the hand-over at the same revision", n)
	}
	w.submitTo(w.Hub, w.suspension(true))
	w.settle() // what the pass has recorded, the hand-over does not record again
	w.poll("XC", 0)
	entries := w.entries()
	if n := count(entries, audit.Decided); n != 4 {
		t.Errorf("%d decisions after the hand-over at another revision, want two more", n)
	}
	for _, e := range entries {
		if e.Kind == audit.Release || e.Kind == audit.Withheld {
			w.explained(e)
		}
	}
}

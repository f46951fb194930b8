package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/node/store"
)

// TestRecallBecomesUrgent: a recall goes first as soon as what it takes back has been
// accepted, however much is queued in between and is not taken.
func TestRecallBecomesUrgent(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	for n := range 4 {
		must(t, s.Enqueue(ctx, outgoing(n)))
	}
	next, recall := outgoing(1), outgoing(0)
	next.Version, recall.Version, recall.Recall = 2, 2, &alert.Recall{Mode: alert.Purge, Reason: "x"}
	must(t, s.Enqueue(ctx, next))
	must(t, s.Enqueue(ctx, recall))
	first := func(want store.Outgoing) {
		t.Helper()
		list, err := s.Sendable(ctx, 1)
		must(t, err)
		if len(list) != 1 || list[0].ID != want.ID || list[0].Version != want.Version {
			t.Errorf("%+v goes first", list)
		}
	}
	first(outgoing(0))
	accepted := store.Settlement{State: store.Accepted, Receipt: "r"}
	must(t, settleOne(s, outgoing(1).ID, 1, accepted)) // a version that follows keeps its place
	first(outgoing(0))
	must(t, settleOne(s, outgoing(0).ID, 1, accepted))
	first(recall)
}

// TestQueuedAsSent: what is carried comes page by page in the order in which it would be
// sent.
func TestQueuedAsSent(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	for n := range 7 {
		o := outgoing(n)
		o.Urgent = n == 3 || n == 5
		must(t, s.Enqueue(ctx, o))
	}
	must(t, settleOne(s, "id-1", 1, store.Settlement{State: store.Accepted, Receipt: "r"}))
	var want, got []string
	list, err := s.Sendable(ctx, 10)
	must(t, err)
	for _, o := range list {
		want = append(want, o.Token)
	}
	for after := int64(0); ; {
		page, err := s.QueuedAfter(ctx, after, 2)
		must(t, err)
		if len(page) == 0 {
			break
		}
		for _, w := range page {
			if w.Place <= after {
				t.Fatalf("%d after %d", w.Place, after)
			}
			after, got = w.Place, append(got, w.Token)
		}
	}
	if d := cmp.Diff(want, got); d != "" || len(got) != 6 || got[0] != "token-3" {
		t.Error(d, got)
	}
}

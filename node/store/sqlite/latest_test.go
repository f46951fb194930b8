package sqlite_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/entente-hub/entente/node/store"
)

// TestLatest: the highest version counts, whenever it came; what was sent and what
// was received under one id are apart.
func TestLatest(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	for _, v := range []int{1, 3, 2} {
		must(t, s.Enqueue(ctx, store.Outgoing{ID: "mine", Version: v, Token: "t", Digest: "d", QueuedAt: time.Now()}))
	}
	r := store.Reception{After: store.Position{Seq: 3}}
	for i, version := range []int{4, 2} {
		r.Items = append(r.Items, store.Item{Seq: int64(i) + 1, Digest: "d", ReceivedAt: time.Now(), Delivery: []byte("{}"),
			Originator: "XB", ID: "theirs", Version: version, SignedDigest: "s"})
	}
	r.Items = append(r.Items, store.Item{Seq: 3, Digest: "withheld", ReceivedAt: time.Now()})
	must(t, s.Receive(ctx, r))
	for name, tt := range map[string]struct {
		version int
		get     func() (int, error)
	}{
		"outbox":           {3, func() (int, error) { return s.Latest(ctx, "", "mine") }},
		"inbox":            {4, func() (int, error) { return s.Latest(ctx, "XB", "theirs") }},
		"another's":        {0, func() (int, error) { return s.Latest(ctx, "XC", "theirs") }},
		"sent, not got":    {0, func() (int, error) { return s.Latest(ctx, "XB", "mine") }},
		"got, not sent":    {0, func() (int, error) { return s.Latest(ctx, "", "theirs") }},
		"nothing whatever": {0, func() (int, error) { return s.Latest(ctx, "XB", "x") }},
	} {
		got, err := tt.get()
		if got != tt.version || (tt.version == 0) != errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
}

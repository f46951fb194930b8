package sqlite_test

import (
	"errors"
	"path/filepath"
	"slices"
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

// TestHanded: the deliveries of one version in their order, in pages.
func TestHanded(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	r := store.Reception{After: store.Position{Seq: 6}}
	for i, version := range []int{1, 2, 1, 0, 1, 2} {
		item := store.Item{Seq: int64(i) + 1, Digest: "d", ReceivedAt: time.Now()}
		if version > 0 {
			item.Delivery, item.Originator, item.ID, item.Version, item.SignedDigest = []byte("{}"), "XB", "a", version, "s"
		}
		r.Items = append(r.Items, item)
	}
	must(t, s.Receive(ctx, r))
	for _, c := range []struct {
		version, limit int
		after          int64
		want           []int64
	}{{1, 9, 0, []int64{1, 3, 5}}, {1, 2, 0, []int64{1, 3}}, {1, 9, 3, []int64{5}}, {2, 9, 0, []int64{2, 6}}, {3, 9, 0, nil}, {1, 0, 0, nil}} {
		list, err := s.Handed(ctx, "XB", "a", c.version, c.after, c.limit)
		must(t, err)
		var got []int64
		for _, i := range list {
			got = append(got, i.Seq)
			if i.Version != c.version || i.Previous >= i.Seq {
				t.Errorf("%+v", i)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestOwn: what was signed stays, in its order and over a restart, until it is forgotten.
func TestOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	s := open(t, path)
	holds := func(want ...string) {
		t.Helper()
		list, err := s.Own(ctx)
		must(t, err)
		var got []string
		for _, raw := range list {
			got = append(got, string(raw))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	holds()
	must(t, s.KeepOwn(ctx, []byte("b")))
	must(t, s.KeepOwn(ctx, []byte("a")))
	if err := s.KeepOwn(ctx, []byte("a")); !errors.Is(err, store.ErrExists) {
		t.Error(err)
	}
	must(t, s.Close())
	s = open(t, path)
	holds("b", "a")
	must(t, s.ForgetOwn(ctx, []byte("b")))
	must(t, s.ForgetOwn(ctx, []byte("b")))
	holds("a")
}

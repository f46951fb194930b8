package sqlite_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/node/store"
)

func draft(n int, author string) store.Draft {
	return store.Draft{ID: store.DraftID(fmt.Sprintf("draft-%03d", n)), Author: author, Digest: fmt.Sprintf("digest-%d", n), Body: []byte{0, byte(n), 255},
		Portions: []store.DraftPortion{{ID: "p", Label: json.RawMessage(`{"x":"<&>"}`)}}, CreatedAt: at, ExpiresAt: at.Add(time.Hour), State: store.Pending}
}

// TestDrafts: what goes in comes out, also after the database was opened again.
func TestDrafts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	s := open(t, path)
	for n := range 5 {
		must(t, s.AddDraft(ctx, draft(n, "ann"), 10))
	}
	if err := s.AddDraft(ctx, draft(1, "ben"), 10); !errors.Is(err, store.ErrExists) {
		t.Error(err)
	}
	end := store.DraftEnd{By: "ben", At: at.Add(time.Minute), Reason: "why"}
	must(t, s.EndDraft(ctx, "draft-001", store.Rejected, end))
	must(t, s.EndDraft(ctx, "draft-002", store.Withdrawn, store.DraftEnd{By: "ann", At: end.At}))
	must(t, s.ReleaseDraft(ctx, "draft-003", "digest-3", store.DraftEnd{By: "ben", At: end.At}, outgoing(3)))
	must(t, s.Close())
	s = open(t, path)
	want := []store.Draft{draft(4, "ann"), draft(3, "ann"), draft(2, "ann"), draft(1, "ann"), draft(0, "ann")}
	want[1].State, want[1].End, want[1].Alert, want[1].Version = store.Released, store.DraftEnd{By: "ben", At: end.At}, "id-3", 1
	want[2].State, want[2].End = store.Withdrawn, store.DraftEnd{By: "ann", At: end.At}
	want[3].State, want[3].End = store.Rejected, end
	for i := range want {
		one, err := s.Draft(ctx, want[i].ID, at)
		must(t, err)
		if want[i].State != store.Pending {
			want[i].Body = nil
		}
		if diff := cmp.Diff(&want[i], one); diff != "" {
			t.Error(diff)
		}
		want[i].Body = nil
	}
	list, err := s.Drafts(ctx, "", "", at, 10)
	must(t, err)
	if diff := cmp.Diff(want, list); diff != "" {
		t.Error(diff)
	}
	if list, err = s.Drafts(ctx, store.Pending, "draft-004", at, 1); err != nil || len(list) != 1 || list[0].ID != "draft-000" {
		t.Errorf("%+v %v", list, err)
	}
	if list, err = s.Drafts(ctx, "", "", at, 0); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	o, err := s.ReleasedAs(ctx, "draft-003")
	must(t, err)
	if o.ID != "id-3" || o.Author != "ann" || o.ReleasedBy != "ben" || o.State != store.Queued {
		t.Errorf("%+v", o)
	}
	for _, id := range []store.DraftID{"draft-004", "draft-009", ""} {
		if _, err := s.ReleasedAs(ctx, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// TestDraftEndsOnce: a draft that is not pending, has another digest or is over is
// neither released nor ended, and what could not be enqueued has not released it.
func TestDraftEndsOnce(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	for n := range 4 {
		must(t, s.AddDraft(ctx, draft(n, "ann"), 10))
	}
	end := store.DraftEnd{By: "ben", At: at}
	must(t, s.ReleaseDraft(ctx, "draft-000", "digest-0", end, outgoing(0)))
	must(t, s.EndDraft(ctx, "draft-001", store.Rejected, end))
	late := store.DraftEnd{By: "ben", At: at.Add(time.Hour)}
	for name, err := range map[string]error{
		"released again":         s.ReleaseDraft(ctx, "draft-000", "digest-0", end, outgoing(9)),
		"released and rejected":  s.EndDraft(ctx, "draft-000", store.Rejected, end),
		"rejected and released":  s.ReleaseDraft(ctx, "draft-001", "digest-1", end, outgoing(9)),
		"rejected and withdrawn": s.EndDraft(ctx, "draft-001", store.Withdrawn, end),
		"another digest":         s.ReleaseDraft(ctx, "draft-002", "digest-1", end, outgoing(9)),
		"released late":          s.ReleaseDraft(ctx, "draft-002", "digest-2", late, outgoing(9)),
		"rejected late":          s.EndDraft(ctx, "draft-002", store.Rejected, late),
		"unknown, released":      s.ReleaseDraft(ctx, "draft-009", "digest-9", end, outgoing(9)),
		"unknown, rejected":      s.EndDraft(ctx, "draft-009", store.Rejected, end),
	} {
		if !errors.Is(err, store.ErrStale) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.ReleaseDraft(ctx, "draft-002", "digest-2", end, outgoing(0)); !errors.Is(err, store.ErrExists) {
		t.Errorf("an alert that is there: %v", err)
	}
	if err := s.ReleaseDraft(ctx, "draft-002", "digest-2", store.DraftEnd{By: "ann", At: at}, outgoing(9)); err == nil || errors.Is(err, store.ErrStale) {
		t.Errorf("released by its author: %v", err)
	}
	d, err := s.Draft(ctx, "draft-002", at)
	must(t, err)
	if diff := cmp.Diff(draft(2, "ann"), *d); diff != "" {
		t.Error(diff)
	}
	if list, err := s.Outbox(ctx, 10); err != nil || len(list) != 1 {
		t.Errorf("%+v %v", list, err)
	}
}

// TestDraftOfARefusedVersion: where the hub has refused a version and another has its
// number, each stays with its own draft.
func TestDraftOfARefusedVersion(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	for n, by := range []string{"ben", "cai"} {
		must(t, s.AddDraft(ctx, draft(n, "ann"), 10))
		must(t, s.ReleaseDraft(ctx, draft(n, "").ID, draft(n, "").Digest, store.DraftEnd{By: by, At: at}, outgoing(7)))
		if n == 0 {
			must(t, settleOne(s, "id-7", 1, store.Settlement{State: store.Refused, Problem: "not-admitted"}))
		}
	}
	for n, want := range []store.Outgoing{{ReleasedBy: "ben", State: store.Refused}, {ReleasedBy: "cai", State: store.Queued}} {
		o, err := s.ReleasedAs(ctx, draft(n, "").ID)
		must(t, err)
		if o.ReleasedBy != want.ReleasedBy || o.State != want.State || o.Author != "ann" {
			t.Errorf("%+v", o)
		}
	}
}

// TestDraftsAreBounded: only so many of one author wait at a time, and those that are
// over do not count.
func TestDraftsAreBounded(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	must(t, s.AddDraft(ctx, draft(0, "ann"), 2))
	must(t, s.AddDraft(ctx, draft(1, "ann"), 2))
	if err := s.AddDraft(ctx, draft(2, "ann"), 2); !errors.Is(err, store.ErrStale) {
		t.Error(err)
	}
	must(t, s.AddDraft(ctx, draft(2, "ben"), 2))
	must(t, s.EndDraft(ctx, "draft-000", store.Withdrawn, store.DraftEnd{By: "ann", At: at}))
	must(t, s.AddDraft(ctx, draft(3, "ann"), 2))
	later := draft(4, "ann")
	later.CreatedAt, later.ExpiresAt = at.Add(time.Hour), at.Add(2*time.Hour)
	must(t, s.AddDraft(ctx, later, 2))
}

// TestDraftsAreErased: what is over is not there, before it is erased and after;
// released ones stay.
func TestDraftsAreErased(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	for n := range 5 {
		must(t, s.AddDraft(ctx, draft(n, "ann"), 10))
	}
	must(t, s.ReleaseDraft(ctx, "draft-000", "digest-0", store.DraftEnd{By: "ben", At: at}, outgoing(0)))
	must(t, s.EndDraft(ctx, "draft-001", store.Rejected, store.DraftEnd{By: "ben", At: at, Reason: "no"}))
	over := at.Add(time.Hour)
	there := func(when time.Time, want int) {
		t.Helper()
		list, err := s.Drafts(ctx, "", "", when, 10)
		must(t, err)
		if len(list) != want {
			t.Errorf("%d drafts, want %d", len(list), want)
		}
	}
	there(over.Add(-time.Microsecond), 5)
	there(over, 1)
	if _, err := s.Draft(ctx, "draft-002", over); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	for _, want := range []int{3, 1, 0} {
		if n, err := s.EraseDrafts(ctx, over, 3); err != nil || n != want {
			t.Errorf("%d erased, want %d: %v", n, want, err)
		}
	}
	there(at, 1)
}

// TestReleasesAtOnce: of many at once one is made.
func TestReleasesAtOnce(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	must(t, s.AddDraft(ctx, draft(0, "ann"), 1))
	errs := make([]error, 8)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			errs[i] = s.ReleaseDraft(ctx, "draft-000", "digest-0", store.DraftEnd{By: fmt.Sprintf("user-%d", i), At: at}, outgoing(i))
		})
	}
	all.Wait()
	list, err := s.Outbox(ctx, 10)
	must(t, err)
	if len(list) != 1 {
		t.Fatalf("%d alerts", len(list))
	}
	for i, err := range errs {
		if mine := list[0].ReleasedBy == fmt.Sprintf("user-%d", i); mine && err != nil || !mine && !errors.Is(err, store.ErrStale) {
			t.Errorf("user-%d: %v", i, err)
		}
	}
}

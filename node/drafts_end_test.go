package node_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/store"
)

// TestTwoReleasersAtOnce: one alert goes out, and whoever was slower is told.
func TestTwoReleasersAtOnce(t *testing.T) {
	b := newBureau(t)
	for round := range 5 {
		d := b.add(carl, alert.Secret)
		people := []node.Person{anna, bert, anna, bert}
		outs, errs := make([]*store.Outgoing, len(people)), make([]error, len(people))
		var all sync.WaitGroup
		start := make(chan struct{})
		for i, p := range people {
			all.Go(func() {
				<-start
				outs[i], errs[i] = b.n.Release(ctx, p, d.ID, d.Digest)
			})
		}
		close(start)
		all.Wait()
		by := b.queued(round + 1)[0]
		for i, p := range people {
			if p.User == by.ReleasedBy {
				if errs[i] != nil || outs[i].ID != by.ID || outs[i].ReleasedBy != p.User {
					t.Errorf("%s: %+v %v", p.User, outs[i], errs[i])
				}
			} else {
				wantKind(t, p.User, errs[i], problem.Conflict)
			}
		}
	}
}

// TestKilledWhileDeciding: a write that fails, or whose answer is lost, and a node that
// is killed then: the same command given again ends as if nothing had happened, with one
// alert at most.
func TestKilledWhileDeciding(t *testing.T) {
	for _, at := range []when{before, after} {
		for name, do := range map[string]func(*bureau, *node.KeptDraft) error{
			"release":  func(b *bureau, d *node.KeptDraft) error { _, err := b.n.Release(ctx, bert, d.ID, d.Digest); return err },
			"reject":   func(b *bureau, d *node.KeptDraft) error { _, err := b.n.Reject(ctx, bert, d.ID, "why"); return err },
			"withdraw": func(b *bureau, d *node.KeptDraft) error { _, err := b.n.Withdraw(ctx, anna, d.ID); return err },
		} {
			b := newBureau(t)
			d := b.add(anna, alert.Secret)
			b.shaky.next = at
			wantKind(t, name, do(b, d), problem.Unavailable)
			alerts := 0
			if name == "release" && at == after {
				alerts = 1
			}
			b.queued(alerts)
			b.restart(node.AllFourEyes)
			list := b.queued(alerts)
			must(t, do(b, d))
			must(t, do(b, d))
			if name == "release" {
				if now := b.queued(1); alerts == 1 && now[0].ID != list[0].ID {
					t.Error("another alert")
				}
			} else {
				b.queued(0)
			}
		}
	}
	b := newBureau(t)
	b.shaky.next = before
	_, err := b.n.AddDraft(ctx, anna, writing(alert.Secret))
	wantKind(t, "add", err, problem.Unavailable)
	if list, err := b.n.Drafts(ctx, anna, "", "", 10); err != nil || len(list) != 0 {
		t.Errorf("%v %v", list, err)
	}
}

// TestDraftsEnd: what is over is not there, and then erased; an ended draft says no more
// than who ended it; a draft ends once.
func TestDraftsEnd(t *testing.T) {
	b := newBureau(t)
	pending, released, rejected, withdrawn := b.add(anna, alert.Secret), b.add(anna, alert.Secret), b.add(anna, alert.Secret), b.add(anna, alert.Secret)
	_, err := b.n.Release(ctx, bert, released.ID, released.Digest)
	must(t, err)
	if _, err = b.n.Reject(ctx, anna, rejected.ID, "no"); problem.KindOf(err) != problem.Forbidden {
		t.Errorf("rejected by its author: %v", err)
	}
	if _, err = b.n.Withdraw(ctx, bert, withdrawn.ID); problem.KindOf(err) != problem.Forbidden {
		t.Errorf("withdrawn by another: %v", err)
	}
	for _, reason := range []string{"", strings.Repeat("x", alert.MaxText+1), "a\x00b", "a\u202eb"} {
		_, err = b.n.Reject(ctx, bert, rejected.ID, reason)
		wantKind(t, "reason", err, problem.Malformed)
	}
	_, err = b.n.Reject(ctx, bert, rejected.ID, "not graded")
	must(t, err)
	_, err = b.n.Withdraw(ctx, anna, withdrawn.ID)
	must(t, err)
	for _, d := range []*node.KeptDraft{released, rejected, withdrawn} {
		now, err := b.n.Draft(ctx, anna, d.ID)
		must(t, err)
		if now.Body != nil || now.Content != nil || now.End.At.IsZero() {
			t.Errorf("%+v", now)
		}
		for what, do := range map[store.DraftState]func() error{
			store.Released:  func() error { _, err := b.n.Release(ctx, bert, d.ID, d.Digest); return err },
			store.Rejected:  func() error { _, err := b.n.Reject(ctx, bert, d.ID, "not graded"); return err },
			store.Withdrawn: func() error { _, err := b.n.Withdraw(ctx, anna, d.ID); return err },
		} {
			if err := do(); what == now.State {
				must(t, err) // the same again
			} else {
				wantKind(t, string(now.State)+" is now "+string(what), err, problem.Conflict)
			}
		}
		_, err = b.n.Reject(ctx, bert, d.ID, "another reason")
		wantKind(t, "rejected for another reason", err, problem.Conflict)
	}
	b.queued(1)
	b.late = node.DraftLifetime + time.Minute
	for _, d := range []*node.KeptDraft{pending, rejected, withdrawn} {
		_, err := b.n.Draft(ctx, anna, d.ID)
		wantKind(t, string(d.State), err, problem.NotFound)
	}
	must(t, b.n.DraftsStep(ctx)) // the clock may be wrong: the hub has not been heard yet
	all, err := b.shaky.Drafts(ctx, "", "", time.Unix(0, 0), 10)
	must(t, err)
	if len(all) != 4 {
		t.Errorf("%+v", all)
	}
	b.n.StartedBefore(24 * time.Hour)
	must(t, b.n.DraftsStep(ctx))
	all, err = b.shaky.Drafts(ctx, "", "", time.Unix(0, 0), 10)
	must(t, err)
	if len(all) != 1 || all[0].ID != released.ID {
		t.Errorf("%+v", all)
	}
	if now, err := b.n.Draft(ctx, bert, released.ID); err != nil || now.Author != "anna" || now.End.By != "bert" {
		t.Errorf("%+v %v", now, err)
	}
}

// TestDraftEndsWithRetention: a draft waits no longer than what it says may be held, and what
// may not be held any more is never written as one. One that recalls an alert ends with the
// labels by which it is read.
func TestDraftEndsWithRetention(t *testing.T) {
	b := newBureau(t)
	midnight := time.Now().UTC().Truncate(day)
	retained := func(days ...int) node.Draft {
		d := writing(alert.Restricted, alert.Restricted)
		for i, n := range days {
			d.Plan.Portions[i].Label.Retention = alert.Date(midnight.AddDate(0, 0, n).Format(time.DateOnly))
		}
		return d
	}
	add := func(what string, d node.Draft, days int) *node.KeptDraft {
		t.Helper()
		kept, err := b.n.AddDraft(ctx, anna, d)
		must(t, err)
		want := midnight.AddDate(0, 0, days+1)
		if days < 0 {
			want = kept.CreatedAt.Add(node.DraftLifetime)
		}
		if !kept.ExpiresAt.Equal(want) {
			t.Errorf("%s ends at %s, want %s", what, kept.ExpiresAt, want)
		}
		return kept
	}
	long, short := add("without", retained(), -1), add("with two", retained(9, 3), 3)
	add("with one that is later", retained(60, 90), -1)
	_, err := b.n.AddDraft(ctx, anna, retained(9, -1))
	wantKind(t, "past", err, problem.Malformed)
	o, err := b.n.Release(ctx, bert, add("to be recalled", retained(60, 5), 5).ID, b.latest())
	must(t, err)
	add("a recall", recall(o.ID), 5)
	b.late = time.Until(midnight.AddDate(0, 0, 4)) + time.Second
	b.restart(node.AllFourEyes)
	_, err = b.n.Release(ctx, bert, short.ID, short.Digest)
	wantKind(t, "released", err, problem.NotFound)
	b.n.StartedBefore(day)
	must(t, b.n.DraftsStep(ctx))
	all, err := b.shaky.Drafts(ctx, store.Pending, "", time.Unix(0, 0), 10)
	must(t, err)
	if len(all) != 3 || slices.ContainsFunc(all, func(d store.Draft) bool { return d.ID == short.ID }) {
		t.Errorf("%+v", all)
	}
	_, err = b.n.Release(ctx, bert, long.ID, long.Digest)
	must(t, err)
}

// latest is the digest of the draft that was added last.
func (b *bureau) latest() string {
	b.t.Helper()
	list, err := b.n.Drafts(ctx, anna, "", "", 1)
	must(b.t, err)
	return list[0].Digest
}

// TestNobodyFillsTheDisk: only so many drafts of one author wait at a time.
func TestNobodyFillsTheDisk(t *testing.T) {
	b := newBureau(t)
	var last *node.KeptDraft
	for range node.MaxDrafts {
		last = b.add(anna, alert.Unclassified)
	}
	_, err := b.n.AddDraft(ctx, anna, writing(alert.Unclassified))
	wantKind(t, "one more", err, problem.RateLimited)
	b.add(carl, alert.Unclassified)
	_, err = b.n.Withdraw(ctx, anna, last.ID)
	must(t, err)
	b.add(anna, alert.Unclassified)
	var seen []store.DraftID
	for before := store.DraftID(""); ; {
		list, err := b.n.Drafts(ctx, dora, "", before, 7)
		must(t, err)
		for _, d := range list {
			seen = append(seen, d.ID)
		}
		if len(list) < 7 {
			break
		}
		before = list[len(list)-1].ID
	}
	if !slices.IsSortedFunc(seen, func(a, b store.DraftID) int { return strings.Compare(string(b), string(a)) }) || len(slices.Compact(seen)) != node.MaxDrafts+2 {
		t.Errorf("%d drafts in pages", len(seen))
	}
}

package sqlite_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/node/store"
)

const (
	delegated1 = alert.ID("01954c7e-8f5e-7d3a-9c1b-000000000021")
	made1      = alert.ID("01954c7e-8f5e-7d3a-9c1b-000000000031")
	made2      = alert.ID("01954c7e-8f5e-7d3a-9c1b-000000000032")
)

func delegating(from, to alert.MemberID) *store.Delegating {
	return &store.Delegating{Originator: from, Delegation: alert.Delegation{To: to, Precedence: alert.Flash, Due: 100}, Expires: 1000}
}

// receivedDelegation is XA's store with a delegation of XB's.
func receivedDelegation(t *testing.T) *feedbackLog {
	l := newFeedbackLog(t)
	after := l.p
	after.Seq++
	must(t, l.s.Receive(ctx, store.Reception{Before: l.p, After: after, Items: []store.Item{{Seq: 1, Digest: "d", ReceivedAt: at,
		Delivery: []byte("{}"), Originator: "XB", ID: delegated1, Version: 1, SignedDigest: "s1", Delegating: delegating("XB", "XA")}}}))
	l.p = after
	return l
}

func (l *feedbackLog) make(id alert.ID, digest string) error {
	answer := store.Outgoing{ID: reply1, Version: 1, Token: "answer of " + string(id), Digest: "answer", QueuedAt: at, Due: 900,
		Referring: &store.Referring{Originator: "XA", Re: alert.Reference{Originator: "XB", Alert: delegated1, Act: alert.Answer, Published: id}, Expires: 1000}}
	return l.s.Enqueue(ctx, store.Outgoing{ID: id, Version: 1, Token: "t", Digest: digest, QueuedAt: at, Due: 900,
		Publication: &store.Publication{Originator: "XB", ID: delegated1, Answer: answer}})
}

func (l *feedbackLog) settle(id alert.ID, state store.State) {
	l.t.Helper()
	s := store.Settlement{State: state, Receipt: "receipt"}
	if state == store.Refused {
		s = store.Settlement{State: state, Problem: "not-admitted"}
	}
	must(l.t, settleOne(l.s, id, 1, s))
}

func (l *feedbackLog) delegation(moment int64) store.Delegation {
	l.t.Helper()
	list, err := l.s.Delegations(ctx, moment)
	must(l.t, err)
	if len(list) != 1 {
		l.t.Fatalf("%+v", list)
	}
	one, err := l.s.Delegation(ctx, list[0].Originator, list[0].ID, moment)
	must(l.t, err)
	if d := cmp.Diff(list[0], *one); d != "" {
		l.t.Error(d)
	}
	return *one
}

func TestPublishedOnce(t *testing.T) {
	l := receivedDelegation(t)
	want := store.Delegation{Delegating: *delegating("XB", "XA"), ID: delegated1}
	if d := cmp.Diff(want, l.delegation(500)); d != "" {
		t.Error(d)
	}
	must(t, l.make(made1, "one"))
	if err := l.make(made2, "two"); !errors.Is(err, store.ErrDelegation) {
		t.Errorf("made twice: %v", err)
	}
	want.Published, want.State, want.Standing = made1, store.Queued, true
	if d := cmp.Diff(want, l.delegation(500)); d != "" {
		t.Error(d)
	}
	l.settle(made1, store.Refused)
	want.Published, want.State, want.Standing = "", "", false
	if d := cmp.Diff(want, l.delegation(500)); d != "" {
		t.Error(d)
	}
	must(t, l.make(made2, "two"))
	l.settle(made2, store.Accepted)
	next, err := l.s.Sendable(ctx, 5)
	must(t, err)
	if len(next) != 1 || next[0].ID != reply1 || next[0].Token != "answer of "+string(made2) || next[0].Due != 900 {
		t.Fatalf("%+v", next)
	}
	d, err := l.s.MadeOf(ctx, made2, 500)
	must(t, err)
	if d.ID != delegated1 || d.State != store.Accepted || len(d.Replies) != 1 || d.Replies[0].Published != made2 {
		t.Errorf("%+v", d)
	}
	if _, err := l.s.MadeOf(ctx, made1, 500); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	if err := l.make(made1, "three"); !errors.Is(err, store.ErrDelegation) {
		t.Errorf("made twice: %v", err)
	}
	if list, err := l.s.Delegations(ctx, 1000); err != nil || len(list) != 0 {
		t.Errorf("delegation and publication have expired: %+v %v", list, err)
	}
}

// What was published outlives neither its own time nor its own recall, and a delegation
// is listed as long as it stands.
func TestWhatRestsOnADelegation(t *testing.T) {
	l := receivedDelegation(t)
	must(t, l.make(made1, "one"))
	l.settle(made1, store.Accepted)
	must(t, l.s.Enqueue(ctx, store.Outgoing{ID: made1, Version: 2, Token: "t", Digest: "next", QueuedAt: at, Due: 5000}))
	if d := l.delegation(2000); !d.Standing || d.Published != made1 || d.State != store.Accepted {
		t.Errorf("%+v", d)
	}
	must(t, l.s.Enqueue(ctx, store.Outgoing{ID: made1, Version: 3, Token: "t", Digest: "recall", QueuedAt: at}))
	if d := l.delegation(500); d.Standing {
		t.Errorf("%+v", d)
	}
	if list, err := l.s.Delegations(ctx, 2000); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
}

func TestRecalledDelegation(t *testing.T) {
	l := receivedDelegation(t)
	after := l.p
	after.Seq++
	must(t, l.s.Receive(ctx, store.Reception{Before: l.p, After: after, Items: []store.Item{{Seq: after.Seq, Digest: "d", ReceivedAt: at,
		Delivery: []byte("{}"), Originator: "XB", ID: delegated1, Version: 2, SignedDigest: "s2", Recall: alert.Purge}}}))
	if d := l.delegation(500); !d.Recalled {
		t.Errorf("%+v", d)
	}
	if err := l.make(made1, "one"); !errors.Is(err, store.ErrDelegation) {
		t.Errorf("made of what was recalled: %v", err)
	}
	if list, err := l.s.Sendable(ctx, 5); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
}

// A restored node takes its own answer back from the hub, and so knows what it published.
func TestPublishedBeforeTheBackup(t *testing.T) {
	l := receivedDelegation(t)
	_, err := l.s.Regain(ctx, store.Outgoing{ID: made1, Version: 1, Token: "t", Digest: "one", QueuedAt: at, Due: 900, Receipt: "r"})
	must(t, err)
	if d := l.delegation(500); d.Published != "" {
		t.Errorf("%+v", d)
	}
	_, err = l.s.Regain(ctx, store.Outgoing{ID: reply1, Version: 1, Token: "t", Digest: "answer", QueuedAt: at, Due: 900, Receipt: "r",
		Referring: &store.Referring{Originator: "XA", Re: alert.Reference{Originator: "XB", Alert: delegated1, Act: alert.Answer, Published: made1}, Expires: 1000}})
	must(t, err)
	if d := l.delegation(500); d.Published != made1 || !d.Standing {
		t.Errorf("%+v", d)
	}
	if err := l.make(made2, "two"); !errors.Is(err, store.ErrDelegation) {
		t.Errorf("made twice: %v", err)
	}
}

func TestOwnDelegations(t *testing.T) {
	l := &feedbackLog{t: t, s: open(t, filepath.Join(t.TempDir(), "node.db"))}
	must(t, l.s.Enqueue(ctx, store.Outgoing{ID: delegated1, Version: 1, Token: "t", Digest: "one", QueuedAt: at, Delegating: delegating("XA", "XB")}))
	refusal := &store.Referring{Re: alert.Reference{Originator: "XA", Alert: delegated1, Act: alert.Declined}, Expires: 1000}
	l.receive("XC", reply2, 1, refusal) // to whom it was not delegated
	l.receive("XB", reply1, 1, &store.Referring{Re: alert.Reference{Originator: "XA", Alert: delegated1, Act: alert.Declined}, Expires: 1000})
	if d := l.delegation(500); !d.Own || d.Recalled || len(d.Replies) != 1 || d.Replies[0].Originator != "XB" || d.Replies[0].Act != alert.Declined {
		t.Errorf("%+v", d)
	}
	must(t, l.s.Enqueue(ctx, store.Outgoing{ID: delegated1, Version: 2, Token: "t", Digest: "recall", QueuedAt: at}))
	if d := l.delegation(500); !d.Recalled {
		t.Errorf("%+v", d)
	}
	l.refuse(delegated1, 2)
	l.refuse(delegated1, 1)
	if list, err := l.s.Delegations(ctx, 500); err != nil || len(list) != 0 {
		t.Errorf("what the hub has refused: %+v %v", list, err)
	}
}

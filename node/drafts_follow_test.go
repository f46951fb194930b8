package node_test

import (
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// released publishes an alert with two persons.
func (b *bureau) released(d node.Draft) *store.Outgoing {
	b.t.Helper()
	kept, err := b.n.AddDraft(ctx, anna, d)
	must(b.t, err)
	o, err := b.n.Release(ctx, bert, kept.ID, kept.Digest)
	must(b.t, err)
	return o
}

func next(id alert.ID, levels ...alert.Classification) node.Draft {
	d := writing(levels...)
	d.Supersedes = id
	return d
}

func recall(id alert.ID) node.Draft {
	return node.Draft{Supersedes: id, Recall: &alert.Recall{Mode: alert.Purge, Reason: "The plate was misread."}}
}

// TestWhatFollowsTakesTwo: the rule holds for the next version and for a recall as for the
// alert: one person can not replace, and so erase at its holders, what two have released.
func TestWhatFollowsTakesTwo(t *testing.T) {
	b := newBureau(t)
	b.restart(node.ClassifiedFourEyes)
	secret := b.released(writing(alert.Unclassified, alert.Secret))
	open, err := b.n.Publish(ctx, writing(alert.Unclassified))
	must(t, err)
	for name, c := range map[string]struct {
		draft node.Draft
		two   bool
	}{
		"the next version":            {next(secret.ID, alert.Secret), true},
		"a lower one":                 {next(secret.ID, alert.Unclassified), true},
		"a recall":                    {recall(secret.ID), true},
		"a higher one":                {next(open.ID, alert.Restricted), true},
		"of what is not classified":   {next(open.ID, alert.Unclassified), false},
		"recall of such a one, later": {recall(open.ID), false},
	} {
		if c.two {
			_, err := b.n.Publish(ctx, c.draft)
			wantKind(t, name, err, problem.EgressDenied)
		}
	}
	_, err = b.n.Recall(ctx, secret.ID, *recall("").Recall)
	wantKind(t, "recalled", err, problem.EgressDenied)
	_, err = b.n.Publish(ctx, next(open.ID, alert.Unclassified))
	must(t, err)
	_, err = b.n.Recall(ctx, open.ID, *recall("").Recall)
	must(t, err)
	b.queued(4)

	second := b.released(next(secret.ID, alert.Secret))
	last := b.released(recall(secret.ID))
	for want, o := range map[int]*store.Outgoing{2: second, 3: last} {
		a, err := trust.ReadAlert(o.Token)
		must(t, err)
		if a.Subject != secret.ID || a.Version != want || (a.Recall != nil) != (o == last) || o.Author != "anna" || o.ReleasedBy != "bert" {
			t.Errorf("version %d: %+v", want, a.Payload)
		}
	}
	_, err = b.n.AddDraft(ctx, anna, next(secret.ID, alert.Secret))
	wantKind(t, "after its recall", err, problem.Conflict)
	_, err = b.n.AddDraft(ctx, anna, next("01900000-0000-7000-8000-000000000000", alert.Secret))
	wantKind(t, "of no alert", err, problem.NotFound)
}

// TestOvertakenDraft: a draft was written to follow a version; once another version has
// come it would replace what nobody has looked at, and does not go out.
func TestOvertakenDraft(t *testing.T) {
	b := newBureau(t)
	first := b.released(writing(alert.Secret))
	drafts := make(map[string]*node.KeptDraft)
	for name, d := range map[string]node.Draft{"next": next(first.ID, alert.Secret), "recall": recall(first.ID)} {
		kept, err := b.n.AddDraft(ctx, anna, d)
		must(t, err)
		drafts[name] = kept
	}
	b.released(next(first.ID, alert.Secret))
	for name, d := range drafts {
		_, err := b.n.Release(ctx, bert, d.ID, d.Digest)
		wantKind(t, name, err, problem.Conflict)
		if now, err := b.n.Draft(ctx, bert, d.ID); err != nil || now.State != store.Pending || now.Makes != 2 {
			t.Errorf("%+v %v", now, err)
		}
	}
	b.queued(2)
}

// TestRecallIsSeenByItsLabels: whoever may not know of an alert may not know of the draft
// of its recall.
func TestRecallIsSeenByItsLabels(t *testing.T) {
	b := newBureau(t)
	for _, c := range []struct {
		level alert.Classification
		sees  bool
	}{{alert.Secret, false}, {alert.Restricted, true}} {
		o := b.released(writing(c.level))
		d, err := b.n.AddDraft(ctx, anna, recall(o.ID))
		must(t, err)
		read, err := b.n.Draft(ctx, dora, d.ID)
		if !c.sees {
			wantKind(t, "seen", err, problem.NotFound)
			continue
		}
		must(t, err)
		if read.Content.Recall == nil || read.Content.Recall.Reason != "The plate was misread." || read.Content.Supersedes != o.ID {
			t.Errorf("%+v", read.Content)
		}
		out, err := b.n.Release(ctx, dora, d.ID, d.Digest)
		must(t, err)
		if out.Version != 2 {
			t.Errorf("%+v", out)
		}
	}
}

// TestFeedbackTakesTwo: feedback is composed in its author's name, who must show who it
// is before anything is read for it.
func TestFeedbackTakesTwo(t *testing.T) {
	b := newBureau(t)
	o := b.released(writing(alert.Secret))
	purpose := "investigation"
	f := node.FeedbackDraft{Originator: "XA", Alert: o.ID, Act: alert.Comment, Text: "Seen again.", To: []alert.MemberID{"XB"}}
	_, err := b.n.AddFeedbackDraft(ctx, node.Person{User: "anna", Token: "x"}, &purpose, f)
	wantKind(t, "with a wrong token", err, problem.Unauthenticated)
	_, err = b.n.AddFeedbackDraft(ctx, dora, &purpose, f)
	wantKind(t, "by no author", err, problem.Forbidden)
	_, err = b.n.AddFeedbackDraft(ctx, anna, nil, f)
	wantKind(t, "for no purpose", err, problem.Malformed)

	theirs := b.deliver(feed.Content)
	must(t, b.n.FeedStep(ctx))
	a, err := trust.ReadAlert(theirs.Alert)
	must(t, err)
	f = node.FeedbackDraft{Originator: "XB", Alert: a.Subject, Act: alert.Comment, Text: "Seen again."}
	_, err = b.n.Feedback(ctx, node.FeedbackDraft{Originator: "XB", Alert: a.Subject, Act: alert.Comment, Text: "Seen again.",
		Reader: &node.Reader{User: "anna", Purpose: "investigation"}})
	wantKind(t, "by one", err, problem.EgressDenied)
	d, err := b.n.AddFeedbackDraft(ctx, anna, &purpose, f)
	must(t, err)
	read, err := b.n.Draft(ctx, bert, d.ID)
	must(t, err)
	if read.Content.Re == nil || read.Content.Re.Alert != a.Subject || read.Content.By != "anna" {
		t.Errorf("%+v", read.Content)
	}
	out, err := b.n.Release(ctx, bert, d.ID, d.Digest)
	must(t, err)
	if sent, err := trust.ReadAlert(out.Token); err != nil || sent.Re == nil || sent.Re.Alert != a.Subject {
		t.Errorf("%+v %v", sent, err)
	}
}

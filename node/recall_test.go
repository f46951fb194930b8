package node_test

import (
	"slices"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

var wrong = alert.Recall{Mode: alert.Purge, Reason: "it was wrong"}

// nextVersion is a draft of the next version of an alert.
func nextVersion(id alert.ID) node.Draft {
	return node.Draft{Objects: objects(1), Plan: nodetest.Plan(), Supersedes: id}
}

func (h *house) alert(o *store.Outgoing) *trust.VerifiedAlert {
	h.t.Helper()
	a, err := trust.ReadAlert(o.Token)
	must(h.t, err)
	return a
}

// TestOwnVersions: each version follows the one before, whether or not the hub has that
// yet, and nothing follows a recall.
func TestOwnVersions(t *testing.T) {
	h := newHouse(t)
	first := h.publish()
	h.hub.Do(func() { h.hub.Down = true })
	second, err := h.n.Publish(ctx, nextVersion(first.ID))
	must(t, err)
	third, err := h.n.Recall(ctx, first.ID, wrong)
	must(t, err)
	one, two, three := h.alert(first), h.alert(second), h.alert(third)
	if two.Subject != one.Subject || two.Version != 2 || two.Previous != one.SignedDigest || three.Version != 3 || three.Previous != two.SignedDigest {
		t.Errorf("%+v, %+v, %+v", one.Payload, two.Payload, three.Payload)
	}
	if three.Recall == nil || *three.Recall != wrong || three.Expires != two.Expires || len(three.Payload.Portions) != 0 {
		t.Errorf("%+v", three.Payload)
	}
	for name, do := range map[string]func() error{
		"version after the recall": func() error { _, err := h.n.Publish(ctx, nextVersion(first.ID)); return err },
		"recall after the recall":  func() error { _, err := h.n.Recall(ctx, first.ID, wrong); return err },
	} {
		if err := do(); problem.KindOf(err) != problem.Conflict {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.reopen()
	h.hub.Do(func() { h.hub.Down = false })
	for range 3 {
		must(t, h.n.OutboxStep(ctx))
	}
	if want := []string{first.Token, second.Token, third.Token}; !slices.Equal(h.hub.Published, want) {
		t.Error("not all, or not in order")
	}
}

// TestVersionsRefused: what can not be superseded or recalled.
func TestVersionsRefused(t *testing.T) {
	l := newLife(t, 1)
	first := l.publish()
	elsewhere := l.Payload("XB").Subject
	re := &alert.Reference{Originator: "XB", Alert: elsewhere, Act: alert.Comment}
	feedback, err := l.n.Publish(ctx, node.Draft{Objects: objects(1), Plan: nodetest.Plan(), Re: re})
	must(t, err)
	with := func(d node.Draft, change func(d *node.Draft)) node.Draft { change(&d); return d }
	for name, c := range map[string]struct {
		draft node.Draft
		want  problem.Kind
	}{
		"of another":            {nextVersion(elsewhere), problem.NotFound},
		"recall of another":     {node.Draft{Supersedes: elsewhere, Recall: &wrong}, problem.NotFound},
		"recall of nothing":     {node.Draft{Recall: &wrong}, problem.Malformed},
		"recall with content":   {with(nextVersion(first.ID), func(d *node.Draft) { d.Recall = &wrong }), problem.Malformed},
		"recall without reason": {node.Draft{Supersedes: first.ID, Recall: &alert.Recall{Mode: alert.Purge}}, problem.Malformed},
		"recall without mode":   {node.Draft{Supersedes: first.ID, Recall: &alert.Recall{Reason: "x"}}, problem.Malformed},
		"becomes feedback":      {with(nextVersion(first.ID), func(d *node.Draft) { d.Re = re }), problem.Malformed},
		"other feedback": {with(nextVersion(feedback.ID), func(d *node.Draft) {
			d.Re = &alert.Reference{Originator: "XC", Alert: elsewhere, Act: alert.Comment}
		}), problem.Malformed},
	} {
		if _, err := l.n.Publish(ctx, c.draft); problem.KindOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	again, err := l.n.Publish(ctx, nextVersion(feedback.ID))
	must(t, err)
	if a := l.alert(again); a.Re == nil || *a.Re != *re {
		t.Errorf("%+v", a.Payload)
	}
	l.now = l.now.Add(91 * 24 * time.Hour)
	if _, err := l.n.Recall(ctx, first.ID, wrong); problem.KindOf(err) != problem.Expired {
		t.Error(err)
	}
	if list, err := l.n.Outbox(ctx, 10); err != nil || len(list) != 3 {
		t.Errorf("%d, %v", len(list), err)
	}
}

// TestRefusedVersion: a version that the hub refuses takes what builds on it with it, but
// never a recall, which then follows the last version that was accepted. The next version
// does too.
func TestRefusedVersion(t *testing.T) {
	h := newHouse(t)
	first := h.publish()
	must(t, h.n.OutboxStep(ctx))
	second, err := h.n.Publish(ctx, nextVersion(first.ID))
	must(t, err)
	third, err := h.n.Publish(ctx, nextVersion(first.ID))
	must(t, err)
	recall, err := h.n.Recall(ctx, first.ID, wrong)
	must(t, err)
	h.hub.Do(func() {
		h.hub.Refuse = func(token string) error {
			if token == second.Token {
				return problem.New(problem.NotAdmitted, "no")
			}
			return nil
		}
	})
	for range 3 {
		must(t, h.n.OutboxStep(ctx))
	}
	for o, want := range map[*store.Outgoing]problem.Kind{second: problem.NotAdmitted, third: problem.Fork} {
		got, err := h.n.Outgoing(ctx, o.ID, o.Version)
		must(t, err)
		if o.Version == 2 { // a recall has that number by now
			list, err := h.n.Outbox(ctx, 10)
			must(t, err)
			got = &list[slices.IndexFunc(list, func(x store.Outgoing) bool { return x.Digest == o.Digest })]
		}
		if got.State != store.Refused || got.Problem != want {
			t.Errorf("version %d: %+v", o.Version, got)
		}
	}
	sent, err := h.n.Outgoing(ctx, first.ID, 2)
	must(t, err)
	a := h.alert(sent)
	if sent.State != store.Accepted || a.Recall == nil || *a.Recall != wrong || a.Previous != h.alert(first).SignedDigest {
		t.Errorf("%+v", sent)
	}
	if len(h.hub.Published) != 2 || h.hub.Published[1] != sent.Token || recall.Version != 4 {
		t.Errorf("%d at the hub", len(h.hub.Published))
	}
}

// TestRecallWhereNothingIsOut: the recall of an alert that the hub refuses goes nowhere.
func TestRecallWhereNothingIsOut(t *testing.T) {
	h := newHouse(t)
	first := h.publish()
	_, err := h.n.Recall(ctx, first.ID, wrong)
	must(t, err)
	h.hub.Do(func() { h.hub.Refuse = func(string) error { return problem.New(problem.NotAdmitted, "no") } })
	must(t, h.n.OutboxStep(ctx))
	must(t, h.n.OutboxStep(ctx))
	o, err := h.n.Outgoing(ctx, first.ID, 2)
	must(t, err)
	if o.State != store.Refused || o.Problem != problem.Fork {
		t.Errorf("%+v", o)
	}
	if _, err := h.n.Recall(ctx, first.ID, wrong); problem.KindOf(err) != problem.NotFound {
		t.Error(err)
	}
	if next, err := h.st.Sendable(ctx, 1); err != nil || len(next) > 0 {
		t.Errorf("%+v, %v", next, err)
	}
}

package node_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// TestDelegationEnds: what was recalled or has ended is not published any more; what was
// published of it is shown to rest on nothing.
func TestDelegationEnds(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	sent := xa.delegates(xb)
	recall := func(o *store.Outgoing) {
		t.Helper()
		r, err := xa.n.Recall(ctx, o.ID, alert.Recall{Mode: alert.Purge, Reason: "it was wrong"})
		must(t, err)
		must(t, xa.n.OutboxStep(ctx))
		xb.take(xb.Notice(r.Token))
	}
	recall(sent)
	xa.stands(node.DelegationRecalled, "")
	xb.stands(node.DelegationRecalled, "")
	if _, err := xb.n.PublishDelegation(ctx, of(sent)); problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "recalled") {
		t.Errorf("recalled: %v", err)
	}

	second := xa.delegates(xb)
	o, err := xb.n.PublishDelegation(ctx, of(second))
	must(t, err)
	must(t, xb.n.OutboxStep(ctx))
	xb.carry(xa)
	recall(second)
	list, err := xb.n.Delegations(ctx, node.DelegationFilter{Limit: 1})
	must(t, err)
	if d := list[0]; d.ID != second.ID || d.State != node.DelegationPublished || !d.Recalled || !d.Rests {
		t.Errorf("%+v", d)
	}
	next := node.Draft{Objects: objects(1), Plan: openPlan(), Supersedes: o.ID}
	if _, err := xb.n.Publish(ctx, next); problem.KindOf(err) != problem.Conflict {
		t.Errorf("the next version of what rests on nothing: %v", err)
	}
	if again, err := xb.n.PublishDelegation(ctx, of(second)); err != nil || again.ID != o.ID {
		t.Errorf("what was published is what was published: %v", err)
	}
	_, err = xb.n.Recall(ctx, o.ID, alert.Recall{Mode: alert.Purge, Reason: "its ground is gone"})
	must(t, err)
	if d, err := xb.n.Delegation(ctx, nil, "XA", second.ID); err != nil || d.Rests {
		t.Errorf("recalled by XB too: %+v %v", d, err)
	}

	third := xa.delegates(xb)
	end := alert.Routine.Deadline() + alert.DefaultLifetime
	xb.skew = end + time.Minute
	if _, err := xb.n.PublishDelegation(ctx, of(third)); problem.KindOf(err) != problem.Expired {
		t.Errorf("expired: %v", err)
	}
	xb.skew = end - 30*time.Second
	if _, err := xb.n.PublishDelegation(ctx, of(third)); problem.KindOf(err) != problem.Expired {
		t.Errorf("about to expire: %v", err)
	}
}

// TestPublicationNamesTheSource: what the source has let through is looked at once more by
// who publishes it, and what another program of the source's has let through is refused.
func TestPublicationNamesTheSource(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	object := func(more string) json.RawMessage {
		return json.RawMessage(`{"type":"vehicle","id":"vehicle--0a000000-0000-4000-8000-000000000000",` + more + `}`)
	}
	draft := delegating([]json.RawMessage{object(`"plate":"XA 1"`)})
	draft.Delegate.Checked = true
	sent, err := xa.n.Publish(ctx, draft)
	must(t, err)
	xa.carry(xb)
	p := of(sent)
	_, err = xb.n.PublishDelegation(ctx, p)
	wantKind(t, "not looked at", err, problem.Malformed)
	p.Checked = true
	if _, err := xb.n.PublishDelegation(ctx, p); err != nil {
		t.Error(err)
	}

	odd := `{"type":"vehicle","id":"vehicle--0a000000-0000-4000-8000-000000000001","y":1.50,"x":"\u00e4 <\/>"}`
	o, err := xb.n.PublishDelegation(ctx, of(xa.delegates(xb, json.RawMessage(odd))))
	must(t, err)
	read, err := trust.ReadAlert(o.Token)
	must(t, err)
	if got, want := string(read.Portions[0].Content.Objects[0]), `{"id":"vehicle--0a000000-0000-4000-8000-000000000001","type":"vehicle","x":"ä <\/>","y":1.50}`; got != strings.ReplaceAll(want, `\/`, "/") {
		t.Errorf("it is written as its source writes: %s", got)
	}

	a := alert.Alert{Payload: xa.Payload("XA")}
	a.Delegate = &alert.Delegation{To: "XB", Precedence: alert.Routine, Due: a.Expires, Lifetime: 60}
	to, as := openPlan().Portions[0].Label, openPlan().Portions[0].Label
	to.ReleasableTo = []alert.Audience{"XB"}
	a.Portions = []alert.Portion{{ID: "p0", Label: &to, Content: &alert.Content{Publish: &as,
		Objects: []json.RawMessage{object(`"created_by_ref":"identity--0a000000-0000-4000-8000-000000000001"`)}}}}
	token, err := trust.IssueAlert(ctx, xa.Node["XA"], a)
	must(t, err)
	xb.take(xb.release(token, feed.Content))
	_, err = xb.n.PublishDelegation(ctx, node.PublicationDraft{Originator: "XA", ID: a.Subject, Checked: true})
	wantKind(t, "created_by_ref", err, problem.Malformed)
}

// TestDelegationToAnother: a hub that hands over what is delegated to somebody else breaks
// a rule that a node can see.
func TestDelegationToAnother(t *testing.T) {
	e := exchange(t)
	xa, xc := e["XA"], e["XC"]
	sent, err := xa.n.Publish(ctx, delegating(objects(1)))
	must(t, err)
	d := xc.release(sent.Token, feed.Content)
	d.Releases[0].Agreements = nil
	xc.hub.Hand("XC", d)
	if err := xc.n.FeedStep(ctx); err == nil || !strings.Contains(err.Error(), "delegation to another member") {
		t.Errorf("%v", err)
	}
}

// TestDelegationRefused: a refusal reaches the source alone; a deadline is seen by both.
func TestDelegationRefused(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	sent := xa.delegates(xb)
	for _, p := range []*party{xa, xb} {
		p.skew = 8 * 24 * time.Hour
		p.stands(node.DelegationLate, "")
		p.skew = 0
	}
	if _, err := xb.n.Feedback(ctx, node.FeedbackDraft{Originator: "XA", Alert: sent.ID, Act: alert.Answer, Text: "done"}); problem.KindOf(err) != problem.Malformed {
		t.Errorf("answered without publishing: %v", err)
	}
	no := node.FeedbackDraft{Originator: "XA", Alert: sent.ID, Act: alert.Declined, Text: "not ours to say"}
	o := xb.says(no)
	if a, err := trust.ReadAlert(o.Token); err != nil || len(a.Portions[0].Label.ReleasableTo) != 1 || a.Portions[0].Label.ReleasableTo[0] != "XA" {
		t.Errorf("%+v %v", a, err)
	}
	xb.carry(xa)
	xa.stands(node.DelegationRefused, "")
	xb.stands(node.DelegationRefused, "")
	published, err := xb.n.PublishDelegation(ctx, of(sent)) // it may think better of it
	must(t, err)
	if _, err := xb.n.Feedback(ctx, no); problem.KindOf(err) != problem.Malformed {
		t.Errorf("refused after it was published: %v", err)
	}
	must(t, xb.n.OutboxStep(ctx))
	xb.carry(xa)
	xa.stands(node.DelegationPublished, published.ID)

	if _, err := xb.n.PublishDelegation(ctx, node.PublicationDraft{Originator: "XA", ID: published.ID}); problem.KindOf(err) != problem.NotFound {
		t.Errorf("what is no delegation: %v", err)
	}
	if _, err := xa.n.PublishDelegation(ctx, of(sent)); problem.KindOf(err) != problem.NotFound {
		t.Errorf("its own: %v", err)
	}
	plain := xa.publishes(feed.Content, nil, xb)
	if _, err := xb.n.PublishDelegation(ctx, of(plain)); problem.KindOf(err) != problem.NotFound {
		t.Errorf("an alert that is no delegation: %v", err)
	}
}

// TestDelegationKilled: whenever the node is killed, it publishes once and answers once.
func TestDelegationKilled(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	sent := xa.delegates(xb)
	restart := func() {
		t.Helper()
		must(t, xb.st.Close())
		xb.openAs(nil)
	}
	o, err := xb.n.PublishDelegation(ctx, of(sent))
	must(t, err)
	restart()
	again, err := xb.n.PublishDelegation(ctx, of(sent))
	must(t, err)
	if again.ID != o.ID {
		t.Error("published twice")
	}
	xb.st.failSettle = before // accepted by the hub, and not noted
	if err := xb.n.OutboxStep(ctx); err == nil {
		t.Fatal("it was to fail")
	}
	restart()
	for xb.queued() > 0 {
		must(t, xb.n.OutboxStep(ctx))
	}
	restart()
	var mine []string
	xb.hub.Do(func() {
		for _, token := range xb.hub.Published {
			if a, err := trust.ReadAlert(token); err == nil && a.Issuer == "XB" {
				mine = append(mine, string(a.Subject))
			}
		}
	})
	if len(mine) < 2 || mine[0] != string(o.ID) || cmp.Diff(2, len(unique(mine))) != "" {
		t.Errorf("sent %v", mine)
	}
	xb.stands(node.DelegationPublished, o.ID)
}

func unique(list []string) map[string]bool {
	m := make(map[string]bool)
	for _, s := range list {
		m[s] = true
	}
	return m
}

// TestPublicationRefused: what the hub refuses was not published: it is not answered, and
// can be published anew.
func TestPublicationRefused(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	sent := xa.delegates(xb)
	o, err := xb.n.PublishDelegation(ctx, of(sent))
	must(t, err)
	must(t, xb.st.SettleAll(ctx, []store.Settled{{ID: o.ID, Version: 1,
		Settlement: store.Settlement{State: store.Refused, Problem: problem.NotAdmitted, Error: "no"}}}))
	xb.stands(node.DelegationWaiting, "")
	if xb.queued() != 0 {
		t.Error("the answer waits")
	}
	again, err := xb.n.PublishDelegation(ctx, of(sent))
	must(t, err)
	if again.ID == o.ID {
		t.Error("what was refused is answered as published")
	}
	xb.stands(node.DelegationPublished, again.ID)
}

// TestDelegationByTwo: where the member's rule takes two persons, one writes the delegation
// or the publication and another lets it go, as it was read; of two drafts of one
// delegation one is published.
func TestDelegationByTwo(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	for _, p := range []*party{xa, xb} {
		must(t, p.st.Close())
		crew := newCrew()
		p.openAs(func(c *node.Config) { c.Ingress, c.People, c.FourEyes = crew, crew, node.AllFourEyes })
	}
	draft := delegating(objects(1))
	draft.Plan.Portions[0].Label.ReleasableTo = []alert.Audience{"XB", "XC"}
	_, err := xa.n.Publish(ctx, draft)
	wantKind(t, "one person delegates", err, problem.EgressDenied)
	kept, err := xa.n.AddDraft(ctx, anna, draft)
	must(t, err)
	if d := cmp.Diff([]alert.Audience{"XB", "XC"}, kept.Content.Plan.Portions[0].Label.ReleasableTo); d != "" || kept.Content.Delegate.To != "XB" {
		t.Errorf("what is read is not what is asked of XB: %s", d)
	}
	sent, err := xa.n.Release(ctx, bert, kept.ID, kept.Digest)
	must(t, err)
	xa.carry(xb)

	purpose := "investigation"
	reader := &node.Reader{User: "anna", Purpose: alert.Purpose(purpose)}
	p := of(sent)
	p.Reader = reader
	_, err = xb.n.PublishDelegation(ctx, p)
	wantKind(t, "one person publishes", err, problem.EgressDenied)
	low := of(sent)
	low.Reader = &node.Reader{User: "nobody", Purpose: alert.Purpose(purpose)}
	_, err = xb.n.PublishDelegation(ctx, low)
	wantKind(t, "who may not read it", err, problem.NotFound)
	_, err = xb.n.AddPublicationDraft(ctx, dora, &purpose, of(sent))
	wantKind(t, "who is no author", err, problem.Forbidden)
	first, err := xb.n.AddPublicationDraft(ctx, anna, &purpose, of(sent))
	must(t, err)
	second, err := xb.n.AddPublicationDraft(ctx, carl, &purpose, of(sent))
	must(t, err)
	_, err = xb.n.Release(ctx, anna, first.ID, first.Digest)
	wantKind(t, "alone", err, problem.Forbidden)
	o, err := xb.n.Release(ctx, bert, first.ID, first.Digest)
	must(t, err)
	_, err = xb.n.Release(ctx, bert, second.ID, second.Digest)
	wantKind(t, "the second draft", err, problem.Conflict)
	_, err = xb.n.AddPublicationDraft(ctx, anna, &purpose, of(sent))
	wantKind(t, "what was published", err, problem.Conflict)
	must(t, xb.n.OutboxStep(ctx))
	xb.carry(xa)
	d, err := xa.n.Delegations(ctx, node.DelegationFilter{Limit: 5, Reader: &node.Reader{User: "anna", Purpose: alert.Purpose(purpose)}})
	must(t, err)
	if len(d) != 1 || d[0].By != "anna" || d[0].Published != o.ID {
		t.Errorf("who wrote it: %+v", d)
	}
	d, err = xa.n.Delegations(ctx, node.DelegationFilter{Limit: 5, Reader: &node.Reader{User: "bert", Purpose: alert.Purpose(purpose)}})
	must(t, err)
	if len(d) != 0 { // the crew's rule makes nobody the focal point: the member's own are not theirs
		t.Errorf("%+v", d)
	}
	list, err := xb.n.Delegations(ctx, node.DelegationFilter{Limit: 5, Reader: reader})
	must(t, err)
	if len(list) != 1 || list[0].Published != o.ID {
		t.Errorf("%+v", list)
	}
	if one, err := xb.n.Delegation(ctx, &node.Reader{User: "nobody", Purpose: alert.Purpose(purpose)}, "XA", sent.ID); problem.KindOf(err) != problem.NotFound {
		t.Errorf("%+v %v", one, err)
	}
}

// TestDraftOfWhatIsOver: a draft that waited while its delegation was recalled is not
// published, and does not keep what its source wants erased; others stay.
func TestDraftOfWhatIsOver(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	sent := xa.delegates(xb)
	must(t, xb.st.Close())
	crew := newCrew()
	xb.openAs(func(c *node.Config) { c.Ingress, c.People, c.FourEyes = crew, crew, node.AllFourEyes })
	purpose := "investigation"
	kept, err := xb.n.AddPublicationDraft(ctx, anna, &purpose, of(sent))
	must(t, err)
	other, err := xb.n.AddDraft(ctx, anna, writing(alert.Secret))
	must(t, err)
	r, err := xa.n.Recall(ctx, sent.ID, alert.Recall{Mode: alert.CeaseUse, Reason: "under review"})
	must(t, err)
	must(t, xa.n.OutboxStep(ctx))
	xb.take(xb.Notice(r.Token))
	_, err = xb.n.Release(ctx, bert, kept.ID, kept.Digest)
	wantKind(t, "recalled meanwhile", err, problem.Conflict)
	if xb.queued() != 0 {
		t.Error("it was published")
	}
	must(t, xb.n.DraftsStep(ctx))
	_, err = xb.n.Draft(ctx, anna, kept.ID)
	wantKind(t, "after its delegation", err, problem.NotFound)
	if _, err = xb.n.Draft(ctx, anna, other.ID); err != nil {
		t.Error(err)
	}
}

// TestDraftEndsWithItsDelegation: a draft is a copy of the delegation that it publishes, and
// waits no longer than that may be held; one that an earlier version of the program has kept
// for longer ends with the receipt of what was erased.
func TestDraftEndsWithItsDelegation(t *testing.T) {
	for what, kept := range map[string]time.Duration{"now": 0, "before": node.DraftLifetime} {
		e := exchange(t)
		xa, xb := e["XA"], e["XB"]
		sent := xa.delegates(xb)
		must(t, xb.st.Close())
		crew := newCrew()
		var drafts store.Store
		xb.openAs(func(c *node.Config) {
			c.Ingress, c.People, c.FourEyes, drafts = crew, crew, node.AllFourEyes, c.Store
		})
		purpose := "investigation"
		d, err := xb.n.AddPublicationDraft(ctx, anna, &purpose, of(sent))
		must(t, err)
		held, err := xb.n.ShowTo(ctx, node.Reader{User: "anna", Purpose: "investigation"}, "XA", sent.ID, 1)
		must(t, err)
		until := time.Unix(held.Delivery.Releases[0].Obligations.HoldUntil, 0)
		if !d.ExpiresAt.Equal(until) {
			t.Errorf("it ends at %s, what it says at %s", d.ExpiresAt, until)
		}
		if kept > 0 {
			longer := d.Draft
			must(t, drafts.EndDraft(ctx, d.ID, store.Withdrawn, store.DraftEnd{By: "anna", At: time.Now()}))
			longer.ID, longer.ExpiresAt = longer.ID[:len(longer.ID)-1]+"x", longer.CreatedAt.Add(kept)
			must(t, drafts.AddDraft(ctx, longer, 10))
			d.ID = longer.ID
		}
		xb.skew = time.Until(until) + time.Minute
		xb.n.StartedBefore(day)
		for more := true; more; {
			more, err = xb.n.SweepStep(ctx)
			must(t, err)
		}
		if p, err := xb.st.PurgesOf(ctx, "XA", sent.ID, 1); err != nil || len(p) != 1 {
			t.Errorf("%+v, %v", p, err)
		}
		must(t, xb.n.DraftsStep(ctx))
		if _, err := drafts.Draft(ctx, d.ID, time.Unix(0, 0)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("kept %s: what was erased is in the draft still: %v", what, err)
		}
	}
}

// TestRefusalThatOneMayNotRead: a user who may read a delegation, and not what the member
// has replied to it, learns nothing of that.
func TestRefusalThatOneMayNotRead(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	sent := xa.delegates(xb)
	must(t, xb.st.Close())
	crew := newCrew()
	xb.openAs(func(c *node.Config) { c.Ingress, c.People = crew, crew })
	reader := func(user string) *node.Reader { return &node.Reader{User: user, Purpose: "investigation"} }
	label := openPlan().Portions[0].Label
	label.Classification, label.ReleasableTo = alert.Secret, []alert.Audience{"XA"}
	xb.says(node.FeedbackDraft{Originator: "XA", Alert: sent.ID, Act: alert.Declined, Text: "a case of ours", Label: &label, Reader: reader("anna")})
	for user, want := range map[string]node.DelegationState{"anna": node.DelegationRefused, "dora": node.DelegationWaiting} {
		d, err := xb.n.Delegation(ctx, reader(user), "XA", sent.ID)
		must(t, err)
		if d.State != want || len(d.Replies) > 0 != (want == node.DelegationRefused) {
			t.Errorf("%s: %s %+v", user, d.State, d.Replies)
		}
	}
}

// TestRestoredNodePublishesOnce: a node that was restored from a backup made before it
// published, and publishes again, sends nothing more: it takes back what it had published.
func TestRestoredNodePublishesOnce(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	sent := xa.delegates(xb)
	must(t, xb.st.Close())
	backup, err := os.ReadFile(xb.path)
	must(t, err)
	xb.openAs(nil)
	first, err := xb.n.PublishDelegation(ctx, of(sent))
	must(t, err)
	for xb.queued() > 0 {
		must(t, xb.n.OutboxStep(ctx))
	}
	must(t, xb.st.Close())
	must(t, os.WriteFile(xb.path, backup, 0o600))
	xb.openAs(nil)
	second, err := xb.n.PublishDelegation(ctx, of(sent))
	must(t, err)
	if second.ID == first.ID {
		t.Fatal("the node was not restored")
	}
	for range 3 {
		must(t, xb.n.OutboxStep(ctx))
	}
	xb.stands(node.DelegationPublished, first.ID)
	if o, err := xb.st.Outgoing(ctx, second.ID, 1); err != nil || o.State != store.Refused || xb.queued() != 0 {
		t.Errorf("%+v, %v", o, err)
	}
	xb.hub.Do(func() {
		for _, token := range xb.hub.Published {
			if a, err := trust.ReadAlert(token); err != nil || a.Subject == second.ID {
				t.Errorf("published twice: %v", err)
			}
		}
	})
}

package node_test

import (
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/trust"
)

// TestSecondRecallIsJudgedByTheContent: the draft that has purged what was taken from use
// is for those who may read what that was, as the first recall's is.
func TestSecondRecallIsJudgedByTheContent(t *testing.T) {
	b := newBureau(t)
	d := b.add(anna, alert.Secret)
	o, err := b.n.Release(ctx, bert, d.ID, d.Digest)
	must(t, err)
	must(t, b.n.OutboxStep(ctx))
	eve := node.Person{User: "eve", Token: "token-of-eve"}
	b.crew.change("eve", func(h *hand) {
		*h = hand{token: eve.Token, roles: []node.Role{node.Author}, clearance: alert.Restricted}
	})
	for _, mode := range []alert.RecallMode{alert.CeaseUse, alert.Purge} {
		recall := node.Draft{Supersedes: o.ID, Recall: &alert.Recall{Mode: mode, Reason: "the source was burnt"}}
		_, err := b.n.AddDraft(ctx, eve, recall)
		wantKind(t, "by one who may not read it, "+string(mode), err, problem.Forbidden)
		kept, err := b.n.AddDraft(ctx, anna, recall)
		must(t, err)
		_, err = b.n.Draft(ctx, dora, kept.ID)
		wantKind(t, "read by one who may not, "+string(mode), err, problem.NotFound)
		_, err = b.n.Release(ctx, bert, kept.ID, kept.Digest)
		must(t, err)
	}
}

// TestTwoPersonsForWhatIsNotKnown: who supersedes an alert of which the hub has given back
// nothing does not know of which level it was.
func TestTwoPersonsForWhatIsNotKnown(t *testing.T) {
	b := newBureau(t)
	d := b.add(anna, alert.Secret)
	o, err := b.n.Release(ctx, bert, d.ID, d.Digest)
	must(t, err)
	must(t, b.n.OutboxStep(ctx))
	b.hub.Erase = func(token string) string {
		out, err := trust.ReduceAlert(token, map[alert.PortionID]feed.Kind{})
		must(t, err)
		return out
	}
	b.restored()
	must(t, b.n.OutboxStep(ctx))
	b.restart(node.ClassifiedFourEyes)
	next := writing(alert.Unclassified)
	next.Supersedes = o.ID
	_, err = b.n.Publish(ctx, next)
	wantKind(t, "by one person", err, problem.EgressDenied)
}

// TestTwoPersonsForAllThatIsRecalled: a recall takes back every version. One person does
// not take back what was classified by way of a later version that is not, and which the
// hub may yet refuse.
func TestTwoPersonsForAllThatIsRecalled(t *testing.T) {
	b := newBureau(t)
	b.restart(node.ClassifiedFourEyes)
	d := b.add(anna, alert.Secret)
	o, err := b.n.Release(ctx, bert, d.ID, d.Digest)
	must(t, err)
	must(t, b.n.OutboxStep(ctx))
	next := writing(alert.Unclassified)
	next.Supersedes = o.ID
	d, err = b.n.AddDraft(ctx, anna, next)
	must(t, err)
	_, err = b.n.Release(ctx, bert, d.ID, d.Digest)
	must(t, err)
	_, err = b.n.Recall(ctx, o.ID, alert.Recall{Mode: alert.Purge, Reason: "it was wrong"})
	wantKind(t, "recalled by one person", err, problem.EgressDenied)
}

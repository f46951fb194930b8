package node_test

import (
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// TestReleaseJudgesTheAuthor: nothing goes out that its author might not write any more.
func TestReleaseJudgesTheAuthor(t *testing.T) {
	for name, change := range map[string]func(*hand){
		"cleared for less":      func(h *hand) { h.clearance = alert.Restricted },
		"out of the task force": func(h *hand) { h.taskForces = nil },
	} {
		b := newBureau(t)
		d := b.add(anna, alert.Secret)
		b.crew.change("anna", change)
		_, err := b.n.Release(ctx, bert, d.ID, d.Digest)
		wantKind(t, name, err, problem.Conflict)
		b.queued(0)
		if kept, err := b.n.Draft(ctx, bert, d.ID); err != nil || kept.State != store.Pending {
			t.Errorf("%s: %+v %v", name, kept, err)
		}
	}
}

// TestReleaseJudgesWhatItIsAbout: feedback is let go only while its author could say the
// same: what it is about may have been recalled since, or marked more strictly.
func TestReleaseJudgesWhatItIsAbout(t *testing.T) {
	stricter := func(b *bureau, d feed.Delivery) {
		a, err := trust.ReadAlert(d.Alert)
		must(b.t, err)
		l := *a.Portions[0].Label
		l.PersonalData = alert.SpecialCategory
		b.hub.Hand("XA", b.Deliver(b.IssueLabelled(b.Next(d.Alert), l, 1, b.Node["XB"]), feed.Content))
	}
	recalled := func(b *bureau, d feed.Delivery) {
		b.hub.Hand("XA", b.Notice(b.Recall(d.Alert, alert.Purge, b.Node["XB"])))
	}
	for name, c := range map[string]struct {
		act    alert.Act
		change func(*bureau, feed.Delivery)
		goes   bool
	}{
		"a sighting of what stands":       {alert.Sighting, func(*bureau, feed.Delivery) {}, true},
		"a sighting of what was recalled": {alert.Sighting, recalled, false},
		"a comment on what is stricter":   {alert.Comment, stricter, false},
		"a request beyond its deadline":   {alert.Request, func(b *bureau, _ feed.Delivery) { b.late = 10 * time.Minute }, false},
	} {
		b := newBureau(t)
		theirs := b.deliver(feed.Content)
		must(t, b.n.FeedStep(ctx))
		a, err := trust.ReadAlert(theirs.Alert)
		must(t, err)
		f := node.FeedbackDraft{Originator: "XB", Alert: a.Subject, Act: c.act, Text: "Seen again."}
		if c.act == alert.Sighting {
			f.Sighting = &node.Sighting{}
		} else if c.act == alert.Request {
			f.Due = time.Now().Add(5 * time.Minute)
		}
		purpose := "investigation"
		d, err := b.n.AddFeedbackDraft(ctx, anna, &purpose, f)
		must(t, err)
		c.change(b, theirs)
		if b.late == 0 {
			must(t, b.n.FeedStep(ctx))
		}
		_, err = b.n.Release(ctx, bert, d.ID, d.Digest)
		if c.goes {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		wantKind(t, name, err, problem.Conflict)
		b.queued(0)
	}
}

package node_test

import (
	"slices"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
)

// TestHoldersOfWhatIsPartlyGone: who holds what is told too once some of the alert has ended
// at its originator.
func TestHoldersOfWhatIsPartlyGone(t *testing.T) {
	l := newLife(t, 1)
	b := l.owner()
	o, err := b.Publish(ctx, l.retained("", 20*day, 0, -1))
	must(t, err)
	must(t, b.OutboxStep(ctx))
	d := l.Deliver(o.Token, feed.Content, feed.Content)
	for i, r := range d.Releases {
		if r.Portion == "p1" {
			d.Releases[i].Obligations.HoldUntil = l.now.Add(10 * day).Unix()
		}
	}
	l.hub.Hand("XA", d)
	must(t, l.n.FeedStep(ctx))
	l.send()
	l.now = l.now.Add(2 * day)
	must(t, l.n.FeedStep(ctx))
	l.sweepAll()
	l.send()
	for range 2 { // before the sweep at the originator, and after
		h, err := b.Holders(ctx, o.ID)
		must(t, err)
		if held := h.Members[0].Held; len(held) != 1 || !slices.Equal(held[0].Portions, []alert.PortionID{"p1"}) {
			t.Errorf("%+v", h.Members)
		}
		must(t, b.FeedStep(ctx))
		for more := true; more; {
			more, err = b.SweepStep(ctx)
			must(t, err)
		}
	}
}

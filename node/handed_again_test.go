package node_test

import (
	"slices"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/node"
)

// shortly hands over a content that may be held for a minute only.
func (l *life) shortly(d feed.Delivery) {
	l.t.Helper()
	d.Releases[0].Obligations.HoldUntil = l.now.Add(time.Minute).Unix()
	l.hub.Hand("XA", d)
}

// TestHandedAgainBeforeItCame: what has ended when it comes, and comes anew on the same
// page, is not said to have been erased while it is held.
func TestHandedAgainBeforeItCame(t *testing.T) {
	l := newLife(t, 1)
	token := l.Issue(l.Payload("XB"), 2, l.Node["XB"])
	l.shortly(l.Deliver(token, feed.Content, feed.None))
	l.now = l.now.Add(10 * time.Minute)
	l.again(token, feed.Content, feed.None)
	must(t, l.n.FeedStep(ctx))
	l.send()
	if got := l.receipts(); len(got) > 0 {
		t.Errorf("%v for what is held", got)
	}
	l.now = l.now.Add(2 * time.Hour)
	must(t, l.n.FeedStep(ctx))
	l.sweepAll()
	l.send()
	if got := l.receipts(); !slices.Equal(got, []string{"1 ended [p0]"}) {
		t.Error(got)
	}
}

// TestHandedAgainBeforeItIsSigned: a receipt that could not be signed at once names
// nothing that is held again when it can be.
func TestHandedAgainBeforeItIsSigned(t *testing.T) {
	l := newLife(t, 1)
	keyStore := &away{Signer: l.Node["XA"]}
	must(t, l.st.Close())
	l.open(func(c *node.Config) { c.Signer, c.Now = keyStore, func() time.Time { return l.now } })
	token := l.Issue(l.Payload("XB"), 2, l.Node["XB"])
	d := l.Deliver(token, feed.Content, feed.Content)
	d.Releases[1].Obligations.HoldUntil = l.now.Add(time.Minute).Unix()
	l.shortly(d)
	must(t, l.n.FeedStep(ctx))
	l.now = l.now.Add(10 * time.Minute)
	must(t, l.n.FeedStep(ctx))
	keyStore.down = true
	for more, err := true, error(nil); more; { // the last turn can not sign
		if more, err = l.n.SweepStep(ctx); !more && err == nil {
			t.Fatal("it signs")
		}
	}
	keyStore.down = false
	l.again(token, feed.Content, feed.None)
	must(t, l.n.FeedStep(ctx))
	l.sweepAll()
	l.send()
	if got := l.receipts(); !slices.Equal(got, []string{"1 ended [p1]"}) {
		t.Error(got)
	}
	l.now = l.now.Add(2 * time.Hour)
	must(t, l.n.FeedStep(ctx))
	l.sweepAll()
	l.send()
	if got := l.receipts(); !slices.Equal(got, []string{"1 ended [p0]", "1 ended [p1]"}) {
		t.Error(got)
	}
}

// TestHandedAgainAfterTheReceipt: what is handed over again minutes after its receipt is
// held, as its originator sees; the receipt does not answer for it.
func TestHandedAgainAfterTheReceipt(t *testing.T) {
	l := newLife(t, 1)
	b := l.owner()
	o, err := b.Publish(ctx, nextVersion(""))
	must(t, err)
	must(t, b.OutboxStep(ctx))
	held := func() []node.HeldVersion {
		t.Helper()
		h, err := b.Holders(ctx, o.ID)
		must(t, err)
		return h.Members[0].Held
	}
	exchange := func() {
		t.Helper()
		must(t, l.n.FeedStep(ctx))
		l.sweepAll()
		l.send()
		l.send()
	}
	l.shortly(l.main(o.Token))
	exchange()
	l.now = l.now.Add(time.Minute)
	exchange()
	if got := held(); len(got) > 0 || len(l.hub.Purges) != 1 {
		t.Fatalf("%+v, %d receipts", got, len(l.hub.Purges))
	}
	l.now = l.now.Add(time.Minute)
	l.hub.Hand("XA", l.main(o.Token))
	exchange()
	if got := held(); len(got) != 1 || !slices.Equal(got[0].Portions, []alert.PortionID{"main"}) {
		t.Errorf("%+v", got)
	}
}

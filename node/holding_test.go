package node_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/store"
)

// TestHeldUntil: what an earlier delivery brought is held as long as it may be, with the
// terms that it came with; of equals the latest counts. The union is one alert that
// verifies, and users read the same.
func TestHeldUntil(t *testing.T) {
	h := newHouse(t)
	now := time.Now()
	var rules node.Ingress
	start := func() {
		must(t, h.st.Close())
		h.open(func(c *node.Config) { c.Now, c.Ingress = func() time.Time { return now }, rules })
	}
	p := h.Payload("XB")
	token := h.Issue(p, 3, h.Node["XB"])
	until := func(d feed.Delivery, left time.Duration) feed.Delivery {
		for i := range d.Releases {
			if o := d.Releases[i].Obligations; o != nil {
				o.HoldUntil = now.Add(left).Unix()
			}
		}
		return d
	}
	const none, existence, content = feed.None, feed.Existence, feed.Content
	h.hub.Hand("XA", until(h.Deliver(token, content, content, existence), time.Hour))
	h.hub.Hand("XA", until(h.Deliver(token, content, none, none), 2*time.Hour))
	h.hub.Hand("XA", until(h.Deliver(token, none, existence, none), 0))
	must(t, h.n.FeedStep(ctx))
	at := now
	for _, c := range []struct {
		after time.Duration
		held  map[alert.PortionID]int64 // the end of holding, 0: existence
	}{
		{0, map[alert.PortionID]int64{"p0": at.Add(2 * time.Hour).Unix(), "p1": at.Add(time.Hour).Unix(), "p2": 0}},
		{time.Hour, map[alert.PortionID]int64{"p0": at.Add(2 * time.Hour).Unix(), "p1": 0, "p2": 0}},
		{2 * time.Hour, map[alert.PortionID]int64{"p1": 0, "p2": 0}},
	} {
		now = at.Add(c.after)
		check := func(r *node.Received, err error) {
			t.Helper()
			must(t, err)
			held := make(map[alert.PortionID]int64)
			for i, release := range r.Delivery.Releases {
				portion := r.Alert.Portions[i]
				held[portion.ID] = 0
				if release.Kind == content {
					held[portion.ID] = release.Obligations.HoldUntil
				}
				if portion.ID != release.Portion || (portion.Content != nil) != (release.Kind == content) || r.Held[portion.ID] == nil {
					t.Errorf("%s: %+v", portion.ID, release)
				}
			}
			if diff := cmp.Diff(c.held, held); diff != "" {
				t.Errorf("after %s: %s", c.after, diff)
			}
		}
		rules = nil
		start()
		check(h.n.Show(ctx, "XB", p.Subject, 1))
		rules = &counter{}
		start()
		check(h.n.ShowTo(ctx, ann, "XB", p.Subject, 1))
	}
}

// counted counts the deliveries that are read.
type counted struct {
	store.Store
	items int
}

func (c *counted) Deliveries(ctx context.Context, after int64, limit int) ([]store.Item, error) {
	list, err := c.Store.Deliveries(ctx, after, limit)
	c.items += len(list)
	return list, err
}

func (c *counted) Handed(ctx context.Context, m alert.MemberID, id alert.ID, v int, after int64, limit int) ([]store.Item, error) {
	list, err := c.Store.Handed(ctx, m, id, v, after, limit)
	c.items += len(list)
	return list, err
}

// TestManyDeliveries: vulnerability: reading an alert goes over all of its deliveries.
// Attack: a hub that delivers one again and again. Guarantee: a list of the inbox reads
// each delivery, and asks the policy on each portion, a fixed number of times.
func TestManyDeliveries(t *testing.T) {
	rules := &counter{}
	h := newHouse(t)
	p := h.Payload("XB")
	token := h.Issue(p, 2, h.Node["XB"])
	const n = 100
	for i := range n {
		h.hub.Hand("XA", h.Deliver(token, feed.Content, []feed.Kind{feed.Existence, feed.Content}[i%2]))
	}
	must(t, h.n.FeedStep(ctx))
	must(t, h.st.Close())
	reads := &counted{}
	h.open(func(c *node.Config) { reads.Store = c.Store; c.Store, c.Ingress = reads, rules })
	for _, r := range []node.Reader{ann, ben} {
		reads.items, rules.asked = 0, nil
		list, err := h.n.InboxOf(ctx, r, 0, 100)
		must(t, err)
		if want := map[string]int{"ann": 1, "ben": 0}[r.User]; len(list) != want {
			t.Errorf("%s: %d alerts", r.User, len(list))
		}
		if reads.items > 4*n || len(rules.asked) > 2*n {
			t.Errorf("%s: %d deliveries read and %d questions for %d", r.User, reads.items, len(rules.asked), n)
		}
	}
}

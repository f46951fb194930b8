package node_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/store"
)

// listed is what the inbox says of an alert: its place, the one before, and what is
// held of each portion.
type listed struct {
	Seq, Previous int64
	Alert         alert.ID
	Held          string // "p0:content p1:existence"
}

// inbox lists what is after a place, and holds what is shown of each alert to it.
func (h *house) inbox(after int64) []listed {
	h.t.Helper()
	list, err := h.n.Inbox(ctx, after, 500)
	must(h.t, err)
	var out []listed
	for _, r := range list {
		if r.Fault != nil {
			h.t.Fatal(r.Fault)
		}
		var held []string
		for _, release := range r.Delivery.Releases {
			held = append(held, string(release.Portion)+":"+string(release.Kind))
		}
		slices.Sort(held) // they come in the order of the digests
		out = append(out, listed{r.Seq, r.Previous, r.Alert.Subject, strings.Join(held, " ")})
		one, err := h.n.Show(ctx, r.Alert.Issuer, r.Alert.Subject, r.Alert.Version)
		must(h.t, err)
		if one.Seq != r.Seq || one.Previous != r.Previous || one.Delivery.Alert != r.Delivery.Alert || one.Banner != r.Banner {
			h.t.Errorf("item %d is listed, item %d shown", r.Seq, one.Seq)
		}
	}
	return out
}

func (h *house) lists(after int64, want ...listed) {
	h.t.Helper()
	if d := cmp.Diff(want, h.inbox(after)); d != "" {
		h.t.Error(d)
	}
}

// again hands a version over that was handed over before.
func (h *house) again(token string, kinds ...feed.Kind) {
	h.t.Helper()
	h.hub.Hand("XA", h.Deliver(token, kinds...))
}

// TestUpgrade: a version that is delivered again is listed once, at the place of its
// latest delivery, with all that was handed over of it: what a later delivery leaves out
// is held still.
func TestUpgrade(t *testing.T) {
	const none, existence, content = feed.None, feed.Existence, feed.Content
	for name, c := range map[string]struct {
		deliveries [][]feed.Kind
		held       []string
	}{
		"existence, content": {[][]feed.Kind{{existence}, {content}}, []string{"p0:existence", "p0:content"}},
		"nothing, existence, content": {[][]feed.Kind{{none, content}, {existence, content}, {content, content}},
			[]string{"p1:content", "p0:existence p1:content", "p0:content p1:content"}},
		"a portion after the other": {[][]feed.Kind{{content, none, none}, {content, content, none}, {content, content, content}},
			[]string{"p0:content", "p0:content p1:content", "p0:content p1:content p2:content"}},
		"less":        {[][]feed.Kind{{content, content}, {content, existence}, {existence, none}}, []string{"p0:content p1:content", "p0:content p1:content", "p0:content p1:content"}},
		"another one": {[][]feed.Kind{{content, existence}, {existence, content}}, []string{"p0:content p1:existence", "p0:content p1:content"}},
		"one in the place of the other": {[][]feed.Kind{{content, none, existence}, {none, content, none}, {none, none, existence}},
			[]string{"p0:content p2:existence", "p0:content p1:content p2:existence", "p0:content p1:content p2:existence"}},
		"the same": {[][]feed.Kind{{content}, {content}}, []string{"p0:content", "p0:content"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			p := h.Payload("XB")
			token := h.Issue(p, len(c.deliveries[0]), h.Node["XB"])
			for i, kinds := range c.deliveries {
				seq := int64(i + 1)
				h.again(token, kinds...)
				must(t, h.n.FeedStep(ctx))
				h.holds(seq, seq, seq)
				h.lists(0, listed{seq, seq - 1, p.Subject, c.held[i]})
				if len(h.inbox(seq-1)) != 1 || len(h.inbox(seq)) != 0 {
					t.Error("who has read up to the delivery before does not meet it again once")
				}
				h.reopen()
			}
			must(t, h.n.AcksStep(ctx))
			if len(h.hub.Acks) != len(c.deliveries) {
				t.Errorf("%d acknowledgements of %d deliveries", len(h.hub.Acks), len(c.deliveries))
			}
		})
	}
}

// TestUpgradeBanner: the banner is of all that is held.
func TestUpgradeBanner(t *testing.T) {
	h := newHouse(t)
	token := h.Issue(h.Payload("XB"), 1, h.Node["XB"])
	for i, want := range []string{"NO CONTENT HELD", "RESTRICTED // TLP:AMBER", "RESTRICTED // TLP:AMBER"} {
		h.again(token, []feed.Kind{feed.Existence, feed.Content, feed.Existence}[i])
		must(t, h.n.FeedStep(ctx))
		list, err := h.n.Inbox(ctx, 0, 10)
		must(t, err)
		if len(list) != 1 || list[0].Banner != want {
			t.Errorf("%+v", list)
		}
	}
}

// TestUpgradeWhileAway: what came while the node was down is taken in one page, or
// in several whose borders lie between the deliveries.
func TestUpgradeWhileAway(t *testing.T) {
	for _, size := range []int{1, 2, 3, 100} {
		h := newHouse(t)
		first, second := h.Payload("XB"), h.Payload("XB")
		a, b := h.Issue(first, 2, h.Node["XB"]), h.Issue(second, 1, h.Node["XB"])
		h.again(a, feed.Existence, feed.None)
		must(t, h.n.FeedStep(ctx))
		must(t, h.st.Close())
		h.again(b, feed.Existence)
		h.again(a, feed.Content, feed.None)
		h.again(b, feed.Content)
		h.again(a, feed.Content, feed.Content)
		h.open(func(c *node.Config) { c.Hub = &small{c.Hub, size} })
		for range 5 {
			must(t, h.n.FeedStep(ctx))
		}
		h.holds(5, 5, 5)
		h.lists(0, listed{4, 2, second.Subject, "p0:content"}, listed{5, 3, first.Subject, "p0:content p1:content"})
		h.lists(1, listed{4, 2, second.Subject, "p0:content"}, listed{5, 3, first.Subject, "p0:content p1:content"})
		h.lists(4, listed{5, 3, first.Subject, "p0:content p1:content"})
	}
}

// small is a hub that gives no more than so many items a page.
type small struct {
	node.Hub
	size int
}

func (s *small) Poll(ctx context.Context, after int64, limit int, wait time.Duration) (feed.Page, error) {
	return s.Hub.Poll(ctx, after, min(limit, s.size), wait)
}

// TestUpgradeOnce: a crash before or after an upgrade is stored, and the page served
// again, leave it stored once.
func TestUpgradeOnce(t *testing.T) {
	for _, w := range []when{before, after} {
		h := newHouse(t)
		p := h.Payload("XB")
		token := h.Issue(p, 1, h.Node["XB"])
		h.again(token, feed.Existence)
		must(t, h.n.FeedStep(ctx))
		h.again(token, feed.Content)
		page, err := h.client("XA").Poll(ctx, 1, 100, 0)
		must(t, err)
		h.st.failReceive = w
		if err := h.n.FeedStep(ctx); !errors.Is(err, errInjected) {
			t.Error(err)
		}
		h.reopen()
		must(t, h.n.FeedStep(ctx))
		h.holds(2, 2, 2)
		h.hub.Do(func() { h.hub.Page = func(p *feed.Page) { *p = page } })
		if err := h.n.FeedStep(ctx); !errors.Is(err, node.ErrPage) {
			t.Error(err)
		}
		h.holds(2, 2, 2)
		h.lists(0, listed{2, 1, p.Subject, "p0:content"})
	}
}

// TestUpgradeWithheld: an upgrade that the hub withholds when it serves the feed
// again, before this node ever had it, hides nothing that is held and brings
// nothing back; nothing of it is stored. The next delivery counts.
func TestUpgradeWithheld(t *testing.T) {
	for name, c := range map[string]struct {
		items    [][]feed.Kind // nil: withheld
		held     string
		seq, was int64
	}{
		"upgrade withheld":           {[][]feed.Kind{{feed.Existence}, nil}, "p0:existence", 1, 0},
		"first withheld":             {[][]feed.Kind{nil, {feed.Content}}, "p0:content", 2, 0},
		"between":                    {[][]feed.Kind{{feed.Existence}, nil, {feed.Content}}, "p0:content", 3, 1},
		"less, then withheld":        {[][]feed.Kind{{feed.Content}, {feed.Existence}, nil}, "p0:content", 2, 1},
		"withheld, then less":        {[][]feed.Kind{{feed.Content}, nil, {feed.Existence}}, "p0:content", 3, 1},
		"withheld, restored as less": {[][]feed.Kind{nil, nil, {feed.Existence}}, "p0:existence", 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			p := h.Payload("XB")
			token := h.Issue(p, 1, h.Node["XB"])
			for i, kinds := range c.items {
				if kinds == nil {
					h.again(token, feed.Content)
					h.hub.Do(func() { h.hub.Feeds["XA"][i].Delivery = nil })
				} else {
					h.again(token, kinds...)
				}
			}
			must(t, h.n.FeedStep(ctx))
			h.lists(0, listed{c.seq, c.was, p.Subject, c.held})
		})
	}
}

// TestReplayedFeed: a node that begins anew after something was withheld holds what
// the hub still serves, and no more.
func TestReplayedFeed(t *testing.T) {
	h := newHouse(t)
	p := h.Payload("XB")
	token := h.Issue(p, 2, h.Node["XB"])
	h.again(token, feed.Existence, feed.None)
	h.again(token, feed.Content, feed.None)
	h.again(token, feed.Content, feed.Content)
	must(t, h.n.FeedStep(ctx))
	h.lists(0, listed{3, 2, p.Subject, "p0:content p1:content"})
	h.hub.Do(func() { h.hub.Feeds["XA"][2].Delivery = nil })
	must(t, h.n.FeedStep(ctx)) // what is stored is not asked for again
	h.lists(0, listed{3, 2, p.Subject, "p0:content p1:content"})
	h.path = filepath.Join(t.TempDir(), "anew.db")
	h.open(nil)
	must(t, h.n.FeedStep(ctx))
	h.holds(3, 2, 2)
	h.lists(0, listed{2, 1, p.Subject, "p0:content"})
}

// TestEquivocation: two signed texts of one version, on one page or one after the
// other, are refused and raise one alarm that is kept with both.
func TestEquivocation(t *testing.T) {
	for name, held := range map[string]bool{"against what is held": true, "on one page": false} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			p := h.Payload("XB")
			one, other := h.Issue(p, 1, h.Node["XB"]), h.Issue(p, 1, h.Node["XB"])
			h.again(one, feed.Existence)
			want := int64(0)
			if held {
				must(t, h.n.FeedStep(ctx))
				want = 1
			}
			h.again(one, feed.Content)
			h.again(other, feed.Content)
			for range 2 {
				if err := h.n.FeedStep(ctx); !errors.Is(err, node.ErrPage) || !strings.Contains(err.Error(), "differs") {
					t.Error(err)
				}
				h.reopen()
			}
			h.holds(want, want, want)
			s, err := h.n.Status(ctx)
			must(t, err)
			signed := func(token string) string { jws, _, _ := strings.Cut(token, "~"); return jws }
			if len(s.Alarms) != 1 || s.Alarms[0].Kind != store.AlarmFeed || !strings.Contains(s.Alarms[0].Detail, "two signed texts") ||
				string(s.Alarms[0].Evidence) != signed(one)+"\n"+signed(other)+"\n" {
				t.Errorf("%+v", s.Alarms)
			}
		})
	}
}

// TestTamperedUpgrade: where any delivery of a version does not verify any more, what
// the others held is not shown in its place.
func TestTamperedUpgrade(t *testing.T) {
	for _, seq := range []string{"1", "2"} {
		t.Run(seq, func(t *testing.T) { testTamperedUpgrade(t, seq) })
	}
}

func testTamperedUpgrade(t *testing.T, seq string) {
	h := newHouse(t)
	p := h.Payload("XB")
	token := h.Issue(p, 1, h.Node["XB"])
	h.again(token, feed.Content)
	h.again(token, feed.Existence)
	must(t, h.n.FeedStep(ctx))
	must(t, h.st.Close())
	execute(t, h.path, `UPDATE inbox SET digest = 'x' WHERE seq = `+seq)
	h.open(nil)
	list, err := h.n.Inbox(ctx, 0, 10)
	must(t, err)
	if len(list) != 1 || list[0].Seq != 2 || list[0].Fault == nil || len(list[0].Held) != 0 {
		t.Errorf("%+v", list)
	}
	if _, err := h.n.Show(ctx, "XB", p.Subject, 1); err == nil {
		t.Error("shown")
	}
}

// meanwhile does something after the first read of the inbox.
type meanwhile struct {
	store.Store
	do func()
}

func (m *meanwhile) Inbox(ctx context.Context, after int64, limit int) ([]store.Item, error) {
	list, err := m.Store.Inbox(ctx, after, limit)
	if m.do != nil {
		m.do()
		m.do = nil
	}
	return list, err
}

// TestUpgradeWhileReading: an alert that is delivered again while a page of the
// inbox is being read stands on it once.
func TestUpgradeWhileReading(t *testing.T) {
	h := newHouse(t)
	p := h.Payload("XB")
	token := h.Issue(p, 1, h.Node["XB"])
	h.again(token, feed.Existence)
	for range 20 {
		h.deliver(feed.Existence)
	}
	must(t, h.n.FeedStep(ctx))
	h.again(token, feed.Content)
	must(t, h.st.Close())
	h.open(func(c *node.Config) {
		c.Store = &meanwhile{c.Store, func() { must(t, h.n.FeedStep(ctx)) }}
	})
	list, err := h.n.Inbox(ctx, 0, 100)
	must(t, err)
	if len(list) != 21 || list[0].Seq != 2 || list[20].Seq != 22 || list[20].Previous != 1 {
		t.Errorf("%d alerts", len(list))
	}
}

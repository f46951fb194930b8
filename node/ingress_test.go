package node_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
)

// counter is an ingress policy that lets ann have everything and ben the content of
// the portions that it is told; it keeps what it was asked.
type counter struct {
	ben   map[alert.PortionID]bool
	asked []node.Holding
	err   error
}

func (c *counter) Permits(_ context.Context, r node.Reader, p node.Holding) (bool, error) {
	c.asked = append(c.asked, p)
	return r.User == "ann" || p.Release.Kind == feed.Content && c.ben[p.Release.Portion], c.err
}

var (
	ann = node.Reader{User: "ann", Purpose: "investigation"}
	ben = node.Reader{User: "ben", Purpose: "investigation"}
)

// guarded is a house with a directory of users.
func guarded(t *testing.T, rules *counter) *house {
	t.Helper()
	h := newHouse(t)
	must(t, h.st.Close())
	h.open(func(c *node.Config) { c.Ingress = rules })
	return h
}

// TestEverySubsetReadsAsIfNoMoreWereDisclosed compares what a user gets who may have
// some of the portions, for every such set, with what a member gets to whom only
// those were released.
func TestEverySubsetReadsAsIfNoMoreWereDisclosed(t *testing.T) {
	rules := &counter{}
	h := guarded(t, rules)
	token := h.Issue(h.Payload("XB"), 3, h.Node["XB"])
	whole := h.Deliver(token, feed.Content, feed.Content, feed.Content)
	h.hub.Hand("XA", whole)
	must(t, h.n.FeedStep(ctx))
	held := whole.Releases[0].Obligations.HoldUntil
	for set := range 8 {
		var kinds []feed.Kind
		rules.ben = map[alert.PortionID]bool{}
		for i := range 3 {
			kind := feed.None
			if set&(1<<i) != 0 {
				kind, rules.ben[alert.PortionID("p"+string(rune('0'+i)))] = feed.Content, true
			}
			kinds = append(kinds, kind)
		}
		list, err := h.n.InboxOf(ctx, ben, 0, 10)
		must(t, err)
		if set == 0 {
			if len(list) != 0 {
				t.Errorf("%+v", list)
			}
			continue
		}
		want := h.Deliver(token, kinds...)
		other := newHouse(t)
		other.Federation, other.hub = h.Federation, h.hub
		must(t, other.st.Close())
		other.path = t.TempDir() + "/other.db"
		feedOf := h.hub.Feeds["XA"]
		for i := range want.Releases {
			want.Releases[i].Obligations.HoldUntil = held
		}
		h.hub.Do(func() { h.hub.Feeds["XA"] = nil })
		h.hub.Hand("XA", want)
		other.open(nil)
		must(t, other.n.StatementsStep(ctx))
		must(t, other.n.FeedStep(ctx))
		expected, err := other.n.Inbox(ctx, 0, 10)
		must(t, err)
		h.hub.Do(func() { h.hub.Feeds["XA"] = feedOf })
		list[0].ReceivedAt, list[0].Delivery.ReleasedAt = expected[0].ReceivedAt, expected[0].Delivery.ReleasedAt
		if diff := cmp.Diff(expected, list, cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
			t.Errorf("%v: %s", kinds, diff)
		}
	}
	last := rules.asked[len(rules.asked)-1]
	if last.Ceiling != alert.Secret || last.Label == nil || last.At.IsZero() {
		t.Errorf("%+v", last)
	}
}

// TestUsersAndWhatDoesNotVerify: what does not verify any more is shown, without
// its reason, to those who may learn of existence; for others it is not there.
func TestUsersAndWhatDoesNotVerify(t *testing.T) {
	rules := &counter{ben: map[alert.PortionID]bool{"p0": true}}
	h := guarded(t, rules)
	h.deliver(feed.Content)
	must(t, h.n.FeedStep(ctx))
	before, err := h.n.InboxOf(ctx, ben, 0, 10)
	must(t, err)
	must(t, h.st.Close())
	execute(t, h.path, `UPDATE inbox SET digest = 'x'`)
	h.open(func(c *node.Config) { c.Ingress = rules })
	id := before[0].Alert.Subject
	if list, err := h.n.InboxOf(ctx, ben, 0, 10); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := h.n.ShowTo(ctx, ben, "XB", id, 1); problem.KindOf(err) != problem.NotFound {
		t.Error(err)
	}
	list, err := h.n.InboxOf(ctx, ann, 0, 10)
	must(t, err)
	if len(list) != 1 || list[0].Fault == nil || strings.Contains(list[0].Fault.Error(), "portion") || list[0].Alert.Subject != id {
		t.Errorf("%+v", list)
	}
	if _, err := h.n.ShowTo(ctx, ann, "XB", id, 1); problem.KindOf(err) != problem.BadSignature {
		t.Error(err)
	}
}

// TestIngressFailsClosed: without an answer of the policy, or without a user, nothing
// is read.
func TestIngressFailsClosed(t *testing.T) {
	rules := &counter{}
	h := guarded(t, rules)
	d := h.deliver(feed.Content)
	must(t, h.n.FeedStep(ctx))
	list, err := h.n.InboxOf(ctx, ann, 0, 10)
	if err != nil || len(list) != 1 || list[0].Delivery.Alert != d.Alert {
		t.Fatalf("%+v %v", list, err)
	}
	id := list[0].Alert.Subject
	for name, read := range map[string]func() error{
		"inbox":   func() error { _, err := h.n.Inbox(ctx, 0, 10); return err },
		"show":    func() error { _, err := h.n.Show(ctx, "XB", id, 1); return err },
		"nothing": func() error { _, err := h.n.Show(ctx, "XB", "01900000-0000-7000-8000-000000000000", 1); return err },
	} {
		if err := read(); problem.KindOf(err) != problem.Malformed {
			t.Errorf("%s in nobody's name: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		reader  *node.Reader
		from    alert.MemberID
		version int
		want    problem.Kind
	}{
		"in nobody's name":  {nil, "", 1, problem.Malformed},
		"of another member": {nil, "XB", 1, problem.Malformed},
		"the latest":        {&ann, "XB", 0, problem.Malformed},
		"not for ben":       {&ben, "XB", 1, problem.NotFound},
		"whoever's":         {&ben, "", 1, problem.NotFound},
		"of no version":     {&ann, "", 2, problem.NotFound},
	} {
		if _, err := h.n.Explain(ctx, c.reader, c.from, id, c.version); problem.KindOf(err) != c.want {
			t.Errorf("explained %s: %v", name, err)
		}
	}
	if e, err := h.n.Explain(ctx, &ann, "XB", id, 1); err != nil || len(e.Received) != 1 {
		t.Errorf("%+v %v", e, err)
	}
	rules.err = errors.New("no answer")
	if list, err := h.n.InboxOf(ctx, ann, 0, 10); problem.KindOf(err) != problem.Internal || list != nil {
		t.Errorf("%+v %v", list, err)
	}
	if r, err := h.n.ShowTo(ctx, ann, "XB", id, 1); problem.KindOf(err) != problem.Internal || r != nil {
		t.Errorf("%+v %v", r, err)
	}
}

package node_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/store"
)

func TestReceive(t *testing.T) {
	h := newHouse(t)
	d := h.deliver(feed.Content, feed.Existence, feed.None)
	h.deliver(feed.Existence)
	must(t, h.n.FeedStep(ctx))
	h.holds(2, 2, 2)
	list, err := h.n.Inbox(ctx, 0, 10)
	must(t, err)
	if len(list) != 2 || list[0].Fault != nil || list[0].Seq != 1 || list[0].Alert.Issuer != "XB" || len(list[0].Alert.Portions) != 2 ||
		list[0].Alert.Hidden != 2 || list[0].Banner != "RESTRICTED // TLP:AMBER" || list[1].Banner != "NO CONTENT HELD" {
		t.Errorf("%+v", list)
	}
	one, err := h.n.Show(ctx, "XB", list[0].Alert.Subject, 1)
	must(t, err)
	if one.Delivery.Alert != d.Alert {
		t.Error("other bytes than were delivered")
	}
	if _, err := h.n.Show(ctx, "XC", list[0].Alert.Subject, 1); problem.KindOf(err) != problem.NotFound {
		t.Error(err)
	}
	must(t, h.n.AcksStep(ctx))
	h.holds(2, 2, 0)
	if len(h.hub.Acks) != 2 {
		t.Errorf("%d acknowledgements at the hub", len(h.hub.Acks))
	}
	s, err := h.n.Status(ctx)
	must(t, err)
	if s.LastError != "" || s.LastContact.IsZero() || s.RefusedPages != 0 {
		t.Errorf("%+v", s)
	}
}

func TestWithheld(t *testing.T) {
	h := newHouse(t)
	h.deliver(feed.Content)
	h.deliver(feed.Content)
	h.hub.Do(func() { h.hub.Feeds["XA"][0].Delivery = nil })
	must(t, h.n.FeedStep(ctx))
	h.holds(2, 1, 1)
	s, err := h.n.Status(ctx)
	must(t, err)
	if s.Counts.Withheld != 1 {
		t.Errorf("%+v", s.Counts)
	}
}

// TestExactlyOnce: a page that is served again, by a hub that lost its place or
// because a commit's fate was unknown, is stored once.
func TestExactlyOnce(t *testing.T) {
	h := newHouse(t)
	h.deliver(feed.Content)
	first, err := h.client("XA").Poll(ctx, 0, 100, 0)
	must(t, err)
	must(t, h.n.FeedStep(ctx))
	h.hub.Do(func() { h.hub.Page = func(p *feed.Page) { *p = first } })
	if err := h.n.FeedStep(ctx); !errors.Is(err, node.ErrPage) {
		t.Error(err)
	}
	h.holds(1, 1, 1)
	h.hub.Do(func() { h.hub.Page = nil })
	for _, w := range []when{before, after} {
		h.deliver(feed.Content)
		h.st.failReceive = w
		if err := h.n.FeedStep(ctx); !errors.Is(err, errInjected) {
			t.Error(err)
		}
		h.reopen()
		must(t, h.n.FeedStep(ctx))
	}
	h.holds(3, 3, 3)
	must(t, h.n.AcksStep(ctx))
	if len(h.hub.Acks) != 3 {
		t.Errorf("%d acknowledgements", len(h.hub.Acks))
	}
}

// TestNewStatementsFirst: a page that rests on statements which the node has not
// seen makes it look for them.
func TestNewStatementsFirst(t *testing.T) {
	h := newHouse(t)
	second := h.Key("XB")
	agreement, digest := h.Agree(2, h.Agreement, "smuggling-ab", h.Root["XA"], h.Root["XB"])
	d := h.Deliver(h.Issue(h.Payload("XB"), 1, second), feed.Content)
	d.Releases[0].Agreements = []string{digest}
	h.hub.Do(func() {
		h.hub.Statements = append(h.hub.Statements, h.NodeKey("XB", second, h.Root["XB"]), agreement)
	})
	h.hub.Hand("XA", d)
	h.deliver(feed.Content) // rests on the revision before
	must(t, h.n.FeedStep(ctx))
	h.holds(2, 2, 2)
}

// TestVersions: one version has one text, and a later one names the one before.
func TestVersions(t *testing.T) {
	h := newHouse(t)
	first := h.Payload("XB")
	d := h.Deliver(h.Issue(first, 2, h.Node["XB"]), feed.Content, feed.None)
	h.hub.Hand("XA", d)
	must(t, h.n.FeedStep(ctx))
	h.hub.Hand("XA", h.Deliver(h.Issue(first, 1, h.Node["XB"]), feed.Content)) // signed anew
	if err := h.n.FeedStep(ctx); !errors.Is(err, node.ErrPage) || !strings.Contains(err.Error(), "differs") {
		t.Error(err)
	}
	list, err := h.n.Inbox(ctx, 0, 1)
	must(t, err)
	next := first
	next.Version, next.Previous = 2, feed.ChainStart("XB")
	for _, c := range []struct {
		previous string
		ok       bool
	}{{feed.ChainStart("XB"), false}, {list[0].Alert.SignedDigest, true}} {
		next.Previous = c.previous
		h.hub.Do(func() { h.hub.Feeds["XA"] = h.hub.Feeds["XA"][:1] })
		h.hub.Hand("XA", h.Deliver(h.Issue(next, 1, h.Node["XB"]), feed.Content))
		if err := h.n.FeedStep(ctx); (err == nil) != c.ok {
			t.Errorf("previous %s: %v", c.previous, err)
		}
	}
	h.holds(2, 2, 2)
}

func TestOldHead(t *testing.T) {
	h := newHouse(t)
	h.deliver(feed.Content)
	must(t, h.n.FeedStep(ctx))
	h.deliver(feed.Content)
	h.hub.Do(func() { h.hub.Head = func(f *feed.Head) { f.IssuedAt -= 600 } })
	if err := h.n.FeedStep(ctx); !errors.Is(err, node.ErrPage) || !strings.Contains(err.Error(), "older") {
		t.Error(err)
	}
	h.holds(1, 1, 1)
}

func TestAcknowledgements(t *testing.T) {
	h := newHouse(t)
	for range 3 {
		h.deliver(feed.Existence)
	}
	must(t, h.n.FeedStep(ctx))
	h.hub.Do(func() { h.hub.Down = true })
	if err := h.n.AcksStep(ctx); problem.KindOf(err) != problem.Unavailable {
		t.Error(err)
	}
	h.holds(3, 3, 3)
	h.hub.Do(func() {
		h.hub.Down = false
		h.hub.RefuseAck = func(jws string) error {
			payload, _, err := keys.Verify(jws, feed.AckType, func(string) (keys.PublicKey, error) { return h.Node["XA"].Public(), nil })
			must(t, err)
			if a, err := feed.Parse[feed.Ack](payload); err != nil || a.Seq == 2 {
				return problem.New(problem.NotFound, "no such delivery")
			}
			return nil
		}
	})
	must(t, h.n.AcksStep(ctx))
	h.holds(3, 3, 0)
	s, err := h.n.Status(ctx)
	must(t, err)
	if len(s.Alarms) != 1 || s.Alarms[0].Kind != "ack" || !strings.Contains(s.LastError, "item 2") {
		t.Errorf("%+v", s)
	}
}

// TestRun lets the loops run: everything gets where it belongs, and they end
// with their context.
func TestRun(t *testing.T) {
	h := newHouse(t)
	h.hub.Do(func() { h.hub.Wait, h.hub.Down = true, true })
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- h.n.Run(run) }()
	first, _ := h.publish(), h.publish()
	h.deliver(feed.Content)
	h.hub.Do(func() { h.hub.Down = false })
	h.hub.Until("one acknowledgement and two alerts published", func() bool { return len(h.hub.Acks) == 1 && len(h.hub.Published) == 2 })
	h.publish() // is sent once those before it are settled
	h.hub.Until("a third alert published", func() bool { return len(h.hub.Published) == 3 })
	o, err := h.n.Outgoing(ctx, first.ID, 1)
	must(t, err)
	s, err := h.n.Status(ctx)
	must(t, err)
	if o.State != store.Accepted || !s.Following || s.Cursor != 1 {
		t.Errorf("%+v, %+v", o, s)
	}
	stop()
	must(t, <-ended)
}

// TestFollowing: that the hub answers is known before it has news.
func TestFollowing(t *testing.T) {
	h := newHouse(t)
	h.hub.Do(func() { h.hub.Wait = true })
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- h.n.Run(run) }()
	h.hub.Until("a second poll", func() bool { return h.hub.Polls == 2 }) // the second is on its way because the first went well
	s, err := h.n.Status(ctx)
	must(t, err)
	if !s.Following || s.LastContact.IsZero() {
		t.Errorf("%+v", s)
	}
	stop()
	must(t, <-ended)
}

// TestHubsClockIsRightAgain: who finds its clock to differ from the hub's asks the hub anew,
// and does not wait until the loop has paused for as long as it does after many failures.
func TestHubsClockIsRightAgain(t *testing.T) {
	h := newHouse(t)
	must(t, h.st.Close())
	h.open(func(c *node.Config) { c.Backoff = func(int) time.Duration { return time.Hour } })
	must(t, h.n.FeedStep(ctx))
	h.hub.Do(func() { h.Federation.Now = func() time.Time { return time.Now().Add(2 * alert.MaxSkew) } })
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- h.n.Run(run) }()
	try := func() error {
		_, err := h.n.Publish(ctx, node.Draft{Objects: objects(1), Plan: nodetest.Plan()})
		return err
	}
	until := func(what string, kind problem.Kind) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			err := try()
			if err == nil && kind == "" || err != nil && problem.KindOf(err) == kind {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	until("the hub's clock is wrong", problem.Unavailable)
	h.hub.Do(func() { h.Federation.Now = time.Now })
	until("it is right again", "")
	stop()
	must(t, <-ended)
}

// TestWokenIsNoFailure: who is woken again and again while the hub is away does not wait for
// longer because of it.
func TestWokenIsNoFailure(t *testing.T) {
	h := newHouse(t)
	must(t, h.n.FeedStep(ctx)) // there is a registry
	must(t, h.st.Close())
	var most, rests atomic.Int64
	h.open(func(c *node.Config) {
		c.Backoff = func(attempt int) time.Duration {
			most.Store(max(most.Load(), int64(attempt)))
			rests.Add(1)
			return time.Hour
		}
	})
	h.hub.Do(func() { h.hub.Down = true })
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- h.n.Run(run) }()
	for deadline := time.Now().Add(time.Minute); rests.Load() < 20 && time.Now().Before(deadline); {
		h.publish()
	}
	stop()
	must(t, <-ended)
	if rests.Load() < 20 || most.Load() != 1 {
		t.Errorf("%d rests, the longest after failure %d", rests.Load(), most.Load())
	}
}

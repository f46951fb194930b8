package node_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/store"
)

// batches notes how much is erased at once.
type batches struct {
	store.Store
	largest, all int
}

func (b *batches) Erase(ctx context.Context, e store.Erase) error {
	n := len(e.Erasures) + len(e.Outgoing)
	b.largest, b.all = max(b.largest, n), b.all+n
	return b.Store.Erase(ctx, e)
}

// TestSweepAfterLong: a node that was stopped for a month gives nothing of what has ended
// meanwhile, from the first moment, and erases it in batches.
func TestSweepAfterLong(t *testing.T) {
	l := newLife(t, 1)
	const n = 150
	for range n {
		l.deliver(feed.Content, feed.Existence)
	}
	for range 2 {
		must(t, l.n.FeedStep(ctx))
	}
	l.send()
	l.now = l.now.Add(31 * 24 * time.Hour)
	must(t, l.st.Close())
	b := &batches{}
	l.open(func(c *node.Config) {
		b.Store, c.Now = c.Store, func() time.Time { return l.now }
		c.Store = b
	})
	list, err := l.n.Inbox(ctx, 0, n)
	must(t, err)
	for _, r := range list {
		if len(r.Alert.Portions) > 0 || r.Fault != nil {
			t.Fatalf("%+v", r)
		}
	}
	must(t, l.n.FeedStep(ctx)) // what time it is the node believes the hub
	l.sweepAll()
	if len(list) != n || b.all != n || b.largest > 64 {
		t.Errorf("%d alerts, %d erased, %d at once", len(list), b.all, b.largest)
	}
	if next, err := l.st.NextDue(ctx); err != nil || next != 0 {
		t.Errorf("%d, %v", next, err)
	}
	l.send()
	l.send()
	if got := l.receipts(); len(got) != n || got[0] != "1 ended [p0 p1]" || got[n-1] != got[0] {
		t.Errorf("%d receipts", len(got))
	}
}

// TestSweepInTwo: content ends before the existence of another portion does, and the
// receipts say so.
func TestSweepInTwo(t *testing.T) {
	l := newLife(t, 1)
	l.deliver(feed.Content, feed.Existence)
	must(t, l.n.FeedStep(ctx))
	for _, want := range [][]string{nil, {"1 ended [p0]"}, {"1 ended [p0]", "1 ended [p1]"}} {
		l.sweepAll()
		l.send()
		l.send()
		if got := l.receipts(); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		l.now = l.now.Add(13 * time.Hour)
		must(t, l.n.FeedStep(ctx))
	}
}

// TestSweepRuns: a running node erases when the time has come.
func TestSweepRuns(t *testing.T) {
	h := newHouse(t)
	d := h.Deliver(h.Issue(h.Payload("XB"), 1, h.Node["XB"]), feed.Content)
	d.Releases[0].Obligations.HoldUntil = time.Now().Add(2 * time.Second).Unix()
	h.hub.Hand("XA", d)
	h.hub.Do(func() { h.hub.Wait = true })
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- h.n.Run(running) }()
	h.hub.Until("a receipt", func() bool { return len(h.hub.Purges) == 1 })
	stop()
	must(t, <-done)
	if got := h.receipts(); !slices.Equal(got, []string{"1 ended [p0]"}) {
		t.Error(got)
	}
}

// unerasable is a store that erases nothing, as on a full disk.
type unerasable struct {
	store.Store
	tried atomic.Int64
}

func (u *unerasable) Erase(context.Context, store.Erase) error {
	u.tried.Add(1)
	return errInjected
}

// TestSweepRestsAfterAFailure: what can not be erased is tried again after a pause, or when
// something has come.
func TestSweepRestsAfterAFailure(t *testing.T) {
	h := newHouse(t)
	must(t, h.st.Close())
	u := &unerasable{}
	h.open(func(c *node.Config) {
		u.Store = c.Store
		c.Store, c.Backoff = u, func(int) time.Duration { return time.Hour }
	})
	hand := func() {
		d := h.Deliver(h.Issue(h.Payload("XB"), 1, h.Node["XB"]), feed.Content)
		d.Releases[0].Obligations.HoldUntil = time.Now().Add(time.Second).Unix()
		h.hub.Hand("XA", d)
	}
	hand()
	h.hub.Do(func() { h.hub.Wait = true })
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- h.n.Run(running) }()
	for deadline := time.Now().Add(time.Minute); u.tried.Load() == 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	const more = 5
	for n := range more {
		hand()
		h.hub.Until("another receipt", func() bool { return len(h.hub.Acks) == n+2 })
	}
	if n := u.tried.Load(); n == 0 || n > 2+2*more { // each may wake it, before and after it is stored
		t.Errorf("tried %d times", n)
	}
	stop()
	must(t, <-done)
}

// TestSweepAndClock: nothing is erased by a clock that runs ahead of the hub's, and
// nothing that comes by it either; it is not given to anybody all the same.
func TestSweepAndClock(t *testing.T) {
	l := newLife(t, 1)
	l.deliver(feed.Content)
	must(t, l.n.FeedStep(ctx))
	right := l.now
	l.Now = func() time.Time { return right }
	l.now = right.Add(48 * time.Hour)
	if _, err := l.n.SweepStep(ctx); problem.KindOf(err) != problem.Unavailable || !strings.Contains(err.Error(), "clock") {
		t.Error(err)
	}
	l.deliver(feed.Content)
	must(t, l.n.FeedStep(ctx))
	shows := func(want int) {
		t.Helper()
		list, err := l.n.Inbox(ctx, 0, 10)
		must(t, err)
		for _, r := range list {
			if len(r.Alert.Portions) != want || len(r.Purged) != 0 {
				t.Errorf("%+v", r)
			}
		}
	}
	shows(0)
	l.now = right
	shows(1)
	must(t, l.n.FeedStep(ctx))
	l.sweepAll()
	shows(1)
}

// TestSweepBeforeTheHubIsHeard: a node that is started with a clock a day ahead erases
// nothing of what is live before it has heard what time it is at the hub, however long
// that takes up to a day. A clock that is right erases from the first head on.
func TestSweepBeforeTheHubIsHeard(t *testing.T) {
	l := newLife(t, 1)
	l.deliver(feed.Content)
	must(t, l.n.FeedStep(ctx))
	right := l.now
	l.restart()
	l.sweepAll() // nothing is due
	l.now = right.Add(48 * time.Hour)
	if _, err := l.n.SweepStep(ctx); problem.KindOf(err) != problem.Unavailable || !strings.Contains(err.Error(), "has not been heard") {
		t.Error(err)
	}
	l.now = right
	must(t, l.n.FeedStep(ctx))
	l.sweepAll()
	list, err := l.n.Inbox(ctx, 0, 10)
	must(t, err)
	if len(list) != 1 || len(list[0].Alert.Portions) != 1 || len(list[0].Purged) != 0 {
		t.Fatalf("%+v", list)
	}
	l.now = right.Add(48 * time.Hour) // it is, for the hub too
	l.restart()
	l.hub.Down = true
	l.n.StartedBefore(24*time.Hour - time.Minute)
	if _, err := l.n.SweepStep(ctx); problem.KindOf(err) != problem.Unavailable {
		t.Error(err)
	}
	l.n.StartedBefore(time.Minute)
	l.sweepAll()
	if list, err = l.n.Inbox(ctx, 0, 10); err != nil || len(list[0].Purged) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestOwnExpiry: the member's own alerts are given as what was signed once they have
// expired, and erased to that; one that waits to be sent is whole until its fate is known.
func TestOwnExpiry(t *testing.T) {
	l := newLife(t, 1)
	plan := nodetest.Plan()
	plan.ExpiresIn = "1h"
	publish := func() *store.Outgoing {
		o, err := l.n.Publish(ctx, node.Draft{Objects: objects(1), Plan: plan})
		must(t, err)
		return o
	}
	sent := publish()
	must(t, l.n.OutboxStep(ctx))
	waiting := publish()
	whole := func(o *store.Outgoing, read func(context.Context, alert.ID, int) (*store.Outgoing, error), want bool) {
		t.Helper()
		got, err := read(ctx, o.ID, 1)
		must(t, err)
		jws, _, _ := strings.Cut(o.Token, "~")
		if want != (got.Token == o.Token) || !want && got.Token != jws+"~" || got.Digest != o.Digest {
			t.Errorf("whole: %t", !want)
		}
	}
	l.sweepAll()
	whole(sent, l.n.Outgoing, true)
	l.now = l.now.Add(2 * time.Hour)
	whole(sent, l.n.Outgoing, false)
	whole(sent, l.st.Outgoing, true)
	must(t, l.n.FeedStep(ctx))
	l.sweepAll()
	whole(sent, l.st.Outgoing, false)
	whole(waiting, l.n.Outgoing, true)
	l.hub.Do(func() { l.hub.Refuse = func(string) error { return problem.New(problem.Expired, "late") } })
	must(t, l.n.OutboxStep(ctx))
	whole(waiting, l.n.Outgoing, false)
	l.sweepAll()
	whole(waiting, l.st.Outgoing, false)
}

// TestSweepPassesDamage: what can not be read keeps nothing else from being erased, is
// put off with an alarm, and is given to nobody.
func TestSweepPassesDamage(t *testing.T) {
	l := newLife(t, 1)
	for range 3 {
		l.deliver(feed.Content)
	}
	must(t, l.n.FeedStep(ctx))
	execute(t, l.path, `UPDATE inbox SET delivery = zeroblob(length(delivery)) WHERE seq = 2`)
	l.now = l.now.Add(2 * time.Hour)
	must(t, l.n.FeedStep(ctx))
	l.sweepAll()
	l.send()
	l.send()
	s, err := l.n.Status(ctx)
	must(t, err)
	if len(l.hub.Purges) != 2 || len(s.Alarms) != 1 || !strings.Contains(s.Alarms[0].Detail, "item 2 of the inbox is damaged") {
		t.Errorf("%d receipts, %+v", len(l.hub.Purges), s.Alarms)
	}
	list, err := l.n.Inbox(ctx, 0, 10)
	must(t, err)
	if len(list) != 3 || list[1].Fault == nil || len(list[1].Alert.Portions) != 0 {
		t.Errorf("%+v", list)
	}
	if next, err := l.st.NextDue(ctx); err != nil || next <= l.now.Unix() {
		t.Errorf("%d, %v", next, err)
	}
}

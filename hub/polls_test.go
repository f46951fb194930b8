package hub_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
)

const maxPolls = 8 // of one member at once

// TestPollsOfOneMemberAreBounded: vulnerability: a poll that waits holds memory, and all that wake together
// read their page at once.
// attack: XB opens long-polls without end; its refusals would swell the audit log besides.
// guarantee: the ninth at once is turned away and leaves no entry; others' polls go on as ever, and every
// slot comes back, however its poll ended.
func TestPollsOfOneMemberAreBounded(t *testing.T) {
	type beganKey struct{}
	w := hookedWorld(t, &hooked{feed: func(ctx context.Context, _ alert.MemberID) {
		if began, ok := ctx.Value(beganKey{}).(func()); ok {
			began()
		}
	}})
	type answer struct {
		items int
		err   error
	}
	start := func(ctx context.Context, m alert.MemberID, after int64) <-chan answer {
		waiting, out := make(chan struct{}), make(chan answer, 1)
		began := sync.OnceFunc(func() { close(waiting) })
		ctx = context.WithValue(ctx, beganKey{}, began)
		go func() {
			defer began() // refused at the door
			page, err := w.Poll(ctx, m, after, 1, time.Hour)
			out <- answer{len(page.Items), err}
		}()
		<-waiting // it has its slot
		return out
	}
	fill := func(ctx context.Context, after int64) (polls []<-chan answer) {
		for range maxPolls {
			polls = append(polls, start(ctx, "XB", after))
		}
		return polls
	}
	full := func(after int64) {
		t.Helper()
		size := len(w.acted())
		for _, wait := range []time.Duration{0, time.Hour} {
			if _, err := w.Poll(t.Context(), "XB", after, 1, wait); err == nil || problem.KindOf(err) != problem.RateLimited {
				t.Fatalf("one poll more than %d: %v", maxPolls, err)
			}
		}
		if n := len(w.acted()); n != size {
			t.Errorf("%d entries were written", n-size)
		}
	}

	others := start(t.Context(), "XC", 0)
	polls := fill(t.Context(), 0)
	full(0)
	w.poll("XD", 0)
	_, token := w.issue("XA", label("XB", "XC"))
	w.publish("XA", token)
	for _, p := range append(polls, others) {
		if a := <-p; a.err != nil || a.items != 1 {
			t.Errorf("a poll that was there in time got %+v", a)
		}
	}

	for range maxPolls + 1 { // polls that fail give their slot back too
		if _, err := w.Poll(t.Context(), "XB", 99, 1, 0); problem.KindOf(err) != problem.CursorUnknown {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	polls = fill(ctx, 1)
	full(1)
	cancel() // and so do those whose caller leaves
	for _, p := range polls {
		if a := <-p; a.err != nil && problem.KindOf(a.err) != problem.Unavailable || a.items != 0 {
			t.Errorf("got %+v", a)
		}
	}
	for range maxPolls + 1 {
		w.poll("XB", 1)
	}
}

// TestPollSeesWhatAnotherWasHanded: vulnerability: a poll reads where the feed stands and then what is
// pending; what another poll is handed in between is neither, and wakes nobody.
// attack: a node restarts; its old connection's poll gets the alert just then, and the new one sleeps on.
// guarantee: the new poll has the item at once.
func TestPollSeesWhatAnotherWasHanded(t *testing.T) {
	var w *world
	var first atomic.Bool
	first.Store(true)
	w = hookedWorld(t, &hooked{pending: func(_ context.Context, m alert.MemberID) {
		if first.Swap(false) {
			page, err := w.Poll(t.Context(), m, 0, 1, 0)
			if err != nil || len(page.Items) != 1 {
				t.Errorf("the old poll got %+v %v", page, err)
			}
		}
	}})
	_, token := w.issue("XA", label("XB"))
	w.publish("XA", token)
	page := w.poll("XB", 0)
	w.checkPage("XB", 0, feed.ChainStart("XB"), page)
	if len(page.Items) != 1 {
		t.Errorf("the new poll got %d items", len(page.Items))
	}
}

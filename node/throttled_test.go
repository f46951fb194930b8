package node_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/store"
)

// throttling is a hub that says "later" to what an outbox sends, a few times.
type throttling struct {
	node.Hub
	wait time.Duration

	mu    sync.Mutex
	left  int
	tried []attempt
}

type attempt struct {
	token string
	at    time.Time
}

func (h *throttling) PublishAll(ctx context.Context, tokens []string) ([]node.Published, error) {
	h.mu.Lock()
	h.tried = append(h.tried, attempt{tokens[0], time.Now()})
	later := h.left > 0
	h.left--
	h.mu.Unlock()
	if later {
		return nil, &problem.Error{Kind: problem.RateLimited, Detail: "later", RetryAfter: h.wait}
	}
	return h.Hub.PublishAll(ctx, tokens)
}

// A hub that says "later" loses nothing and gets nothing out of order; it is left alone
// for as long as it says, whatever else is published meanwhile.
func TestOutboxOfAThrottledNode(t *testing.T) {
	const refusals = 3
	h := newHouse(t)
	hub := &throttling{Hub: h.client("XA"), wait: 300 * time.Millisecond, left: refusals}
	h.reopenAs(func(c *node.Config) { c.Hub = hub })
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- h.n.Run(run) }()
	var want []string
	for range 5 { // each wakes the outbox
		want = append(want, h.publish().Token)
	}
	h.hub.Until("all have arrived", func() bool { return len(h.hub.Published) == len(want) })
	stop()
	must(t, <-ended)
	if !slices.Equal(h.hub.Published, want) {
		t.Error("they arrived in another order, or not as they were sent")
	}
	for i, a := range hub.tried {
		if i <= refusals && a.token != want[0] {
			t.Errorf("attempt %d was for another than the first", i)
		}
		if i > 0 && i <= refusals && a.at.Sub(hub.tried[i-1].at) < hub.wait {
			t.Errorf("attempt %d came %v after the one before, told to wait for %v", i, a.at.Sub(hub.tried[i-1].at), hub.wait)
		}
	}
	list, err := h.n.Outbox(ctx, 10)
	must(t, err)
	for _, o := range list {
		if o.State == store.Refused {
			t.Errorf("%s counts as refused", o.ID)
		}
	}
}

// reopenAs is reopen with a change of the configuration.
func (h *house) reopenAs(change func(*node.Config)) {
	h.t.Helper()
	must(h.t, h.st.Close())
	h.open(change)
}

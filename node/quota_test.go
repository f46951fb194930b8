package node_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// crowded is a hub that takes nothing more of a member until it recalls something.
type crowded struct {
	node.Hub

	mu   sync.Mutex
	full bool
}

func (h *crowded) set(full bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.full = full
}

func (h *crowded) PublishAll(ctx context.Context, tokens []string) (list []node.Published, err error) {
	for _, token := range tokens {
		a, err := trust.ReadAlert(token)
		if err != nil {
			return nil, err
		}
		h.mu.Lock()
		full := h.full && a.Recall == nil
		if a.Recall != nil {
			h.full = false
		}
		h.mu.Unlock()
		if full {
			err = problem.New(problem.RateLimited, "the quota of XA at this hub is used up")
			if len(list) > 0 {
				err = nil
			}
			return list, err
		}
		one, err := h.Hub.PublishAll(ctx, []string{token})
		if err != nil {
			return list, err
		}
		list = append(list, one...)
	}
	return list, nil
}

// A member that has used up its quota at the hub can recall: the recall goes before what
// waits, and makes room for it. Until then the outbox says why it waits.
func TestRecallMakesRoom(t *testing.T) {
	h := newHouse(t)
	hub := &crowded{Hub: h.client("XA")}
	h.reopenAs(func(c *node.Config) { c.Hub = hub })
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- h.n.Run(run) }()
	first := h.publish()
	until := func(o *store.Outgoing, done func(o *store.Outgoing) bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; <-time.After(5 * time.Millisecond) {
			now, err := h.st.Outgoing(ctx, o.ID, o.Version)
			must(t, err)
			if done(now) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("in vain: %+v", now)
			}
		}
	}
	accepted := func(o *store.Outgoing) bool { return o.State == store.Accepted }
	until(first, accepted)
	hub.set(true)
	waits := h.publish()
	until(waits, func(o *store.Outgoing) bool {
		return o.State == store.Queued && strings.Contains(o.LastError, "quota of XA")
	})
	recall, err := h.n.Recall(ctx, first.ID, alert.Recall{Mode: alert.Purge, Reason: "it takes up room"})
	must(t, err)
	until(recall, accepted)
	until(waits, accepted)
	// What waits itself can not be overtaken by its own recall.
	hub.set(true)
	again := h.publish()
	later, err := h.n.Recall(ctx, again.ID, alert.Recall{Mode: alert.Purge, Reason: "a mistake"})
	must(t, err)
	until(again, func(o *store.Outgoing) bool { return o.State == store.Queued && o.Attempts > 0 })
	hub.set(false)
	until(again, accepted)
	until(later, accepted)
	stop()
	must(t, <-ended)
}

// A recall that is placed anew, after what the hub has, goes first like any other of that.
func TestPlacedRecallMakesRoom(t *testing.T) {
	h := newHouse(t)
	hub := &crowded{Hub: h.client("XA")}
	h.reopenAs(func(c *node.Config) { c.Hub = hub })
	first := h.publish()
	must(t, h.n.OutboxStep(ctx))
	h.hub.Refuse = func(token string) error {
		a, err := trust.ReadAlert(token)
		if err != nil || a.Version != 2 || a.Recall != nil {
			return err
		}
		hub.set(true)
		return problem.New(problem.NotAdmitted, "no")
	}
	_, err := h.n.Publish(ctx, node.Draft{Objects: objects(1), Plan: nodetest.Plan(), Supersedes: first.ID})
	must(t, err)
	waits := h.publish()
	_, err = h.n.Recall(ctx, first.ID, alert.Recall{Mode: alert.Purge, Reason: "it takes up room"})
	must(t, err)
	must(t, h.n.OutboxStep(ctx)) // the next version is refused
	if err := h.n.OutboxStep(ctx); problem.KindOf(err) != problem.RateLimited {
		t.Fatalf("%v", err) // what waits; the recall behind it was placed anew
	}
	must(t, h.n.OutboxStep(ctx))
	for id, version := range map[alert.ID]int{first.ID: 2, waits.ID: 1} {
		if o, err := h.st.Outgoing(ctx, id, version); err != nil || o.State != store.Accepted {
			t.Errorf("%+v, %v", o, err)
		}
	}
}

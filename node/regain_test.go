package node_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// restored puts another database in the node's place: one that knows nothing.
func (h *house) restored() {
	h.t.Helper()
	must(h.t, h.st.Close())
	h.path = filepath.Join(h.t.TempDir(), "restored.db")
	h.open(nil)
	must(h.t, h.n.StatementsStep(ctx))
}

func (h *house) alarmsOf(kind string) (out []store.Alarm) {
	h.t.Helper()
	list, err := h.st.Alarms(ctx, 100)
	must(h.t, err)
	for _, a := range list {
		if a.Kind == kind {
			out = append(out, a)
		}
	}
	return out
}

// TestRestoredNodeKnowsItsOwn: a node that has lost what it published takes it back from
// the hub before it sends anything, says so, and can recall it.
func TestRestoredNodeKnowsItsOwn(t *testing.T) {
	for name, erased := range map[string]bool{"whole": false, "erased at the hub": true} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			first := h.publish()
			must(t, h.n.OutboxStep(ctx))
			next, err := h.n.Publish(ctx, node.Draft{Objects: objects(1), Plan: nodetest.Plan(), Supersedes: first.ID})
			must(t, err)
			must(t, h.n.OutboxStep(ctx))
			if n := len(h.alarmsOf(store.AlarmRestored)); n != 0 {
				t.Fatalf("%d alarms at a node that has lost nothing", n)
			}
			if erased {
				h.hub.Erase = func(token string) string {
					out, err := trust.ReduceAlert(token, nil)
					must(t, err)
					return out
				}
			}
			h.restored()
			must(t, h.n.OutboxStep(ctx))
			for _, o := range []*store.Outgoing{first, next} {
				got, err := h.st.Outgoing(ctx, o.ID, o.Version)
				must(t, err)
				if got.State != store.Accepted || got.Digest != o.Digest || (got.Token == o.Token) == erased || got.Receipt == "" {
					t.Errorf("version %d came back as %+v", o.Version, got)
				}
			}
			if n := len(h.alarmsOf(store.AlarmRestored)); n != 2 {
				t.Errorf("%d alarms for two alerts", n)
			}
			recall, err := h.n.Recall(ctx, first.ID, alert.Recall{Mode: alert.Purge, Reason: "it was wrong"})
			must(t, err)
			must(t, h.n.OutboxStep(ctx))
			if got, err := h.st.Outgoing(ctx, first.ID, 3); err != nil || recall.Version != 3 || got.State != store.Accepted {
				t.Errorf("recall %+v: %v", got, err)
			}
			h.reopen()
			must(t, h.n.OutboxStep(ctx)) // what is known is not asked for again
			if n := len(h.alarmsOf(store.AlarmRestored)); n != 2 {
				t.Errorf("%d alarms after another start", n)
			}
		})
	}
}

// TestRestoredNodeGivesWay: what was composed under a number that the hub has given away
// is refused, and the next one follows what is there.
func TestRestoredNodeGivesWay(t *testing.T) {
	h := newHouse(t)
	first := h.publish()
	must(t, h.n.OutboxStep(ctx))
	next, err := h.n.Publish(ctx, node.Draft{Objects: objects(1), Plan: nodetest.Plan(), Supersedes: first.ID})
	must(t, err)
	must(t, h.n.OutboxStep(ctx))
	kept, err := h.st.Outgoing(ctx, first.ID, 1)
	must(t, err)
	h.restored()
	_, err = h.st.Regain(ctx, *kept) // the backup had the first, not the second
	must(t, err)
	other, err := h.n.Publish(ctx, node.Draft{Objects: objects(1), Plan: nodetest.Plan(), Supersedes: first.ID})
	must(t, err)
	must(t, h.n.OutboxStep(ctx))
	got, err := h.st.Outgoing(ctx, first.ID, 2)
	must(t, err)
	if got.Digest != next.Digest || got.State != store.Accepted {
		t.Errorf("version 2 is %+v", got)
	}
	list, err := h.st.Outbox(ctx, 10)
	must(t, err)
	refused := 0
	for _, o := range list {
		if o.Digest == other.Digest && o.State == store.Refused && o.Problem == problem.Conflict {
			refused++
		}
	}
	if refused != 1 || len(h.hub.Published) != 2 {
		t.Errorf("%d refused, %d at the hub: %+v", refused, len(h.hub.Published), list)
	}
	third, err := h.n.Publish(ctx, node.Draft{Objects: objects(1), Plan: nodetest.Plan(), Supersedes: first.ID})
	must(t, err)
	if third.Version != 3 {
		t.Errorf("version %d", third.Version)
	}
}

// TestRegainWaits: nothing is sent as long as it is not known what the hub has.
func TestRegainWaits(t *testing.T) {
	h := newHouse(t)
	h.publish()
	h.hub.Down = true
	if err := h.n.OutboxStep(ctx); problem.KindOf(err) != problem.Unavailable {
		t.Fatal(err)
	}
	h.hub.Down = false
	must(t, h.n.OutboxStep(ctx))
	if len(h.hub.Published) != 1 {
		t.Errorf("%d at the hub", len(h.hub.Published))
	}
}

// TestRegainBelievesNobody: what the hub gives back must be signed by this member's key,
// with the hub's receipt for it.
func TestRegainBelievesNobody(t *testing.T) {
	h := newHouse(t)
	first := h.publish()
	must(t, h.n.OutboxStep(ctx))
	forged := h.Issue(h.Payload("XA"), 1, h.Node["XB"])
	for name, change := range map[string]func(string) string{
		"forged":         func(string) string { return forged },
		"cut":            func(token string) string { return token[:len(token)/2] },
		"another's text": func(token string) string { return strings.Replace(token, ".", ".A", 1) },
	} {
		h.hub.Erase = change
		h.restored()
		if err := h.n.OutboxStep(ctx); err == nil {
			t.Errorf("%s: it is taken", name)
		}
		if _, err := h.st.Outgoing(ctx, first.ID, 1); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHeadBeyondThisNode: a hub that has acknowledgements of what this node has not seen
// shows that it was restored, or that another has its keys; the feed goes on.
func TestHeadBeyondThisNode(t *testing.T) {
	h := newHouse(t)
	h.deliver(feed.Content)
	h.hub.Acked = 1
	must(t, h.n.FeedStep(ctx))
	h.holds(1, 1, 1)
	must(t, h.n.FeedStep(ctx))
	if list := h.alarmsOf(store.AlarmRestored); len(list) != 1 || len(list[0].Evidence) == 0 {
		t.Errorf("alarms: %+v", list)
	}
}

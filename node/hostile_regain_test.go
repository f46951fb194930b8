package node_test

import (
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// TestRegainWithoutLabel: a hub that gives back no more than the existence of a request's
// portion, which has no label then, does not bring the node down: it is taken as what the
// hub has left of it.
func TestRegainWithoutLabel(t *testing.T) {
	h := newHouse(t)
	d := h.deliver(feed.Content)
	must(t, h.n.FeedStep(ctx))
	o, err := h.n.Feedback(ctx, node.FeedbackDraft{Originator: "XB", Alert: h.hubAlert(d.Alert), Act: alert.Request, Text: "Which vehicle?"})
	must(t, err)
	must(t, h.n.OutboxStep(ctx))
	h.hub.Erase = func(token string) string {
		out, err := trust.ReduceAlert(token, map[alert.PortionID]feed.Kind{"feedback": feed.Existence})
		must(t, err)
		return out
	}
	h.restored()
	must(t, h.n.OutboxStep(ctx))
	got, err := h.st.Outgoing(ctx, o.ID, 1)
	must(t, err)
	if got.State != store.Accepted || got.Digest != o.Digest {
		t.Errorf("%+v", got)
	}
}

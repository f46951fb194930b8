package node_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/store"
)

const foreignAlert alert.ID = "018bcfe5-6800-7000-8000-0000000000ff"

// states are those of the outbox, in the order in which it was filled.
func (h *house) states() (out []store.State) {
	h.t.Helper()
	list, err := h.n.Outbox(ctx, 1000)
	must(h.t, err)
	for _, o := range slices.Backward(list) {
		out = append(out, o.State)
	}
	return out
}

func (h *house) draft(d node.Draft) *store.Outgoing {
	h.t.Helper()
	o, err := h.n.Publish(ctx, d)
	must(h.t, err)
	return o
}

// batches are how many alerts came in each request, and the tokens in their order.
func (h *house) batches() (sizes []int, tokens []string) {
	h.hub.Do(func() { sizes, tokens = slices.Clone(h.hub.Batches), slices.Clone(h.hub.Published) })
	return sizes, tokens
}

// Many alerts go in few requests, in their order.
func TestOutboxInBatches(t *testing.T) {
	h := newHouse(t)
	var want []string
	for range node.MaxBatch + 3 {
		want = append(want, h.publish().Token)
	}
	for range 3 {
		must(t, h.n.OutboxStep(ctx))
	}
	sizes, got := h.batches()
	if !slices.Equal(sizes, []int{node.MaxBatch, 3}) || !slices.Equal(got, want) {
		t.Errorf("requests of %v alerts; in order: %v", sizes, slices.Equal(got, want))
	}
	if states := h.states(); slices.ContainsFunc(states, func(s store.State) bool { return s != store.Accepted }) {
		t.Error(states)
	}
}

// What names another of the outbox is not sent before that has its receipt.
func TestOutboxKeepsApart(t *testing.T) {
	for name, about := range map[string]func(alert.ID) node.Draft{
		"version": nextVersion,
		"recall":  func(id alert.ID) node.Draft { return node.Draft{Supersedes: id, Recall: &wrong} },
		"source": func(id alert.ID) node.Draft {
			d := nextVersion("")
			d.Plan.Portions[0].Label.DerivedFrom = []alert.ID{id}
			return d
		},
		"comment": func(id alert.ID) node.Draft {
			d := nextVersion("")
			d.Re = &alert.Reference{Originator: "XA", Alert: id, Act: alert.Comment}
			return d
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			before, first := h.publish(), h.publish()
			second := h.draft(about(first.ID))
			after := h.publish()
			for range 3 {
				must(t, h.n.OutboxStep(ctx))
			}
			sizes, got := h.batches()
			if !slices.Equal(sizes, []int{2, 2}) || !slices.Equal(got, []string{before.Token, first.Token, second.Token, after.Token}) {
				t.Errorf("requests of %v alerts", sizes)
			}
		})
	}
}

// A request of the highest precedence goes before what waits, unless it is about that.
func TestFlashGoesFirst(t *testing.T) {
	h := newHouse(t)
	request := func(about alert.Reference) *store.Outgoing {
		about.Act, about.Precedence, about.Due = alert.Request, alert.Flash, time.Now().Add(time.Hour).Unix()
		return h.draft(node.Draft{Objects: objects(1), Plan: nodetest.Plan(), Re: &about})
	}
	waiting := h.publish()
	own := request(alert.Reference{Originator: "XA", Alert: waiting.ID})
	foreign := request(alert.Reference{Originator: "XB", Alert: foreignAlert})
	newer := h.draft(nextVersion(foreign.ID))
	for range 4 {
		must(t, h.n.OutboxStep(ctx))
	}
	if _, got := h.batches(); !slices.Equal(got, []string{foreign.Token, waiting.Token, own.Token, newer.Token}) {
		for i, token := range got {
			t.Log(i, slices.Index([]string{foreign.Token, waiting.Token, own.Token, newer.Token}, token))
		}
		t.Error("in another order")
	}
}

// One of several is refused, and the others are not; what the hub has not looked at is
// sent again, and so is what it has taken where the node did not come to store that.
func TestOutboxInPart(t *testing.T) {
	h := newHouse(t)
	var list []*store.Outgoing
	for range 5 {
		list = append(list, h.publish())
	}
	later := problem.New(problem.RateLimited, "later")
	busy := true
	h.hub.Do(func() {
		h.hub.Refuse = func(token string) error {
			switch {
			case token == list[1].Token:
				return problem.New(problem.NotAdmitted, "no")
			case token == list[3].Token && busy:
				return later
			}
			return nil
		}
	})
	must(t, h.n.OutboxStep(ctx))
	want := []store.State{store.Accepted, store.Refused, store.Accepted, store.Queued, store.Queued}
	if got := h.states(); !slices.Equal(got, want) {
		t.Error(got)
	}
	if err := h.n.OutboxStep(ctx); problem.KindOf(err) != problem.RateLimited {
		t.Error(err)
	}
	h.hub.Do(func() { busy = false })
	for _, fault := range []when{before, after} {
		h.publish()
		want = append(want, store.Accepted)
		h.st.failSettle = fault
		if err := h.n.OutboxStep(ctx); err == nil {
			t.Error("nothing failed")
		}
		h.reopen()
		must(t, h.n.StatementsStep(ctx))
		must(t, h.n.OutboxStep(ctx))
	}
	want[3], want[4] = store.Accepted, store.Accepted
	if got := h.states(); !slices.Equal(got, want) {
		t.Error(got)
	}
}

// One receipt that does not hold keeps that alert and those behind it, and no others.
func TestOutboxOneBadReceipt(t *testing.T) {
	h := newHouse(t)
	h.publish()
	second := h.publish()
	h.publish()
	h.hub.Do(func() {
		h.hub.Receipt = func(r *feed.Receipt) {
			if r.Alert == second.ID {
				r.Digest = "other"
			}
		}
	})
	if err := h.n.OutboxStep(ctx); err == nil {
		t.Error("a receipt for other bytes was taken")
	}
	if got := h.states(); !slices.Equal(got, []store.State{store.Accepted, store.Queued, store.Queued}) {
		t.Error(got)
	}
	h.hub.Do(func() { h.hub.Receipt = nil })
	must(t, h.n.OutboxStep(ctx))
	if got := h.states(); !slices.Equal(got, []store.State{store.Accepted, store.Accepted, store.Accepted}) {
		t.Error(got)
	}
}

// Where the hub refuses a request of several as a whole, the first tells whether it is
// that one.
func TestOutboxRefusedAsAWhole(t *testing.T) {
	h := newHouse(t)
	bad, good := h.publish(), h.publish()
	h.hub.Do(func() {
		h.hub.RefuseBatch = func(tokens []string) error {
			if slices.Contains(tokens, bad.Token) {
				return problem.New(problem.TooLarge, "too large")
			}
			return nil
		}
	})
	for range 2 {
		must(t, h.n.OutboxStep(ctx))
	}
	if got := h.states(); !slices.Equal(got, []store.State{store.Refused, store.Accepted}) {
		t.Error(got)
	}
	if sizes, got := h.batches(); !slices.Equal(sizes, []int{2, 1, 1}) || !slices.Equal(got, []string{good.Token}) {
		t.Error(sizes)
	}
}

// keepsOut is a hub at which there is no room for one alert, and for those behind it.
type keepsOut struct {
	node.Hub
	token string
}

func (k *keepsOut) PublishAll(ctx context.Context, tokens []string) ([]node.Published, error) {
	full := problem.New(problem.RateLimited, "no room")
	i := slices.Index(tokens, k.token)
	if i < 0 {
		return k.Hub.PublishAll(ctx, tokens)
	}
	others := slices.Delete(slices.Clone(tokens), i, i+1)
	if len(others) == 0 {
		return nil, full
	}
	list, err := k.Hub.PublishAll(ctx, others)
	if err != nil || i >= len(list) {
		return list, err
	}
	return slices.Insert(list, i, node.Published{Refusal: full}), nil
}

// What was taken behind an alert for which there is no room has its receipt, and can be
// recalled; the other stays where it is.
func TestOutboxPastWhatIsKeptOut(t *testing.T) {
	h := newHouse(t)
	hub := &keepsOut{}
	must(t, h.st.Close())
	h.open(func(c *node.Config) {
		hub.Hub = c.Hub
		c.Hub = hub
	})
	must(t, h.n.StatementsStep(ctx))
	large, small := h.publish(), h.publish()
	hub.token = large.Token
	if err := h.n.OutboxStep(ctx); problem.KindOf(err) != problem.RateLimited {
		t.Error(err)
	}
	if got := h.states(); !slices.Equal(got, []store.State{store.Queued, store.Accepted}) {
		t.Error(got)
	}
	h.draft(node.Draft{Supersedes: small.ID, Recall: &wrong})
	must(t, h.n.OutboxStep(ctx))
	if got := h.states(); !slices.Equal(got, []store.State{store.Queued, store.Accepted, store.Accepted}) {
		t.Error(got)
	}
}

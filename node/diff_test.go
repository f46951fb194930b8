package node_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/trust"
)

const vehicle = "vehicle--00000000-0000-4000-8000-00000000000"

func object(n, rest string) json.RawMessage {
	return json.RawMessage(`{"type":"vehicle","id":"` + vehicle + n + `"` + rest + `}`)
}

// written issues a version with portions that are written out.
func (h *house) written(p alert.Payload, portions ...alert.Portion) string {
	h.t.Helper()
	token, err := trust.IssueAlert(ctx, h.Node["XB"], alert.Alert{Payload: p, Portions: portions})
	must(h.t, err)
	return token
}

func written(id alert.PortionID, change func(l *alert.Label), objects ...json.RawMessage) alert.Portion {
	l := nodetest.Label("federation")
	if change != nil {
		change(&l)
	}
	return alert.Portion{ID: id, Notice: "smuggling", Label: &l, Content: &alert.Content{Objects: objects}}
}

// TestDiff: each kind of change, between versions of another's alert and of one's own.
func TestDiff(t *testing.T) {
	h := newHouse(t)
	raise := func(l *alert.Label) { l.Classification = alert.Secret }
	first := h.written(h.Payload("XB"),
		written("p0", nil, object("1", `,"plate":"A/B~","seen":[1,2],"n":1.0`), object("2", ``)), written("p1", nil, object("1", "")), written("p2", nil, object("1", "")),
		written("p4", nil, object("1", "")), written("p5", nil, object("1", "")))
	second := h.written(h.Next(first),
		written("p0", raise, object("1", `,"plate/x":"A","seen":[1,3,4],"n":1.0`), object("3", ``)), written("p1", nil, object("1", "")), written("p3", nil, object("1", "")),
		written("p4", nil, object("1", "")), written("p5", nil, object("1", "")))
	c, e, n := feed.Content, feed.Existence, feed.None
	h.hub.Hand("XA", h.Deliver(first, c, c, c, n, c, e))
	must(t, h.n.FeedStep(ctx))
	h.hub.Hand("XA", h.Deliver(second, c, c, n, c, e, c))
	must(t, h.n.FeedStep(ctx))
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	want := []node.PortionDiff{
		{Portion: "p0", Change: node.Changed, Release: [2]feed.Kind{c, c},
			Fields: []node.FieldDiff{{Path: "/label/classification", Old: raw(`"restricted"`), New: raw(`"secret"`)}},
			Objects: []node.ObjectDiff{
				{ID: vehicle + "1", Change: node.Changed, Fields: []node.FieldDiff{{Path: "/plate", Old: raw(`"A/B~"`)}, {Path: "/plate~1x", New: raw(`"A"`)},
					{Path: "/seen/1", Old: raw("2"), New: raw("3")}, {Path: "/seen/2", New: raw("4")}}},
				{ID: vehicle + "2", Change: node.Removed}, {ID: vehicle + "3", Change: node.Added},
			}},
		{Portion: "p2", Change: node.Removed},
		{Portion: "p3", Change: node.Added, Release: [2]feed.Kind{"", c}},
		{Portion: "p4", Change: node.Erased, Release: [2]feed.Kind{"", e}},
		{Portion: "p5", Change: node.Changed, Release: [2]feed.Kind{e, c}},
	}
	id := h.hubAlert(first)
	d, err := h.n.Diff(ctx, "XB", id, 1, 2)
	must(t, err)
	for i, p := range d.Portions { // a label that came is more than is said here
		if p.Portion == "p5" {
			d.Portions[i].Fields = nil
		}
	}
	if diff := cmp.Diff(want, d.Portions); diff != "" {
		t.Error(diff)
	}
	for _, v := range [][2]int{{2, 1}, {1, 1}, {0, 1}} {
		if _, err := h.n.Diff(ctx, "XB", id, v[0], v[1]); problem.KindOf(err) != problem.Malformed {
			t.Errorf("%v: %v", v, err)
		}
	}
	if _, err := h.n.Diff(ctx, "XB", id, 1, 3); problem.KindOf(err) != problem.NotFound {
		t.Error(err)
	}
}

// TestDiffOwn: the member's own versions, from the outbox; where there is a directory of
// users they are the focal point's.
func TestDiffOwn(t *testing.T) {
	h := guarded(t, &counter{})
	draft := func(plate string, id alert.ID) node.Draft {
		return node.Draft{Objects: []json.RawMessage{object("1", `,"plate":"`+plate+`"`)}, Plan: nodetest.Plan(), Supersedes: id}
	}
	first, err := h.n.Publish(ctx, draft("A", ""))
	must(t, err)
	_, err = h.n.Publish(ctx, draft("B", first.ID))
	must(t, err)
	_, err = h.n.Recall(ctx, first.ID, wrong)
	must(t, err)
	d, err := h.n.DiffTo(ctx, ann, "XA", first.ID, 1, 2)
	must(t, err)
	want := []node.PortionDiff{{Portion: "main", Change: node.Changed, Release: [2]feed.Kind{feed.Content, feed.Content},
		Objects: []node.ObjectDiff{{ID: vehicle + "1", Change: node.Changed,
			Fields: []node.FieldDiff{{Path: "/plate", Old: json.RawMessage(`"A"`), New: json.RawMessage(`"B"`)}}}}}}
	if diff := cmp.Diff(want, d.Portions); diff != "" {
		t.Error(diff)
	}
	if d, err = h.n.DiffTo(ctx, ann, "XA", first.ID, 2, 3); err != nil || d.Recall == nil || len(d.Portions) != 1 || d.Portions[0].Change != node.Removed {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := h.n.DiffTo(ctx, ben, "XA", first.ID, 1, 2); problem.KindOf(err) != problem.NotFound {
		t.Error(err)
	}
	if _, err := h.n.Diff(ctx, "XA", first.ID, 1, 2); problem.KindOf(err) != problem.Malformed {
		t.Error(err)
	}
}

// TestDiffTo: a user reads of the changes in what it may read, and of nothing else.
func TestDiffTo(t *testing.T) {
	h := guarded(t, &counter{ben: map[alert.PortionID]bool{"p0": true}})
	first := h.written(h.Payload("XB"), written("p0", nil, object("1", "")), written("p1", nil, object("1", "")), written("p2", nil, object("1", "")))
	second := h.written(h.Next(first), written("p0", nil, object("2", "")), written("p1", nil, object("2", "")), written("p2", nil, object("2", "")))
	h.hub.Hand("XA", h.Deliver(first, feed.Content, feed.Content, feed.Content))
	h.hub.Hand("XA", h.Deliver(second, feed.Content, feed.Content, feed.None))
	must(t, h.n.FeedStep(ctx))
	for reader, want := range map[node.Reader]int{ann: 3, ben: 1} {
		d, err := h.n.DiffTo(context.Background(), reader, "XB", h.hubAlert(first), 1, 2)
		must(t, err)
		if len(d.Portions) != want {
			t.Errorf("%s: %+v", reader.User, d)
		}
	}
}

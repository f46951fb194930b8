package node_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
)

// alarmed is a house whose federation has two task forces and duty officers.
func alarmed(t *testing.T) *house {
	t.Helper()
	h := newHouse(t)
	registry := h.RegistryWith(2, digestOfStatement(t, h.Statements[0]), func(r *federation.Registry) {
		r.TaskForces = []federation.TaskForce{{ID: "tf-river", Name: "River", Lead: "XB"}, {ID: "tf-sea", Name: "Sea", Lead: "XB"}}
	}, h.HubKey)
	h.hub.Do(func() {
		h.hub.Statements = append(h.hub.Statements, registry, h.DutyOfficers("XB"), h.DutyOfficers("XC"))
	})
	must(t, h.n.StatementsStep(ctx))
	return h
}

// declare signs an emergency of XB's for an alert that names XA, altered by change.
// The hub has it.
func (h *house) declare(p alert.Payload, change func(*federation.Emergency)) (e *federation.Emergency, digest string) {
	h.t.Helper()
	e = &federation.Emergency{Originator: "XB", Alert: p.Subject, Number: 1, Threat: "a boat adrift with 40 persons", Duty: "SOLAS V/33",
		Members: []alert.MemberID{"XA"}, Compartments: []alert.TaskForceID{"tf-river"},
		ValidFrom: time.Now().Add(-time.Hour).Unix(), ValidUntil: time.Now().Add(6 * time.Hour).Unix()}
	change(e)
	raw, digest := h.State(federation.TypeEmergency, e, 1, "", h.Duty[e.Originator]...)
	h.hub.Do(func() { h.hub.Statements = append(h.hub.Statements, raw) })
	return e, digest
}

// rescue is a delivery of content in the compartment tf-river by an emergency.
func (h *house) rescue(p alert.Payload, digest string) feed.Delivery {
	h.t.Helper()
	l := nodetest.Label("federation")
	l.Compartments = []alert.TaskForceID{"tf-river"}
	d := h.Deliver(h.IssueLabelled(p, l, 2, h.Node["XB"]), feed.Content, feed.Existence)
	content(&d).Emergency = digest
	return d
}

// TestEmergency: what is released by an emergency is taken where that is known and
// fits, is shown as such, and still is after the emergency is over.
func TestEmergency(t *testing.T) {
	h := alarmed(t)
	p := h.Payload("XB")
	e, digest := h.declare(p, func(*federation.Emergency) {})
	h.hub.Hand("XA", h.rescue(p, digest))
	must(t, h.n.FeedStep(ctx)) // looks for the statement itself
	shown := func() {
		t.Helper()
		r, err := h.n.Show(ctx, "XB", p.Subject, 1)
		must(t, err)
		released := 0
		for _, release := range r.Delivery.Releases {
			told := r.Held[release.Portion].Emergency
			if (told != nil) != (release.Kind == feed.Content) {
				t.Errorf("%s: %+v", release.Kind, told)
			}
			if told != nil {
				released++
				if told.Threat != e.Threat || told.ValidUntil != e.ValidUntil {
					t.Errorf("%+v", told)
				}
			}
		}
		if released != 1 {
			t.Errorf("%d portions by emergency", released)
		}
	}
	shown()
	over := *e
	over.Over = true
	raw, _ := h.State(federation.TypeEmergency, &over, 2, digest, h.Duty["XB"][0])
	h.hub.Do(func() { h.hub.Statements = append(h.hub.Statements, raw) })
	must(t, h.n.StatementsStep(ctx))
	shown()
	h.again(h.rescue(h.Payload("XB"), "").Alert, feed.Content, feed.Existence) // a member of the task force needs none
	h.reopen()
	must(t, h.n.FeedStep(ctx))
	shown()
}

// TestEmergencyRefused: a release by an emergency that does not carry it is refused.
func TestEmergencyRefused(t *testing.T) {
	as := func(*federation.Emergency) {}
	for name, c := range map[string]struct {
		declare func(*federation.Emergency)
		release func(h *house, d *feed.Delivery)
		want    string
	}{
		"unknown": {as, func(_ *house, d *feed.Delivery) { content(d).Emergency = feed.ChainStart("XA") }, "not known"},
		"an agreement in its place": {as, func(h *house, d *feed.Delivery) { content(d).Emergency = h.Agreement },
			"not known"},
		"of another alert":  {func(e *federation.Emergency) { e.Alert = "01900000-0000-7000-8000-000000000000" }, nil, "about alert"},
		"of another member": {func(e *federation.Emergency) { e.Originator = "XC" }, nil, "about alert"},
		"for another":       {func(e *federation.Emergency) { e.Members = []alert.MemberID{"XC"} }, nil, "does not name XA"},
		"not yet":           {func(e *federation.Emergency) { e.ValidFrom += 7200 }, nil, "not in force"},
		"no more":           {func(e *federation.Emergency) { e.ValidFrom -= 7200; e.ValidUntil = e.ValidFrom + 60 }, nil, "not in force"},
		"in another compartment": {func(e *federation.Emergency) { e.Compartments = []alert.TaskForceID{"tf-sea"} }, nil,
			"widens nothing"},
		"without a compartment": {as, func(h *house, d *feed.Delivery) {
			p := h.Payload("XB")
			_, digest := h.declare(p, func(*federation.Emergency) {})
			*d = h.Deliver(h.Issue(p, 1, h.Node["XB"]), feed.Content)
			content(d).Emergency = digest
		}, "widens nothing"},
		"existence": {as, func(_ *house, d *feed.Delivery) {
			for i := range d.Releases {
				d.Releases[i].Emergency = content(d).Emergency
			}
		}, "widens nothing"},
		"held beyond": {func(e *federation.Emergency) { e.ValidUntil = time.Now().Add(30 * time.Minute).Unix() }, nil, "held for longer"},
		"passed on":   {as, func(_ *house, d *feed.Delivery) { content(d).Obligations.Onward = true }, "passed on"},
	} {
		t.Run(name, func(t *testing.T) {
			h := alarmed(t)
			p := h.Payload("XB")
			_, digest := h.declare(p, c.declare)
			d := h.rescue(p, digest)
			if c.release != nil {
				c.release(h, &d)
			}
			h.hub.Hand("XA", d)
			if err := h.n.FeedStep(ctx); !errors.Is(err, node.ErrPage) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			h.holds(0, 0, 0)
		})
	}
}

// TestEmergencyEnded: the statement that ends an emergency releases nothing, and one
// by a single officer is none.
func TestEmergencyEnded(t *testing.T) {
	h := alarmed(t)
	p := h.Payload("XB")
	e, digest := h.declare(p, func(*federation.Emergency) {})
	over := *e
	over.Over = true
	raw, end := h.State(federation.TypeEmergency, &over, 2, digest, h.Duty["XB"][0])
	next := *e
	next.Number = 2
	alone, single := h.State(federation.TypeEmergency, &next, 1, "", h.Duty["XB"][0])
	h.hub.Do(func() { h.hub.Statements = append(h.hub.Statements, raw, alone) })
	for cited, want := range map[string]string{end: "not in force", single: "not known"} {
		h.hub.Do(func() { h.hub.Feeds["XA"] = nil })
		h.hub.Hand("XA", h.rescue(p, cited))
		if err := h.n.FeedStep(ctx); !errors.Is(err, node.ErrPage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	h.holds(0, 0, 0)
}

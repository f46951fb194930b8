package node_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/sdjwt"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// open is a plan that needs no agreement, so that everybody gets what it says.
func openPlan() alert.Plan {
	plan := nodetest.Plan()
	plan.Portions[0].Label.Classification, plan.Portions[0].Label.TLP = alert.Unclassified, 0
	return plan
}

func delegating(objects []json.RawMessage) node.Draft {
	return node.Draft{Objects: objects, Plan: openPlan(), Delegate: &node.DelegateTo{To: "XB"}}
}

// delegates sends a delegation to XB, and returns it.
func (p *party) delegates(to *party, objects ...json.RawMessage) *store.Outgoing {
	p.t.Helper()
	if objects == nil {
		objects = []json.RawMessage{nodetest.Object()}
	}
	o, err := p.n.Publish(ctx, delegating(objects))
	must(p.t, err)
	p.carry(to)
	return o
}

func (p *party) delegation() node.DelegationStatus {
	p.t.Helper()
	list, err := p.n.Delegations(ctx, node.DelegationFilter{Limit: 10})
	must(p.t, err)
	if len(list) != 1 {
		p.t.Fatalf("%s has %d delegations: %+v", p.member, len(list), list)
	}
	return list[0]
}

func (p *party) stands(state node.DelegationState, published alert.ID) {
	p.t.Helper()
	if d := p.delegation(); d.State != state || d.Published != published {
		p.t.Errorf("at %s: %s, published %q; want %s, %q", p.member, d.State, d.Published, state, published)
	}
}

func (p *party) queued() int64 {
	p.t.Helper()
	s, err := p.n.Status(ctx)
	must(p.t, err)
	return s.Counts.Queued
}

func of(o *store.Outgoing) node.PublicationDraft {
	return node.PublicationDraft{Originator: "XA", ID: o.ID}
}

// TestDelegation: XB publishes what XA delegates. XA is told as what; XC gets an alert of
// XB's in which nothing is XA's but what it says, and what XC asks goes to XB.
func TestDelegation(t *testing.T) {
	e := exchange(t)
	xa, xb, xc := e["XA"], e["XB"], e["XC"]
	object := nodetest.Object()
	sent := xa.delegates(xb, object)
	xa.stands(node.DelegationWaiting, "")
	xb.stands(node.DelegationWaiting, "")
	if d, err := xb.n.Delegation(ctx, nil, "XA", sent.ID); err != nil || d.Plan == nil || d.Other() != "XA" {
		t.Errorf("%+v %v", d, err)
	}

	o, err := xb.n.PublishDelegation(ctx, of(sent))
	must(t, err)
	again, err := xb.n.PublishDelegation(ctx, of(sent))
	must(t, err)
	if again.ID != o.ID || again.Digest != o.Digest || xb.queued() != 1 {
		t.Errorf("published twice: %v, %v, %d queued", o.ID, again.ID, xb.queued())
	}
	xb.stands(node.DelegationPublished, o.ID)
	xa.stands(node.DelegationWaiting, "")

	must(t, xb.n.OutboxStep(ctx)) // XA is told once the hub has accepted it
	if xb.queued() != 1 {
		t.Fatalf("%d queued", xb.queued())
	}
	received := xc.release(o.Token, feed.Content)
	received.Releases[0].Agreements = nil
	xc.take(received)
	xb.carry(xa)
	xa.stands(node.DelegationPublished, o.ID)
	answer := xa.said()
	if answer.Alert.Re.Published != o.ID || len(answer.Alert.Portions[0].Label.ReleasableTo) != 1 || answer.Alert.Portions[0].Label.ReleasableTo[0] != "XA" {
		t.Errorf("%+v", answer.Alert)
	}

	got := xc.said()
	if got.Alert.Issuer != "XB" || got.Alert.Re != nil || got.Alert.Delegate != nil {
		t.Errorf("%+v", got.Alert)
	}
	var theirs, ours any
	must(t, errors.Join(json.Unmarshal(object, &theirs), json.Unmarshal(got.Alert.Portions[0].Content.Objects[0], &ours)))
	if d := cmp.Diff(theirs, ours); d != "" {
		t.Errorf("it says something else: %s", d)
	}
	if life := got.Alert.Expires - got.Alert.IssuedAt; life != int64(alert.DefaultLifetime/time.Second) {
		t.Errorf("by its lifetime, %d s, it looks like no other alert", life)
	}
	asked := xc.says(node.FeedbackDraft{Originator: "XB", Alert: o.ID, Act: alert.Request, Text: "When?"})
	a, err := trust.ReadAlert(asked.Token)
	must(t, err)
	if d := cmp.Diff([]alert.Audience{"XB"}, a.Portions[0].Label.ReleasableTo); d != "" {
		t.Error(d)
	}
	xc.findsNothing(sent.Token, answer.Delivery.Alert)
}

// findsNothing looks through all that a party has received and stored for what could be
// compared with the alerts of others: ids, digests, salts, names of portions, signatures.
func (p *party) findsNothing(tokens ...string) {
	p.t.Helper()
	must(p.t, p.st.Scrub(ctx)) // the write-ahead log goes into the file
	raw, err := os.ReadFile(p.path)
	must(p.t, err)
	seen := string(raw)
	list, err := p.n.Inbox(ctx, 0, 100)
	must(p.t, err)
	for _, r := range list {
		seen += fmt.Sprintf("%+v %s", r.Alert, r.Delivery.Alert)
	}
	for i, token := range tokens {
		for what, value := range tracesOf(p.t, token) {
			if i > 0 && what == "expiry" { // an answer of XB's ends as any alert of XB's of that second
				continue
			}
			if strings.Contains(seen, value) {
				p.t.Errorf("%s finds %s of token %d: %s", p.member, what, i, value)
			}
		}
	}
}

// tracesOf returns what is an alert's own.
func tracesOf(t *testing.T, token string) map[string]string {
	t.Helper()
	parsed, err := sdjwt.Parse(token)
	must(t, err)
	a, err := trust.ReadAlert(token)
	must(t, err)
	traces := map[string]string{"id": string(a.Subject), "jti": a.JTI, "signed digest": a.SignedDigest, "signed part": parsed.JWS,
		"expiry": fmt.Sprint(a.Expires), "source": "Originator:XA"}
	for i, d := range parsed.Disclosures {
		traces[fmt.Sprint("disclosure ", i)], traces[fmt.Sprint("digest ", i)] = d.Encoded, d.Digest
		var values []any
		must(t, json.Unmarshal(decoded(t, d.Encoded), &values))
		traces[fmt.Sprint("salt ", i)] = values[0].(string)
	}
	for i, d := range a.Payload.Portions {
		traces[fmt.Sprint("place ", i)] = d.Digest
	}
	for _, p := range a.Portions {
		traces["portion "+string(p.ID)] = "ID:" + string(p.ID) + " "
	}
	return traces
}

// TestDelegationNamesItsSource: what would tell third parties whose it is is refused before
// anything is signed, and where a program can not tell somebody must look.
func TestDelegationNamesItsSource(t *testing.T) {
	xa := exchange(t)["XA"]
	object := func(more string) []json.RawMessage {
		return []json.RawMessage{json.RawMessage(`{"type":"identity","id":"identity--0a000000-0000-4000-8000-000000000000"` + more + `}`)}
	}
	change := func(f func(*node.Draft)) node.Draft {
		d := delegating(object(`,"name":"Suspect"`))
		f(&d)
		return d
	}
	label := func(f func(*alert.Label)) node.Draft {
		return change(func(d *node.Draft) { f(&d.Plan.Portions[0].Label) })
	}
	source := alert.ID("01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e")
	for name, c := range map[string]struct {
		draft node.Draft
		says  string
		once  bool // refused until it was checked
	}{
		"created by":             {delegating(object(`,"created_by_ref":"identity--0a000000-0000-4000-8000-000000000001"`)), "identity--0a000000-0000-4000-8000-000000000000 has the property created_by_ref", false},
		"created by, deep":       {delegating(object(`,"x":[{"created_by_ref":"identity--0a000000-0000-4000-8000-000000000001"}]`)), "created_by_ref", false},
		"the member itself":      {delegating(object(`,"name":"member xa"`)), "by the property name", false},
		"its code":               {delegating(object(`,"name":"XA"`)), "by the property name", false},
		"an alert's stand-in":    {delegating([]json.RawMessage{json.RawMessage(`{"type":"x-entente-alert","id":"x-entente-alert--0a000000-0000-4000-8000-000000000000"}`)}), "x-entente-alert", false},
		"in a text":              {delegating(object(`,"description":"seen by (XA)"`)), "0000 /description", true},
		"its name in a list":     {delegating(object(`,"aliases":["of MEMBER XA."]`)), "/aliases/0", true},
		"a custom property":      {delegating(object(`,"x_xa_case":"1"`)), "/x_xa_case", true},
		"a custom type":          {delegating([]json.RawMessage{json.RawMessage(`{"type":"x-xa-file","id":"x-xa-file--0a000000-0000-4000-8000-000000000000"}`)}), "/id", true},
		"a domain":               {delegating(object(`,"contact_information":"desk@police.xa"`)), "/contact_information", true},
		"in a notice":            {change(func(d *node.Draft) { d.Plan.Portions[0].Notice = "ask XA" }), "notice of portion main", true},
		"in handling_text":       {label(func(l *alert.Label) { l.Handling, l.HandlingText = []alert.Handling{"H3"}, "ask XA" }), "handling_text", true},
		"derived":                {label(func(l *alert.Label) { l.DerivedFrom = []alert.ID{source} }), "derived", false},
		"to no member":           {change(func(d *node.Draft) { d.Delegate.To = "XZ" }), "no member", false},
		"to itself":              {change(func(d *node.Draft) { d.Delegate.To = "XA" }), "itself", false},
		"a next version":         {change(func(d *node.Draft) { d.Supersedes = source }), "stands alone", false},
		"feedback":               {change(func(d *node.Draft) { d.Re = &alert.Reference{Originator: "XB", Alert: source, Act: alert.Comment} }), "stands alone", false},
		"a deadline too far":     {change(func(d *node.Draft) { d.Delegate.Due = time.Now().Add(alert.MaxLifetime) }), "too far", false},
		"a deadline that passed": {change(func(d *node.Draft) { d.Delegate.Due = time.Now().Add(-time.Hour) }), "passed", false},
		"an unknown precedence":  {change(func(d *node.Draft) { d.Delegate.Precedence = "soon" }), "prec", false},
	} {
		_, err := xa.n.Publish(ctx, c.draft)
		if problem.KindOf(err) != problem.Malformed || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		c.draft.Delegate.Checked = true
		if _, err := xa.n.Publish(ctx, c.draft); (err == nil) != c.once {
			t.Errorf("%s, checked: %v", name, err)
		}
	}
	for _, text := range []string{"XAB", "taXA", "EXA", "xa", "Xa", "the xa.", "x_xab"} { // no words of its own
		if _, err := xa.n.Publish(ctx, delegating(object(`,"description":"`+text+`"`))); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	xa.rule.list = []node.Refusal{{Code: "no", Message: "no", Portion: 0}}
	if _, err := xa.n.Publish(ctx, delegating(object(""))); problem.KindOf(err) != problem.EgressDenied {
		t.Errorf("the member's own policy is not asked: %v", err)
	}
}

// TestPublicationIsAsStrict: what XB publishes is marked at least as its source asks, and
// a next version of it too.
func TestPublicationIsAsStrict(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	objects := []json.RawMessage{nodetest.Object()}
	draft := delegating(objects)
	draft.Plan.Portions[0].Label.MarkedAs = "unclassified"
	draft.Plan.Portions[0].Label.ReleasableTo = []alert.Audience{"XB", "XC"}
	sent, err := xa.n.Publish(ctx, draft)
	must(t, err)
	xa.carry(xb)
	plan := func(change func(*alert.Label)) *alert.Plan {
		p := openPlan()
		p.Portions[0].Label.ReleasableTo = []alert.Audience{"XC"}
		change(&p.Portions[0].Label)
		return &p
	}
	loose := map[string]*alert.Plan{
		"wider":     plan(func(l *alert.Label) { l.ReleasableTo = []alert.Audience{"federation"} }),
		"shown":     plan(func(l *alert.Label) { l.DiscoverableTo = []alert.Audience{"XA"} }),
		"purposes":  plan(func(l *alert.Label) { l.Purposes = alert.Purposes }),
		"derived":   plan(func(l *alert.Label) { l.DerivedFrom = []alert.ID{sent.ID} }),
		"two parts": {Portions: []alert.Planned{}},
	}
	for name, p := range loose {
		d := of(sent)
		d.Plan = p
		if o, err := xb.n.PublishDelegation(ctx, d); problem.KindOf(err) != problem.Malformed {
			t.Errorf("%s: %v %v", name, o, err)
		}
	}
	d := of(sent)
	d.Plan = plan(func(l *alert.Label) { l.Classification = alert.Restricted })
	o, err := xb.n.PublishDelegation(ctx, d)
	must(t, err)
	a, err := trust.ReadAlert(o.Token)
	must(t, err)
	if l := a.Portions[0].Label; l.Classification != alert.Restricted || l.MarkedAs != "" {
		t.Errorf("%+v", l)
	}
	must(t, xb.n.OutboxStep(ctx))
	next := node.Draft{Objects: objects, Plan: *loose["wider"], Supersedes: o.ID}
	if _, err := xb.n.Publish(ctx, next); problem.KindOf(err) != problem.Malformed {
		t.Errorf("the next version is wider: %v", err)
	}
	next.Plan = *plan(func(*alert.Label) {})
	if _, err := xb.n.Publish(ctx, next); err != nil {
		t.Error(err)
	}
}

func decoded(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	must(t, err)
	return raw
}

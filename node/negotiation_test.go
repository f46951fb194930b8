package node_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/trust"
)

// kind holds an error to a kind; "" is none.
func kind(t *testing.T, what string, err error, want problem.Kind) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && problem.KindOf(err) != want {
		t.Errorf("%s: %v, want %q", what, err, want)
	}
}

// TestNegotiation: an agreement from the first signature to an amendment, as the
// node sees it.
func TestNegotiation(t *testing.T) {
	h := newHouse(t)
	const id = "labour-ab"
	raw, digest := h.Agree(1, "", id, h.Root["XA"])
	state, err := h.n.Propose(ctx, raw)
	must(t, err)
	if state.InForce || state.Digest != digest || cmp.Diff([]string{"XB"}, state.Missing) != "" {
		t.Errorf("%+v", state)
	}
	open, err := h.n.Proposals(ctx)
	must(t, err)
	if len(open) != 1 || open[0].Fault != nil || open[0].Digest != digest || open[0].By != "XA" || open[0].Statement.Digest != digest ||
		cmp.Diff([]string{h.Root["XA"].Public().KeyID()}, open[0].Signers) != "" || cmp.Diff([]string{"XB"}, open[0].Missing) != "" {
		t.Fatalf("%+v", open)
	}
	if revision, prev, err := h.n.Chain(ctx, federation.TypeAgreement, id); err != nil || revision != 0 || prev != "" {
		t.Errorf("before it is in force: %d %s %v", revision, prev, err)
	}
	whole, err := keys.Countersign(ctx, open[0].Raw, h.Root["XB"])
	must(t, err)
	if state, err = h.n.Propose(ctx, whole); err != nil || !state.InForce || len(state.Missing) != 0 {
		t.Fatalf("%+v, %v", state, err)
	}
	if revision, prev, err := h.n.Chain(ctx, federation.TypeAgreement, id); err != nil || revision != 1 || prev != digest {
		t.Errorf("in force: %d %s %v", revision, prev, err)
	}
	second, _ := h.Agree(2, digest, id, h.Root["XB"])
	if state, err = h.n.Propose(ctx, second); err != nil || cmp.Diff([]string{"XA"}, state.Missing) != "" {
		t.Errorf("%+v, %v", state, err)
	}
	list, err := h.n.Agreements(ctx)
	must(t, err)
	if len(list) != 2 || list[0].Terms.ID != id || list[0].Statement.Revision != 1 || list[0].Standing != trust.InForce {
		t.Errorf("%+v", list)
	}
	kind(t, "decline", h.n.Decline(ctx, state.Digest), "")
	kind(t, "decline again", h.n.Decline(ctx, state.Digest), problem.NotFound)
}

// TestProposeRefusals: what the node can not verify never reaches the hub, and what
// the hub answers comes back as it is.
func TestProposeRefusals(t *testing.T) {
	h := newHouse(t)
	stranger, _ := h.Agree(1, "", "new-ab", h.Root["XC"])
	fork, _ := h.Agree(3, h.Agreement, "smuggling-ab", h.Root["XA"])
	for name, tt := range map[string]struct {
		raw  []byte
		want problem.Kind
	}{"a stranger": {stranger, problem.BadSignature}, "a fork": {fork, problem.Fork}, "nothing": {[]byte("{}"), problem.Malformed}} {
		_, err := h.n.Propose(ctx, tt.raw)
		kind(t, name, err, tt.want)
	}
	if len(h.hub.Proposals) != 0 {
		t.Error("the hub has been asked")
	}
	good, _ := h.Agree(1, "", "new-ab", h.Root["XA"])
	h.hub.Do(func() { h.hub.Down = true })
	_, err := h.n.Propose(ctx, good)
	kind(t, "hub away", err, problem.Unavailable)
	_, err = h.n.Proposals(ctx)
	kind(t, "hub away", err, problem.Unavailable)
	list, err := h.n.Agreements(ctx)
	if err != nil || len(list) != 1 { // was verified before
		t.Errorf("%v, %v", list, err)
	}
}

// TestLyingProposals: vulnerability: a party signs what the hub shows. Attack: a
// hub that invents, alters or misnames proposals. Guarantee: the node says of each
// that it does not verify, and gives nothing of it out.
func TestLyingProposals(t *testing.T) {
	h := newHouse(t)
	good, digest := h.Agree(1, "", "new-ab", h.Root["XA"])
	forged, forgedDigest := h.Agree(1, "", "forged-ab", h.Key("XA"))
	entry := func(raw []byte, digest string) hubapi.OpenProposal {
		return hubapi.OpenProposal{Digest: digest, By: "XA", At: time.Now().UTC(), Missing: []string{}, Statement: raw}
	}
	h.hub.Do(func() {
		h.hub.Proposals = []hubapi.OpenProposal{entry(good, digest), entry(good, forgedDigest), entry(forged, forgedDigest), entry([]byte("{}"), digest)}
	})
	list, err := h.n.Proposals(ctx)
	must(t, err)
	for i, p := range list {
		if (p.Fault == nil) != (i == 0) || p.Fault != nil && (p.Statement.Raw != nil || p.Signers != nil || p.Missing != nil) {
			t.Errorf("%d: %+v", i, p)
		}
	}
	if cmp.Diff([]string{"XB"}, list[0].Missing) != "" { // not what the hub says
		t.Errorf("%v", list[0].Missing)
	}
}

// TestProposalOnNews: a proposal that rests on what the node has not yet fetched is
// verified once it has.
func TestProposalOnNews(t *testing.T) {
	h := newHouse(t)
	first, digest := h.Agree(2, h.Agreement, "smuggling-ab", h.Root["XA"], h.Root["XB"])
	second, _ := h.Agree(3, digest, "smuggling-ab", h.Root["XA"])
	h.hub.Do(func() { h.hub.Statements = append(h.hub.Statements, first) })
	state, err := h.n.Propose(ctx, second)
	if err != nil || state.InForce {
		t.Errorf("%+v, %v", state, err)
	}
}

// TestSuspend: the node's key suspends at once; only the root's resumes.
func TestSuspend(t *testing.T) {
	h := newHouse(t)
	stands := func(want trust.Standing, by ...alert.MemberID) {
		t.Helper()
		list, err := h.n.Agreements(ctx)
		must(t, err)
		var got []alert.MemberID
		for _, s := range list[0].Suspended {
			got = append(got, s.Party)
		}
		if list[0].Standing != want || cmp.Diff(by, got) != "" {
			t.Errorf("%s by %v, want %s by %v", list[0].Standing, got, want, by)
		}
	}
	must(t, h.n.Suspend(ctx, "smuggling-ab", "under review"))
	stands(trust.Suspended, "XA")
	n := len(h.hub.Statements)
	must(t, h.n.Suspend(ctx, "smuggling-ab", "again"))
	if len(h.hub.Statements) != n {
		t.Error("suspended twice")
	}
	_, prev, err := h.n.Chain(ctx, federation.TypeSuspension, "smuggling-ab/XA")
	must(t, err)
	resume := func(with keys.Signer) error {
		raw, _ := h.State(federation.TypeSuspension, &federation.Suspension{Agreement: "smuggling-ab", Party: "XA"}, 2, prev, with)
		_, err := h.n.Propose(ctx, raw)
		return err
	}
	kind(t, "resumed by the node", resume(h.Node["XA"]), problem.BadSignature)
	stands(trust.Suspended, "XA")
	kind(t, "resumed by the root", resume(h.Root["XA"]), "")
	stands(trust.InForce)
	kind(t, "an unknown one", h.n.Suspend(ctx, "nothing", ""), problem.NotFound)
}

// TestConsent: given, widened, withdrawn; only for what was published here.
func TestConsent(t *testing.T) {
	h := newHouse(t)
	id := h.publish().ID
	consents := func(want ...alert.Audience) {
		t.Helper()
		list, err := h.n.Consents(ctx)
		must(t, err)
		if len(list) != 1 || list[0].Alert != id || cmp.Diff(want, list[0].Recipients) != "" && len(want)+len(list[0].Recipients) > 0 {
			t.Errorf("%+v, want %v", list, want)
		}
	}
	_, err := h.n.WithdrawConsent(ctx, id, nil)
	kind(t, "nothing to withdraw", err, problem.Malformed)
	_, err = h.n.GiveConsent(ctx, id, []alert.Audience{"XC", "XB"})
	kind(t, "give", err, "")
	consents("XB", "XC")
	_, err = h.n.GiveConsent(ctx, id, []alert.Audience{"XB"})
	kind(t, "give again", err, "")
	_, err = h.n.WithdrawConsent(ctx, id, []alert.Audience{"XB"})
	kind(t, "withdraw from one", err, "")
	consents("XC")
	if list, _ := h.n.Consents(ctx); list[0].Revision != 2 { // giving again signs nothing
		t.Errorf("revision %d", list[0].Revision)
	}
	_, err = h.n.WithdrawConsent(ctx, id, []alert.Audience{"XB"})
	kind(t, "withdraw what is not given", err, problem.Malformed)
	_, err = h.n.GiveConsent(ctx, id, []alert.Audience{"federation"})
	kind(t, "give to all", err, "")
	_, err = h.n.WithdrawConsent(ctx, id, []alert.Audience{"XC"})
	kind(t, "withdraw from one of all", err, problem.Malformed) // XC would have it still
	_, err = h.n.WithdrawConsent(ctx, id, []alert.Audience{"federation"})
	kind(t, "withdraw from the community, one member stays", err, problem.Malformed)
	if err == nil || !strings.Contains(err.Error(), "XC would still be covered by the consent to XC") {
		t.Errorf("%v", err)
	}
	consents("XC", "federation")
	_, err = h.n.WithdrawConsent(ctx, id, []alert.Audience{"XC", "federation"})
	kind(t, "withdraw from the community and its member", err, "")
	consents()
	_, err = h.n.GiveConsent(ctx, id, []alert.Audience{"XC"})
	kind(t, "give anew", err, "")
	_, err = h.n.WithdrawConsent(ctx, id, nil)
	kind(t, "withdraw from all", err, "")
	consents()
	_, err = h.n.GiveConsent(ctx, id, nil)
	kind(t, "to nobody", err, problem.Malformed)
	_, err = h.n.GiveConsent(ctx, id, []alert.Audience{"XZ"})
	kind(t, "to an unknown member", err, problem.Malformed)
	_, err = h.n.GiveConsent(ctx, h.Payload("XB").Subject, []alert.Audience{"XB"})
	kind(t, "another's alert", err, problem.NotFound)
}

// TestEmergencies: two duty officers declare; the node ends the last.
func TestEmergencies(t *testing.T) {
	h := newHouse(t)
	first, err := trust.Parse(h.Statements[0])
	must(t, err)
	river := h.RegistryWith(2, first.Digest, func(r *federation.Registry) {
		r.TaskForces = []federation.TaskForce{{ID: "river", Name: "River", Lead: "XA"}}
	}, h.HubKey)
	h.hub.Do(func() { h.hub.Statements = append(h.hub.Statements, river, h.DutyOfficers("XA")) })
	id := h.publish().ID
	kind(t, "none to end", h.n.EndEmergency(ctx, id), problem.NotFound)
	number, err := h.n.NextEmergency(ctx, id)
	if err != nil || number != 1 {
		t.Fatalf("%d, %v", number, err)
	}
	raw, _ := h.State(federation.TypeEmergency, &federation.Emergency{Originator: "XA", Alert: id, Number: number, Threat: "threat", Duty: "duty",
		Members: []alert.MemberID{"XC"}, Compartments: []alert.TaskForceID{"river"},
		ValidFrom: h.Start.Unix(), ValidUntil: h.Start.Add(24 * time.Hour).Unix()}, 1, "", h.Duty["XA"][0])
	state, err := h.n.Propose(ctx, raw)
	if err != nil || cmp.Diff([]string{"1 more duty officer of XA"}, state.Missing) != "" {
		t.Fatalf("%+v, %v", state, err)
	}
	whole, err := keys.Countersign(ctx, raw, h.Duty["XA"][1])
	must(t, err)
	if state, err = h.n.Propose(ctx, whole); err != nil || !state.InForce {
		t.Fatalf("%+v, %v", state, err)
	}
	list, err := h.n.Emergencies(ctx, nil)
	if err != nil || len(list) != 1 || !list[0].InForce || list[0].Declared.Over {
		t.Fatalf("%+v, %v", list, err)
	}
	kind(t, "end", h.n.EndEmergency(ctx, id), "")
	if list, err = h.n.Emergencies(ctx, nil); err != nil || list[0].InForce || !list[0].Declared.Over {
		t.Errorf("%+v, %v", list, err)
	}
	kind(t, "end again", h.n.EndEmergency(ctx, id), problem.NotFound)
	if number, err = h.n.NextEmergency(ctx, id); err != nil || number != 2 {
		t.Errorf("%d, %v", number, err)
	}
	_, err = h.n.NextEmergency(ctx, h.Payload("XB").Subject)
	kind(t, "another's alert", err, problem.NotFound)
}

// TestPolicyHistory: every statement of the officers', and which is in force.
func TestPolicyHistory(t *testing.T) {
	h := newHouse(t)
	list, err := h.n.PolicyHistory(ctx)
	must(t, err)
	next, _ := h.State(federation.TypePolicy, &federation.Policy{Name: "release", Digest: federation.Digest([]byte("next")), Bundle: 2}, 2,
		list[0].Statement.Digest, h.Officers[0], h.Officers[1])
	_, err = h.n.Propose(ctx, next)
	must(t, err)
	if list, err = h.n.PolicyHistory(ctx); err != nil || len(list) != 2 || list[0].InForce || !list[1].InForce ||
		list[1].Policy.Bundle != 2 || len(list[1].Signers) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestExplain: the originator sees the hub's answer, a recipient what it got
// itself; whatever else there may be is not there.
func TestExplain(t *testing.T) {
	h := newHouse(t)
	mine := h.publish().ID
	h.hub.Do(func() {
		h.hub.Own = func(m alert.MemberID, id string) bool { return m == "XA" && id == string(mine) }
		h.hub.Explained = hubapi.AudienceAnswer{Revision: "r", Policy: h.Policy, Portions: []hubapi.PortionAudience{{Portion: "main",
			Members: []hubapi.MemberDecision{{Member: "XB", Release: hubapi.MemberDecisionReleaseContent,
				Agreements: &[]hubapi.CitedAgreement{{Id: "smuggling-ab", Digest: h.Agreement, Title: "The hub's words", Version: 9}}}}}}}
	})
	e, err := h.n.Explain(ctx, nil, "", mine, 0)
	if err != nil || e.Originator != "XA" || e.Version != 1 || e.Audience == nil || e.Received != nil {
		t.Fatalf("%+v, %v", e, err)
	}
	if diff := cmp.Diff([]node.CitedAgreement{{ID: "smuggling-ab", Digest: h.Agreement, Title: "Smuggling data", Version: 1}}, e.Audience.Portions[0].Members[0].Agreements); diff != "" {
		t.Error(diff) // what the node has verified, not what the hub says
	}
	d := h.deliver(feed.Content, feed.Existence)
	must(t, h.n.FeedStep(ctx))
	k, err := trust.New(h.Authority.Public()).With(time.Now(), h.Statements...)
	must(t, err)
	a, err := k.VerifyAlert(d.Alert)
	must(t, err)
	for _, from := range []alert.MemberID{"", "XB"} {
		e, err = h.n.Explain(ctx, nil, from, a.Subject, 0)
		if err != nil || e.Originator != "XB" || e.Audience != nil || len(e.Received) != 2 {
			t.Fatalf("%+v, %v", e, err)
		}
	}
	byKind := make(map[feed.Kind]string)
	for _, p := range e.Received {
		byKind[p.Kind] = strings.Join(p.Why, " ")
	}
	if got := byKind[feed.Content]; !strings.Contains(got, `the agreement "Smuggling data" (smuggling-ab, version 1)`) ||
		!strings.Contains(got, "Use it for investigation only.") || !strings.Contains(got, "Do not pass it on.") {
		t.Error(got)
	}
	if got := byKind[feed.Existence]; !strings.Contains(got, "ask XB for it") || strings.Contains(got, "Use it") {
		t.Error(got)
	}
	for name, from := range map[string]alert.MemberID{"of another's": "XC", "as an own one": "XA"} {
		_, err := h.n.Explain(ctx, nil, from, a.Subject, 0)
		kind(t, name, err, problem.NotFound)
	}
	_, err = h.n.Explain(ctx, nil, "", a.Subject, 7)
	kind(t, "another version", err, problem.NotFound)
	_, err = h.n.Explain(ctx, nil, "", h.Payload("XB").Subject, 0)
	kind(t, "unknown", err, problem.NotFound)
}

// TestBundles: they pass through.
func TestBundles(t *testing.T) {
	h := newHouse(t)
	c := h.client("XA")
	kind(t, "not a bundle", c.SubmitBundle(ctx, []byte("x")), problem.Malformed)
	h.hub.Do(func() {
		h.hub.Read = func(raw []byte) (hubapi.StoredBundle, error) {
			return hubapi.StoredBundle{Digest: federation.Digest(raw), Revision: 2}, nil
		}
	})
	must(t, c.SubmitBundle(ctx, []byte("bundle")))
	list, err := c.Bundles(ctx)
	if err != nil || len(list) != 1 || list[0].By != "XA" || list[0].Revision != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	if raw, err := c.Bundle(ctx, list[0].Digest); err != nil || string(raw) != "bundle" {
		t.Errorf("%q, %v", raw, err)
	}
	_, err = c.Bundle(ctx, nodetest.Scheme)
	kind(t, "unknown", err, problem.NotFound)
}

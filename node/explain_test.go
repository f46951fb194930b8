package node_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/store"
)

// explains has the hub answer about an alert of XA's.
func (h *house) explains(id alert.ID, answer hubapi.AudienceAnswer) {
	h.hub.Do(func() {
		h.hub.Own = func(_ alert.MemberID, asked string) bool { return asked == string(id) }
		h.hub.Explained = answer
	})
}

// TestLyingExplanation: vulnerability: who gets an alert of its own a member is told by
// the hub. Attack: a hub that speaks of other portions, members, agreements, rules or
// emergencies than there are. Guarantee: that is an error, and none of it is shown.
func TestLyingExplanation(t *testing.T) {
	h := newHouse(t)
	other, _ := h.State(federation.TypeAgreement, &federation.Agreement{ID: "labour-bc", Title: "Labour",
		Parties: []alert.MemberID{"XB", "XC"}, Categories: []alert.Category{"labour"}, MaxClassification: alert.Secret,
		PersonalData: alert.Personal, Purposes: []alert.Purpose{"labour-matching"}, RetentionDays: 30,
		ValidFrom: h.Start.Unix(), ValidUntil: h.Start.AddDate(1, 0, 0).Unix()}, 1, "", h.Root["XB"], h.Root["XC"])
	h.hub.Do(func() { h.hub.Statements = append(h.hub.Statements, other) })
	id := h.publish().ID
	held := hubapi.MemberDecisionHeld("all")
	text := "declared"
	for name, change := range map[string]func(*hubapi.AudienceAnswer, *hubapi.MemberDecision){
		"":                func(*hubapi.AudienceAnswer, *hubapi.MemberDecision) {},
		"rules":           func(a *hubapi.AudienceAnswer, _ *hubapi.MemberDecision) { a.Policy = "p" },
		"no portion":      func(a *hubapi.AudienceAnswer, _ *hubapi.MemberDecision) { a.Portions = a.Portions[:0] },
		"another portion": func(a *hubapi.AudienceAnswer, _ *hubapi.MemberDecision) { a.Portions[0].Portion = "other" },
		"a portion more": func(a *hubapi.AudienceAnswer, _ *hubapi.MemberDecision) {
			a.Portions = append(a.Portions, a.Portions[0])
		},
		"no member":                 func(_ *hubapi.AudienceAnswer, m *hubapi.MemberDecision) { m.Member = "XZ" },
		"itself":                    func(_ *hubapi.AudienceAnswer, m *hubapi.MemberDecision) { m.Member = "XA" },
		"a member twice":            func(_ *hubapi.AudienceAnswer, m *hubapi.MemberDecision) { m.Member = "XC" },
		"held as what is not known": func(_ *hubapi.AudienceAnswer, m *hubapi.MemberDecision) { m.Held = &held },
		"an unknown agreement":      func(_ *hubapi.AudienceAnswer, m *hubapi.MemberDecision) { (*m.Agreements)[0].Digest = "x" },
		"an agreement of others": func(_ *hubapi.AudienceAnswer, m *hubapi.MemberDecision) {
			(*m.Agreements)[0].Digest = digestOfStatement(t, other)
		},
		"an agreement twice": func(_ *hubapi.AudienceAnswer, m *hubapi.MemberDecision) {
			*m.Agreements = append(*m.Agreements, (*m.Agreements)[0])
		},
		"an unknown emergency": func(_ *hubapi.AudienceAnswer, m *hubapi.MemberDecision) { m.Emergency = &text },
	} {
		answer := hubapi.AudienceAnswer{Revision: "r", Policy: h.Policy, Portions: []hubapi.PortionAudience{{Portion: "main",
			Members: []hubapi.MemberDecision{
				{Member: "XB", Release: hubapi.MemberDecisionReleaseContent, Agreements: &[]hubapi.CitedAgreement{{Id: "smuggling-ab", Digest: h.Agreement, Title: "T", Version: 1}}},
				{Member: "XC", Release: hubapi.MemberDecisionReleaseNone}}}}}
		change(&answer, &answer.Portions[0].Members[0])
		h.explains(id, answer)
		e, err := h.n.Explain(ctx, nil, "", id, 0)
		if name == "" {
			if err != nil || e.Audience == nil {
				t.Errorf("%+v, %v", e, err)
			}
			continue
		}
		if problem.KindOf(err) != problem.Internal || !strings.Contains(err.Error(), "can not be true") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestExplainUnsent: of what the hub has not accepted it is said how its sending stands.
func TestExplainUnsent(t *testing.T) {
	h := newHouse(t)
	o := h.publish()
	says := func(want store.State) {
		t.Helper()
		e, err := h.n.Explain(ctx, nil, "", o.ID, 0)
		if err != nil || e.Outgoing == nil || e.Outgoing.State != want || e.Audience != nil {
			t.Errorf("%+v, %v", e, err)
		}
	}
	says(store.Queued)
	h.hub.Do(func() { h.hub.Down = true })
	says(store.Queued)
	h.hub.Do(func() {
		h.hub.Down = false
		h.hub.Refuse = func(string) error { return problem.New(problem.NotAdmitted, "no") }
	})
	must(t, h.n.OutboxStep(ctx))
	says(store.Refused)
	h.hub.Do(func() { h.hub.Refuse = nil })
	o = h.publish()
	must(t, h.n.OutboxStep(ctx))
	_, err := h.n.Explain(ctx, nil, "", o.ID, 0)
	kind(t, "accepted, and denied by the hub", err, problem.NotFound)
}

// TestOwnAffairs: vulnerability: a member's own alerts, and emergencies, have an audience
// that not all of its users may know. Attack: a user, or nobody, asks. Guarantee: where
// there is a directory they are the focal point's; to others there is nothing.
func TestOwnAffairs(t *testing.T) {
	h := guarded(t, &counter{ben: map[alert.PortionID]bool{"main": true}})
	p := h.Payload("XB")
	h.hub.Do(func() {
		first := digestOfStatement(t, h.Statements[0])
		h.hub.Statements = append(h.hub.Statements, h.RegistryWith(2, first, func(r *federation.Registry) {
			r.TaskForces = []federation.TaskForce{{ID: "tf-river", Name: "River", Lead: "XB"}}
		}, h.HubKey), h.DutyOfficers("XB"))
	})
	h.declare(p, func(*federation.Emergency) {})
	id := h.publish().ID
	h.explains(id, hubapi.AudienceAnswer{Revision: "r", Policy: h.Policy, Portions: []hubapi.PortionAudience{{Portion: "main", Members: []hubapi.MemberDecision{}}}})
	nobody := node.Reader{User: "nobody", Purpose: "investigation"}
	for name, c := range map[string]struct {
		reader      *node.Reader
		explain     problem.Kind
		list        problem.Kind
		emergencies int
	}{
		"the focal point":      {&ann, "", "", 1},
		"a user":               {&ben, problem.NotFound, "", 0},
		"who is not there":     {&nobody, problem.NotFound, "", 0},
		"nobody in particular": {nil, problem.Malformed, problem.Malformed, 0},
	} {
		_, err := h.n.Explain(ctx, c.reader, "", id, 1)
		kind(t, name, err, c.explain)
		_, unknown := h.n.Explain(ctx, c.reader, "", p.Subject, 1)
		if c.explain == problem.NotFound && err.Error() != unknown.Error() {
			t.Errorf("%s: %q and %q", name, err, unknown)
		}
		list, err := h.n.Emergencies(ctx, c.reader)
		kind(t, name, err, c.list)
		if len(list) != c.emergencies {
			t.Errorf("%s: %d emergencies", name, len(list))
		}
	}
}

// TestWithoutAgreement: content that is classified, or of persons, and rests on no
// agreement is refused; of what needs none it is said.
func TestWithoutAgreement(t *testing.T) {
	for name, c := range map[string]struct {
		level    alert.Classification
		personal alert.PersonalData
		taken    bool
	}{
		"public":     {alert.Unclassified, alert.NoPersonalData, true},
		"of persons": {alert.Unclassified, alert.Personal, false},
		"restricted": {alert.Restricted, alert.NoPersonalData, false},
	} {
		h := newHouse(t)
		l := nodetest.Label("federation")
		l.Classification, l.PersonalData = c.level, c.personal
		p := h.Payload("XB")
		token := h.IssueLabelled(p, l, 1, h.Node["XB"])
		d := h.Deliver(token, feed.Content)
		d.Releases[0].Agreements = nil
		d.Releases[0].Obligations.HoldUntil = time.Now().Add(time.Minute).Unix()
		h.hub.Hand("XA", d)
		err := h.n.FeedStep(ctx)
		if (err == nil) != c.taken || err != nil && !strings.Contains(err.Error(), "rests on no agreement") {
			t.Errorf("%s: %v", name, err)
		}
		if !c.taken {
			continue
		}
		e, err := h.n.Explain(ctx, nil, "XB", p.Subject, 1)
		if err != nil || !slices.Contains(e.Received[0].Why, "It rests on membership of the federation alone: no agreement was needed.") {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
}

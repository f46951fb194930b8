package cli

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/hub"
)

// The demo says that everything came out as it must. These tests hold its checks to
// that: each passes with what is right, and finds the fault when one value is false.

// flaw is one value falsified.
type flaw[T any] struct {
	name    string
	falsify func(T)
}

// bites runs a check on what is right, and on each flaw in something made afresh.
func bites[T any](t *testing.T, made func() T, check func(T) error, flaws []flaw[T]) {
	t.Helper()
	if err := check(made()); err != nil {
		t.Fatalf("what is right is refused: %v", err)
	}
	for _, f := range flaws {
		v := made()
		f.falsify(v)
		if err := check(v); !errors.Is(err, errDemo) {
			t.Errorf("%s: err = %v", f.name, err)
		}
	}
}

// expected returns XA's alert of the demo, decided as it must be.
func expected(t *testing.T) (*demo, *demoAlert) {
	t.Helper()
	d := &demo{spec: setup.Trial(), alerts: demoAlerts()}
	a := d.alerts[0]
	if err := a.compose(); err != nil {
		t.Fatal(err)
	}
	a.decided = new(nodeapi.AudienceAnswer)
	for _, p := range a.draft.Plan.Portions {
		decided := hubapi.PortionAudience{Portion: string(p.ID)}
		for _, m := range d.members() {
			if m == a.from {
				continue
			}
			words := strings.Fields(a.expect[string(p.ID)][m])
			got := hubapi.MemberDecision{Member: string(m), Release: hubapi.MemberDecisionRelease(words[0])}
			if rest := words[1:]; words[0] != string(feed.Content) {
				got.Codes = &rest
			} else {
				var cited []hubapi.CitedAgreement
				for _, id := range rest {
					cited = append(cited, hubapi.CitedAgreement{Id: id, Digest: "digest of " + id})
				}
				got.Agreements = &cited
			}
			decided.Members = append(decided.Members, got)
		}
		a.decided.Portions = append(a.decided.Portions, decided)
	}
	return d, a
}

// holding returns what a member must hold of an alert.
func holding(t *testing.T, a *demoAlert, m alert.MemberID) *nodeapi.ReceivedAlert {
	t.Helper()
	written, err := a.draft.Plan.Split(a.draft.Objects)
	if err != nil {
		t.Fatal(err)
	}
	out := new(nodeapi.ReceivedAlert)
	for _, w := range written {
		kind := a.want(string(w.ID), m)
		if kind == feed.None {
			continue
		}
		p := nodeapi.HeldPortion{Portion: string(w.ID), Release: nodeapi.HeldPortionRelease(kind)}
		if kind == feed.Content {
			objects, cited := slices.Clone(w.Content.Objects), a.cited(string(w.ID), m)
			p.Objects, p.Agreements = &objects, &cited
		}
		out.Portions = append(out.Portions, p)
	}
	return out
}

func TestDemoComparesDecisions(t *testing.T) {
	d, a := expected(t)
	made := func() *nodeapi.AudienceAnswer { _, a := expected(t); return a.decided }
	first := func(x *nodeapi.AudienceAnswer) *hubapi.MemberDecision { return &x.Portions[0].Members[0] }
	bites(t, made, func(x *nodeapi.AudienceAnswer) error { return a.compare(d.members(), x) }, []flaw[*nodeapi.AudienceAnswer]{
		{"release", func(x *nodeapi.AudienceAnswer) { first(x).Release = hubapi.MemberDecisionRelease(feed.None) }},
		{"agreement", func(x *nodeapi.AudienceAnswer) { (*first(x).Agreements)[0].Id = "another" }},
		{"no agreement", func(x *nodeapi.AudienceAnswer) { first(x).Agreements = nil }},
		{"reason", func(x *nodeapi.AudienceAnswer) { first(x).Codes = &[]string{"clearance"} }},
		{"member", func(x *nodeapi.AudienceAnswer) { first(x).Member = "XZ" }},
		{"a member less", func(x *nodeapi.AudienceAnswer) { x.Portions[0].Members = x.Portions[0].Members[1:] }},
		{"portion", func(x *nodeapi.AudienceAnswer) { x.Portions[0].Portion = "other" }},
		{"a portion less", func(x *nodeapi.AudienceAnswer) { x.Portions = x.Portions[1:] }},
		{"one member twice", func(x *nodeapi.AudienceAnswer) { x.Portions[0].Members[1] = x.Portions[0].Members[0] }},
		{"one portion twice", func(x *nodeapi.AudienceAnswer) { x.Portions[1] = x.Portions[0] }},
	})
}

func TestDemoChecksWhatIsHeld(t *testing.T) {
	_, a := expected(t)
	object := json.RawMessage(`{"type":"x-vehicle","id":"x-vehicle--f690c992-8e7d-4b9a-9303-3312616c0220"}`)
	for _, m := range []alert.MemberID{"XB", "XC", "XD"} {
		made := func() *nodeapi.ReceivedAlert { return holding(t, a, m) }
		bites(t, made, func(x *nodeapi.ReceivedAlert) error { return a.checkHeld(m, x) }, []flaw[*nodeapi.ReceivedAlert]{
			{"release", func(x *nodeapi.ReceivedAlert) { x.Portions[0].Release = nodeapi.HeldPortionRelease(feed.Existence) }},
			{"a portion less", func(x *nodeapi.ReceivedAlert) { x.Portions = x.Portions[1:] }},
			{"a portion that nobody wrote", func(x *nodeapi.ReceivedAlert) {
				x.Portions = append(x.Portions, nodeapi.HeldPortion{Portion: "other", Release: nodeapi.HeldPortionRelease(feed.Existence)})
			}},
			{"no objects", func(x *nodeapi.ReceivedAlert) { x.Portions[0].Objects = nil }},
			{"an object less", func(x *nodeapi.ReceivedAlert) { *x.Portions[0].Objects = (*x.Portions[0].Objects)[1:] }},
			{"object", func(x *nodeapi.ReceivedAlert) { (*x.Portions[0].Objects)[0] = object }},
			{"agreement", func(x *nodeapi.ReceivedAlert) { (*x.Portions[0].Agreements)[0] = "another" }},
			{"no agreement", func(x *nodeapi.ReceivedAlert) { x.Portions[0].Agreements = nil }},
		})
	}
	// XC may know that the phone exists, XD not even that there is a route.
	if err := a.checkHeld("XC", holding(t, a, "XB")); !errors.Is(err, errDemo) {
		t.Errorf("XC holds what is XB's: %v", err)
	}
	bites(t, func() *nodeapi.ReceivedAlert { return holding(t, a, "XD") }, func(x *nodeapi.ReceivedAlert) error { return a.checkHeld("XD", x) },
		[]flaw[*nodeapi.ReceivedAlert]{
			{"objects of what merely exists", func(x *nodeapi.ReceivedAlert) { x.Portions[1].Objects = &[]json.RawMessage{object} }},
			{"existence of what is none", func(x *nodeapi.ReceivedAlert) {
				x.Portions = append(x.Portions, nodeapi.HeldPortion{Portion: "route", Release: nodeapi.HeldPortionRelease(feed.Existence)})
			}},
		})
}

func TestDemoHearsWhatShouldBeSilent(t *testing.T) {
	_, a := expected(t)
	written, err := a.draft.Plan.Split(a.draft.Objects)
	if err != nil {
		t.Fatal(err)
	}
	made := func() *string { s := `["salt",{"id":"summary"}]`; return &s }
	var flaws []flaw[*string]
	for _, p := range written {
		if a.want(string(p.ID), "XD") != feed.None {
			continue
		}
		flaws = append(flaws, flaw[*string]{"id of " + string(p.ID), func(s *string) { *s += `{"id":"` + string(p.ID) + `"}` }})
		for _, o := range p.Content.Objects {
			ref, err := alert.ParseObjectRef(o)
			if err != nil {
				t.Fatal(err)
			}
			flaws = append(flaws, flaw[*string]{ref.ID, func(s *string) { *s += `{"object_refs":["` + ref.ID + `"]}` }})
		}
	}
	if len(flaws) < 5 {
		t.Fatalf("only %d names must not be read by XD", len(flaws))
	}
	bites(t, made, func(s *string) error { return a.silent("XD", *s) }, flaws)
}

func TestDemoNoticesAnAttackThatGetsIn(t *testing.T) {
	a := attack{"mallory tries", "XA", func(context.Context) (string, error) { return "token", nil }, problem.BadSignature}
	made := func() *error { err := error(problem.New(problem.BadSignature, "no")); return &err }
	bites(t, made, func(answer *error) error {
		return a.try(t.Context(), func(_ context.Context, token string) error {
			if token != "token" {
				t.Errorf("%q was sent", token)
			}
			return *answer
		})
	}, []flaw[*error]{
		{"let in", func(answer *error) { *answer = nil }},
		{"another refusal", func(answer *error) { *answer = problem.New(problem.WrongMember, "no") }},
		{"no answer", func(answer *error) { *answer = problem.New(problem.Unavailable, "no") }},
		{"not a problem", func(answer *error) { *answer = errors.New("connection reset") }},
	})
	a.sent = func(context.Context) (string, error) { return "", errors.New("no key") }
	if err := a.try(t.Context(), func(context.Context, string) error { return problem.New(problem.BadSignature, "no") }); err == nil {
		t.Error("an attack that was never made passes for one that was refused")
	}
}

func TestDemoCountsTheLog(t *testing.T) {
	d := &demo{alerts: demoAlerts(), refused: 3}
	releases := int64(0)
	for _, a := range d.alerts {
		a.received = map[alert.MemberID]*nodeapi.ReceivedAlert{"1": nil, "2": nil, "3": nil}
		releases += 3
	}
	made := func() hub.LogReport {
		return hub.LogReport{Entries: map[audit.Kind]int64{audit.Release: releases, audit.Refusal: 3, audit.Admission: int64(len(d.alerts))}}
	}
	var flaws []flaw[hub.LogReport]
	for _, k := range []audit.Kind{audit.Release, audit.Refusal, audit.Admission} {
		flaws = append(flaws,
			flaw[hub.LogReport]{"one more " + string(k), func(r hub.LogReport) { r.Entries[k]++ }},
			flaw[hub.LogReport]{"one less " + string(k), func(r hub.LogReport) { r.Entries[k]-- }},
			flaw[hub.LogReport]{"no " + string(k), func(r hub.LogReport) { delete(r.Entries, k) }})
	}
	bites(t, made, d.checkCounts, flaws)
}

func TestDemoChecksTheSuspension(t *testing.T) {
	made := func() *[]nodeapi.Agreement {
		return &[]nodeapi.Agreement{{Id: "a", State: nodeapi.Suspended, SuspendedBy: &[]nodeapi.SuspendedBy{{Party: "XB"}}}}
	}
	bites(t, made, func(all *[]nodeapi.Agreement) error { return restsByXB(*all, "XB", "a") }, []flaw[*[]nodeapi.Agreement]{
		{"in force", func(all *[]nodeapi.Agreement) { (*all)[0].State = nodeapi.InForce }},
		{"by nobody", func(all *[]nodeapi.Agreement) { (*all)[0].SuspendedBy = nil }},
		{"by another", func(all *[]nodeapi.Agreement) { (*(*all)[0].SuspendedBy)[0].Party = "XA" }},
		{"another agreement", func(all *[]nodeapi.Agreement) { (*all)[0].Id = "b" }},
		{"none", func(all *[]nodeapi.Agreement) { *all = nil }},
	})
}

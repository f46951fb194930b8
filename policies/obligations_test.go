package policies

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
)

func TestRelease(t *testing.T) {
	const day, iat = int64(secondsPerDay), int64(1_800_000_000) // 2027-01-15 08:00 UTC
	both := []string{"digest-a", "digest-b"}
	content := func(agreements []string, until int64, onward bool, purposes ...alert.Purpose) feed.Release {
		return feed.Release{Portion: "p1", Kind: feed.Content, Agreements: agreements,
			Obligations: &feed.Obligations{Purposes: purposes, HoldUntil: until, Onward: onward}}
	}
	for _, c := range []struct {
		name   string
		member alert.MemberID
		change func(*alert.Label)
		want   feed.Release
	}{
		{"two agreements, the strictest counts", "XB", func(*alert.Label) {},
			content(both, iat+10*day, false, "investigation", "prevention", "risk-analysis")},
		{"one agreement", "XC", func(*alert.Label) {},
			content([]string{"digest-b"}, iat+20*day, true, "investigation", "prevention")},
		{"retention ends first", "XC", func(l *alert.Label) { l.Retention = "2027-01-16" },
			content([]string{"digest-b"}, 1_800_144_000, true, "investigation", "prevention")},
		{"only the purposes in which every category is covered", "XB", func(l *alert.Label) {
			l.Categories = []alert.Category{"smuggling", "trafficking"}
		}, content(both, iat+10*day, false, "prevention", "risk-analysis")},
		{"an agreement below the level is not cited", "XB", func(l *alert.Label) { l.Classification = alert.Secret },
			content([]string{"digest-b"}, iat+20*day, true, "investigation", "prevention")},
		{"H2 stays with the recipient", "XC", func(l *alert.Label) { l.Handling = []alert.Handling{"H2"} },
			feed.Release{Portion: "p1", Kind: feed.Content, Agreements: []string{"digest-b"}, Obligations: &feed.Obligations{
				Purposes: []alert.Purpose{"investigation", "prevention"}, HoldUntil: iat + 20*day, Handling: []alert.Handling{"H2"}}}},
		{"so does AMBER+STRICT", "XC", func(l *alert.Label) { l.TLP = alert.AmberStrict },
			content([]string{"digest-b"}, iat+20*day, false, "investigation", "prevention")},
		{"and RED", "XC", func(l *alert.Label) { l.TLP = alert.Red },
			content([]string{"digest-b"}, iat+20*day, false, "investigation", "prevention")},
		{"existence binds to nothing", "XC", func(l *alert.Label) {
			l.Compartments, l.DiscoverableTo = []alert.TaskForceID{"tf-one"}, []alert.Audience{"XC"}
		}, feed.Release{Portion: "p1", Kind: feed.Existence}},
		{"none", "XD", func(*alert.Label) {}, feed.Release{Portion: "p1", Kind: feed.None}},
		{"membership suffices", "XB", func(l *alert.Label) {
			l.Classification, l.TLP, l.Categories = alert.Unclassified, alert.Green, []alert.Category{"labour"}
		}, content(nil, iat+100*day, true, "investigation", "prevention", "risk-analysis")},
		{"a date that is none", "XB", func(l *alert.Label) { l.Retention = "soon" }, feed.Release{Portion: "p1", Kind: feed.None}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := mustWorld(t, mustLoad(t), fixedWorld())
			q := fixedQuery()
			c.change(&q.Label)
			a, err := w.Decide(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			got := w.Release(a, c.member, "p1", q, iat, iat+100*day)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReleaseUnderOriginatorControlStays(t *testing.T) {
	fw := fixedWorld()
	q := fixedQuery()
	q.Label.OriginatorControl = true
	fw.Consents[federation.ConsentKey{Originator: "XA", Alert: q.Alert}] = consentOf("XA", q.Alert, "XC")
	w := mustWorld(t, mustLoad(t), fw)
	a, err := w.Decide(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if r := w.Release(a, "XC", "p1", q, 1, 2); r.Kind != feed.Content || r.Obligations.Onward {
		t.Errorf("%+v", r)
	}
	if r := w.Release(a, "XB", "p1", q, 1, 2); r.Kind != feed.None {
		t.Errorf("%+v", r)
	}
}

func TestReleaseTakesNoAudienceOfAnotherWorld(t *testing.T) {
	e := mustLoad(t)
	w, other := mustWorld(t, e, fixedWorld()), mustWorld(t, e, fixedWorld())
	a, err := other.Decide(t.Context(), fixedQuery())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []*Audience{a, nil} {
		if r := w.Release(a, "XB", "p1", fixedQuery(), 1, 2); r.Kind != feed.None || r.Obligations != nil {
			t.Errorf("%+v", r)
		}
	}
}

// TestReleaseGrantsNoPurposeThatNoAgreementHas: rules that were brought may let
// through what no agreement covers; it is released all the same to nobody.
func TestReleaseGrantsNoPurposeThatNoAgreementHas(t *testing.T) {
	modules := Embedded()
	const file = "release/agreement/agreement.rego"
	modules[file] = replaceOnce(t, modules[file], "if membership_suffices", "if input.label.originator_control == false")
	e, err := Compile(modules)
	if err != nil {
		t.Fatal(err)
	}
	w := mustWorld(t, e, fixedWorld())
	for name, change := range map[string]func(*alert.Label){
		"no agreement on the category": func(l *alert.Label) { l.Categories = []alert.Category{"labour"} },
		"on no purpose for each category": func(l *alert.Label) {
			l.Categories, l.Purposes = []alert.Category{"smuggling", "trafficking"}, []alert.Purpose{"investigation"}
		},
		"unclassified, with personal data": func(l *alert.Label) {
			l.Classification, l.PersonalData, l.Categories = alert.Unclassified, alert.Personal, []alert.Category{"labour"}
		},
	} {
		q := fixedQuery()
		change(&q.Label)
		a := decided(t, w, q)
		if a.Of("XB") != feed.Content {
			t.Fatalf("%s: the rules say %s", name, a.Of("XB"))
		}
		if diff := cmp.Diff(feed.Release{Portion: "p1", Kind: feed.None}, w.Release(a, "XB", "p1", q, 1, 2)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

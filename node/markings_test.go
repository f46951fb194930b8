package node_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/trust"
)

const (
	schemeXA = "urn:entente:policy:xa:1"
	schemeXB = "urn:entente:policy:xb:1"
	schemeEU = "urn:entente:policy:eu:1"
)

// levels is a scheme with names for the levels from unclassified on; "" leaves one
// out, and a second name is separated by a stroke.
func levels(urn string, names ...string) federation.Scheme {
	s := federation.Scheme{URN: urn, Title: "Markings"}
	for i, n := range names {
		if n != "" {
			s.Levels = append(s.Levels, federation.SchemeLevel{Level: alert.Unclassified + alert.Classification(i), Names: strings.Split(n, "|")})
		}
	}
	return s
}

// marked gives XA and XB schemes of their own; XC has none.
func marked(r *federation.Registry) {
	r.Schemes = append(r.Schemes,
		levels(schemeXA, "OFFEN", "XA-NUR FÜR DEN DIENSTGEBRAUCH|XA-NfD", "XA-VERTRAULICH", "XA-GEHEIM", "XA-STRENG GEHEIM"),
		levels(schemeXB, "NON PROTÉGÉ", "DIFFUSION RESTREINTE XB", "CONFIDENTIEL XB", "SECRET XB"),
		levels(schemeEU, "", "RESTREINT UE/EU RESTRICTED|R-UE/EU-R", "CONFIDENTIEL UE/EU CONFIDENTIAL", "SECRET UE/EU SECRET", "TRÈS SECRET UE/EU TOP SECRET"))
	r.Members[0].Scheme, r.Members[1].Scheme = schemeXA, schemeXB
}

// translated is a house whose federation has those schemes; XA's is changed by
// change.
func translated(t *testing.T, change func(*federation.Registry)) *house {
	t.Helper()
	h := newHouse(t)
	registry := h.RegistryWith(2, digestOfStatement(t, h.Statements[0]), func(r *federation.Registry) {
		marked(r)
		if change != nil {
			change(r)
		}
	}, h.HubKey)
	h.hub.Do(func() { h.hub.Statements = append(h.hub.Statements, registry) })
	must(t, h.n.StatementsStep(ctx))
	return h
}

func draft(change func(*alert.Label)) node.Draft {
	p := nodetest.Plan()
	change(&p.Portions[0].Label)
	return node.Draft{Objects: objects(1), Plan: p}
}

// TestMarkedDraft: a level may be given by its name, in a scheme or in the member's
// own; the alert that is signed says level, scheme and name.
func TestMarkedDraft(t *testing.T) {
	h := translated(t, nil)
	for name, c := range map[string]struct {
		policy, as string
		level      alert.Classification
		want       string // of the label: policy, level, name
		refused    string
	}{
		"named":                {schemeXA, "XA-GEHEIM", 0, schemeXA + " secret XA-GEHEIM", ""},
		"own scheme":           {"", "XA-GEHEIM", 0, schemeXA + " secret XA-GEHEIM", ""},
		"second name":          {"", "XA-NfD", 0, schemeXA + " restricted XA-NfD", ""},
		"another's scheme":     {schemeXB, "SECRET XB", 0, schemeXB + " secret SECRET XB", ""},
		"both":                 {schemeXA, "XA-GEHEIM", alert.Secret, schemeXA + " secret XA-GEHEIM", ""},
		"level alone":          {schemeXA, "", alert.Secret, schemeXA + " secret ", ""},
		"level, own scheme":    {"", "", alert.Secret, schemeXA + " secret ", ""},
		"contradiction":        {schemeXA, "XA-GEHEIM", alert.Restricted, "", "stands for secret"},
		"contradiction upward": {schemeXA, "XA-NfD", alert.Secret, "", "stands for restricted"},
		"unmapped":             {schemeXA, "GEHEIM", 0, "", "no level of urn:entente:policy:xa:1, whose levels are: OFFEN"},
		"other case":           {schemeXA, "xa-geheim", 0, "", "no level of"},
		"of another scheme":    {schemeXA, "SECRET XB", 0, "", "no level of"},
		"unmapped, with level": {schemeXA, "GEHEIM", alert.Secret, "", "no level of"},
		"unknown scheme":       {"urn:entente:policy:xz:1", "XA-GEHEIM", 0, "", "no marking scheme"},
		"neither":              {schemeXA, "", 0, "", "classification is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			d := draft(func(l *alert.Label) { l.Policy, l.MarkedAs, l.Classification = c.policy, c.as, c.level })
			before, err := h.n.Outbox(ctx, 100)
			must(t, err)
			o, err := h.n.Publish(ctx, d)
			_, previewErr := h.n.Preview(ctx, d)
			if l := d.Plan.Portions[0].Label; l.Policy != c.policy || l.Classification != c.level {
				t.Error("the draft was changed")
			}
			if c.refused != "" {
				for _, err := range []error{err, previewErr} {
					if problem.KindOf(err) != problem.Malformed || !strings.Contains(err.Error(), c.refused) || !strings.Contains(err.Error(), "main") {
						t.Errorf("%v, want %q", err, c.refused)
					}
				}
				if after, err := h.n.Outbox(ctx, 100); err != nil || len(after) != len(before) {
					t.Errorf("stored: %v", err)
				}
				return
			}
			must(t, err)
			must(t, previewErr)
			portions, err := trust.ReadPortions(o.Token)
			must(t, err)
			l := portions[0].Label
			if got := fmt.Sprintf("%s %s %s", l.Policy, l.Classification, l.MarkedAs); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestMarkedWithoutScheme: a member without a scheme of its own says which it marks in.
func TestMarkedWithoutScheme(t *testing.T) {
	h := translated(t, func(r *federation.Registry) { r.Members[0].Scheme = "" })
	for _, c := range []struct{ policy, as string }{{"", "XA-GEHEIM"}, {"", ""}} {
		_, err := h.n.Publish(ctx, draft(func(l *alert.Label) { l.Policy, l.MarkedAs = c.policy, c.as }))
		if problem.KindOf(err) != problem.Malformed || !strings.Contains(err.Error(), "names no policy") {
			t.Error(err)
		}
	}
	_, err := h.n.Publish(ctx, draft(func(l *alert.Label) { l.Policy, l.MarkedAs, l.Classification = schemeXA, "XA-GEHEIM", 0 }))
	must(t, err)
}

// TestMarkedWithoutRegistry: what can not be resolved yet is not signed.
func TestMarkedWithoutRegistry(t *testing.T) {
	h := translated(t, nil)
	h.path += "2"
	h.open(nil)
	d := draft(func(l *alert.Label) { l.Policy, l.MarkedAs, l.Classification = "", "XA-GEHEIM", 0 })
	h.hub.Do(func() { h.hub.Down = true })
	if _, err := h.n.Publish(ctx, d); problem.KindOf(err) != problem.Unavailable {
		t.Error(err)
	}
	h.hub.Do(func() { h.hub.Down = false })
	_, err := h.n.Publish(ctx, d) // looks for the statements itself
	must(t, err)
}

// TestMarkingShown: content is shown at the level's name in the reader's scheme with
// the originator's beside it; where there is no such name, the federation's is shown
// and said to be without equivalent.
func TestMarkingShown(t *testing.T) {
	const xaOwn = schemeXB // what XA reads here
	as := func(urn string) func(*federation.Registry) {
		return func(r *federation.Registry) { r.Members[0].Scheme = urn }
	}
	for name, c := range map[string]struct {
		reads  string
		label  func(*alert.Label)
		want   node.ShownLevel
		banner string
	}{
		"translated": {xaOwn, func(l *alert.Label) {
			l.Policy, l.Classification, l.MarkedAs = schemeEU, alert.Secret, "SECRET UE/EU SECRET"
		},
			node.ShownLevel{Name: "SECRET XB", Scheme: schemeXB, Equivalent: true, MarkedAs: "SECRET UE/EU SECRET", MarkedIn: schemeEU}, "SECRET XB"},
		"only a level": {xaOwn, func(l *alert.Label) { l.Policy, l.Classification = schemeEU, alert.Restricted },
			node.ShownLevel{Name: "DIFFUSION RESTREINTE XB", Scheme: schemeXB, Equivalent: true, MarkedAs: "restricted", MarkedIn: schemeEU}, "DIFFUSION RESTREINTE XB"},
		"without equivalent": {xaOwn, func(l *alert.Label) {
			l.Policy, l.Classification, l.MarkedAs = schemeXA, alert.TopSecret, "XA-STRENG GEHEIM"
		}, node.ShownLevel{Name: "top-secret", Scheme: schemeXB, MarkedAs: "XA-STRENG GEHEIM", MarkedIn: schemeXA},
			"TOP-SECRET (WITHOUT EQUIVALENT IN " + schemeXB + ")"},
		"no scheme": {"", func(l *alert.Label) { l.Policy, l.Classification, l.MarkedAs = schemeXB, alert.Secret, "SECRET XB" },
			node.ShownLevel{Name: "secret", Equivalent: true, MarkedAs: "SECRET XB", MarkedIn: schemeXB}, "SECRET"},
		"own scheme, second name": {schemeXA, func(l *alert.Label) { l.Policy, l.Classification, l.MarkedAs = schemeXA, alert.Restricted, "XA-NfD" },
			node.ShownLevel{Name: "XA-NUR FÜR DEN DIENSTGEBRAUCH", Scheme: schemeXA, Equivalent: true, MarkedAs: "XA-NfD", MarkedIn: schemeXA}, "XA-NUR FÜR DEN DIENSTGEBRAUCH"},
	} {
		t.Run(name, func(t *testing.T) {
			h := translated(t, as(c.reads))
			l := nodetest.Label("federation")
			c.label(&l)
			h.hub.Hand("XA", h.Deliver(h.IssueLabelled(h.Payload("XB"), l, 2, h.Node["XB"]), feed.Content, feed.Existence))
			must(t, h.n.FeedStep(ctx))
			list, err := h.n.Inbox(ctx, 0, 1)
			must(t, err)
			if d := cmp.Diff(&c.want, list[0].Held["p0"].Level); d != "" {
				t.Error(d)
			}
			if list[0].Held["p1"].Level != nil {
				t.Error("a level is told of a portion whose label is not held")
			}
			if list[0].Banner != c.banner+" // TLP:AMBER" {
				t.Error(list[0].Banner)
			}
		})
	}
}

// randomScheme names some of the levels, with one name or more.
func randomScheme(rng *rand.Rand, urn string) federation.Scheme {
	s := federation.Scheme{URN: urn, Title: "Markings"}
	for level := alert.Unclassified; level <= alert.TopSecret; level++ {
		if rng.IntN(4) == 0 {
			continue
		}
		l := federation.SchemeLevel{Level: level}
		for i := range 1 + rng.IntN(3) {
			l.Names = append(l.Names, fmt.Sprintf("%s LEVEL %d-%d", urn[len(urn)-3:], rng.IntN(1e6), int(level)*10+i))
		}
		s.Levels = append(s.Levels, l)
	}
	return s
}

// TestEquivalence: whatever scheme a level is written in, it is the level that the
// scheme says; a reader's name for it stands for the same level in the reader's
// scheme; and who is cleared for the one is cleared for the other. What a scheme has
// no name for is neither dropped nor guessed.
func TestEquivalence(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		r := &federation.Registry{Members: []federation.Member{{ID: "XA"}}}
		for i := range 4 {
			r.Schemes = append(r.Schemes, randomScheme(rng, fmt.Sprintf("urn:x:%c:1", 'a'+i)))
		}
		for _, theirs := range r.Schemes {
			for _, written := range theirs.Levels {
				for _, name := range written.Names {
					l := nodetest.Label("federation")
					l.Policy, l.MarkedAs, l.Classification = theirs.URN, name, 0
					must(t, node.ResolveMarking(r, "XA", &l))
					if l.Classification != written.Level || l.MarkedAs != name || l.Policy != theirs.URN {
						t.Fatalf("%q of %s was read as %+v", name, theirs.URN, l)
					}
					for i := range r.Schemes {
						checkShown(t, r, &r.Schemes[i], l)
					}
					checkShown(t, r, nil, l)
				}
			}
		}
	}
}

// checkShown holds how a label is shown to a reader of a scheme to its level.
func checkShown(t *testing.T, r *federation.Registry, own *federation.Scheme, l alert.Label) {
	t.Helper()
	i := slices.IndexFunc(r.Schemes, func(s federation.Scheme) bool { return s.URN == l.Policy })
	shown := node.ShowLevel(own, &r.Schemes[i], l)
	if shown.MarkingUnknown || shown.MarkedAs != l.MarkedAs || shown.MarkedIn != l.Policy || shown.Name == "" {
		t.Fatalf("%+v", shown)
	}
	if own == nil || own.Name(l.Classification) == "" {
		if shown.Name != l.Classification.String() || shown.Equivalent != (own == nil) {
			t.Fatalf("%+v", shown)
		}
		return
	}
	back := nodetest.Label("federation")
	back.Policy, back.MarkedAs, back.Classification = own.URN, shown.Name, 0
	must(t, node.ResolveMarking(r, "XA", &back))
	if back.Classification != l.Classification || !shown.Equivalent || shown.Scheme != own.URN {
		t.Fatalf("%s is shown as %+v, which is %s", l.Classification, shown, back.Classification)
	}
	for ceiling := alert.Classification(0); ceiling <= alert.TopSecret; ceiling++ {
		c := alert.Clearance{Ceiling: ceiling}
		if c.Dominates(l) != c.Dominates(back) {
			t.Fatalf("%s dominates %+v otherwise than %+v", ceiling, l, back)
		}
	}
}

// TestUnknownMarking: vulnerability: what a level is marked as is only a name. Attack: a
// label of one level that is marked with the name of another, or with one that is made
// up. Guarantee: the reader is shown the level, and told that the name is not one of it.
func TestUnknownMarking(t *testing.T) {
	plain := federation.PlainScheme(nodetest.Scheme, "plain")
	other := federation.PlainScheme("urn:entente:policy:other:1", "other")
	l := nodetest.Label("federation")
	right := plain.Name(alert.Restricted)
	for name, c := range map[string]struct {
		markedAs string
		theirs   *federation.Scheme
		unknown  bool
	}{
		"the right one":    {right, &plain, false},
		"none":             {"", nil, false},
		"of another level": {plain.Name(alert.Secret), &plain, true},
		"made up":          {"COSMIC", &plain, true},
		"of no scheme":     {right, nil, true},
		"of another's":     {right, &other, true},
	} {
		l.MarkedAs = c.markedAs
		shown := node.ShowLevel(&plain, c.theirs, l)
		want := l.Classification.String()
		if !c.unknown && c.markedAs != "" {
			want = c.markedAs
		}
		if shown.MarkingUnknown != c.unknown || shown.MarkedAs != want || shown.Name != right {
			t.Errorf("%s: %+v", name, shown)
		}
	}
}

// TestBannerOfMixed: see alert.Marking.ShownTLP.
func TestBannerOfMixed(t *testing.T) {
	clear := alert.Label{Classification: alert.Unclassified, TLP: alert.Clear, PersonalData: alert.NoPersonalData}
	secret := alert.Label{Classification: alert.Secret, PersonalData: alert.NoPersonalData, OriginatorControl: true}
	for want, m := range map[string]alert.Marking{
		"UNCLASSIFIED // TLP:CLEAR": clear.Marking(),
		"SECRET // ORCON":           clear.Marking().Join(secret.Marking()),
	} {
		if got := node.Banner(nil, m); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

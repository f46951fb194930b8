package node_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/policies"
)

var feedbackSeed = flag.Uint64("feedback-seed", 1, "seed of random labels; 0 takes one from the clock")

const (
	xo = alert.MemberID("XO") // whose alert it is
	xa = alert.MemberID("XA") // who gives feedback
)

// labelGen makes labels and worlds in which most rules bite.
type labelGen struct{ *rand.Rand }

func newLabelGen(t *testing.T) labelGen {
	seed := *feedbackSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with -feedback-seed %d", seed)
	return labelGen{rand.New(rand.NewPCG(seed, 1))}
}

func (g labelGen) chance(percent int) bool { return g.IntN(100) < percent }

func someOf[T any](g labelGen, least int, list ...T) []T {
	var out []T
	for i, v := range list {
		if g.chance(50) || len(out)+len(list)-i <= least {
			out = append(out, v)
		}
	}
	return out
}

var labelSources = []alert.ID{"01954c7e-8f5e-7d3a-9c1b-0000000000b1", "01954c7e-8f5e-7d3a-9c1b-0000000000b2"}

func (g labelGen) label(t *testing.T) alert.Label {
	t.Helper()
	l := alert.Label{Policy: nodetest.Scheme, Classification: alert.Classification(1 + g.IntN(4)), TLP: alert.TLP(g.IntN(6)),
		Compartments: someOf(g, 0, alert.TaskForceID("tf-one"), "tf-two"),
		Categories:   someOf(g, 1, alert.Category("smuggling"), "visa"), Purposes: someOf(g, 1, alert.Purpose("investigation"), "prevention"),
		PersonalData: alert.PersonalData(1 + g.IntN(3)), Handling: someOf(g, 0, alert.Handling("H0"), "H1", "H2", "H3"),
		OriginatorControl: g.chance(20)}
	if slices.Contains(l.Handling, "H3") {
		l.HandlingText = fmt.Sprintf("ask %d", g.IntN(3))
	}
	if g.chance(50) {
		l.Retention = alert.Date(fmt.Sprintf("20%02d-0%d-11", 30+g.IntN(5), 1+g.IntN(9)))
	}
	if g.chance(20) {
		l.DerivedFrom = someOf(g, 1, labelSources...)
	}
	must(t, l.Normalize())
	return l
}

func (g labelGen) portions(t *testing.T) []alert.Portion {
	t.Helper()
	var list []alert.Portion
	for i := range 1 + g.IntN(3) {
		p := alert.Portion{ID: alert.PortionID(fmt.Sprintf("p%d", i)), Notice: "smuggling"}
		if g.chance(85) {
			l := g.label(t)
			p.Label = &l
		}
		list = append(list, p)
	}
	return list
}

// world is one in which XA, XO, XB and XC have agreements, clearances and consents by
// chance.
func (g labelGen) world() *federation.World {
	all := []alert.MemberID{"XA", "XB", "XC", "XO"}
	w := &federation.World{Revision: "r", At: time.Unix(1_900_000_000, 0), Members: make(map[alert.MemberID]federation.Member),
		Communities: map[alert.CommunityID][]alert.MemberID{alert.Federation: all}, TaskForces: map[alert.TaskForceID][]alert.MemberID{
			"tf-one": someOf(g, 2, all...), "tf-two": someOf(g, 1, all...)},
		Consents: make(map[federation.ConsentKey]federation.Consent), Schemes: []federation.Scheme{federation.PlainScheme(nodetest.Scheme, "plain")},
		Rules: federation.Rules{MaxRetentionDays: 9999}}
	for _, list := range w.TaskForces {
		slices.Sort(list)
	}
	for i, m := range all {
		w.Members[m] = federation.Member{ID: m, Ceiling: alert.Classification(3 + g.IntN(2))}
		for _, o := range all[:i] {
			if g.chance(90) {
				w.Agreements = append(w.Agreements, federation.InForce{Digest: string(m + o), Agreement: federation.Agreement{
					ID: federation.AgreementID(strings.ToLower(string(m + o))), Parties: []alert.MemberID{o, m},
					Categories: someOf(g, 1, alert.Category("smuggling"), "visa"), MaxClassification: alert.Classification(3 + g.IntN(2)),
					PersonalData: alert.PersonalData(2 + g.IntN(2)), Purposes: someOf(g, 1, alert.Purpose("investigation"), "prevention"), RetentionDays: 9}})
			}
		}
	}
	for _, id := range append([]alert.ID{feedbackAlert}, labelSources...) {
		if g.chance(60) {
			w.Consents[federation.ConsentKey{Originator: xo, Alert: id}] = federation.Consent{Originator: xo, Alert: id,
				Recipients: someOf(g, 1, alert.Audience("XA"), "XB", "XC")}
		}
	}
	return w
}

const (
	feedbackAlert = alert.ID("01954c7e-8f5e-7d3a-9c1b-0000000000a1") // that it is about
	feedbackID    = alert.ID("01954c7e-8f5e-7d3a-9c1b-0000000000a2") // its own
)

// TestDefaultLabelIsNeverLessRestrictive holds the label that feedback gets to each
// portion held, by the laws of the lattice and by asking the rules of release themselves:
// whoever gets the feedback would get the portion from its own originator, or is that.
func TestDefaultLabelIsNeverLessRestrictive(t *testing.T) {
	g := newLabelGen(t)
	engine, err := policies.Load()
	must(t, err)
	registry := &federation.Registry{Schemes: []federation.Scheme{federation.PlainScheme(nodetest.Scheme, "plain")}}
	released, third, refused := 0, 0, 0
	for range 150 {
		w, err := engine.World(g.world())
		must(t, err)
		for range 8 {
			portions, m := g.portions(t), []alert.MemberID{"XB", "XC", xo}[g.IntN(3)]
			l, err := node.DefaultLabel(registry, xa, alert.Reference{Originator: xo, Alert: feedbackAlert}, portions, false, m)
			if err != nil {
				if !strings.Contains(err.Error(), "purpose") {
					t.Fatal(err)
				}
				refused++
				continue
			}
			must(t, l.Normalize())
			if !slices.Equal(l.ReleasableTo, []alert.Audience{alert.Audience(m)}) || l.DiscoverableTo != nil {
				t.Fatalf("%+v", l)
			}
			sources := map[alert.ID]alert.MemberID{feedbackAlert: xo, labelSources[0]: xo, labelSources[1]: xo}
			ask := func(of alert.MemberID, l alert.Label) feed.Kind {
				a, err := w.Decide(ctx, policies.Query{Originator: of, Label: l, Alert: feedbackID, Sources: sources})
				must(t, err)
				return a.Of(m)
			}
			got := ask(xa, l)
			for _, p := range portions {
				if p.Label == nil {
					if l.Classification < alert.Restricted || !slices.Contains(l.Categories, "smuggling") {
						t.Fatalf("less than is guessed of a hit: %+v", l)
					}
					continue
				}
				dominates(t, l, *p.Label)
				if got != feed.Content {
					continue
				}
				as := *p.Label
				as.ReleasableTo = l.ReleasableTo
				if m == xo { // it knows what it said itself, and from whom it had it
					as.OriginatorControl, as.DerivedFrom = false, nil
				} else {
					third++
				}
				// The agreements are those of the one who speaks, the consents those of the originator.
				if k := ask(xa, withoutControl(as)); k != feed.Content {
					t.Fatalf("%s gets the feedback, and would get %s of the portion\n%+v\n%+v", m, k, l, as)
				}
				if as.OriginatorControl && !slices.Contains(l.DerivedFrom, feedbackAlert) {
					t.Fatalf("%s gets what is under originator control without consent: %+v", m, l)
				}
				released++
			}
		}
	}
	t.Logf("%d releases compared, %d of them to others than the originator; %d without a purpose in common", released, third, refused)
	if released < 50 || third < 10 || refused < 50 {
		t.Error("the test has no bite")
	}
}

// withoutControl leaves of originator control what another who speaks of it is held to.
func withoutControl(l alert.Label) alert.Label {
	if l.OriginatorControl {
		l.OriginatorControl = false
		l.DerivedFrom = append(slices.Clone(l.DerivedFrom), feedbackAlert)
	}
	return l
}

// dominates holds one label to another by the laws of the lattice.
func dominates(t *testing.T, l, portion alert.Label) {
	t.Helper()
	holds := map[string]bool{
		"level and compartments": alert.Clearance{Ceiling: l.Classification, Compartments: l.Compartments}.Dominates(portion),
		"personal data":          l.PersonalData.Covers(portion.PersonalData),
		"categories":             contains(l.Categories, portion.Categories),
		"purposes":               contains(portion.Purposes, l.Purposes),
		"handling":               contains(l.Handling, portion.Handling) && strings.Contains(l.HandlingText, portion.HandlingText),
		"retention":              portion.Retention == "" || l.Retention != "" && l.Retention <= portion.Retention,
		"TLP":                    portion.TLP <= alert.Green || l.TLP >= portion.TLP,
		"banner":                 portion.Marking().Join(l.Marking()).Classification == l.Classification,
	}
	for law, ok := range holds {
		if !ok {
			t.Fatalf("%s: the feedback is less restrictive\n%+v\n%+v", law, l, portion)
		}
	}
}

func contains[T comparable](all, some []T) bool {
	return !slices.ContainsFunc(some, func(v T) bool { return !slices.Contains(all, v) })
}

func TestSourcesOfFeedback(t *testing.T) {
	registry := &federation.Registry{Schemes: []federation.Scheme{federation.PlainScheme(nodetest.Scheme, "plain")}}
	plain, control, derived := nodetest.Label(), nodetest.Label(), nodetest.Label()
	control.OriginatorControl = true
	derived.DerivedFrom = labelSources[:1]
	re := alert.Reference{Originator: xo, Alert: feedbackAlert}
	for name, c := range map[string]struct {
		label alert.Label
		kept  bool
		to    []alert.MemberID
		want  []alert.ID
	}{
		"to the originator":                {control, true, []alert.MemberID{xo}, nil},
		"what may be passed on":            {plain, false, []alert.MemberID{"XB"}, nil},
		"what may not":                     {plain, true, []alert.MemberID{"XB"}, []alert.ID{feedbackAlert}},
		"to the originator and another":    {control, false, []alert.MemberID{"XB", xo}, []alert.ID{feedbackAlert}},
		"what was derived, to another":     {derived, false, []alert.MemberID{"XB"}, labelSources[:1]},
		"what was derived, to its deriver": {derived, false, []alert.MemberID{xo}, nil},
		"derived and kept, to another":     {derived, true, []alert.MemberID{"XB"}, []alert.ID{feedbackAlert, labelSources[0]}},
	} {
		l, err := node.DefaultLabel(registry, xa, re, []alert.Portion{{ID: "p0", Label: &c.label}}, c.kept, c.to...)
		must(t, err)
		if l.OriginatorControl || !slices.Equal(l.DerivedFrom, c.want) {
			t.Errorf("%s: %v, want %v", name, l.DerivedFrom, c.want)
		}
	}
}

// TestMarkingOfFeedback: the level goes by its name in the member's own scheme.
func TestMarkingOfFeedback(t *testing.T) {
	own := federation.Scheme{URN: "urn:entente:policy:xa:1", Title: "XA", Levels: []federation.SchemeLevel{{Level: alert.Restricted, Names: []string{"XA-NfD", "XA-ND"}}}}
	plain := federation.PlainScheme(nodetest.Scheme, "plain")
	label := nodetest.Label()
	hit, held := alert.Portion{ID: "p0", Notice: "visa"}, alert.Portion{ID: "p0", Label: &label}
	for name, c := range map[string]struct {
		registry federation.Registry
		portion  alert.Portion
		policy   string
		marked   string
	}{
		"own":            {federation.Registry{Members: []federation.Member{{ID: xa, Scheme: own.URN}}, Schemes: []federation.Scheme{plain, own}}, held, own.URN, "XA-NfD"},
		"own, of a hit":  {federation.Registry{Members: []federation.Member{{ID: xa, Scheme: own.URN}}, Schemes: []federation.Scheme{plain, own}}, hit, own.URN, "XA-NfD"},
		"the alert's":    {federation.Registry{Members: []federation.Member{{ID: xa}}, Schemes: []federation.Scheme{own, plain}}, held, plain.URN, plain.Name(alert.Restricted)},
		"the only one":   {federation.Registry{Members: []federation.Member{{ID: xa}}, Schemes: []federation.Scheme{plain}}, hit, plain.URN, plain.Name(alert.Restricted)},
		"one of several": {federation.Registry{Members: []federation.Member{{ID: xa}}, Schemes: []federation.Scheme{own, plain}}, hit, "", ""},
	} {
		l, err := node.DefaultLabel(&c.registry, xa, alert.Reference{Originator: xo, Alert: feedbackAlert}, []alert.Portion{c.portion}, false, xo)
		must(t, err)
		if l.Policy != c.policy || l.MarkedAs != c.marked || l.Classification != alert.Restricted {
			t.Errorf("%s: %+v", name, l)
		}
	}
	if _, err := node.DefaultLabel(&federation.Registry{}, xa, alert.Reference{Originator: xo, Alert: feedbackAlert},
		[]alert.Portion{{ID: "p0", Notice: "look here"}}, false, xo); err == nil {
		t.Error("a category was made up")
	}
}

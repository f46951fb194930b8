package alert

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var levels = []Classification{Unclassified, Restricted, Confidential, Secret, TopSecret}

// lattice lists every marking over three compartments and two handling codes,
// without TLP and personal data, and a few of each with them.
func lattice() []Marking {
	var out []Marking
	for _, l := range levels {
		for comps := range 8 {
			out = append(out, Marking{Classification: l, Compartments: pick[TaskForceID](comps, "tf-a", "tf-b", "tf-c")})
		}
	}
	return out
}

func pick[T ~string](bits int, names ...T) []T {
	var out []T
	for i, n := range names {
		if bits&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	return out
}

func asLabel(m Marking) Label {
	return Label{Classification: m.Classification, Compartments: m.Compartments, TLP: m.TLP, PersonalData: m.PersonalData}
}

func asClearance(m Marking) Clearance { return Clearance{m.Classification, m.Compartments} }

func dominates(a, b Marking) bool { return asClearance(a).Dominates(asLabel(b)) }

func TestDominanceIsAPartialOrder(t *testing.T) {
	all := lattice()
	for _, a := range all {
		if !dominates(a, a) {
			t.Errorf("%v does not dominate itself", a)
		}
		for _, b := range all {
			if dominates(a, b) && dominates(b, a) && !cmp.Equal(a, b) {
				t.Errorf("%v and %v dominate one another", a, b)
			}
			for _, c := range all {
				if dominates(a, b) && dominates(b, c) && !dominates(a, c) {
					t.Errorf("not transitive: %v, %v, %v", a, b, c)
				}
			}
		}
	}
}

func TestEmptyClearanceGrantsNothing(t *testing.T) {
	for _, m := range lattice() {
		for _, c := range []Clearance{{}, {Compartments: m.Compartments}, {Ceiling: -1}, {Ceiling: TopSecret + 1, Compartments: m.Compartments}} {
			if c.Dominates(asLabel(m)) {
				t.Errorf("%v grants %v", c, m)
			}
		}
	}
	if (Clearance{Ceiling: TopSecret}).Dominates(Label{}) {
		t.Error("a label without a level is shown")
	}
	if (Clearance{Ceiling: TopSecret}).Dominates(Label{Classification: TopSecret + 1}) {
		t.Error("a label of an unknown level is shown")
	}
}

// More on the label, or less in the clearance, never lets more through.
func TestDominanceIsMonotone(t *testing.T) {
	all := lattice()
	for _, c := range all {
		for _, m := range all {
			before := dominates(c, m)
			for _, comp := range []TaskForceID{"tf-a", "tf-b", "tf-c", "tf-z"} {
				more := m
				more.Compartments = append(slices.Clone(m.Compartments), comp)
				if !before && dominates(c, more) {
					t.Errorf("adding %s to %v lets %v see it", comp, m, c)
				}
				less := c
				less.Compartments = slices.DeleteFunc(slices.Clone(c.Compartments), func(t TaskForceID) bool { return t == comp })
				if !before && dominates(less, m) {
					t.Errorf("taking %s from %v lets it see %v", comp, c, m)
				}
			}
			if m.Classification < TopSecret {
				higher := m
				higher.Classification++
				if !before && dominates(c, higher) {
					t.Errorf("raising %v lets %v see it", m, c)
				}
			}
			if c.Classification > 0 {
				lower := c
				lower.Classification--
				if !before && dominates(lower, m) {
					t.Errorf("lowering %v lets it see %v", c, m)
				}
			}
		}
	}
}

func TestClassificationAndPersonalDataOrder(t *testing.T) {
	for a := Classification(-1); a <= TopSecret+1; a++ {
		for b := Classification(-1); b <= TopSecret+1; b++ {
			known := a >= Unclassified && a <= TopSecret && b >= Unclassified && b <= TopSecret
			if got := a.Dominates(b); got != (known && a >= b) {
				t.Errorf("%v.Dominates(%v) = %v", a, b, got)
			}
		}
	}
	for a := PersonalData(-1); a <= SpecialCategory+1; a++ {
		for b := PersonalData(-1); b <= SpecialCategory+1; b++ {
			known := a >= NoPersonalData && a <= SpecialCategory && b >= NoPersonalData && b <= SpecialCategory
			if got := a.Covers(b); got != (known && a >= b) {
				t.Errorf("%v.Covers(%v) = %v", a, b, got)
			}
		}
	}
}

// below is the order that Join is the upper bound of, written apart from it.
func below(a, b Marking) bool {
	return a.Classification <= b.Classification && a.TLP <= b.TLP &&
		(!a.WithoutTLP || b.WithoutTLP) && (!a.OriginatorControl || b.OriginatorControl) && a.PersonalData <= b.PersonalData &&
		subsetOf(a.Compartments, b.Compartments) && subsetOf(a.Handling, b.Handling)
}

func subsetOf[T comparable](a, b []T) bool {
	for _, v := range a {
		if !slices.Contains(b, v) {
			return false
		}
	}
	return true
}

func randomMarking(r *rand.Rand) Marking {
	return Marking{
		Classification: Classification(r.IntN(6)), TLP: TLP(r.IntN(6)), PersonalData: PersonalData(r.IntN(4)),
		Compartments: pick[TaskForceID](r.IntN(8), "tf-a", "tf-b", "tf-c"),
		Handling:     pick[Handling](r.IntN(16), "H0", "H1", "H2", "H3"),
		WithoutTLP:   r.IntN(2) == 0, OriginatorControl: r.IntN(2) == 0,
	}
}

func TestJoinIsTheLeastUpperBound(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		a, b, c := randomMarking(r), randomMarking(r), randomMarking(r)
		ab := a.Join(b)
		same := func(law string, x, y Marking) {
			if diff := cmp.Diff(x, y); diff != "" {
				t.Fatalf("%s: %v %v %v:\n%s", law, a, b, c, diff)
			}
		}
		same("commutative", ab, b.Join(a))
		same("associative", ab.Join(c), a.Join(b.Join(c)))
		same("idempotent", a.Join(a), a)
		same("identity", a.Join(Marking{}), a)
		same("absorbed", ab.Join(a), ab)
		if !below(a, ab) || !below(b, ab) {
			t.Fatalf("%v is no upper bound of %v and %v", ab, a, b)
		}
		if below(a, c) && below(b, c) && !below(ab, c) {
			t.Fatalf("%v is an upper bound of %v and %v, and not above %v", c, a, b, ab)
		}
		if below(a, b) != cmp.Equal(ab, b) {
			t.Fatalf("order and join disagree on %v and %v", a, b)
		}
	}
}

// Whoever is cleared for a banner is cleared for each portion under it, and the
// other way round.
func TestJoinAgreesWithDominance(t *testing.T) {
	all := lattice()
	for _, a := range all {
		for _, b := range all {
			ab := a.Join(b)
			for _, c := range all {
				if dominates(c, ab) != (dominates(c, a) && dominates(c, b)) {
					t.Fatalf("clearance %v, join %v of %v and %v", c, ab, a, b)
				}
			}
		}
	}
}

// TestShownTLP: vulnerability: a banner stands over portions under different labels.
// Attack: the wide audience of one is read as that of all. Guarantee: clear and green
// stand only over portions that all give a TLP label, clear over nothing classified, and
// no label is shown that is wider than one of the portions'.
func TestShownTLP(t *testing.T) {
	for _, level := range levels {
		for a := TLP(0); a <= Red; a++ {
			for b := TLP(0); b <= Red; b++ {
				m := Label{Classification: Unclassified, TLP: a}.Marking().Join(Label{Classification: level, TLP: b}.Marking())
				want := max(a, b)
				if want <= Green && min(a, b) == 0 || want == Clear && level > Unclassified {
					want = 0
				}
				if got := m.ShownTLP(); got != want {
					t.Errorf("%q and %q at %s: %q, want %q", a, b, level, got, want)
				}
			}
		}
	}
}

func TestOriginatorControlIsJoined(t *testing.T) {
	free, bound := Label{Classification: Secret}.Marking(), Label{Classification: Restricted, OriginatorControl: true}.Marking()
	if !free.Join(bound).OriginatorControl || !bound.Join(free).OriginatorControl || free.Join(free).OriginatorControl {
		t.Error("one portion under the originator's control does not show")
	}
}

func TestJoinSharesNoMemory(t *testing.T) {
	l := validLabel()
	m := l.Marking()
	j := m.Join(Marking{})
	j.Compartments[0], m.Handling[0] = "changed", "H9"
	if m.Compartments[0] == "changed" || l.Handling[0] == "H9" {
		t.Error("a join or marking writes through to what it was made of")
	}
}

package policies

import (
	"slices"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
)

// narrowings are changes to a label after which nobody may get more. Each
// reports whether it changed anything.
var narrowings = []struct {
	name string
	make func(*gen, *alert.Label) bool
}{
	{"add a compartment", func(g *gen, l *alert.Label) bool { return grow(g, &l.Compartments, someTaskForces) }},
	{"add a category", func(g *gen, l *alert.Label) bool { return grow(g, &l.Categories, someCategories) }},
	{"add a source", func(g *gen, l *alert.Label) bool { return grow(g, &l.DerivedFrom, g.sources) }},
	{"shrink the release list", func(g *gen, l *alert.Label) bool { return shrink(g, &l.ReleasableTo, 0) }},
	{"shrink the discovery list", func(g *gen, l *alert.Label) bool { return shrink(g, &l.DiscoverableTo, 0) }},
	{"shrink the purposes", func(g *gen, l *alert.Label) bool { return shrink(g, &l.Purposes, 1) }},
	{"raise the classification", func(_ *gen, l *alert.Label) bool {
		l.Classification++
		return l.Classification <= alert.TopSecret
	}},
	{"raise personal data", func(_ *gen, l *alert.Label) bool {
		l.PersonalData++
		return l.PersonalData <= alert.SpecialCategory
	}},
	{"set originator control", func(_ *gen, l *alert.Label) bool {
		was := l.OriginatorControl
		l.OriginatorControl = true
		return !was
	}},
	{"narrow TLP", func(_ *gen, l *alert.Label) bool {
		l.TLP++
		return l.TLP <= alert.Red
	}},
}

func grow[T ~string](g *gen, list *[]T, from []T) bool {
	v := pick(g.Rand, from...)
	if slices.Contains(*list, v) {
		return false
	}
	*list = append(slices.Clone(*list), v)
	return true
}

func shrink[T any](g *gen, list *[]T, least int) bool {
	if len(*list) <= least {
		return false
	}
	i := g.IntN(len(*list))
	*list = slices.Delete(slices.Clone(*list), i, i+1)
	return true
}

func TestNarrowingNeverReleasesMore(t *testing.T) {
	r, e := newRand(t), mustLoad(t)
	held, lost := make(map[string]int), make(map[string]int)
	for range 300 {
		g, w := newWorld(r)
		ix := mustWorld(t, e, w)
		for range 4 {
			q := g.query(t)
			before, err := ix.Decide(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range narrowings {
				narrowed := q
				if !n.make(g, &narrowed.Label) {
					continue
				}
				if err := narrowed.Label.Normalize(); err != nil {
					t.Fatal(err)
				}
				after, err := ix.Decide(t.Context(), narrowed)
				if err != nil {
					t.Fatal(err)
				}
				held[n.name]++
				if after.onward && !before.onward {
					t.Fatalf("%s: the portion may be passed on by it\n%+v\n%+v", n.name, q, narrowed)
				}
				for _, m := range g.members {
					if rank(after.Of(m)) > rank(before.Of(m)) {
						t.Fatalf("%s: %s had %s and gets %s\n%+v\n%+v\n%+v", n.name, m, before.Of(m), after.Of(m), q, narrowed, w)
					}
					if rank(after.Of(m)) < rank(before.Of(m)) {
						lost[n.name]++
					}
				}
			}
		}
	}
	t.Logf("labels narrowed %v, releases lost by it %v", held, lost)
	for _, n := range narrowings {
		if held[n.name] < 100 || lost[n.name] < 10 {
			t.Errorf("%s: tried %d times, %d releases lost: the test has no bite", n.name, held[n.name], lost[n.name])
		}
	}
}

func TestNoClearanceAndSuspensionGetNothing(t *testing.T) {
	r, e := newRand(t), mustLoad(t)
	for range 200 {
		g, w := newWorld(r)
		bare, out := g.members[0], g.members[1]
		w.Members[bare] = federation.Member{ID: bare}
		w.Members[out] = federation.Member{ID: out, Ceiling: alert.TopSecret, Suspended: true}
		ix := mustWorld(t, e, w)
		for range 10 {
			q := g.query(t)
			a, err := ix.Decide(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if a.Of(bare) == feed.Content {
				t.Fatalf("%s has no clearance and gets content: %+v", bare, q)
			}
			if a.Of(out) != feed.None {
				t.Fatalf("%s is suspended and gets %s: %+v", out, a.Of(out), q)
			}
			if q.Originator == out && len(a.Content())+len(a.Existence()) > 0 {
				t.Fatalf("%s is suspended and gives: %+v", out, q)
			}
		}
	}
}

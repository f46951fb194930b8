package policies

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
)

// mutations change one fact of a world.
var mutations = map[string]func(*gen, *federation.World){
	"join": func(g *gen, w *federation.World) {
		m := alert.MemberID(fmt.Sprintf("Y%c", 'A'+g.IntN(26)))
		w.Members[m] = federation.Member{ID: m, Ceiling: alert.Secret}
		w.Communities[alert.Federation] = append(w.Communities[alert.Federation], m)
	},
	"join a name that lists have": func(g *gen, w *federation.World) {
		w.Members[stranger] = federation.Member{ID: stranger, Ceiling: alert.TopSecret}
	},
	"leave": func(g *gen, w *federation.World) {
		if len(w.Members) > 2 {
			m := pick(g.Rand, g.members...)
			delete(w.Members, m)
			w.Communities[alert.Federation] = without(w.Communities[alert.Federation], m)
		}
	},
	"suspend or reinstate": func(g *gen, w *federation.World) {
		if m, ok := w.Members[pick(g.Rand, g.members...)]; ok {
			m.Suspended = !m.Suspended
			w.Members[m.ID] = m
		}
	},
	"ceiling": func(g *gen, w *federation.World) {
		if m, ok := w.Members[pick(g.Rand, g.members...)]; ok {
			m.Ceiling = alert.Classification(g.IntN(6))
			w.Members[m.ID] = m
		}
	},
	"community": func(g *gen, w *federation.World) {
		w.Communities[pick(g.Rand, someCommunities...)] = some(g.Rand, g.members, 50)
	},
	"roster": func(g *gen, w *federation.World) {
		w.TaskForces[pick(g.Rand, someTaskForces...)] = some(g.Rand, g.members, 60)
	},
	"agreement": func(g *gen, w *federation.World) {
		a := g.agreement(50+g.IntN(20), slices.Concat(g.members, []alert.MemberID{stranger}))
		if !slices.ContainsFunc(w.Agreements, func(b federation.InForce) bool { return b.ID == a.ID }) {
			w.Agreements = append(w.Agreements, a)
		}
	},
	"amend": func(g *gen, w *federation.World) {
		if len(w.Agreements) > 0 {
			i := g.IntN(len(w.Agreements))
			a := g.agreement(i, g.members)
			a.ID, a.Digest = w.Agreements[i].ID, pick(g.Rand, a.Digest, w.Agreements[i].Digest)
			w.Agreements[i] = a
		}
	},
	"end": func(g *gen, w *federation.World) {
		if len(w.Agreements) > 0 {
			i := g.IntN(len(w.Agreements))
			w.Agreements = slices.Delete(w.Agreements, i, i+1)
		}
	},
	"consent": func(g *gen, w *federation.World) {
		key := federation.ConsentKey{Originator: pick(g.Rand, g.members...), Alert: pick(g.Rand, g.sources...)}
		if chance(g.Rand, 50) && g.owners[key.Alert] != "" {
			key.Originator = g.owners[key.Alert]
		}
		w.Consents[key] = federation.Consent{Originator: key.Originator, Alert: key.Alert, Recipients: g.audience(70)}
	},
	"emergency": func(g *gen, w *federation.World) {
		key := federation.ConsentKey{Originator: pick(g.Rand, g.members...), Alert: pick(g.Rand, g.sources...)}
		if len(g.declared) > 0 && chance(g.Rand, 70) { // one that queries ask about
			key = pick(g.Rand, g.declared...)
		}
		if _, ok := w.Emergencies[key]; ok {
			delete(w.Emergencies, key)
			return
		}
		w.Emergencies[key] = federation.Declared{Digest: fmt.Sprint(g.Uint64()), Emergency: federation.Emergency{
			Originator: key.Originator, Alert: key.Alert, ValidUntil: 1 << 40,
			Members: someOf(g.Rand, g.members, 50), Compartments: someOf(g.Rand, someTaskForces, 70)}}
	},
	"schemes and rules": func(g *gen, w *federation.World) {
		w.Schemes = append(slices.Clone(w.Schemes), federation.PlainScheme(otherScheme, "other"))
		w.Rules.MaxRetentionDays++
	},
}

func without[T comparable](list []T, v T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(x T) bool { return x == v })
}

// mutated returns a copy of a world with one to five facts changed.
func mutated(g *gen, w *federation.World) *federation.World {
	out := *w
	out.Members, out.Communities, out.TaskForces = maps.Clone(w.Members), maps.Clone(w.Communities), maps.Clone(w.TaskForces)
	out.Agreements, out.Consents = slices.Clone(w.Agreements), maps.Clone(w.Consents)
	out.Communities[alert.Federation] = slices.Clone(w.Communities[alert.Federation])
	if out.Emergencies = maps.Clone(w.Emergencies); out.Emergencies == nil {
		out.Emergencies = make(map[federation.ConsentKey]federation.Declared)
	}
	names := slices.Sorted(maps.Keys(mutations))
	for range 1 + g.IntN(5) {
		mutations[pick(g.Rand, names...)](g, &out)
	}
	return &out
}

// missed asks about a label in both worlds and reports whether what anybody gets
// differs, and whether the change says that it can not.
func missed(t *testing.T, c Change, before, after *World, q Query) (differs, missed bool) {
	a, err := before.Decide(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	b, err := after.Decide(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	releases := func(w *World, a *Audience) map[alert.MemberID]feed.Release {
		out := make(map[alert.MemberID]feed.Release)
		for _, m := range append(a.Content(), a.Existence()...) {
			out[m] = w.Release(a, m, "p1", q, 1_000_000, 9_000_000)
		}
		return out
	}
	differs = string(a.Marshal()) != string(b.Marshal()) || !cmp.Equal(releases(before, a), releases(after, b))
	return differs, differs && (!c.Affects(q.Originator, &q.Label, q.Alert) || !c.Affects(q.Originator, &q.Label, ""))
}

// aim makes most questions ones that a consent or an emergency that differs can
// bear on: few of those that come by chance are.
func (c Change) aim(g *gen, q *Query) {
	consents, emergencies := slices.Collect(maps.Keys(c.consents)), slices.Collect(maps.Keys(c.emergencies))
	switch way := g.IntN(4); {
	case way == 0 && len(consents) > 0: // own consent
		key := pick(g.Rand, consents...)
		q.Originator, q.Alert, q.Label.OriginatorControl = key.Originator, key.Alert, true
	case way == 1 && len(consents) > 0: // a source's
		key := pick(g.Rand, consents...)
		q.Sources = map[alert.ID]alert.MemberID{key.Alert: key.Originator}
		q.Label.DerivedFrom, q.Label.OriginatorControl, q.Alert = []alert.ID{key.Alert}, false, alertID(99)
	case way == 2 && len(emergencies) > 0:
		key := pick(g.Rand, emergencies...)
		q.Originator, q.Alert, q.Label.Compartments = key.Originator, key.Alert, someTaskForces[:2]
		q.Label.DerivedFrom, q.Label.OriginatorControl = nil, false
	default:
		return
	}
	q.Label.Classification, q.Label.PersonalData, q.Label.TLP = alert.Unclassified, alert.NoPersonalData, alert.Amber
	q.Label.ReleasableTo = nil
	for _, m := range g.members {
		q.Label.ReleasableTo = append(q.Label.ReleasableTo, alert.Audience(m))
	}
}

// TestChangeMissesNothing: where Affects says no, everybody gets what it got. And
// each part of a Change is needed: without it something is missed.
func TestChangeMissesNothing(t *testing.T) {
	r, e := newRand(t), mustLoad(t)
	parts := map[string]func(*Change){
		"members":     func(c *Change) { c.members = nil },
		"communities": func(c *Change) { c.communities = nil },
		"task forces": func(c *Change) { c.taskForces = nil },
		"givers":      func(c *Change) { c.givers = nil },
		"consents":    func(c *Change) { c.consents = nil },
		"sources":     func(c *Change) { c.sources = nil },
		"emergencies": func(c *Change) { c.emergencies = nil },
	}
	differed, spared := 0, 0
	bites := make(map[string]int)
	for range 800 {
		g, w := newWorld(r)
		other := mutated(g, w)
		if chance(r, 50) {
			w, other = other, w
		}
		before, after, c := mustWorld(t, e, w), mustWorld(t, e, other), e.Between(w, other)
		for range 5 {
			q := g.query(t)
			c.aim(g, &q)
			differs, miss := missed(t, c, before, after, q)
			if miss {
				t.Fatalf("a label that the change does not affect is decided otherwise\n%+v\n%s", q, cmp.Diff(w, other))
			}
			if !differs && !c.Affects(q.Originator, &q.Label, q.Alert) {
				spared++
			}
			if !differs {
				continue
			}
			differed++
			for name, drop := range parts {
				less := c
				if drop(&less); !less.Affects(q.Originator, &q.Label, q.Alert) {
					bites[name]++
				}
			}
		}
	}
	t.Logf("%d decisions differed, %d were spared; missed without a part: %v", differed, spared, bites)
	if differed < 300 || spared < 300 {
		t.Errorf("%d decisions differed, %d were spared: the test has no bite", differed, spared)
	}
	for name := range parts {
		if bites[name] == 0 {
			t.Errorf("nothing is missed without %s", name)
		}
	}
}

// TestChangeTouchesOnlyWhatItCan: an agreement concerns those who give under it,
// in its categories.
func TestChangeTouchesOnlyWhatItCan(t *testing.T) {
	e, old := mustLoad(t), fixedWorld()
	q := fixedQuery()
	end := fixedWorld()
	end.Agreements = end.Agreements[:len(end.Agreements)-1]
	gone := old.Agreements[len(old.Agreements)-1]
	c := e.Between(old, end)
	l := q.Label
	l.Categories, l.Purposes, l.Classification = gone.Categories, gone.Purposes, alert.Restricted
	if c.None() || !c.Affects(gone.Parties[0], &l, "") {
		t.Error("an agreement's end does not count for who gave under it")
	}
	if c.Affects("ZZ", &l, "") {
		t.Error("it counts for who did not")
	}
	l.Categories = []alert.Category{"visa"}
	if c.Affects(gone.Parties[0], &l, "") {
		t.Error("it counts for a category that it did not cover")
	}
	if same := e.Between(old, fixedWorld()); !same.None() || same.Affects("XA", &q.Label, q.Alert) {
		t.Error("equal worlds differ")
	}
	if all := e.Between(nil, old); all.None() || !all.Affects("XA", &q.Label, q.Alert) {
		t.Error("from nothing to a world nothing differs")
	}
}

// TestChangeUnderOtherRules: of rules that were brought nothing is known but that
// they see the world.
func TestChangeUnderOtherRules(t *testing.T) {
	modules := Embedded()
	const file = "release/clearance/clearance.rego"
	modules[file] = strings.Replace(modules[file], "default permits", "# stricter\ndefault permits", 1)
	e, err := Compile(modules)
	if err != nil {
		t.Fatal(err)
	}
	q := fixedQuery()
	if c := e.Between(fixedWorld(), fixedWorld()); !c.None() || c.Affects("XA", &q.Label, q.Alert) {
		t.Error("equal worlds differ")
	}
	r := rand.New(rand.NewPCG(1, 2))
	for name, mutate := range mutations {
		g, w := newWorld(r)
		w.Emergencies = map[federation.ConsentKey]federation.Declared{}
		other := mutated(g, w)
		mutate(g, other)
		if c := e.Between(w, other); c.None() != cmp.Equal(w, other) || c.None() == c.Affects("XX", &q.Label, "") {
			t.Errorf("%s: %s", name, cmp.Diff(w, other))
		}
	}
}

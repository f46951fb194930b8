package policies

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
)

// losses are changes to a world after which nobody may get more of what q asks
// about. Each reports whether it changed anything.
var losses = []struct {
	name string
	make func(*gen, *federation.World, Query) bool
}{
	{"an agreement ends", func(g *gen, w *federation.World, _ Query) bool { return shrink(g, &w.Agreements, 0) }},
	{"a consent is removed", func(g *gen, w *federation.World, q Query) bool {
		key, ok := g.consentFor(w, q)
		delete(w.Consents, key)
		return ok
	}},
	{"a consent is withdrawn", func(g *gen, w *federation.World, q Query) bool {
		key, ok := g.consentFor(w, q)
		if ok {
			w.Consents[key] = federation.Consent{Originator: key.Originator, Alert: key.Alert, Recipients: []alert.Audience{}}
		}
		return ok
	}},
	{"a consent is narrowed", func(g *gen, w *federation.World, q Query) bool {
		key, ok := g.consentFor(w, q)
		c := w.Consents[key]
		ok = ok && halve(g, &c.Recipients)
		if ok {
			w.Consents[key] = c
		}
		return ok
	}},
	{"an emergency ends", func(g *gen, w *federation.World, q Query) bool {
		_, ok := w.Emergencies[emergencyOf(q)]
		delete(w.Emergencies, emergencyOf(q))
		return ok
	}},
	{"an emergency names fewer members", func(g *gen, w *federation.World, q Query) bool {
		return g.narrowEmergency(w, q, func(e *federation.Declared) bool { return halve(g, &e.Members) })
	}},
	{"an emergency names fewer compartments", func(g *gen, w *federation.World, q Query) bool {
		return g.narrowEmergency(w, q, func(e *federation.Declared) bool { return shrink(g, &e.Compartments, 0) })
	}},
	{"a member is suspended", func(g *gen, w *federation.World, _ Query) bool {
		return g.change(w, func(m *federation.Member) bool { was := m.Suspended; m.Suspended = true; return !was })
	}},
	{"the originator is suspended", func(g *gen, w *federation.World, q Query) bool {
		m, ok := w.Members[q.Originator]
		if ok {
			m.Suspended = true
			w.Members[m.ID] = m
		}
		return ok
	}},
	{"a ceiling is lowered", func(g *gen, w *federation.World, _ Query) bool {
		return g.change(w, func(m *federation.Member) bool {
			was := m.Ceiling
			m.Ceiling = alert.Classification(g.IntN(int(was) + 1))
			return m.Ceiling < was
		})
	}},
	{"members leave a compartment", func(g *gen, w *federation.World, _ Query) bool {
		tf := pick(g.Rand, someTaskForces...)
		list := w.TaskForces[tf]
		ok := halve(g, &list)
		w.TaskForces[tf] = list
		return ok
	}},
	{"members leave a community", func(g *gen, w *federation.World, _ Query) bool {
		c := pick(g.Rand, someCommunities...)
		list := w.Communities[c]
		ok := halve(g, &list)
		w.Communities[c] = list
		return ok
	}},
}

// halve takes about half of a list away.
func halve[T any](g *gen, list *[]T) bool {
	was := len(*list)
	*list = some(g.Rand, *list, 50)
	return len(*list) < was
}

func emergencyOf(q Query) federation.ConsentKey {
	return federation.ConsentKey{Originator: q.Originator, Alert: q.Alert}
}

// consentFor picks a consent that can matter to a query, if there is one.
func (g *gen) consentFor(w *federation.World, q Query) (federation.ConsentKey, bool) {
	var keys []federation.ConsentKey
	for key := range w.Consents {
		if key.Alert == q.Alert || slices.Contains(q.Label.DerivedFrom, key.Alert) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return federation.ConsentKey{}, false
	}
	slices.SortFunc(keys, func(a, b federation.ConsentKey) int {
		return strings.Compare(string(a.Originator)+string(a.Alert), string(b.Originator)+string(b.Alert))
	})
	return pick(g.Rand, keys...), true
}

func (g *gen) narrowEmergency(w *federation.World, q Query, narrow func(*federation.Declared) bool) bool {
	e, ok := w.Emergencies[emergencyOf(q)]
	if !ok || !narrow(&e) {
		return false
	}
	e.Digest += " narrowed" // another statement says so
	w.Emergencies[emergencyOf(q)] = e
	return true
}

func (g *gen) change(w *federation.World, f func(*federation.Member) bool) bool {
	m := w.Members[pick(g.Rand, g.members...)]
	if !f(&m) {
		return false
	}
	w.Members[m.ID] = m
	return true
}

// copied returns a world that can be changed without changing the other.
func copied(w *federation.World) *federation.World {
	c := *w
	c.Members, c.Communities, c.TaskForces = maps.Clone(w.Members), maps.Clone(w.Communities), maps.Clone(w.TaskForces)
	c.Consents, c.Emergencies, c.Agreements = maps.Clone(w.Consents), maps.Clone(w.Emergencies), slices.Clone(w.Agreements)
	return &c
}

func mustDecide(t testing.TB, w *World, q Query) *Audience {
	t.Helper()
	a, err := w.Decide(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestLossesNeverReleaseMore: whatever a world loses, of agreements, consents,
// emergencies, standing, clearance or membership, nobody gets more by it.
func TestLossesNeverReleaseMore(t *testing.T) {
	r, e := newRand(t), mustLoad(t)
	tried, lost := make(map[string]int), make(map[string]int)
	for range 600 {
		g, w := newWorld(r)
		ix := mustWorld(t, e, w)
		q := g.query(t)
		before := mustDecide(t, ix, q)
		for _, loss := range losses {
			less := copied(w)
			if !loss.make(g, less, q) {
				continue
			}
			tried[loss.name]++
			after := mustDecide(t, mustWorld(t, e, less), q)
			for _, m := range g.members {
				switch {
				case rank(after.Of(m)) > rank(before.Of(m)):
					t.Fatalf("%s: %s had %s and gets %s\n%+v\n%s", loss.name, m, before.Of(m), after.Of(m), q, cmp.Diff(w, less))
				case rank(after.Of(m)) < rank(before.Of(m)):
					lost[loss.name]++
				}
			}
		}
	}
	t.Logf("tried %v, releases lost by it %v", tried, lost)
	for _, loss := range losses {
		if tried[loss.name] < 100 || lost[loss.name] == 0 {
			t.Errorf("%s: tried %d times, %d releases lost: the test has no bite", loss.name, tried[loss.name], lost[loss.name])
		}
	}
}

// TestExistenceNeverExceedsContent. Who learns of existence without content
// is named in discoverable_to (under TLP:RED itself, otherwise itself or by a
// community), is in good standing as the originator is, and has every
// consent that content would need. Nothing but the release list, clearance, compartments
// and agreements keeps it from content: given those, content is what it gets.
// And existence comes with no agreement, emergency or obligation.
func TestExistenceNeverExceedsContent(t *testing.T) {
	r, e := newRand(t), mustLoad(t)
	learned := 0
	for range 500 {
		g, w := newWorld(r)
		ix := mustWorld(t, e, w)
		q := g.query(t)
		a := mustDecide(t, ix, q)
		refused := a.Refused()
		for _, m := range a.Existence() {
			learned++
			if !slices.Contains(w.Expand(q.Label.DiscoverableTo), m) || q.Label.TLP == alert.Red && !slices.Contains(q.Label.DiscoverableTo, alert.Audience(m)) {
				t.Fatalf("%s is not to discover it: %+v", m, q)
			}
			for _, code := range []string{"suspended", "originator-control", "third-party"} {
				if slices.Contains(refused[code], m) {
					t.Fatalf("%s learns of existence though %s: %+v", m, code, q)
				}
			}
			if got := ix.Release(a, m, "p", q, 1, 2); !cmp.Equal(got, feed.Release{Portion: "p", Kind: feed.Existence}) {
				t.Fatalf("existence with %+v", got)
			}
			if kind := mustDecide(t, mustWorld(t, e, enabled(w, q, m)), listing(q, m)).Of(m); kind != feed.Content {
				t.Fatalf("%s learns of existence and gets %s, cleared, in the compartments and in agreement: %+v\n%+v", m, kind, q, w)
			}
		}
		q.Label.DiscoverableTo = nil
		hidden := mustDecide(t, ix, q)
		if len(hidden.Existence()) > 0 || !slices.Equal(hidden.Content(), a.Content()) {
			t.Fatalf("without discoverable_to: existence %v, content %v of %v", hidden.Existence(), hidden.Content(), a.Content())
		}
	}
	if learned < 300 {
		t.Errorf("%d learned of existence: the test has no bite", learned)
	}
}

// enabled gives a member clearance, compartments and an agreement for all of it.
func enabled(w *federation.World, q Query, m alert.MemberID) *federation.World {
	out := copied(w)
	entry := out.Members[m]
	entry.Ceiling = alert.TopSecret
	out.Members[m] = entry
	for _, tf := range q.Label.Compartments {
		out.TaskForces[tf] = append(slices.Clone(out.TaskForces[tf]), m)
	}
	out.Agreements = append(out.Agreements, federation.InForce{Digest: "all of it", Agreement: federation.Agreement{ID: "all",
		Parties: []alert.MemberID{q.Originator, m}, Categories: q.Label.Categories, Purposes: q.Label.Purposes,
		MaxClassification: alert.TopSecret, PersonalData: alert.SpecialCategory, RetentionDays: 1}})
	return out
}

// listing puts a member on the release list.
func listing(q Query, m alert.MemberID) Query {
	if !slices.Contains(q.Label.ReleasableTo, alert.Audience(m)) {
		q.Label.ReleasableTo = slices.Sorted(slices.Values(append(slices.Clone(q.Label.ReleasableTo), alert.Audience(m))))
	}
	return q
}

// TestEmergencyWidensNeedToKnowOnly compares each world with the one without its
// emergencies: an emergency gives content to those whom it names, whom nothing but need-to-know
// kept from it, for the alert that it is of; it takes nothing from anybody. So nobody gets
// anything who is not on the release list or whom personal data or
// agreements keep from it.
func TestEmergencyWidensNeedToKnowOnly(t *testing.T) {
	r, e := newRand(t), mustLoad(t)
	gained, barred := 0, make(map[string]int)
	for range 1500 {
		g, w := newWorld(r)
		calm := copied(w)
		calm.Emergencies = nil
		ix, still := mustWorld(t, e, w), mustWorld(t, e, calm)
		q := g.query(t)
		a, b := mustDecide(t, ix, q), mustDecide(t, still, q)
		declared := w.Emergencies[emergencyOf(q)]
		for _, m := range g.members {
			with, without := codesOf(a.Refused(), m), codesOf(b.Refused(), m)
			lifted := maps.Clone(without)
			delete(lifted, "need-to-know")
			only := len(without) == 1 && without["need-to-know"]
			switch named := slices.Contains(declared.Members, m); {
			case maps.Equal(with, without) && a.Of(m) == b.Of(m):
			case !named || !maps.Equal(with, lifted) || a.Of(m) != b.Of(m) && !only || only && a.Of(m) != feed.Content:
				t.Fatalf("%s: %s %v, without the emergency %s %v\n%+v\n%+v", m, a.Of(m), with, b.Of(m), without, q, w)
			case only:
				gained++
				if !slices.Contains(w.Expand(q.Label.ReleasableTo), m) {
					t.Fatalf("%s is not on the release list: %+v", m, q)
				}
			default:
				for code := range with {
					barred[code]++
				}
			}
			release, plain := ix.Release(a, m, "p", q, midnight, midnight+1000*86_400), still.Release(b, m, "p", q, midnight, midnight+1000*86_400)
			if b.Of(m) == feed.Content && !cmp.Equal(release, plain) {
				t.Fatalf("%s had content without the emergency: %s", m, cmp.Diff(plain, release))
			}
			if a.Of(m) == feed.Content && b.Of(m) != feed.Content && (release.Emergency != declared.Digest || release.Obligations.HoldUntil > declared.ValidUntil) {
				t.Fatalf("%s: %+v rests on %+v", m, release, declared)
			}
		}
	}
	t.Logf("%d gained by an emergency, others were barred %v", gained, barred)
	for _, code := range []string{"release-list", "agreement", "personal-data", "clearance", "tlp", "originator-control", "third-party", "suspended"} {
		if gained < 15 || barred[code] < 15 {
			t.Errorf("%d gained, %d barred by %s: the test has no bite", gained, barred[code], code)
		}
	}
}

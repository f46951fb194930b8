package policies

import (
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

// Change is what lies between two worlds, as far as a release can depend on it.
// It is immutable and safe for concurrent use.
type Change struct {
	all         bool                                     // anything may be decided otherwise
	members     map[alert.MemberID]bool                  // joined, left, suspended, reinstated, or with another ceiling
	communities map[alert.CommunityID]bool               // with another list, or with one of members in it
	taskForces  map[alert.TaskForceID]bool               // with another roster
	givers      map[alert.MemberID][]*federation.InForce // agreements as they were and as they are, by who gives under them
	consents    map[federation.ConsentKey]bool           // given, withdrawn, or standing for others than before
	sources     map[alert.ID]bool                        // the alerts in consents
	emergencies map[federation.ConsentKey]bool           // declared, ended or amended
}

// builtIn is the digest of the rules that the program was built with.
var builtIn = sync.OnceValue(func() string { return Digest(Embedded()) })

// Between compares two worlds under one set of rules. Where old is nil, because
// there was none or it was decided under other rules, anything may have changed.
//
// Which facts a label's decision can rest on is known of the rules in this
// folder, and a test holds Affects to them. Of rules that came at run time only
// that they see nothing but the world: under those, any difference counts for
// every label.
func (e *Engine) Between(old, new *federation.World) Change {
	if old == nil || new == nil {
		return Change{all: true}
	}
	if e.digest != builtIn() {
		return Change{all: !sameFacts(old, new)}
	}
	c := Change{
		members:     differing(old.Members, new.Members, sameStanding),
		communities: differing(old.Communities, new.Communities, slices.Equal[[]alert.MemberID]),
		taskForces:  differing(old.TaskForces, new.TaskForces, slices.Equal[[]alert.MemberID]),
		givers:      givers(old, new),
		emergencies: differing(old.Emergencies, new.Emergencies, same[federation.Declared]),
		consents:    differing(old.Consents, new.Consents, same[federation.Consent]),
		sources:     make(map[alert.ID]bool),
	}
	for _, w := range []*federation.World{old, new} {
		for id, list := range w.Communities {
			if slices.ContainsFunc(list, func(m alert.MemberID) bool { return c.members[m] }) {
				c.communities[id] = true
			}
		}
	}
	for _, w := range []*federation.World{old, new} {
		for key, consent := range w.Consents {
			if c.members[consent.Originator] || c.reaches(consent.Recipients) {
				c.consents[key] = true
			}
		}
	}
	for key := range c.consents {
		c.sources[key.Alert] = true
	}
	return c
}

// None reports whether no decision can differ.
func (c Change) None() bool {
	return !c.all && len(c.members)+len(c.communities)+len(c.taskForces)+len(c.givers)+len(c.consents)+len(c.emergencies) == 0
}

// Affects reports whether what anybody gets under a label, or what binds whoever
// gets it, can differ between the two worlds. It may say so where nothing does;
// it never says no where a member gets more or less than before. The codes of
// those who are refused before and after may differ all the same. id may be
// empty where several alerts share the label: then it answers for any of them.
func (c Change) Affects(originator alert.MemberID, l *alert.Label, id alert.ID) bool {
	switch {
	case c.all, c.members[originator], c.reaches(l.ReleasableTo), c.reaches(l.DiscoverableTo):
		return true
	case slices.ContainsFunc(l.Compartments, func(t alert.TaskForceID) bool { return c.taskForces[t] }):
		return true
	case len(l.Compartments) > 0 && names(c.emergencies, originator, id):
		return true
	case l.OriginatorControl && names(c.consents, originator, id):
		return true
	case slices.ContainsFunc(l.DerivedFrom, func(id alert.ID) bool { return c.sources[id] }):
		return true // whoever's consent it is: whose the source is, the label does not say
	}
	return slices.ContainsFunc(c.givers[originator], func(a *federation.InForce) bool {
		return slices.ContainsFunc(l.Categories, func(k alert.Category) bool { return slices.Contains(a.Categories, k) }) &&
			slices.ContainsFunc(l.Purposes, func(p alert.Purpose) bool { return slices.Contains(a.Purposes, p) }) &&
			a.MaxClassification.Dominates(l.Classification)
	})
}

// reaches reports whether a list may stand for anybody of whom something changed,
// or for others than before.
func (c Change) reaches(list []alert.Audience) bool {
	return slices.ContainsFunc(list, func(a alert.Audience) bool {
		return c.members[alert.MemberID(a)] || c.communities[alert.CommunityID(a)]
	})
}

// names reports whether a member's alert is among those, any of its alerts where
// the id is empty.
func names(keys map[federation.ConsentKey]bool, m alert.MemberID, id alert.ID) bool {
	if id != "" {
		return keys[federation.ConsentKey{Originator: m, Alert: id}]
	}
	for key := range keys {
		if key.Originator == m {
			return true
		}
	}
	return false
}

// givers returns the agreements that are not the same in both worlds, as they are
// in each.
func givers(old, new *federation.World) map[alert.MemberID][]*federation.InForce {
	out := make(map[alert.MemberID][]*federation.InForce)
	before, after := byID(old), byID(new)
	for id := range differing(before, after, func(a, b *federation.InForce) bool { return same(*a, *b) }) {
		for _, a := range []*federation.InForce{before[id], after[id]} {
			if a == nil {
				continue
			}
			for _, m := range slices.Concat(a.From, a.Parties) {
				if !slices.Contains(out[m], a) {
					out[m] = append(out[m], a)
				}
			}
		}
	}
	return out
}

func byID(w *federation.World) map[federation.AgreementID]*federation.InForce {
	out := make(map[federation.AgreementID]*federation.InForce, len(w.Agreements))
	for i := range w.Agreements {
		out[w.Agreements[i].ID] = &w.Agreements[i]
	}
	return out
}

// differing returns the keys under which two maps do not hold the same.
func differing[K comparable, V any](a, b map[K]V, same func(V, V) bool) map[K]bool {
	out := make(map[K]bool)
	for k, v := range a {
		if other, ok := b[k]; !ok || !same(v, other) {
			out[k] = true
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			out[k] = true
		}
	}
	return out
}

func same[T any](a, b T) bool { return reflect.DeepEqual(a, b) }

// sameStanding compares what rules see of a member.
func sameStanding(a, b federation.Member) bool {
	return a.Ceiling == b.Ceiling && a.Suspended == b.Suspended
}

// sameFacts compares all that rules can see of two worlds.
func sameFacts(a, b *federation.World) bool {
	return maps.EqualFunc(a.Members, b.Members, sameStanding) && same(a.Communities, b.Communities) &&
		same(a.TaskForces, b.TaskForces) && same(a.Agreements, b.Agreements) && same(a.Consents, b.Consents) &&
		same(a.Emergencies, b.Emergencies) && same(a.Schemes, b.Schemes) && a.Rules == b.Rules
}

package policies

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
)

// oracleRelease states a release of content: the agreements from o to r that
// cover the label in any category for any purpose of it, the emergency if r is not
// in all compartments, and what they and the label bind r to. What came by an
// emergency goes no further.
func oracleRelease(t *testing.T, w *federation.World, o, r alert.MemberID, l alert.Label, id alert.ID, iat, exp int64) feed.Release {
	out := feed.Release{Portion: "p1", Kind: feed.Content, Obligations: &feed.Obligations{
		Purposes: []alert.Purpose{}, HoldUntil: exp, Onward: oracleOnward(l), Handling: l.Handling}}
	if end, named := oracleEnd(t, l); named && end < exp {
		out.Obligations.HoldUntil = end
	}
	for _, e := range w.Emergencies {
		if e.Alert == id && e.Originator == o && !oracleInAll(w, l.Compartments, r) {
			out.Emergency = e.Digest
			out.Obligations.Onward = false
			if e.ValidUntil < out.Obligations.HoldUntil {
				out.Obligations.HoldUntil = e.ValidUntil
			}
		}
	}
	for _, a := range w.Agreements {
		cited := false
		for _, c := range l.Categories {
			for _, p := range l.Purposes {
				cited = cited || oracleCovers(a, o, r, c, p, l, l.PersonalData)
			}
		}
		if !cited {
			continue
		}
		out.Agreements = append(out.Agreements, a.Digest)
		if end := iat + int64(a.RetentionDays)*86_400; end < out.Obligations.HoldUntil {
			out.Obligations.HoldUntil = end
		}
		if !a.Onward {
			out.Obligations.Onward = false
		}
	}
	for _, p := range l.Purposes {
		one := l
		one.Purposes = []alert.Purpose{p}
		if oracleAgreed(w, o, r, one, l.PersonalData) {
			out.Obligations.Purposes = append(out.Obligations.Purposes, p)
		}
	}
	if len(out.Obligations.Purposes) == 0 { // it rests on membership
		out.Obligations.Purposes = l.Purposes
	}
	slices.Sort(out.Agreements)
	return out
}

// oracleOnward reports whether the label lets a recipient pass the portion on.
func oracleOnward(l alert.Label) bool {
	switch {
	case l.OriginatorControl, l.TLP == alert.Red, l.TLP == alert.AmberStrict:
		return false
	}
	for _, code := range l.Handling {
		if code == "H2" {
			return false
		}
	}
	return true
}

// compareRelease compares what rules and oracle say that a member gets, and
// what binds it.
func (seen tally) compareRelease(t *testing.T, ix *World, a *Audience, m alert.MemberID, q Query, iat, exp int64, wrong differences) {
	got := ix.Release(a, m, "p1", q, iat, exp)
	want := feed.Release{Portion: "p1", Kind: a.Of(m)}
	if want.Kind == feed.Content {
		want = oracleRelease(t, ix.world, q.Originator, m, q.Label, q.Alert, iat, exp)
		seen.tallyRelease(ix.world, want, q, exp)
	}
	if sameRelease(got, want) {
		return
	}
	wrong.add("release", "to %s: %s\niat %d, exp %d", m, cmp.Diff(want, got), iat, exp)
	if got.Obligations != nil && want.Obligations != nil && got.Obligations.Onward != want.Obligations.Onward {
		wrong.add("onward", "%s: %v", m, got.Obligations.Onward)
	}
}

// releaseCases are what tallyRelease counts.
var releaseCases = []string{"onward", "not onward by the label", "not onward by an agreement", "not onward by an emergency",
	"no agreement", "one agreement", "several agreements", "fewer purposes", "held to exp", "held shorter", "held to the emergency's end", "by an emergency", "in an emergency, but without it"}

func (seen tally) tallyRelease(w *federation.World, r feed.Release, q Query, exp int64) {
	seen[releaseCases[4+min(len(r.Agreements), 2)]]++
	switch {
	case r.Obligations.Onward:
		seen["onward"]++
	case oracleOnward(q.Label) && r.Emergency != "":
		seen["not onward by an emergency"]++
	case oracleOnward(q.Label):
		seen["not onward by an agreement"]++
	default:
		seen["not onward by the label"]++
	}
	if len(r.Obligations.Purposes) < len(q.Label.Purposes) {
		seen["fewer purposes"]++
	}
	e, declared := w.Emergencies[federation.ConsentKey{Originator: q.Originator, Alert: q.Alert}]
	switch {
	case r.Emergency != "" && r.Obligations.HoldUntil == e.ValidUntil:
		seen["held to the emergency's end"]++
	case r.Obligations.HoldUntil == exp:
		seen["held to exp"]++
	default:
		seen["held shorter"]++
	}
	switch {
	case r.Emergency != "":
		seen["by an emergency"]++
	case declared && len(q.Label.Compartments) > 0:
		seen["in an emergency, but without it"]++
	}
}

// sameRelease spares the hundred thousand worlds a comparison by reflection.
func sameRelease(a, b feed.Release) bool {
	if a.Portion != b.Portion || a.Kind != b.Kind || !slices.Equal(a.Agreements, b.Agreements) || a.Emergency != b.Emergency ||
		(a.Obligations == nil) != (b.Obligations == nil) {
		return false
	}
	if a.Obligations == nil {
		return true
	}
	x, y := a.Obligations, b.Obligations
	return slices.Equal(x.Purposes, y.Purposes) && x.HoldUntil == y.HoldUntil && x.Onward == y.Onward &&
		slices.Equal(x.Handling, y.Handling)
}

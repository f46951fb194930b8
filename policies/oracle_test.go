package policies

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
)

// The oracle is the truth table of release and admission in plain Go: one
// originator, one label and one recipient at a time. It shares no code with the rules or the
// index, nor with the methods of the types that it reads.

// oracle returns what r gets of a portion of o's alert, and every reason code
// against content.
func oracle(w *federation.World, o, r alert.MemberID, l alert.Label, id alert.ID, owners map[alert.ID]alert.MemberID) (feed.Kind, map[string]bool) {
	codes := failing(map[string]bool{
		"suspended":          !oracleActive(w, o) || !oracleActive(w, r),
		"clearance":          w.Members[r].Ceiling < l.Classification,
		"need-to-know":       !oracleNeedsToKnow(w, o, r, l.Compartments, id),
		"release-list":       !oracleListed(w, l.ReleasableTo, r),
		"tlp":                l.TLP == alert.Red && !slices.Contains(l.ReleasableTo, alert.Audience(r)),
		"agreement":          !oracleExempt(l) && !oracleAgreed(w, o, r, l, l.PersonalData),
		"personal-data":      !oracleExempt(l) && !oracleAgreed(w, o, r, l, l.PersonalData) && oracleAgreed(w, o, r, l, alert.NoPersonalData),
		"originator-control": l.OriginatorControl && !oracleConsents(w, o, r, id),
		"third-party":        !oracleSources(w, r, l.DerivedFrom, id, owners),
	})
	switch {
	case len(codes) == 0:
		return feed.Content, codes
	case codes["suspended"] || codes["originator-control"] || codes["third-party"]:
		return feed.None, codes
	case l.TLP == alert.Red && slices.Contains(l.DiscoverableTo, alert.Audience(r)),
		l.TLP != alert.Red && oracleListed(w, l.DiscoverableTo, r):
		return feed.Existence, codes
	}
	return feed.None, codes
}

func oracleActive(w *federation.World, m alert.MemberID) bool {
	entry, known := w.Members[m]
	return known && !entry.Suspended
}

func oracleInAll(w *federation.World, compartments []alert.TaskForceID, r alert.MemberID) bool {
	for _, c := range compartments {
		if !slices.Contains(w.TaskForces[c], r) {
			return false
		}
	}
	return true
}

// oracleNeedsToKnow reports whether r is in each compartment, or need not be in
// the emergency that o has declared for this very alert.
func oracleNeedsToKnow(w *federation.World, o, r alert.MemberID, compartments []alert.TaskForceID, id alert.ID) bool {
	for _, c := range compartments {
		if !slices.Contains(w.TaskForces[c], r) && !oracleExcused(w, o, r, c, id) {
			return false
		}
	}
	return true
}

func oracleExcused(w *federation.World, o, r alert.MemberID, c alert.TaskForceID, id alert.ID) bool {
	for _, e := range w.Emergencies {
		if e.Alert == id && e.Originator == o && slices.Contains(e.Members, r) && slices.Contains(e.Compartments, c) {
			return true
		}
	}
	return false
}

func oracleListed(w *federation.World, list []alert.Audience, r alert.MemberID) bool {
	for _, entry := range list {
		if string(entry) == string(r) || slices.Contains(w.Communities[alert.CommunityID(entry)], r) {
			return true
		}
	}
	return false
}

func oracleExempt(l alert.Label) bool {
	return l.Classification == alert.Unclassified && l.PersonalData == alert.NoPersonalData
}

func oracleAgreed(w *federation.World, o, r alert.MemberID, l alert.Label, pd alert.PersonalData) bool {
	for _, p := range l.Purposes {
		missing := 0
		for _, c := range l.Categories {
			found := false
			for _, a := range w.Agreements {
				found = found || oracleCovers(a, o, r, c, p, l, pd)
			}
			if !found {
				missing++
			}
		}
		if missing == 0 {
			return true
		}
	}
	return false
}

func oracleCovers(a federation.InForce, o, r alert.MemberID, c alert.Category, p alert.Purpose, l alert.Label, pd alert.PersonalData) bool {
	givers, takers := a.From, a.To
	if len(givers) == 0 {
		givers = a.Parties
	}
	if len(takers) == 0 {
		takers = a.Parties
	}
	return slices.Contains(givers, o) && slices.Contains(takers, r) && slices.Contains(a.Categories, c) &&
		slices.Contains(a.Purposes, p) && a.MaxClassification >= l.Classification && a.PersonalData >= pd
}

func oracleConsents(w *federation.World, o, r alert.MemberID, id alert.ID) bool {
	for _, c := range w.Consents {
		if c.Alert == id && c.Originator == o && oracleListed(w, c.Recipients, r) {
			return true
		}
	}
	return false
}

func oracleSources(w *federation.World, r alert.MemberID, sources []alert.ID, id alert.ID, owners map[alert.ID]alert.MemberID) bool {
	for _, source := range sources {
		consented := false
		for _, c := range w.Consents {
			if c.Alert == source && c.Originator == owners[source] && oracleActive(w, c.Originator) &&
				(c.Originator == r || oracleListed(w, c.Recipients, r)) {
				consented = true
			}
		}
		if !consented || source == id {
			return false
		}
	}
	return true
}

// codesOf returns every code under which a member stands in a decision.
func codesOf(refused map[string][]alert.MemberID, m alert.MemberID) map[string]bool {
	codes := make(map[string]bool)
	for code, members := range refused {
		if slices.Contains(members, m) {
			codes[code] = true
		}
	}
	return codes
}

// differences are what a comparison of rules and oracle found, by where: admission,
// kind, codes, reason, release, onward, error.
type differences map[string]string

func (d differences) add(where, format string, args ...any) { d[where] = fmt.Sprintf(format, args...) }

// tally counts worlds, pairs, and each kind, code and case that came up.
type tally map[string]int

// compare asks rules and oracle about one label in one world: whether it comes
// in, who gets it and what binds them.
func (seen tally) compare(t *testing.T, r *rand.Rand, e *Engine) {
	g, w := newWorld(r)
	ix := mustWorld(t, e, w)
	q, iat, exp := g.question(t)
	if wrong := seen.differences(t, g, ix, q, iat, exp); len(wrong) > 0 {
		t.Fatalf("%v\n%+v\n%+v", wrong, q, w)
	}
}

// question is a query of an alert issued and expiring at random times; now and then
// its scheme is one that there is not.
func (g *gen) question(t *testing.T) (q Query, iat, exp int64) {
	q = g.query(t)
	iat, exp = g.times(&q.Label)
	if chance(g.Rand, 5) {
		q.Label.Policy = otherScheme
	}
	return q, iat, exp
}

// differences says where rules and oracle differ.
func (seen tally) differences(t *testing.T, g *gen, ix *World, q Query, iat, exp int64) differences {
	wrong := make(differences)
	seen["worlds"]++
	seen.compareAdmission(t, ix, q, iat, exp, wrong)
	a, err := ix.Decide(t.Context(), q)
	if err != nil {
		wrong.add("error", "%v", err)
		return wrong
	}
	refused := a.Refused()
	for _, m := range g.members {
		if m == q.Originator {
			if a.Of(m) != feed.None || a.Reason(m) != "" || len(codesOf(refused, m)) != 0 {
				wrong.add("kind", "the originator %s stands in its own audience", m)
			}
			continue
		}
		seen["pairs"]++
		kind, codes := oracle(ix.world, q.Originator, m, q.Label, q.Alert, q.Sources)
		got := codesOf(refused, m)
		if a.Of(m) != kind {
			wrong.add("kind", "%s: rules say %s %v, oracle %s %v", m, a.Of(m), got, kind, codes)
		}
		if !maps.Equal(got, codes) {
			wrong.add("codes", "%s: rules say %s %v, oracle %s %v", m, a.Of(m), got, kind, codes)
		}
		if want := firstOf(ix.engine.rules, codes); a.Reason(m) != want {
			wrong.add("reason", "%s: reason %q, want %q of %v", m, a.Reason(m), want, codes)
		}
		seen.compareRelease(t, ix, a, m, q, iat, exp, wrong)
		seen[string(kind)]++
		for code := range codes {
			seen[code]++
		}
		seen.tallyEmergency(ix.world, m, q, codes)
	}
	return wrong
}

// firstOf returns the first of the codes by the order of the rules.
func firstOf(rules []Rule, codes map[string]bool) string {
	for _, r := range rules {
		if codes[r.Code] {
			return r.Code
		}
	}
	return ""
}

// emergencyCases are what tallyEmergency counts: an emergency that does not help.
var emergencyCases = []string{"emergency for others", "emergency for other compartments", "emergency of another originator",
	"emergency for another alert", "excused but release-list", "excused but agreement", "excused but personal-data",
	"excused but clearance", "excused but tlp", "excused but suspended", "excused but originator-control", "excused but third-party"}

func (seen tally) tallyEmergency(w *federation.World, m alert.MemberID, q Query, codes map[string]bool) {
	outside := !oracleInAll(w, q.Label.Compartments, m)
	for key, e := range w.Emergencies {
		named := slices.Contains(e.Members, m)
		covers := len(oracleOutside(w, q.Label.Compartments, e.Compartments, m)) == 0
		mine, this := key.Originator == q.Originator, key.Alert == q.Alert
		switch {
		case !outside:
		case mine && this && codes["need-to-know"] && !named && covers:
			seen["emergency for others"]++
		case mine && this && codes["need-to-know"] && named:
			seen["emergency for other compartments"]++
		case mine && this && !codes["need-to-know"]:
			for code := range codes {
				seen["excused but "+code]++
			}
		case this && named && covers && codes["need-to-know"]:
			seen["emergency of another originator"]++
		case mine && named && covers && codes["need-to-know"]:
			seen["emergency for another alert"]++
		}
	}
}

// oracleOutside returns those of the compartments in which m is not, the excused
// left out.
func oracleOutside(w *federation.World, compartments, excused []alert.TaskForceID, m alert.MemberID) (out []alert.TaskForceID) {
	for _, c := range compartments {
		if !slices.Contains(w.TaskForces[c], m) && !slices.Contains(excused, c) {
			out = append(out, c)
		}
	}
	return out
}

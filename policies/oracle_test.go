package policies

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime/debug"
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
		"need-to-know":       !oracleInAll(w, l.Compartments, r),
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

// TestRulesAgreeWithOracle asks about one label in each of 100,000 random worlds,
// for every member.
func TestRulesAgreeWithOracle(t *testing.T) {
	const worlds, workers = 100_000, 4
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // each world is small and soon garbage
	r, e := newRand(t), mustLoad(t)
	tallies := make([]tally, workers)
	t.Run("worlds", func(t *testing.T) {
		for i := range workers {
			r := rand.New(rand.NewPCG(r.Uint64(), r.Uint64())) // so that one seed makes all of them again
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				tallies[i] = make(tally)
				for range worlds / workers {
					tallies[i].compare(t, r, e)
				}
			})
		}
	})
	seen := make(tally)
	for _, some := range tallies {
		for what, n := range some {
			seen[what] += n
		}
	}
	t.Logf("%v", seen)
	if seen["worlds"] < worlds {
		t.Errorf("only %d worlds compared", seen["worlds"])
	}
	for _, k := range []feed.Kind{feed.Content, feed.Existence, feed.None} {
		if seen[string(k)] < 100 {
			t.Errorf("kind %s came up %d times only", k, seen[string(k)])
		}
	}
	for _, rule := range slices.Concat(e.Rules(), e.AdmissionRules()) {
		if seen[rule.Code] < 100 {
			t.Errorf("code %s came up %d times only", rule.Code, seen[rule.Code])
		}
	}
	for _, what := range append(slices.Clone(releaseCases), "admitted") {
		if seen[what] < 100 {
			t.Errorf("%q came up %d times only", what, seen[what])
		}
	}
}

// tally counts worlds, pairs, and each kind, code and case of releaseCases that
// came up.
type tally map[string]int

// compare asks rules and oracle about one label in one world: whether it comes
// in, who gets it and what binds them.
func (seen tally) compare(t *testing.T, r *rand.Rand, e *Engine) {
	g, w := newWorld(r)
	ix := mustWorld(t, e, w)
	q := g.query(t)
	iat, exp := g.times(&q.Label)
	if chance(r, 5) {
		q.Label.Policy = otherScheme
	}
	seen.compareAdmission(t, ix, q, iat, exp)
	a, err := ix.Decide(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	seen["worlds"]++
	refused := a.Refused()
	for _, m := range g.members {
		if m == q.Originator {
			if a.Of(m) != feed.None || a.Reason(m) != "" || len(codesOf(refused, m)) != 0 {
				t.Fatalf("the originator %s stands in its own audience: %+v", m, q)
			}
			continue
		}
		seen["pairs"]++
		kind, codes := oracle(w, q.Originator, m, q.Label, q.Alert, q.Sources)
		got := codesOf(refused, m)
		if a.Of(m) != kind || !maps.Equal(got, codes) {
			t.Fatalf("%s: rules say %s %v, oracle %s %v\n%+v\n%+v", m, a.Of(m), got, kind, codes, q, w)
		}
		checkReason(t, e, a.Reason(m), codes)
		seen.compareRelease(t, ix, a, m, q, iat, exp)
		seen[string(kind)]++
		for code := range codes {
			seen[code]++
		}
	}
}

// checkReason checks that the reason given is the first of the codes.
func checkReason(t *testing.T, e *Engine, got string, codes map[string]bool) {
	t.Helper()
	want := ""
	for _, rule := range e.Rules() {
		if codes[rule.Code] && want == "" {
			want = rule.Code
		}
	}
	if got != want {
		t.Fatalf("reason %q, want %q of %v", got, want, codes)
	}
}

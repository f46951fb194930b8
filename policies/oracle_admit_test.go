package policies

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

const otherScheme = "urn:entente:policy:other:1" // never in use

// oracleAdmit is the truth table of admission: every reason code against an
// alert of o's, issued at iat, whose one portion has the label.
func oracleAdmit(t *testing.T, w *federation.World, o alert.MemberID, l alert.Label, iat int64) map[string]bool {
	entry, known := w.Members[o]
	ends, named := oracleEnd(t, l)
	personal := l.PersonalData == alert.Personal || l.PersonalData == alert.SpecialCategory
	return failing(map[string]bool{
		"originator-suspended": !known || entry.Suspended,
		"unknown-scheme":       !slices.Contains(w.Schemes, l.Policy),
		"originator-ceiling":   !known || entry.Ceiling < l.Classification,
		"unknown-compartment":  len(l.Compartments) > 0 && (!known || !oracleInAll(w, l.Compartments, o)),
		"unknown-recipient":    oracleNamesNobody(w, l.ReleasableTo) || oracleNamesNobody(w, l.DiscoverableTo),
		"retention-missing":    personal && !named,
		"retention-too-long":   personal && named && ends > iat+int64(w.Rules.MaxRetentionDays)*86_400,
		"retention-past":       named && ends <= iat,
		"tlp-conflict":         l.TLP == alert.Clear && l.Classification > alert.Unclassified,
	})
}

// failing returns the codes that hold.
func failing(codes map[string]bool) map[string]bool {
	maps.DeleteFunc(codes, func(_ string, failed bool) bool { return !failed })
	return codes
}

func oracleNamesNobody(w *federation.World, list []alert.Audience) bool {
	for _, entry := range list {
		_, isMember := w.Members[alert.MemberID(entry)]
		_, isCommunity := w.Communities[alert.CommunityID(entry)]
		if !isMember && !isCommunity {
			return true
		}
	}
	return false
}

// oracleEnd returns the end of the label's last day of holding, and whether it
// names one.
func oracleEnd(t *testing.T, l alert.Label) (int64, bool) {
	if l.Retention == "" {
		return 0, false
	}
	day, err := time.ParseInLocation("2006-01-02", string(l.Retention), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return day.Unix() + 86_400, true
}

// times gives a label a retention, mostly, and an alert its iat and exp: often
// at the very limits.
func (g *gen) times(l *alert.Label) (iat, exp int64) {
	const midnight = 1_800_057_600 // 2027-01-16 00:00 UTC
	iat = midnight + g.Int64N(1000)*86_400
	days := pick(g.Rand, -2, -1, 0, 1, 98, 99, 100, 101, g.IntN(150))
	if chance(g.Rand, 70) {
		l.Retention = alert.Date(time.Unix(iat, 0).UTC().AddDate(0, 0, days).Format(time.DateOnly))
	}
	if chance(g.Rand, 70) {
		iat += g.Int64N(86_400)
	}
	return iat, iat + 1 + g.Int64N(150*86_400)
}

// compareAdmission asks rules and oracle whether an alert with one portion comes in.
func (seen tally) compareAdmission(t *testing.T, ix *World, q Query, iat, exp int64) {
	refusals, err := ix.Admit(t.Context(), Admission{Originator: q.Originator, IssuedAt: iat, Expires: exp, Labels: []alert.Label{q.Label}})
	if err != nil {
		t.Fatal(err)
	}
	want := oracleAdmit(t, ix.world, q.Originator, q.Label, iat)
	got := make(map[string]bool)
	for _, r := range refusals {
		if got[r.Code] || (r.Portion == WholeAlert) != (r.Code == "originator-suspended") || r.Portion > 0 {
			t.Fatalf("%+v stands twice or for what it does not concern", r)
		}
		got[r.Code] = true
	}
	if !maps.Equal(got, want) {
		t.Fatalf("admission: rules say %v, oracle %v\niat %d\n%+v\n%+v", got, want, iat, q, ix.world)
	}
	if len(want) == 0 {
		seen["admitted"]++
	}
	for code := range want {
		seen[code]++
	}
}

package policies

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

// oracleAdmit is the truth table of admission: every reason code against an
// alert of o's, issued at iat, whose one portion has the label.
func oracleAdmit(t *testing.T, w *federation.World, o alert.MemberID, l alert.Label, iat int64) map[string]bool {
	entry, known := w.Members[o]
	ends, named := oracleEnd(t, l)
	personal := l.PersonalData == alert.Personal || l.PersonalData == alert.SpecialCategory
	return failing(map[string]bool{
		"originator-suspended": !known || entry.Suspended,
		"unknown-scheme":       oracleScheme(w, l.Policy) == nil,
		"originator-ceiling":   !known || entry.Ceiling < l.Classification,
		"unknown-compartment":  len(l.Compartments) > 0 && (!known || !oracleInAll(w, l.Compartments, o)),
		"unknown-recipient":    oracleNamesNobody(w, l.ReleasableTo) || oracleNamesNobody(w, l.DiscoverableTo),
		"unknown-marking":      oracleScheme(w, l.Policy) != nil && !oracleMarked(oracleScheme(w, l.Policy), l),
		"retention-missing":    personal && !named,
		"retention-too-long":   personal && named && ends > iat+int64(w.Rules.MaxRetentionDays)*86_400,
		"retention-past":       named && ends <= iat,
		"tlp-conflict":         l.TLP == alert.Clear && l.Classification > alert.Unclassified,
	})
}

// oracleScheme returns the marking scheme, nil if it is not in use.
func oracleScheme(w *federation.World, urn string) []federation.SchemeLevel {
	for _, s := range w.Schemes {
		if s.URN == urn {
			return s.Levels
		}
	}
	return nil
}

// oracleMarked reports whether a scheme's names hold the one on the label for the
// label's level, or, where the label has none, any.
func oracleMarked(scheme []federation.SchemeLevel, l alert.Label) bool {
	for _, row := range scheme {
		for _, name := range row.Names {
			if row.Level == l.Classification && (name == l.MarkedAs || l.MarkedAs == "") {
				return true
			}
		}
	}
	return false
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
func (seen tally) compareAdmission(t *testing.T, ix *World, q Query, iat, exp int64, wrong differences) {
	refusals, err := ix.Admit(t.Context(), Admission{Originator: q.Originator, IssuedAt: iat, Expires: exp, Labels: []alert.Label{q.Label}})
	if err != nil {
		wrong.add("admission", "%v", err)
		return
	}
	want := oracleAdmit(t, ix.world, q.Originator, q.Label, iat)
	got := make(map[string]bool)
	for _, r := range refusals {
		if got[r.Code] || (r.Portion == WholeAlert) != (r.Code == "originator-suspended") || r.Portion > 0 {
			wrong.add("admission", "%+v stands twice or for what it does not concern", r)
		}
		got[r.Code] = true
	}
	if !maps.Equal(got, want) {
		wrong.add("admission", "rules say %v, oracle %v, iat %d", got, want, iat)
	}
	if len(want) == 0 {
		seen["admitted"]++
	}
	for code := range want {
		seen[code]++
	}
	seen.tallyMarking(ix.world, q.Label)
}

// markingCases are what tallyMarking counts.
var markingCases = []string{"no scheme", "marked rightly", "marked by a second name", "not marked", "no name for the level",
	"marked as another level", "marked by another scheme's name", "marked by no scheme's name"}

func (seen tally) tallyMarking(w *federation.World, l alert.Label) {
	own := oracleScheme(w, l.Policy)
	if own == nil {
		seen["no scheme"]++
		return
	}
	at := func(table []federation.SchemeLevel) (alert.Classification, int) {
		for _, row := range table {
			if i := slices.Index(row.Names, l.MarkedAs); i >= 0 {
				return row.Level, i
			}
		}
		return 0, 0
	}
	level, place := at(own)
	plain, _ := at(plainNames)
	foreign, _ := at(nationalNames)
	switch {
	case l.MarkedAs == "" && oracleMarked(own, l):
		seen["not marked"]++
	case l.MarkedAs == "":
		seen["no name for the level"]++
	case level == l.Classification && place > 0:
		seen["marked by a second name"]++
	case level == l.Classification:
		seen["marked rightly"]++
	case level != 0:
		seen["marked as another level"]++
	case plain != 0 || foreign != 0:
		seen["marked by another scheme's name"]++
	default:
		seen["marked by no scheme's name"]++
	}
}

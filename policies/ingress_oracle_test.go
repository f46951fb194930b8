package policies

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
)

// oracleIngress is the truth table of ingress in plain Go: one user and one
// portion at a time. It shares no code with the rules or the index, nor with the
// methods of the types that it reads.
func oracleIngress(n National, id UserID, r Reading) map[string]bool {
	user := n.Users[slices.IndexFunc(n.Users, func(u User) bool { return u.ID == id })]
	agency := n.Agencies[slices.IndexFunc(n.Agencies, func(a Agency) bool { return a.ID == user.Agency })]
	codes := map[string]bool{
		"ingress-standing": user.Suspended,
		"ingress-purpose":  !slices.Contains(user.Purposes, r.Purpose),
	}
	if r.Release.Kind == feed.Existence {
		codes["ingress-existence"] = !agency.FocalPoint
		return failing(codes)
	}
	l, o := r.Label, r.Release.Obligations
	if !slices.Contains(o.Purposes, r.Purpose) {
		codes["ingress-purpose"] = true
	}
	codes["ingress-holding"] = o.HoldUntil <= r.At
	codes["ingress-clearance"] = user.Clearance < l.Classification || r.Ceiling < l.Classification
	for _, c := range l.Compartments {
		if !slices.Contains(user.TaskForces, c) && (r.Release.Emergency == "" || !slices.Contains(r.Emergency, c) || !agency.FocalPoint) {
			codes["ingress-need-to-know"] = true
		}
	}
	codes["ingress-agency"] = true
	for _, c := range l.Categories {
		if slices.Contains(agency.Categories, c) {
			codes["ingress-agency"] = false
		}
	}
	switch l.TLP {
	case alert.Red:
		codes["ingress-tlp"] = !user.TLPRed || !agency.FocalPoint
	case alert.AmberStrict:
		codes["ingress-tlp"] = !agency.FocalPoint
	}
	return failing(codes)
}

// newNational makes a small, crowded directory in which every rule bites often.
func newNational(t testing.TB, r *rand.Rand) National {
	t.Helper()
	var n National
	for _, id := range []AgencyID{"border-police", "coast-guard", "liaison-office"} {
		n.Agencies = append(n.Agencies, Agency{ID: id, Name: string(id), FocalPoint: id == "liaison-office" || chance(r, 20),
			Categories: some(r, someCategories, 60)})
	}
	for _, id := range []UserID{"u-1", "u-2", "u-3", "u-4", "u-5", "u-6", "u-7", "u-8"} {
		n.Users = append(n.Users, User{ID: id, Agency: pick(r, n.Agencies...).ID, Clearance: pick(r, levels...),
			TaskForces: some(r, someTaskForces, 60), Purposes: some(r, somePurposes, 75), TLPRed: chance(r, 60), Suspended: chance(r, 10)})
	}
	if err := n.Validate(); err != nil {
		t.Fatal(err)
	}
	return n
}

// newReading makes a question about a random portion.
func newReading(t testing.TB, r *rand.Rand) Reading {
	t.Helper()
	q := Reading{Purpose: pick(r, somePurposes...), Ceiling: pick(r, 0, alert.Restricted, alert.Confidential, alert.Secret, alert.TopSecret),
		At: 1000, Release: feed.Release{Portion: "p", Kind: feed.Existence}}
	if chance(r, 10) {
		return q
	}
	l := alert.Label{Policy: scheme, Classification: pick(r, levels[:3]...), TLP: alert.TLP(r.IntN(6)), PersonalData: alert.NoPersonalData,
		Compartments: some(r, someTaskForces, 25), Categories: someOf(r, someCategories, 40), Purposes: someOf(r, somePurposes, 60)}
	if err := l.Normalize(); err != nil {
		t.Fatal(err)
	}
	q.Label, q.Release.Kind = &l, feed.Content
	q.Release.Obligations = &feed.Obligations{Purposes: some(r, l.Purposes, 80), HoldUntil: pick[int64](r, 1, 1000, 1001, 2000, 2000, 2000)}
	if chance(r, 50) {
		q.Release.Emergency = "digest"
	}
	if chance(r, 70) {
		q.Emergency = some(r, someTaskForces, 60)
	}
	return q
}

func mustIngressRules(t testing.TB) ingressRules {
	t.Helper()
	r, err := loadIngressRules(nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustIndex(t testing.TB, r ingressRules, n National) *Ingress {
	t.Helper()
	i, err := r.over(n)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func mustRead(t testing.TB, i *Ingress, q Reading) *Readers {
	t.Helper()
	r, err := i.Decide(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ingressDisagreements counts the users and portions on which rules and oracle
// differ in who may read, and those on which they differ at all. It ends after a
// directory on which they differ in who may read.
func ingressDisagreements(t *testing.T, rules ingressRules) (readers, any, permitted int) {
	t.Helper()
	r := newRand(t)
	for d := 0; d < 300 && readers == 0; d++ {
		n := newNational(t, r)
		i := mustIndex(t, rules, n)
		for range 20 {
			q := newReading(t, r)
			got := mustRead(t, i, q)
			for _, u := range n.Users {
				want, codes := oracleIngress(n, u.ID, q), map[string]bool{}
				for _, rule := range got.Refused(u.ID) {
					codes[rule.Code] = true
				}
				if got.Permits(u.ID) != (len(want) == 0) {
					readers++
				}
				if !cmp.Equal(want, codes) {
					any++
				}
				if len(want) == 0 {
					permitted++
				}
			}
		}
	}
	return readers, any, permitted
}

func TestIngressAgreesWithOracle(t *testing.T) {
	readers, any, permitted := ingressDisagreements(t, mustIngressRules(t))
	if readers != 0 || any != 0 {
		t.Errorf("%d readers and %d answers differ", readers, any)
	}
	if permitted < 1000 {
		t.Errorf("only %d were permitted anything: the test has no bite", permitted)
	}
}

// TestIngressOracleCatchesALostRule takes each rule away in turn.
func TestIngressOracleCatchesALostRule(t *testing.T) {
	for _, rule := range mustIngressRules(t).Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			name := "ingress/" + rule.Name + "/" + rule.Name + ".rego"
			readers, _, _ := ingressDisagreements(t, changedIngress(t, name, func(src string) string {
				if !permitsRule.MatchString(src) {
					t.Fatalf("%s has no permits to replace", name)
				}
				return permitsRule.ReplaceAllString(src, "${1}before ") + "\npermits := input.directory.users\n"
			}))
			if readers == 0 {
				t.Error("nobody reads more without it")
			}
		})
	}
}

// TestIngressOracleCatchesALostCondition does the same with conditions inside rules.
func TestIngressOracleCatchesALostCondition(t *testing.T) {
	for _, c := range []struct{ name, rule, old, new string }{
		{"the member's ceiling", "clearance", " if input.label.classification in input.ceiling", ""},
		{"the release's purposes", "purpose", " if input.purpose in input.purposes", ""},
		{"an emergency for the compartments that it names", "need_to_know", " if compartment in input.emergency", " if count(input.emergency | {compartment}) > 1"},
		{"an emergency only if declared", "need_to_know", " if compartment in input.emergency", " if not compartment in input.emergency"},
		{"an emergency for the focal point only", "need_to_know", "excused(compartment) := input.directory.focal_point if", "excused(compartment) := input.directory.users if"},
		{"all compartments", "need_to_know", "intersection({", "union({"},
		{"red for those named", "tlp", "input.directory.focal_point & input.directory.red", "input.directory.focal_point"},
		{"red at the focal point", "tlp", "input.directory.focal_point & input.directory.red", "input.directory.red"},
		{"amber+strict", "tlp", `permits := input.directory.focal_point if`, `permits := input.directory.users if`},
	} {
		t.Run(c.name, func(t *testing.T) {
			readers, _, _ := ingressDisagreements(t, changedIngress(t, "ingress/"+c.rule+"/"+c.rule+".rego", func(src string) string {
				return replaceOnce(t, src, c.old, c.new)
			}))
			if readers == 0 {
				t.Error("nothing differs")
			}
		})
	}
}

package policies

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/strictjson"
)

const fixedNational = `{
	"agencies": [
		{"id": "liaison", "name": "Liaison office", "focal_point": true, "categories": ["smuggling", "visa"]},
		{"id": "coast", "name": "Coast guard", "categories": ["smuggling"]}
	],
	"users": [
		{"id": "u-1", "agency": "liaison", "clearance": "secret", "task_forces": ["tf-one"], "purposes": ["investigation", "prevention"], "tlp_red": true},
		{"id": "u-2", "agency": "liaison", "clearance": "secret", "purposes": ["investigation"], "suspended": true},
		{"id": "u-3", "agency": "coast", "clearance": "restricted", "purposes": ["investigation"]}
	]
}`

func mustNational(t testing.TB) National {
	t.Helper()
	n, err := ParseNational([]byte(fixedNational))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fixedReading is a question that u-1 and u-3 may read.
func fixedReading() Reading {
	l := alert.Label{Policy: scheme, Classification: alert.Restricted, Categories: []alert.Category{"smuggling"},
		Purposes: []alert.Purpose{"investigation"}, PersonalData: alert.NoPersonalData}
	return Reading{Label: &l, Purpose: "investigation", Ceiling: alert.Secret, At: 10, Release: feed.Release{Portion: "p", Kind: feed.Content,
		Obligations: &feed.Obligations{Purposes: l.Purposes, HoldUntil: 20}}}
}

func TestIngress(t *testing.T) {
	i := mustIndex(t, mustIngressRules(t), mustNational(t))
	got := mustRead(t, i, fixedReading())
	if diff := cmp.Diff([]UserID{"u-1", "u-3"}, got.Permitted()); diff != "" {
		t.Error(diff)
	}
	if list := got.Refused("u-2"); len(list) != 1 || list[0].Code != "ingress-standing" || list[0].Message == "" {
		t.Errorf("%+v", list)
	}
	if got.Permits("u-9") || got.Refused("u-9") != nil {
		t.Error("a stranger is decided upon")
	}
	q := fixedReading()
	q.Label.Classification, q.Label.Compartments, q.Label.TLP, q.At = alert.Secret, []alert.TaskForceID{"tf-one"}, alert.Red, 20
	codes := []string{}
	for _, r := range mustRead(t, i, q).Refused("u-3") {
		codes = append(codes, r.Code)
	}
	if diff := cmp.Diff([]string{"ingress-holding", "ingress-clearance", "ingress-need-to-know", "ingress-tlp"}, codes); diff != "" {
		t.Error(diff)
	}
	if len(i.Rules()) != 8 {
		t.Errorf("%d rules", len(i.Rules()))
	}
}

// TestIngressRemembers: what is remembered is told apart by all that it rests on,
// and forgotten when there is too much of it.
func TestIngressRemembers(t *testing.T) {
	i := mustIndex(t, mustIngressRules(t), mustNational(t))
	first := mustRead(t, i, fixedReading())
	later := fixedReading()
	later.At = 19
	if mustRead(t, i, later) != first {
		t.Error("decided again though nothing has changed")
	}
	for name, change := range map[string]func(*Reading){
		"label":     func(q *Reading) { q.Label.TLP = alert.Green },
		"purpose":   func(q *Reading) { q.Purpose = "prevention" },
		"purposes":  func(q *Reading) { q.Release.Obligations.Purposes = []alert.Purpose{} },
		"holding":   func(q *Reading) { q.At = 20 },
		"emergency": func(q *Reading) { q.Release.Emergency, q.Emergency = "digest", []alert.TaskForceID{"tf-one"} },
		"ceiling":   func(q *Reading) { q.Ceiling = alert.TopSecret },
		"existence": func(q *Reading) { q.Release = feed.Release{Kind: feed.Existence}; q.Label = nil },
	} {
		q := fixedReading()
		change(&q)
		if mustRead(t, i, q) == first {
			t.Errorf("%s: not told apart", name)
		}
	}
	bound := maxReadersBytes / (4 * len(i.users))
	for n := range bound {
		i.known[[32]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}] = first
	}
	q := fixedReading()
	q.Label.TLP = alert.Amber
	mustRead(t, i, q)
	if len(i.known) != 1 {
		t.Errorf("%d remembered", len(i.known))
	}
}

func TestIngressRefusesQuestions(t *testing.T) {
	i := mustIndex(t, mustIngressRules(t), mustNational(t))
	for name, change := range map[string]func(*Reading){
		"no kind":                func(q *Reading) { q.Release.Kind = feed.None },
		"content without label":  func(q *Reading) { q.Label = nil },
		"content on no terms":    func(q *Reading) { q.Release.Obligations = nil },
		"existence with label":   func(q *Reading) { q.Release = feed.Release{Kind: feed.Existence} },
		"existence on terms":     func(q *Reading) { q.Release.Kind, q.Label = feed.Existence, nil },
		"no purpose":             func(q *Reading) { q.Purpose = "" },
		"purpose of nobody's":    func(q *Reading) { q.Purpose = "curiosity" },
		"purpose in other words": func(q *Reading) { q.Purpose = "Investigation" },
	} {
		q := fixedReading()
		change(&q)
		if r, err := i.Decide(t.Context(), q); !errors.Is(err, alert.ErrInvalid) || r != nil {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
}

// TestIngressWrongAnswersAreErrors: rules that do not account for every user and
// rule, or contradict themselves, let nobody read.
func TestIngressWrongAnswersAreErrors(t *testing.T) {
	const decision = "ingress/decision/decision.rego"
	for _, c := range []struct{ name, old, new, want string }{
		{"a rule too few", `"refused": refused}`, `"refused": object.remove(refused, ["ingress-tlp"])}`, "every rule"},
		{"a rule too many", `"refused": refused}`, `"refused": object.union(refused, {"other": set()})}`, "every rule"},
		{"a rule of another name", `"ingress-tlp":`, `"ingress-other":`, "rule ingress-tlp"},
		{"a user too few", "permitted := input.directory.users - ", `permitted := (input.directory.users - {"u-1"}) - `, "contradicts"},
		{"the refused", "permitted := input.directory.users - ", "permitted := input.directory.users | ", "contradicts"},
		{"a stranger", `"permitted": permitted`, `"permitted": permitted | {"u-9"}`, "who is unknown"},
		{"no user at all", `"permitted": permitted`, `"permitted": permitted | {1}`, "who is unknown"},
		{"a stranger refused", `"ingress-tlp": input.directory.users`, `"ingress-tlp": {"u-9"} | input.directory.users`, "who is unknown"},
		{"no set", `"permitted": permitted`, `"permitted": [permitted]`, "no set"},
		{"no answer", `input.directory.users - union(`, `input.directory.nothing - union(`, "no answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules := changedIngress(t, decision, func(src string) string { return replaceOnce(t, src, c.old, c.new) })
			i := mustIndex(t, rules, mustNational(t))
			if r, err := i.Decide(t.Context(), fixedReading()); !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), c.want) || len(i.known) != 0 {
				t.Errorf("%v, %v, want %q", r, err, c.want)
			}
		})
	}
}

const ownIngress = `package entente.ingress

# METADATA
# title: Night shift
# custom:
#   code: own-night
#   message: Not on this shift.
#   order: 1
night contains user if {
	some user in input.directory.users
	not user in object.get(input.directory.task_forces, "night", set())
	input.label.classification == "restricted"
}

answer := {"permitted": input.directory.users - night, "refused": {"own-night": night}}
`

func TestIngressOwnModule(t *testing.T) {
	n := mustNational(t)
	n.Users[2].TaskForces = []alert.TaskForceID{"night"}
	i, err := LoadIngress([]byte(ownIngress), n)
	if err != nil {
		t.Fatal(err)
	}
	got := mustRead(t, i, fixedReading())
	if diff := cmp.Diff([]UserID{"u-3"}, got.Permitted()); diff != "" {
		t.Error(diff)
	}
	if list := got.Refused("u-1"); len(list) != 1 || list[0].Message != "Not on this shift." {
		t.Errorf("%+v", list)
	}
	for name, c := range map[string]struct{ module, want string }{
		"empty":           {"", "empty"},
		"another package": {strings.Replace(ownIngress, "entente.ingress", "entente.other", 1), "package entente.ingress"},
		"a package below": {strings.Replace(ownIngress, "entente.ingress", "entente.ingress.decision", 1), "package entente.ingress"},
		"no answer":       {strings.Replace(ownIngress, "answer :=", "reply :=", 1), "a rule answer"},
		"no message":      {strings.Replace(ownIngress, "#   message: Not on this shift.\n", "", 1), "METADATA"},
		"no METADATA":     {"package entente.ingress\n\nanswer := 1\n", "METADATA"},
		"syntax":          {ownIngress + "x {", "parse"},
		"the clock":       {ownIngress + "x := time.now_ns()\n", "undefined function"},
		"the network":     {ownIngress + "x := http.send({})\n", "undefined function"},
		"chance":          {ownIngress + "x := rand.intn(\"x\", 2)\n", "undefined function"},
		"the environment": {ownIngress + "x := opa.runtime()\n", "undefined function"},
	} {
		if _, err := LoadIngress([]byte(c.module), n); !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	unknown, err := LoadIngress([]byte(strings.Replace(ownIngress, `"refused": {"own-night"`, `"refused": {"other"`, 1)), n)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unknown.Decide(t.Context(), fixedReading()); !errors.Is(err, ErrPolicy) {
		t.Errorf("a code without METADATA: %v", err)
	}
}

// TestNationalIsStrict: a misspelt restriction, or one given twice, is an error.
func TestNationalIsStrict(t *testing.T) {
	for name, c := range map[string]struct{ old, new string }{
		"unknown field":       {`"tlp_red": true`, `"tlpred": true`},
		"field twice":         {`"suspended": true`, `"suspended": true, "suspended": false`},
		"null":                {`"suspended": true`, `"suspended": null`},
		"unknown level":       {`"clearance": "restricted"`, `"clearance": "cosmic"`},
		"no level":            {`"clearance": "restricted", `, ``},
		"unknown agency":      {`"agency": "coast"`, `"agency": "navy"`},
		"agency twice":        {`"id": "coast"`, `"id": "liaison"`},
		"user twice":          {`"id": "u-3"`, `"id": "u-1"`},
		"a mail address":      {`"id": "u-3"`, `"id": "u@example"`},
		"no id":               {`"id": "u-3"`, `"id": ""`},
		"agency in capitals":  {`"id": "coast"`, `"id": "Coast"`},
		"no name":             {`"Coast guard"`, `""`},
		"name of two lines":   {`"Coast guard"`, `"Coast\nguard"`},
		"unknown category":    {`["smuggling", "visa"]`, `["smugling"]`},
		"category twice":      {`["smuggling", "visa"]`, `["visa", "visa"]`},
		"unknown purpose":     {`["investigation", "prevention"]`, `["investigations"]`},
		"purpose twice":       {`["investigation", "prevention"]`, `["prevention", "prevention"]`},
		"bad task force":      {`["tf-one"]`, `["TF"]`},
		"task force twice":    {`["tf-one"]`, `["tf-one", "tf-one"]`},
		"no focal point":      {`"focal_point": true`, `"focal_point": false`},
		"something after it":  {"]\n}", "]\n} {}"},
		"users of other form": {`"users": [`, `"users": {}, "others": [`},
	} {
		if strings.Count(fixedNational, c.old) != 1 {
			t.Fatalf("%s: %q", name, c.old)
		}
		_, err := ParseNational([]byte(strings.Replace(fixedNational, c.old, c.new, 1)))
		if !errors.Is(err, alert.ErrInvalid) && !errors.Is(err, strictjson.ErrStrict) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	full := mustNational(t)
	for name, change := range map[string]func(*National){
		"no agencies":       func(n *National) { n.Agencies = nil },
		"no users":          func(n *National) { n.Users = nil },
		"too many agencies": func(n *National) { n.Agencies = make([]Agency, MaxAgencies+1) },
		"too many users":    func(n *National) { n.Users = make([]User, MaxUsers+1) },
	} {
		n := full
		change(&n)
		if _, err := LoadIngress(nil, n); !errors.Is(err, alert.ErrInvalid) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func FuzzParseNational(f *testing.F) {
	for _, s := range []string{fixedNational, "{}", `{"agencies":[],"users":[]}`, strings.ReplaceAll(fixedNational, "restricted", "top-secret")} {
		f.Add([]byte(s))
	}
	rules := mustIngressRules(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		n, err := ParseNational(raw)
		if err != nil {
			return
		}
		i, err := rules.over(n)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(len(i.users)); got != fmt.Sprint(len(n.Users)) {
			t.Errorf("%s users of %d", got, len(n.Users))
		}
		mustRead(t, i, fixedReading())
	})
}

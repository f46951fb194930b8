package policies

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

func TestRulesComeFromMetadata(t *testing.T) {
	e := mustLoad(t)
	var codes, admitting []string
	for i, r := range e.Rules() {
		codes = append(codes, r.Code)
		if r.Order != i+1 || r.Title == "" || r.Description == "" || !strings.HasSuffix(r.Message, ".") {
			t.Errorf("%+v", r)
		}
	}
	for _, r := range e.AdmissionRules() {
		admitting = append(admitting, r.Code)
	}
	want := []string{"suspended", "clearance", "need-to-know", "release-list", "tlp", "personal-data", "agreement",
		"originator-control", "third-party"}
	if !slices.Equal(codes, want) {
		t.Errorf("release codes %v, want %v", codes, want)
	}
	want = []string{"originator-suspended", "unknown-scheme", "originator-ceiling", "unknown-compartment",
		"unknown-recipient", "retention-missing", "retention-too-long", "retention-past", "tlp-conflict", "unknown-marking"}
	if !slices.Equal(admitting, want) {
		t.Errorf("admission codes %v, want %v", admitting, want)
	}
}

func TestDigestNamesTheRulesAndNothingElse(t *testing.T) {
	modules, err := embedded("release", "admission")
	if err != nil {
		t.Fatal(err)
	}
	whole := mustLoad(t).Digest()
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`).MatchString(whole) || whole != Digest(modules) {
		t.Fatalf("digest %q", whole)
	}
	for name := range modules {
		if strings.HasSuffix(name, "_test.rego") || strings.HasPrefix(name, "egress") {
			t.Errorf("%s counts", name)
		}
		changed := maps.Clone(modules)
		changed[name] += "\n"
		if Digest(changed) == whole {
			t.Errorf("a change of %s does not change the digest", name)
		}
	}
	if Digest(map[string]string{"a": "bc"}) == Digest(map[string]string{"ab": "c"}) {
		t.Error("names and sources run into one another")
	}
}

// TestLoadRefusesBrokenRules: a bundle that could answer wrongly does not load.
func TestLoadRefusesBrokenRules(t *testing.T) {
	const tlp = "release/tlp/tlp.rego"
	for _, c := range []struct{ name, old, new, want string }{
		{"syntax", "default permits := set()", "default permits := set(", "parse"},
		{"unused import", "default permits", "import data.entente.release.audience\n\ndefault permits", "compile"},
		{"no code", "code: tlp", "kode: tlp", "METADATA"},
		{"no message", "message: TLP", "massage: TLP", "METADATA"},
		{"no order", "order: 5", "order: fifth", "METADATA"},
		{"order taken", "order: 5", "order: 4", "given twice"},
		{"code taken", "code: tlp", "code: clearance", "given twice"},
		{"network", `if input.label.tlp == "red"`, `if http.send({"method": "get", "url": "http://localhost"}).status_code == 200`, "undefined function http.send"},
		{"clock", `if input.label.tlp == "red"`, `if time.now_ns() > 0`, "undefined function time.now_ns"},
	} {
		t.Run(c.name, func(t *testing.T) {
			modules, err := embedded("release", "admission")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(modules[tlp], c.old) {
				t.Fatalf("%q is not there", c.old)
			}
			modules[tlp] = strings.Replace(modules[tlp], c.old, c.new, 1)
			if _, err := Compile(modules); !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// TestWrongAnswersAreErrors: rules that answer in the wrong shape, or against
// themselves, release nothing.
func TestWrongAnswersAreErrors(t *testing.T) {
	const release = "release/decision/decision.rego"
	for _, c := range []struct{ name, file, old, new, want string }{
		{"undefined rule", "release/active/active.rego", "default permits := set()\n\npermits := input.world.active if input.originator in input.world.active",
			"permits := input.world.active if input.label.tlp == \"red\"", "no answer"},
		{"an entry too few", release, "\t\t\"active\": active.permits,\n", "", "every rule"},
		{"an entry too many", release, "\t\t\"tlp\": tlp.permits,\n", "\t\t\"tlp\": tlp.permits,\n\t\t\"other\": set(),\n", "every rule"},
		{"an entry of another name", release, `"tlp": tlp.permits`, `"other": tlp.permits`, "rule tlp"},
		{"an entry of no set", release, `"active": active.permits`, `"active": ["XB"]`, "rule active"},
		{"no content", release, `"content": {`, `"other": {`, "every rule"},
		{"no existence", release, `"existence": {`, `"other": {`, "existence"},
		{"existence that rests on nothing", release, `"onward": `, `"existence": {}, "onward": `, "existence"},
		{"existence no set", release, `"discoverers": audience.discoverers`, `"discoverers": [audience.discoverers]`, "discoverers"},
		{"onward left out", release, `"onward": onward.permitted`, `"other": onward.permitted`, "onward"},
		{"onward a word", "release/onward/onward.rego", "\npermitted if", "\npermitted := \"true\" if", "onward"},
		{"onward nothing", "release/onward/onward.rego", "\npermitted if", "\npermitted := null if", "onward"},
		{"onward undefined", "release/onward/onward.rego", "default permitted := false\n\npermitted if {", "permitted if {\n\tinput.label.tlp == \"red\"", "no answer"},
		{"an error inside", "release/clearance/clearance.rego", "input.world.clearance[input.label.classification]", "{o | o := input.originator; regex.match(\"[\", o)}", "evaluate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			modules, err := embedded("release", "admission")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(modules[c.file], c.old) {
				t.Fatalf("%q is not there", c.old)
			}
			modules[c.file] = strings.Replace(modules[c.file], c.old, c.new, 1)
			if _, err := Compile(modules); !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("compiling: error %v, want %q", err, c.want)
			}
			e, err := newEngine(modules)
			if err != nil {
				t.Fatal(err)
			}
			w := mustWorld(t, e, fixedWorld())
			q := fixedQuery()
			q.Label.ReleasableTo = []alert.Audience{"XB"}
			if a, err := w.Decide(t.Context(), q); !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("answer %v, error %v, want %q", a, err, c.want)
			}
		})
	}
}

// TestCapabilitiesReachNothingOutside: what is remembered depends on the input
// alone, so that nothing else may be read.
func TestCapabilitiesReachNothingOutside(t *testing.T) {
	for _, b := range Capabilities().Builtins {
		family, _, _ := strings.Cut(b.Name, ".")
		if b.Nondeterministic || slices.Contains([]string{"bits", "crypto", "graph", "graphql", "http", "io", "json", "net", "numbers", "opa",
			"providers", "rand", "time", "trace", "uuid", "yaml"}, family) {
			t.Errorf("rules may use %s", b.Name)
		}
	}
	for _, name := range builtins {
		if !slices.ContainsFunc(Capabilities().Builtins, func(b *ast.Builtin) bool { return b.Name == name }) {
			t.Errorf("there is no builtin %s", name)
		}
	}
	if len(builtins) != len(Capabilities().Builtins) {
		t.Error("a builtin is named twice")
	}
}

func TestWorldNeedsMembers(t *testing.T) {
	for _, w := range []*federation.World{nil, {}} {
		if _, err := mustLoad(t).World(w); err == nil {
			t.Errorf("%v is indexed", w)
		}
	}
}

// fixedWorld has XA (top-secret), XB, XC (secret), and XD, suspended; an
// agreement of XA, XB and XC on smuggling, and one of XA and XB on trafficking.
func fixedWorld() *federation.World {
	w := &federation.World{
		Revision: "fixed",
		Members: map[alert.MemberID]federation.Member{
			"XA": {ID: "XA", Ceiling: alert.TopSecret}, "XB": {ID: "XB", Ceiling: alert.Secret},
			"XC": {ID: "XC", Ceiling: alert.Secret}, "XD": {ID: "XD", Ceiling: alert.Secret, Suspended: true}},
		Communities: map[alert.CommunityID][]alert.MemberID{alert.Federation: {"XA", "XB", "XC", "XD"}},
		TaskForces:  map[alert.TaskForceID][]alert.MemberID{"tf-one": {"XA", "XB"}, "tf-two": {"XC"}},
		Consents:    map[federation.ConsentKey]federation.Consent{},
		Schemes:     []federation.Scheme{federation.PlainScheme(scheme, "plain")},
		Rules:       federation.Rules{MaxRetentionDays: 30},
	}
	w.Agreements = []federation.InForce{
		{Digest: "digest-b", Agreement: federation.Agreement{ID: "aa", Parties: []alert.MemberID{"XA", "XB", "XC"},
			Categories: []alert.Category{"smuggling"}, Purposes: []alert.Purpose{"investigation", "prevention"},
			MaxClassification: alert.Secret, PersonalData: alert.NoPersonalData, RetentionDays: 20, Onward: true}},
		{Digest: "digest-a", Agreement: federation.Agreement{ID: "bb", Parties: []alert.MemberID{"XA", "XB"},
			Categories: []alert.Category{"smuggling", "trafficking"}, Purposes: []alert.Purpose{"prevention", "risk-analysis"},
			MaxClassification: alert.Confidential, PersonalData: alert.SpecialCategory, RetentionDays: 10}},
	}
	return w
}

// fixedQuery is of a portion that fixedWorld gives to XB and XC.
func fixedQuery() Query {
	return Query{Originator: "XA", Alert: alertID(1), Label: alert.Label{
		Policy: scheme, Classification: alert.Confidential, TLP: alert.Amber,
		ReleasableTo: []alert.Audience{"XB", "XC"},
		Categories:   []alert.Category{"smuggling"}, Purposes: []alert.Purpose{"investigation", "prevention", "risk-analysis"},
		PersonalData: alert.NoPersonalData,
	}}
}

package scenario

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/entente-hub/entente/policies"
)

// failures returns the scenarios that do not hold under a bundle, each with its
// first difference, which a test prints.
func failures(t *testing.T, modules map[string]string, list []Scenario) (out []string) {
	t.Helper()
	e, err := policies.Compile(modules)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		differences, err := s.Check(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		if len(differences) > 0 {
			out = append(out, s.String()+": "+differences[0])
		}
	}
	return out
}

var (
	permitsRule = regexp.MustCompile(`(?m)^(default )?permits `)
	refuseRule  = regexp.MustCompile(`(?m)^refuse contains .* if \{$`)
)

// TestScenariosCatchALostRule takes each rule of release away in turn: it lets
// everybody through, and a scenario must say that somebody gets what is not for
// them. personal-data only gives the reason of what the agreement rule refuses.
func TestScenariosCatchALostRule(t *testing.T) {
	list := mustRead(t)
	for _, rule := range mustLoad(t).Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			modules, name := policies.Embedded(), "release/"+rule.Name+"/"+rule.Name+".rego"
			if !permitsRule.MatchString(modules[name]) {
				t.Fatalf("%s has no permits to replace", name)
			}
			modules[name] = permitsRule.ReplaceAllString(modules[name], "${1}before ") + "\npermits := input.world.members\n"
			failed := failures(t, modules, list)
			if len(failed) == 0 {
				t.Fatal("no scenario fails")
			}
			gains := slices.ContainsFunc(failed, func(f string) bool { return strings.HasSuffix(f, "got content") })
			if !gains && rule.Code != "personal-data" {
				t.Errorf("nobody gets more: %q", failed)
			}
		})
	}
}

// TestScenariosCatchALostRefusal takes each rule of admission away in turn.
func TestScenariosCatchALostRefusal(t *testing.T) {
	const name = "admission/admission.rego"
	list := mustRead(t)
	for _, rule := range mustLoad(t).AdmissionRules() {
		t.Run(rule.Code, func(t *testing.T) {
			modules := policies.Embedded()
			parts := strings.Split(modules[name], "# METADATA\n")
			at := slices.IndexFunc(parts, func(p string) bool { return strings.Contains(p, "code: "+rule.Code+"\n") })
			if at < 0 || len(refuseRule.FindAllString(parts[at], -1)) != 1 {
				t.Fatalf("no one rule with code %s", rule.Code)
			}
			parts[at] = refuseRule.ReplaceAllString(parts[at], "$0\n\tfalse")
			modules[name] = strings.Join(parts, "# METADATA\n")
			if failed := failures(t, modules, list); !slices.ContainsFunc(failed, func(f string) bool { return strings.HasSuffix(f, "got to be taken in") }) {
				t.Errorf("no scenario sees an alert come in: %q", failed)
			}
		})
	}
}

// TestScenariosCatchALostCondition changes conditions inside rules, one at a time.
func TestScenariosCatchALostCondition(t *testing.T) {
	list := mustRead(t)
	const (
		admission = "admission/admission.rego"
		agreement = "release/agreement/agreement.rego"
		audience  = "release/audience/audience.rego"
		decision  = "release/decision/decision.rego"
		need      = "release/need_to_know/need_to_know.rego"
		onward    = "release/onward/onward.rego"
		personal  = "release/personal_data/personal_data.rego"
		third     = "release/third_party/third_party.rego"
	)
	for _, c := range []struct{ name, file, old, new string }{
		{"sound", third, "", ""},
		{"red binds discovery", audience, `discoverers := input.label.discoverable_to.members if`, `discoverers := expand(input.label.discoverable_to) if`},
		{"communities are expanded", audience, `members := input.world.communities[community]`, `members := input.world.communities[community] - input.world.members`},
		{"exemption only when unclassified", agreement, `input.label.classification == "unclassified"`, ``},
		{"exemption only without personal data", agreement, `input.label.personal_data == "none"`, ``},
		{"every category is covered", agreement, `union({intersection({covered |`, `union({union({covered |`},
		{"one purpose is enough", agreement, `union({intersection({covered |`, `intersection({intersection({covered |`},
		{"suspension binds existence", decision, "\t\t\"active\": active.permits,\n", ""},
		{"originator control binds existence", decision, "\t\t\"originator_control\": originator_control.permits,\n", ""},
		{"third-party rule binds existence", decision, "\t\t\"third_party\": third_party.permits,\n", ""},
		{"all compartments", need, `permits := intersection({inside`, `permits := union({inside`},
		{"an emergency opens what it names alone", need, `compartment in input.emergency.compartments`, `count(compartment) > 0`},
		{"an emergency opens something", need, `| excused(compartment)`, `| (excused(compartment) - input.world.members)`},
		{"what an alert derives from itself", third, `not input.alert in input.label.derived_from`, ``},
		{"a suspended source consents to nothing", third, `consent.originator in input.world.active`, ``},
		{"the source itself counts as consenting", third, ` | {consent.originator} if`, ` if`},
		{"all sources", third, `permits := intersection({consented`, `permits := union({consented`},
		{"personal data given as the reason only where they are", personal, `(agreement.reached("none") - agreement.permits)`, `agreement.reached("none")`},
		{"H2", onward, `count(input.label.handling & {"H2"}) == 0`, ``},
		{"H2 and no other", onward, `count(input.label.handling & {"H2"}) == 0`, `count(input.label.handling) == 0`},
		{"originator control goes no further", onward, `input.label.originator_control == false`, ``},
		{"amber+strict goes no further", onward, `"amber"}`, `"amber", "amber+strict"}`},
		{"red goes no further", onward, `"amber"}`, `"amber", "red"}`},
		{"amber goes further", onward, `"green", "amber"}`, `"green"}`},
		{"lists for existence are checked", admission, `{label.releasable_to, label.discoverable_to}`, `{label.releasable_to}`},
		{"lists for release are checked", admission, `{label.releasable_to, label.discoverable_to}`, `{label.discoverable_to}`},
		{"retention to the very day", admission, `label.retention_ends > input.issued_at`, `label.retention_ends >= input.issued_at`},
		{"retention at the very moment", admission, `label.retention_ends <= input.issued_at`, `label.retention_ends < input.issued_at`},
		{"long retention of personal data alone", admission, "\tlabel.personal_data != \"none\"\n\tlabel.retention_ends >", "\tlabel.retention_ends >"},
		{"only clear contradicts", admission, `label.tlp == "clear"`, `label.tlp in {"clear", "green"}`},
		{"clear contradicts a level alone", admission, "\tlabel.tlp == \"clear\"\n\tlabel.classification != \"unclassified\"", "\tlabel.tlp == \"clear\""},
		{"a name stands for its level", admission, `names[label.marked_as] == label.classification`, `names[label.marked_as]`},
		{"a level without a name", admission, "level == label.classification", `count(level) > 0; count(label) > 0`},
	} {
		t.Run(c.name, func(t *testing.T) {
			modules := policies.Embedded()
			src := modules[c.file]
			at := strings.LastIndex(src, c.old)
			if at < 0 {
				t.Fatalf("%s does not hold %q", c.file, c.old)
			}
			modules[c.file] = src[:at] + c.new + src[at+len(c.old):]
			if failed := failures(t, modules, list); (len(failed) > 0) != (c.old != "") {
				t.Errorf("%d scenarios fail: %q", len(failed), failed)
			}
		})
	}
}

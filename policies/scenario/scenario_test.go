package scenario

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/entente-hub/entente/policies"
)

func mustLoad(t testing.TB) *policies.Engine {
	t.Helper()
	e, err := policies.Load()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func mustRead(t testing.TB) []Scenario {
	t.Helper()
	list, err := Read(Embedded())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestEmbedded holds the embedded rules to the embedded scenarios.
func TestEmbedded(t *testing.T) {
	e, list := mustLoad(t), mustRead(t)
	if len(list) < 70 {
		t.Errorf("only %d scenarios", len(list))
	}
	for _, s := range list {
		t.Run(s.File+"/"+s.Title, func(t *testing.T) {
			differences, err := s.Check(t.Context(), e)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range differences {
				t.Errorf("%s:%d: %s", s.File, s.Line, d)
			}
		})
	}
}

// TestEveryCodeIsExpected: each code that a rule's METADATA declares is a reason
// that a scenario expects, and scenarios expect no other.
func TestEveryCodeIsExpected(t *testing.T) {
	e := mustLoad(t)
	var declared []string
	for _, r := range slices.Concat(e.Rules(), e.AdmissionRules()) {
		declared = append(declared, r.Code)
	}
	var found []string
	for _, s := range mustRead(t) {
		for _, code := range s.Codes() {
			if !slices.Contains(declared, code) {
				t.Errorf("%s expects code %s, which no rule gives", s, code)
			}
			found = append(found, code)
		}
	}
	for _, code := range declared {
		if !slices.Contains(found, code) {
			t.Errorf("no scenario expects code %s", code)
		}
	}
}

// TestEveryReasonIsFirst: each code of release is the first reason somewhere, and
// each code of admission the only one.
func TestEveryReasonIsFirst(t *testing.T) {
	first := make(map[string]bool)
	for _, s := range mustRead(t) {
		for _, x := range s.expect {
			first[x.reason] = true
		}
		if len(s.refused) == 1 {
			first[s.refused[0]] = true
		}
	}
	e := mustLoad(t)
	for _, r := range slices.Concat(e.Rules(), e.AdmissionRules()) {
		if !first[r.Code] {
			t.Errorf("%s is nowhere the reason", r.Code)
		}
	}
}

// TestCheckSaysWhatDiffers gives wrong tables to the embedded rules.
func TestCheckSaysWhatDiffers(t *testing.T) {
	const table = `title: t
why: w
base: open
label: { compartments: [tf-sea] }
`
	for _, tt := range []struct{ name, expect, want string }{
		{"right", "expect: {XB: content, XC: content, XD: none (need-to-know)}", ""},
		{"right in full", "expect: {XB: {release: content, purposes: [prevention], agreements: [charter], hold_days: 60, onward: true, emergency: false}, XC: content, XD: {release: none, reasons: [need-to-know]}}\nexpect_refused: []", ""},
		{"kind", "expect: {XB: content, XC: content, XD: content}", "XD: expected content, got none (need-to-know)"},
		{"refusal", "expect: {XB: none (clearance), XC: content, XD: none (need-to-know)}", "XB: expected none (clearance), got content"},
		{"existence", "expect: {XB: content, XC: content, XD: existence (need-to-know)}", "XD: expected existence (need-to-know), got none (need-to-know)"},
		{"reason", "expect: {XB: content, XC: content, XD: none (clearance)}", "XD: expected none (clearance), got none (need-to-know)"},
		{"reasons", "expect: {XB: content, XC: content, XD: {release: none, reasons: [need-to-know, clearance]}}", "XD: expected none (clearance, need-to-know), got none (need-to-know)"},
		{"two members", "expect: {XB: none (tlp), XC: none (tlp), XD: none (need-to-know)}", "XB: expected none (tlp), got content; XC: expected none (tlp), got content"},
		{"onward", "expect: {XB: {release: content, onward: false}, XC: content, XD: none (need-to-know)}", "XB: onward: expected false, got true"},
		{"emergency", "expect: {XB: {release: content, emergency: true}, XC: content, XD: none (need-to-know)}", "XB: emergency: expected true, got false"},
		{"hold_days", "expect: {XB: {release: content, hold_days: 61}, XC: content, XD: none (need-to-know)}", "XB: held until: expected 2027-03-17T00:00:00Z, got 2027-03-16T00:00:00Z"},
		{"purposes", "expect: {XB: {release: content, purposes: [visa-check]}, XC: content, XD: none (need-to-know)}", "malformed"},
		{"other purposes", "expect: {XB: {release: content, purposes: [investigation]}, XC: content, XD: none (need-to-know)}", "XB: purposes: expected investigation, got prevention"},
		{"agreements", "expect: {XB: {release: content, agreements: []}, XC: content, XD: none (need-to-know)}", "XB: agreements: expected none, got charter"},
		{"admitted", "expect_refused: [tlp-conflict]", "admission: expected refused (tlp-conflict), got to be taken in"},
		{"refused", "label: { compartments: [tf-night] }\nexpect_refused: []", "admission: expected to be taken in, got refused (unknown-compartment)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := table + tt.expect
			if strings.HasPrefix(tt.expect, "label:") {
				text = strings.Replace(table, "label: { compartments: [tf-sea] }\n", "", 1) + tt.expect
			}
			list, err := Read(with(t, text))
			if tt.want == "malformed" {
				if err == nil {
					t.Fatal("read")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := list[0].Check(t.Context(), mustLoad(t))
			if err != nil {
				t.Fatal(err)
			}
			if s := strings.Join(got, "; "); s != tt.want {
				t.Errorf("got  %s\nwant %s", s, tt.want)
			}
		})
	}
}

// TestNameAndPlace: a scenario says what it is and where it stands.
func TestNameAndPlace(t *testing.T) {
	list, err := Read(with(t, "# a comment\n"+sound+"---\n"+strings.Replace(sound, "title: t", "title: u", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if got := list[0].String() + " " + list[1].String(); got != "folder/a.yaml:2: t folder/a.yaml:11: u" {
		t.Error(got)
	}
	if list[0].Why != "w" || !slices.Equal(list[0].Codes(), []string{"release-list", "tlp-conflict"}) {
		t.Errorf("%+v", list[0])
	}
}

// TestCheckFails: an error of the engine is returned, and says of which scenario.
func TestCheckFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	list, err := Read(with(t, sound))
	if err != nil {
		t.Fatal(err)
	}
	differences, err := list[0].Check(ctx, mustLoad(t))
	if err == nil || differences != nil || !strings.Contains(err.Error(), list[0].String()) {
		t.Errorf("%v, %v", differences, err)
	}
}

// TestOwnRules: a federation holds its own bundle to its own scenarios. Here it has
// one more rule, by which nothing goes to XC, and another code for clearance.
func TestOwnRules(t *testing.T) {
	modules := policies.Embedded()
	modules["release/own/own.rego"] = `# METADATA
# title: Not XC
# custom:
#   code: not-xc
#   message: Nothing goes to XC.
#   order: 20
package entente.release.own

permits := input.recipients - {"XC"}
`
	replace := func(name, old, new string) {
		if !strings.Contains(modules[name], old) {
			t.Fatalf("%s does not hold %q", name, old)
		}
		modules[name] = strings.Replace(modules[name], old, new, 1)
	}
	const decision = "release/decision/decision.rego"
	replace(decision, "import data.entente.release.onward\n", "import data.entente.release.onward\nimport data.entente.release.own\n")
	replace(decision, `"tlp": tlp.permits,`, `"tlp": tlp.permits, "own": own.permits,`)
	replace("release/clearance/clearance.rego", "code: clearance", "code: ceiling")
	own, err := policies.Compile(modules)
	if err != nil {
		t.Fatal(err)
	}
	list, err := Read(with(t, `title: Their own
why: Their own law.
base: open
world: { members: { XD: { ceiling: ~ } } }
expect: { XB: content, XC: none (not-xc), XD: none (ceiling) }
`))
	if err != nil {
		t.Fatal(err)
	}
	for e, want := range map[*policies.Engine]string{
		own:         "",
		mustLoad(t): "XC: expected none (not-xc), got content; XD: expected none (ceiling), got none (clearance)",
	} {
		differences, err := list[0].Check(t.Context(), e)
		if got := strings.Join(differences, "; "); err != nil || got != want {
			t.Errorf("got %q, want %q (%v)", got, want, err)
		}
	}
}

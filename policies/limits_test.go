package policies

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/entente-hub/entente/api/alert"
)

// endless are expressions that would be evaluated for hours.
const endless = `digits := [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
	count([1 | some a in digits; some b in digits; some c in digits; some d in digits; some e in digits; some f in digits; some g in digits
		some h in digits; some i in digits; some j in digits; some k in digits; ((((((((((a + b) + c) + d) + e) + f) + g) + h) + i) + j) + k) == 0.5]) == 0`

// shorten makes evaluations end soon for the time of a test.
func shorten(t *testing.T) {
	t.Helper()
	endAfter(t, 20*time.Millisecond)
}

func endAfter(t *testing.T, d time.Duration) {
	t.Helper()
	was := evaluationTimeout
	evaluationTimeout = d
	t.Cleanup(func() { evaluationTimeout = was })
}

// TestEvaluationEnds: rules that do not come to an end, whoever asks, give an error
// that is not remembered.
func TestEvaluationEnds(t *testing.T) {
	modules := Embedded()
	const release, admission = "release/active/active.rego", "admission/admission.rego"
	modules[release] = replaceOnce(t, modules[release], "permits := input.world.active if input.originator in input.world.active",
		"permits := input.world.active if {\n\t"+endless+"\n}")
	modules[admission] += "\nrefuse contains {\"code\": \"none\", \"message\": \"None.\"} if {\n\t" + endless + "\n}\n"
	own := "\n\n# METADATA\n# title: t\n# custom:\n#   code: c\n#   message: M.\n#   order: 1\n"
	e, err := newEngine(modules)
	if err != nil {
		t.Fatal(err)
	}
	egress, err := LoadEgress([]byte("package entente.egress"+own+"deny contains 1 if {\n\t"+endless+"\n}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	ingress, err := LoadIngress([]byte("package entente.ingress"+own+"answer := 1 if {\n\t"+endless+"\n}\n"), mustNational(t))
	if err != nil {
		t.Fatal(err)
	}
	shorten(t)
	w := mustWorld(t, e, fixedWorld())
	l := fixedQuery().Label
	if err := l.Normalize(); err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func() error{
		"release": func() error { _, err := w.Decide(t.Context(), fixedQuery()); return err },
		"admission": func() error {
			_, err := w.Admit(t.Context(), Admission{Originator: "XA", Labels: []alert.Label{l}})
			return err
		},
		"egress":    func() error { _, err := egress.Check(t.Context(), "XA", []alert.Label{l}); return err },
		"ingress":   func() error { _, err := ingress.Decide(t.Context(), fixedReading()); return err },
		"compiling": func() error { _, err := Compile(modules); return err },
	} {
		if err := ask(); !errors.Is(err, ErrPolicy) || !errors.Is(err, ErrTooLong) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if len(w.memo.at) != 0 || len(ingress.known) != 0 {
		t.Error("a failure is remembered")
	}
}

// nested is a rule with n comprehensions in one another, on one line.
func nested(n int) string {
	return "x := " + strings.Repeat("[y | y := ", n) + "1" + strings.Repeat("]", n) + "\n"
}

// TestCompilationEnds: rules that would take long to compile are refused before
// they are.
func TestCompilationEnds(t *testing.T) {
	body := func(n int) string {
		var b strings.Builder
		b.WriteString("x if {\n")
		for i := n; i > 0; i-- {
			fmt.Fprintf(&b, "\ty%d = y%d + 1\n", i, i-1)
		}
		b.WriteString("\ty0 = 1\n}\n")
		return b.String()
	}
	every := func(n int) string {
		var b strings.Builder
		b.WriteString("x if {\n")
		for i := range n {
			fmt.Fprintf(&b, "every y%d in input.world.members { y%d\n", i, i)
		}
		return b.String() + strings.Repeat("}", n) + "\n}\n"
	}
	for _, c := range []struct{ name, src, want string }{
		{"comprehensions as deep as may be", nested(maxNesting), ""},
		{"and one more", nested(maxNesting + 1), "comprehensions too deep"},
		{"sixty", nested(60), "comprehensions too deep"},
		{"every as deep as may be", every(maxNesting), ""},
		{"every and one more", every(maxNesting + 1), "comprehensions too deep"},
		{"many deep ones", strings.Repeat(nested(maxNesting), 100), "too long or too deep"},
		{"a body of hundreds that are in no order", body(400), "too long or too deep"},
		{"many rules", strings.Repeat("x := 1\n", maxSyntax), "rules in all"},
		{"many cases", "x := 1 if input.alert\n" + strings.Repeat("else := 1 if input.alert\n", maxSyntax), "rules in all"},
		{"many terms", "x := [" + strings.Repeat("1, ", maxTerms) + "1]\n", "terms in all"},
		{"terms in one another", "x := " + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "\n", "terms too deep"},
		{"brackets in one another", "x := " + strings.Repeat("(", maxBracketing+1) + "1" + strings.Repeat(")", maxBracketing+1) + "\n", "brackets"},
	} {
		t.Run(c.name, func(t *testing.T) {
			modules := Embedded()
			modules["release/x.rego"] = "package entente.release.x\n\n" + c.src
			switch _, err := Compile(modules); {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (!errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), "release/x.rego: ") || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %.300v, want %q", err, c.want)
			}
		})
	}
}

// TestEmbeddedRulesAreSmall: a tenth of the bounds is more than the embedded rules need.
func TestEmbeddedRulesAreSmall(t *testing.T) {
	modules, err := embedded("release", "admission", "egress", "ingress")
	if err != nil {
		t.Fatal(err)
	}
	var s size
	deepest := 0
	for name, src := range modules {
		m, err := ast.ParseModule(name, src)
		if err != nil {
			t.Fatal(err)
		}
		ast.NewBeforeAfterVisitor(func(x any) bool {
			stop := s.enter(x)
			deepest = max(deepest, s.nesting)
			return stop
		}, s.leave).Walk(m)
	}
	if s.passed != "" || s.nesting != 0 || s.depth != 0 || s.rules == 0 || s.rules > maxSyntax/10 || s.terms > maxTerms/10 || s.work > maxWork/10 || deepest > maxNesting/2 {
		t.Errorf("%+v, comprehensions %d deep", s, deepest)
	}
}

// TestRulesThatGrowDoNotCompile: no evaluation can be stopped while one builtin works,
// or before the memory is full.
func TestRulesThatGrowDoNotCompile(t *testing.T) {
	for src, want := range map[string]string{
		"x := concat(\"\", [input.alert, input.alert])":                        "undefined function concat",
		"x := sprintf(\"%1000000000d\", [1])":                                  "undefined function sprintf",
		"x := array.concat([1], [1])":                                          "undefined function array.concat",
		"x := $\"{input.alert}{input.alert}\"":                                 "template-strings",
		"x := 1e9999 % 7":                                                      "exponent",
		"x := 123456789012345678901":                                           "too long",
		"x := input.world.max_retention_days * input.world.max_retention_days": "a product",
		"x := 1 / input.world.max_retention_days":                              "a divisor",
		"x := 1 if (1 + 2) == 2 with plus as mul":                              "with is for tests",
	} {
		modules := Embedded()
		modules["release/x.rego"] = "package entente.release.x\n\n" + src + "\n"
		if _, err := Compile(modules); !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", src, err, want)
		}
	}
}

package policies

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// mutant is a bundle in which one expression of a rule's body holds always or never.
type mutant struct {
	name    string // file, the expression, always or never
	line    int
	modules map[string]string
}

// equivalent are mutants that answer as the rules do, and why. The conditions stand
// in the rules all the same: so that each reads by itself.
var equivalent = map[string]string{
	`release/personal_data/personal_data.rego: input.label.personal_data != "none", always`:      "without personal data the agreement rule permits all that it would cover without any",
	`release/originator_control/originator_control.rego: input.label.originator_control, always`: "the rules are given a consent only where it is asked for",
}

// mutants makes two of each expression in a body, of rules and comprehensions, in
// release and admission: one that always holds and one that never does. What
// binds a variable can not be replaced. The expression stays in place, in a
// comprehension, since its variables must be used.
func mutants(t *testing.T) (out []mutant) {
	t.Helper()
	for file, src := range Embedded() {
		m, err := ast.ParseModuleWithOpts(file, src, ast.ParserOptions{RegoVersion: ast.RegoV1})
		if err != nil {
			t.Fatal(err)
		}
		ast.WalkExprs(m, func(e *ast.Expr) bool {
			text := string(e.Location.Text)
			if e.IsSome() || e.IsAssignment() || e.Generated || text == "" {
				return false
			}
			if !strings.HasPrefix(src[e.Location.Offset:], text) {
				t.Fatalf("%s:%d: %q is not there", file, e.Location.Row, text)
			}
			for when, holds := range map[string]string{"always": ">= 0", "never": "< 0"} {
				modules := Embedded()
				modules[file] = src[:e.Location.Offset] + "count([1 | " + text + "]) " + holds + src[e.Location.Offset+len(text):]
				out = append(out, mutant{file + ": " + text + ", " + when, e.Location.Row, modules})
			}
			return false
		})
	}
	return out
}

// TestOracleCatchesEachCondition replaces each condition inside each rule of
// release and admission by one that always holds and by one that never does: the
// comparison with the oracle must fail each time.
func TestOracleCatchesEachCondition(t *testing.T) {
	all, left := mutants(t), maps.Clone(equivalent)
	for _, m := range all {
		t.Run(fmt.Sprintf("%s, line %d", m.name, m.line), func(t *testing.T) {
			why, same := equivalent[m.name]
			switch {
			case same && caught(t, m.modules, fewWorlds):
				t.Errorf("noticed, though %s", why)
			case !same && !caught(t, m.modules, manyWorlds):
				t.Error("nothing differs")
			}
		})
		delete(left, m.name)
	}
	for name := range left {
		t.Errorf("%s: there is no such mutant", name)
	}
	if len(all) < 60 {
		t.Errorf("only %d mutants", len(all))
	}
}

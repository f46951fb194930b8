package policies

import (
	"errors"
	"maps"
	"strings"
	"testing"
)

func TestCompileOfTheEmbeddedRulesIsLoad(t *testing.T) {
	e, err := Compile(Embedded())
	if err != nil {
		t.Fatal(err)
	}
	if loaded := mustLoad(t); e.Digest() != loaded.Digest() || e.Digest() != Digest(Embedded()) {
		t.Errorf("digest %s, %s when loaded", e.Digest(), loaded.Digest())
	}
	changed := Embedded()
	clear(changed)
	if len(Embedded()) == 0 {
		t.Error("what Embedded gave is shared")
	}
}

// TestCompileFailsClosed: rules that would answer nothing, or something else than
// they say, do not compile.
func TestCompileFailsClosed(t *testing.T) {
	const decision, admission = "release/decision/decision.rego", "admission/admission.rego"
	for _, c := range []struct {
		name   string
		change func(map[string]string)
		want   string
	}{
		{"no rules at all", func(m map[string]string) { clear(m) }, "no rule defines"},
		{"no release", func(m map[string]string) {
			maps.DeleteFunc(m, func(name, _ string) bool { return strings.HasPrefix(name, "release/") })
		}, "no rule defines data.entente.release.decision.answer"},
		{"no decision", func(m map[string]string) { delete(m, decision) }, "no rule defines data.entente.release.decision.answer"},
		{"no admission", func(m map[string]string) { delete(m, admission) }, "no rule defines data.entente.admission.refuse"},
		{"the answer under another name", func(m map[string]string) {
			m[decision] = strings.ReplaceAll(m[decision], "answer", "reply")
		}, "no rule defines data.entente.release.decision.answer"},
		{"refuse under another name", func(m map[string]string) {
			m[admission] = strings.ReplaceAll(m[admission], "refuse ", "reject ")
		}, "no rule defines data.entente.admission.refuse"},
		{"another package", func(m map[string]string) { m["release/x.rego"] = "package entente.egress\n\nx := 1" }, "neither of release nor of admission"},
		{"a longer package", func(m map[string]string) { m["release/x.rego"] = "package entente.releases\n\nx := 1" }, "neither of release nor of admission"},
		{"the package of all", func(m map[string]string) { m["release/x.rego"] = "package entente\n\nx := 1" }, "neither of release nor of admission"},
		{"an empty module", func(m map[string]string) { m["release/x.rego"] = "" }, "empty"},
		{"a comment alone", func(m map[string]string) { m["release/x.rego"] = "# nothing" }, "x.rego"},
		{"no Rego", func(m map[string]string) { m["release/x.rego"] = "{}" }, "parse"},
		{"old Rego", func(m map[string]string) { m["release/x.rego"] = "package entente.release.x\n\nx { true }" }, "parse"},
		{"no such builtin", func(m map[string]string) {
			m["release/x.rego"] = "package entente.release.x\n\nx := entente.decide(1)"
		}, "undefined function entente.decide"},
		{"a builtin of OPA's that is not for rules", func(m map[string]string) {
			m["release/x.rego"] = "package entente.release.x\n\nx := opa.runtime()"
		}, "undefined function opa.runtime"},
		{"chance", func(m map[string]string) {
			m["release/x.rego"] = "package entente.release.x\n\nx := rand.intn(\"x\", 2)"
		}, "undefined function rand.intn"},
		{"two answers", func(m map[string]string) {
			m["release/x.rego"] = "package entente.release.decision\n\nanswer contains 1"
		}, "compile"},
	} {
		t.Run(c.name, func(t *testing.T) {
			modules := Embedded()
			c.change(modules)
			if e, err := Compile(modules); !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), c.want) || e != nil {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

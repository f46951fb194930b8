package hub_test

import (
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/trust"
)

// endlessModules are rules whose first answer would take hours.
func endlessModules(t testing.TB) map[string]string {
	t.Helper()
	const name, was = "release/active/active.rego", "permits := input.world.active if input.originator in input.world.active"
	modules := policies.Embedded()
	var some strings.Builder
	for _, v := range strings.Split("abcdefghijk", "") {
		some.WriteString("some " + v + " in digits; ")
	}
	changed := strings.Replace(modules[name], was, "permits := input.world.active if {\n\tdigits := [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n\tcount([1 | "+
		some.String()+"((((((((((a + b) + c) + d) + e) + f) + g) + h) + i) + j) + k) == 0.5]) == 0\n}", 1)
	if changed == modules[name] {
		t.Fatal("the rule reads otherwise by now")
	}
	modules[name] = changed
	return modules
}

// TestRulesThatGiveNoAnswerInTime: the fault may be the machine's. They are not taken, no
// refusal is recorded, and what is in force stays; where they are in force already a hub
// starts, and decides nothing.
func TestRulesThatGiveNoAnswerInTime(t *testing.T) {
	w := newWorld(t)
	first, second := w.authority()["officer-1"], w.authority()["officer-2"]
	modules, before := endlessModules(t), len(w.entries())
	raw := w.bundle(modules, 2, first)
	if err := w.SubmitBundle(t.Context(), "XA", raw); problem.KindOf(err) != problem.Unavailable {
		t.Errorf("brought: %v", err)
	}
	if list, err := w.store.Bundles(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("bundles: %+v %v", list, err)
	}
	// As if brought on a better day.
	digest := policies.Digest(modules)
	statement := w.activation(digest, 2, first, second)
	if _, err := w.store.Commit(t.Context(), []store.Write{{Bundle: &store.Bundle{Digest: digest, Revision: 2, By: "XA", At: 1, Raw: raw}}}); err != nil {
		t.Fatal(err)
	}
	if err := w.SubmitStatement(t.Context(), "XA", statement); problem.KindOf(err) != problem.Unavailable {
		t.Errorf("to be put into force: %v", err)
	}
	if n := len(w.entries()); n != before {
		t.Errorf("%d entries in the log, %d before", n, before)
	}
	w.open()
	s, err := trust.Parse(statement)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Commit(t.Context(), []store.Write{{Statement: &store.Statement{Type: string(s.Type), Subject: s.Subject,
		Revision: s.Revision, Digest: s.Digest, Previous: s.Previous, Raw: statement}}}); err != nil {
		t.Fatal(err)
	}
	h, err := hub.New(t.Context(), w.deps(w.store))
	if err != nil {
		t.Fatalf("a hub does not start: %v", err)
	}
	_, token := w.issue("XA", label("XB"))
	if _, err := h.Publish(t.Context(), "XA", token); problem.KindOf(err) != problem.Unavailable {
		t.Errorf("published under rules that do not answer: %v", err)
	}
}

package policies

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
)

var permitsRule = regexp.MustCompile(`(?m)^(default )?permits `)

// weakened returns the bundle with one rule of release letting everybody through.
func weakened(t *testing.T, rule string) map[string]string {
	t.Helper()
	modules, err := embedded("release", "admission")
	if err != nil {
		t.Fatal(err)
	}
	name := "release/" + rule + "/" + rule + ".rego"
	if !permitsRule.MatchString(modules[name]) {
		t.Fatalf("%s has no permits to replace", name)
	}
	modules[name] = permitsRule.ReplaceAllString(modules[name], "${1}before ") + "\npermits := input.world.members\n"
	return modules
}

// disagreements counts, over random labels, the pairs on which a bundle and the
// oracle differ in kind and those on which they differ at all.
func disagreements(t *testing.T, modules map[string]string) (kinds, any int) {
	t.Helper()
	e, err := load(modules)
	if err != nil {
		t.Fatal(err)
	}
	r := newRand(t)
	for range 40 {
		g, w := newWorld(r)
		ix := mustWorld(t, e, w)
		for range 20 {
			q := g.query(t)
			a, err := ix.Decide(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			refused := a.Refused()
			for _, m := range g.members {
				if m == q.Originator {
					continue
				}
				kind, codes := oracle(w, q.Originator, m, q.Label, q.Alert, q.Sources)
				if kind != a.Of(m) {
					kinds++
				}
				if kind != a.Of(m) || !cmp.Equal(codes, codesOf(refused, m)) {
					any++
				}
			}
		}
	}
	return kinds, any
}

// TestOracleCatchesALostRule takes each rule of release away in turn: the oracle
// must notice, or its agreement with the rules would mean nothing.
func TestOracleCatchesALostRule(t *testing.T) {
	for _, rule := range mustLoad(t).Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			kinds, any := disagreements(t, weakened(t, rule.Name))
			if any == 0 {
				t.Errorf("nothing differs without %s", rule.Name)
			}
			// The agreement rule refuses those whom personal_data names, too.
			if kinds == 0 && rule.Code != "personal-data" {
				t.Errorf("nobody gets more without %s", rule.Name)
			}
		})
	}
}

// TestOracleCatchesALostCondition does the same with conditions inside rules.
func TestOracleCatchesALostCondition(t *testing.T) {
	for _, c := range []struct{ name, file, old, new string }{
		{"red binds discovery", "release/audience/audience.rego", `discoverers := input.label.discoverable_to.members if`, `discoverers := expand(input.label.discoverable_to) if`},
		{"exemption only when unclassified", "release/agreement/agreement.rego", `input.label.classification == "unclassified"`, ``},
		{"exemption only without personal data", "release/agreement/agreement.rego", `input.label.personal_data == "none"`, ``},
		{"suspension binds existence", "release/decision/decision.rego", "\t\trefused.active,\n", ""},
		{"originator control binds existence", "release/decision/decision.rego", "\t\trefused.originator_control,\n", ""},
		{"third-party rule binds existence", "release/decision/decision.rego", "\t\trefused.third_party,\n", ""},
		{"an alert is no source of its own", "release/third_party/third_party.rego", `not input.alert in input.label.derived_from`, ``},
		{"a suspended source consents to nothing", "release/third_party/third_party.rego", `consent.originator in input.world.active`, ``},
		{"the source itself counts as consenting", "release/third_party/third_party.rego", ` | {consent.originator} if`, ` if`},
	} {
		t.Run(c.name, func(t *testing.T) {
			modules, err := embedded("release", "admission")
			if err != nil {
				t.Fatal(err)
			}
			src := modules[c.file]
			at := strings.LastIndex(src, c.old)
			if at < 0 {
				t.Fatalf("%s does not hold %q", c.file, c.old)
			}
			modules[c.file] = src[:at] + c.new + src[at+len(c.old):]
			if kinds, _ := disagreements(t, modules); kinds == 0 {
				t.Error("nothing differs")
			}
		})
	}
}

// TestOracleCatchesALostBarToOnwardSharing takes each thing on the label that
// keeps a portion with its recipient away in turn: releases must differ by it.
func TestOracleCatchesALostBarToOnwardSharing(t *testing.T) {
	const file = "release/onward/onward.rego"
	for _, c := range []struct {
		name, old, new string
		bars           func(alert.Label) bool
	}{
		{"sound", "", "", func(alert.Label) bool { return false }},
		{"H2", `count(input.label.handling & {"H2"}) == 0`, "", func(l alert.Label) bool { return slices.Contains(l.Handling, "H2") }},
		{"originator control", `input.label.originator_control == false`, "", func(l alert.Label) bool { return l.OriginatorControl }},
		{"AMBER+STRICT", `"amber"}`, `"amber", "amber+strict"}`, func(l alert.Label) bool { return l.TLP == alert.AmberStrict }},
		{"RED", `"amber"}`, `"amber", "red"}`, func(l alert.Label) bool { return l.TLP == alert.Red }},
	} {
		t.Run(c.name, func(t *testing.T) {
			modules, err := embedded("release", "admission")
			if err != nil {
				t.Fatal(err)
			}
			if strings.Count(modules[file], c.old) == 0 {
				t.Fatalf("%s does not hold %q", file, c.old)
			}
			modules[file] = strings.Replace(modules[file], c.old, c.new, 1)
			differ := onwardDisagreements(t, modules, c.bars)
			if (differ > 0) != (c.name != "sound") {
				t.Errorf("%d releases differ", differ)
			}
		})
	}
}

// onwardDisagreements counts, over random labels, the releases of content on
// whose onward sharing a bundle and the oracle differ. They may differ only
// where the label has what was taken away.
func onwardDisagreements(t *testing.T, modules map[string]string, bars func(alert.Label) bool) (differ int) {
	t.Helper()
	e, err := load(modules)
	if err != nil {
		t.Fatal(err)
	}
	r := newRand(t)
	for range 100 {
		g, w := newWorld(r)
		ix := mustWorld(t, e, w)
		for range 20 {
			q := g.query(t)
			a, err := ix.Decide(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range a.Content() {
				want := oracleRelease(t, w, q.Originator, m, q.Label, 1, 2).Obligations.Onward
				if got := ix.Release(a, m, "p1", q, 1, 2).Obligations.Onward; got != want {
					differ++
					if !bars(q.Label) {
						t.Fatalf("%s: onward is %v, oracle says %v: %+v", m, got, want, q)
					}
				}
			}
		}
	}
	return differ
}

func rank(k feed.Kind) int {
	return map[feed.Kind]int{feed.None: 1, feed.Existence: 2, feed.Content: 3}[k]
}

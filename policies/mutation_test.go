package policies

import (
	"regexp"
	"slices"
	"strings"
	"testing"

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

// Of worlds in which a weakened bundle may go unnoticed, and one that is as good as
// the sound one does.
const manyWorlds, fewWorlds = 4000, 200

// caught reports whether the comparison of rules and oracle finds a bundle out: in
// one of the places given, or anywhere.
func caught(t *testing.T, modules map[string]string, worlds int, places ...string) bool {
	t.Helper()
	e, err := newEngine(modules)
	if err != nil {
		t.Fatal(err)
	}
	r := newRand(t)
	for range worlds {
		g, w := newWorld(r)
		ix := mustWorld(t, e, w)
		for range 3 {
			q, iat, exp := g.question(t)
			wrong := make(tally).differences(t, g, ix, q, iat, exp)
			if len(wrong) > 0 && len(places) == 0 {
				return true
			}
			for _, place := range places {
				if wrong[place] != "" {
					return true
				}
			}
		}
	}
	return false
}

// TestOracleCatchesALostRule takes each rule of release away in turn: the oracle
// must notice, or its agreement with the rules would mean nothing. Those of
// admission TestOracleCatchesEachCondition takes away.
func TestOracleCatchesALostRule(t *testing.T) {
	for _, rule := range mustLoad(t).Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			place := "kind"
			if rule.Code == "personal-data" {
				place = "codes" // the agreement rule refuses those whom it names, too
			}
			if !caught(t, weakened(t, rule.Name), manyWorlds, place) {
				t.Errorf("nobody gets more without %s", rule.Name)
			}
		})
	}
}

// TestOracleCatchesALostCondition does the same with conditions that stand in
// the value of a rule rather than in its body.
func TestOracleCatchesALostCondition(t *testing.T) {
	const (
		agreement = "release/agreement/agreement.rego"
		audience  = "release/audience/audience.rego"
		decision  = "release/decision/decision.rego"
		needs     = "release/need_to_know/need_to_know.rego"
		third     = "release/third_party/third_party.rego"
		admission = "admission/admission.rego"
	)
	for _, c := range []struct{ name, file, old, new, place string }{
		{"red binds discovery", audience, `discoverers := input.label.discoverable_to.members if`, `discoverers := expand(input.label.discoverable_to) if`, "kind"},
		{"a community is the one named", audience, `input.world.communities[community]`, `input.world.communities.federation`, "kind"},
		{"members in a list count", audience, `list.members | union(`, `union(`, "kind"},
		{"discovery is for those listed", decision, `audience.discoverers`, `audience.discoverers | input.recipients`, "kind"},
		{"suspension binds existence", decision, "\t\t\"active\": active.permits,\n", "", "kind"},
		{"originator control binds existence", decision, "\t\t\"originator_control\": originator_control.permits,\n", "", "kind"},
		{"third-party rule binds existence", decision, "\t\t\"third_party\": third_party.permits,\n", "", "kind"},
		{"clearance for the level", "release/clearance/clearance.rego", `clearance[input.label.classification]`, `clearance.unclassified`, "kind"},
		{"all compartments", needs, `intersection({inside`, `union({inside`, "kind"},
		{"an emergency counts", needs, ` | excused(compartment)`, ``, "kind"},
		{"an emergency is for those named", needs, `:= input.emergency.members if`, `:= input.recipients if`, "kind"},
		{"red is for those named", "release/tlp/tlp.rego", `:= input.label.releasable_to.members if`, `:= input.recipients if`, "kind"},
		{"every category", agreement, `intersection({covered`, `union({covered`, "kind"},
		{"any purpose", agreement, `:= union({intersection`, `:= intersection({intersection`, "kind"},
		{"agreements reach a level", agreement, `[category, purpose, input.label.classification, kind]`, `[category, purpose, "unclassified", kind]`, "kind"},
		{"agreements reach a kind of data", agreement, `input.label.classification, kind]`, `input.label.classification, ["none", kind][0]]`, "kind"},
		{"exempt are all", agreement, `permits := input.recipients if membership_suffices`, `permits := reached(input.label.personal_data) if membership_suffices`, "kind"},
		{"every source", third, `intersection({consented`, `union({consented`, "kind"},
		{"the source itself counts as consenting", third, ` | {consent.originator} if`, ` if`, "kind"},
		{"the originator's consent", "release/originator_control/originator_control.rego", `:= audience.expand(input.consent.recipients) if`, `:= audience.expand(input.label.releasable_to) if`, "kind"},
		{"the originator's ceiling", admission, `clearance[level]`, `clearance[["unclassified", level][0]]`, "admission"},
		{"release lists name somebody", admission, `{label.releasable_to, label.discoverable_to}`, `{label.discoverable_to}`, "admission"},
		{"discovery lists name somebody", admission, `{label.releasable_to, label.discoverable_to}`, `{label.releasable_to}`, "admission"},
		{"retention counts from issue", admission, `> input.issued_at + `, `> input.expires + `, "admission"},
		{"a marking is of the level", admission, `names[label.marked_as] == label.classification`, `names[label.marked_as]`, "admission"},
		{"a marking is of the scheme", admission, `names := input.world.schemes[label.policy]`, `some names in input.world.schemes`, "admission"},
	} {
		t.Run(c.name, func(t *testing.T) {
			modules := Embedded()
			src := modules[c.file]
			at := strings.LastIndex(src, c.old)
			if at < 0 {
				t.Fatalf("%s does not hold %q", c.file, c.old)
			}
			modules[c.file] = src[:at] + c.new + src[at+len(c.old):]
			if !caught(t, modules, manyWorlds, c.place) {
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
	e, err := newEngine(modules)
	if err != nil {
		t.Fatal(err)
	}
	r := newRand(t)
	for range 120 { // of those that may be passed on but for what was taken away there are few
		g, w := newWorld(r)
		ix := mustWorld(t, e, w)
		for range 20 {
			q := g.query(t)
			a, err := ix.Decide(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range a.Content() {
				want := oracleRelease(t, w, q.Originator, m, q.Label, q.Alert, 1, 2).Obligations.Onward
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

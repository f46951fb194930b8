package policies

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
)

// TestRulesThatCanNotAnswerDoNotCompile: they are refused while the last good ones
// are in force, not when they are asked.
func TestRulesThatCanNotAnswerDoNotCompile(t *testing.T) {
	const decision, need, admission = "release/decision/decision.rego", "release/need_to_know/need_to_know.rego", "admission/admission.rego"
	for _, c := range []struct {
		name   string
		change func(map[string]string)
		want   string
	}{
		{"a rule left out of the answer", func(m map[string]string) {
			m[decision] = replaceOnce(t, replaceOnce(t, m[decision], "\t\t\"tlp\": tlp.permits,\n", ""), "import data.entente.release.tlp\n", "")
		}, "every rule"},
		{"a rule under another name", func(m map[string]string) {
			m[decision] = replaceOnce(t, m[decision], "\"tlp\": tlp.permits", "\"traffic_light\": tlp.permits")
		}, "rule tlp"},
		{"nobody for existence", func(m map[string]string) {
			m[decision] = replaceOnce(t, m[decision], "\"existence\": {", "\"hits\": {")
		}, "existence"},
		{"two answers where a label has compartments", func(m map[string]string) {
			m[need] += "\npermits := {\"XB\"} if count(input.label.compartments) == 1\n"
		}, "conflict"},
		{"two answers under an emergency", func(m map[string]string) {
			m[need] += "\npermits := {\"XB\"} if count(input.emergency.members) == 1\n"
		}, "conflict"},
		{"a refusal without a code", func(m map[string]string) {
			m[admission] += "\nrefuse contains {\"reason\": \"none\"}\n"
		}, "without a code"},
		{"a refusal without a message where a retention ends", func(m map[string]string) {
			m[admission] += "\nrefuse contains {\"code\": \"other\"} if {\n\tsome label in input.labels\n\tlabel.retention_ends\n}\n"
		}, "no message"},
		{"a refusal of a portion that there is not", func(m map[string]string) {
			m[admission] += "\nrefuse contains {\"code\": \"other\", \"message\": \"Other.\", \"portion\": count(input.labels)}\n"
		}, "names portion"},
	} {
		t.Run(c.name, func(t *testing.T) {
			modules := Embedded()
			c.change(modules)
			if _, err := Compile(modules); !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), "probe") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// TestProbesGoThroughEveryField: every field of a label is set in one of them, and
// left empty in another if it may be.
func TestProbesGoThroughEveryField(t *testing.T) {
	labels := probeLabels()
	typ := reflect.TypeFor[alert.Label]()
	for i := range typ.NumField() {
		set, others := 0, make(map[any]bool)
		for _, l := range labels {
			f := reflect.ValueOf(l).Field(i)
			if !f.IsZero() {
				set++
			}
			if f.Comparable() {
				others[f.Interface()] = true
			} else {
				others[f.Len()] = true
			}
		}
		if name := typ.Field(i).Name; name != "HandlingText" && (set == 0 || len(others) < 2) {
			t.Errorf("%s: set in %d probes, with %d values", name, set, len(others))
		}
	}
}

// TestEmbeddedRulesAnswer: what Load takes without asking.
func TestEmbeddedRulesAnswer(t *testing.T) {
	e, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.probe(t.Context()); err != nil {
		t.Error(err)
	}
}

// slow are rules that take some milliseconds for each answer.
func slow(t *testing.T) map[string]string {
	t.Helper()
	const active = "release/active/active.rego"
	modules := Embedded()
	modules[active] = replaceOnce(t, modules[active], "permits := input.world.active if input.originator in input.world.active",
		`permits := input.world.active if {
	digits := [1, 2, 3, 4, 5, 6, 7, 8]
	input.originator in input.world.active
	count([1 | some a in digits; some b in digits; some c in digits; some d in digits; (((a + b) + c) + d) == 0]) == 0
}`)
	return modules
}

// TestLoadOnABusyMachine: where nothing is answered in time the embedded rules are ready
// all the same; brought ones are not taken, nor called broken for good.
func TestLoadOnABusyMachine(t *testing.T) {
	endAfter(t, time.Nanosecond)
	if _, err := Load(); err != nil {
		t.Error(err)
	}
	if _, err := Compile(slow(t)); !errors.Is(err, ErrTooLong) {
		t.Errorf("rules that were not seen to answer: error %v", err)
	}
}

// TestProbesHaveTimeEach: slow rules, which answer each question in time, are taken,
// however long all of them take together.
func TestProbesHaveTimeEach(t *testing.T) {
	modules := slow(t)
	e, err := newEngine(modules)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := e.probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole := time.Since(began)
	endAfter(t, whole/3)
	if _, err := Compile(modules); err != nil {
		t.Errorf("with %v for each question, of which all together took %v: %v", whole/3, whole, err)
	}
}

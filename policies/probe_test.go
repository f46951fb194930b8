package policies

import (
	"errors"
	"reflect"
	"strings"
	"testing"

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

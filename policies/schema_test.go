package policies

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/entente-hub/entente/api/alert"
)

// TestPathsThatThereAreNotDoNotCompile: what is misspelt is undefined, and "not"
// would make it hold for everybody.
func TestPathsThatThereAreNotDoNotCompile(t *testing.T) {
	const release, admission = "package entente.release.x\n\n", "package entente.admission.x\n\n"
	for _, src := range []string{
		release + "x if not input.label.orignator_control",
		release + "x if not input.lable.tlp",
		release + "x if not input.world.suspended",
		release + "x if not input.label.releasable_to.groups",
		release + "x if not input.consent.recipient",
		release + "x if not input.emergency.over",
		release + "x if not input.labels",
		release + "x if not input[\"labels\"]",
		release + "l := input.label\n\nx if not l.orignator_control",
		release + "x if {\n\tl := input.label\n\tnot l.orignator_control\n}",
		release + "x if not data.entente.release.active.permit",
		release + "import data.entente.release.actve\n\nx if not actve.permits",
		release + "x if not data.egress",
		admission + "x if not input.label",
		admission + "x if {\n\tsome label in input.labels\n\tnot label.retention\n}",
		admission + "x if not input.labels[0].retention_end",
		admission + "x if not input.issued",
		admission + "x if not data.entente.admission.refused",
	} {
		modules := Embedded()
		modules["x.rego"] = src + "\n"
		if _, err := Compile(modules); !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), "x.rego") {
			t.Errorf("%s\nerror %v", src, err)
		}
	}
	for _, src := range []string{
		release + "x if not input.label.originator_control",
		release + "x if not input.world.compartments[\"tf-one\"]",
		release + "x if not input.world.communities.frontex",
		release + "x if not data.entente.release.active.permits",
		release + "x if not input.consents[\"an-alert\"].recipients.members",
		admission + "x if {\n\tsome label in input.labels\n\tnot label.retention_ends\n}",
	} {
		modules := Embedded()
		modules["x.rego"] = src + "\n"
		if _, err := Compile(modules); err != nil {
			t.Errorf("%s\nerror %v", src, err)
		}
	}
}

// TestSchemaIsTheInput: what input.go builds is what the schema describes, key by
// key and kind by kind.
func TestSchemaIsTheInput(t *testing.T) {
	w := mustWorld(t, mustLoad(t), probeWorld(true))
	labels := probeLabels()
	q := Query{Originator: "XA", Label: labels[len(labels)-1], Alert: probeAlert, Sources: map[alert.ID]alert.MemberID{probeSource: "XB"}}
	admitted, err := w.admissionInput(Admission{Originator: "XA", Labels: labels[len(labels)-1:]})
	if err != nil {
		t.Fatal(err)
	}
	for definition, input := range map[string]ast.Value{"release": w.input(q, w.given("XA")), "admission": admitted} {
		var s struct{ Definitions map[string]described }
		if err := json.Unmarshal([]byte(Schema), &s); err != nil {
			t.Fatal(err)
		}
		holdToSchema(t, s.Definitions, "input of "+definition, s.Definitions[definition], input)
	}
}

// described is a schema as far as ours says anything.
type described struct {
	Ref                  string `json:"$ref"`
	Type                 string
	Properties           map[string]described
	AdditionalProperties *bool
	Items                *described
}

// holdToSchema compares a value with its description, both ways. Only the label of
// admission has retention_ends.
func holdToSchema(t *testing.T, all map[string]described, where string, d described, v ast.Value) {
	t.Helper()
	if d.Ref != "" {
		d = all[strings.TrimPrefix(d.Ref, "#/definitions/")]
	}
	kind := map[string]string{"": "set", "integer": "number"}[d.Type]
	if kind == "" {
		kind = d.Type
	}
	if got := ast.ValueName(v); got != kind {
		t.Errorf("%s is a %s, described as %q", where, got, d.Type)
		return
	}
	switch v := v.(type) {
	case *ast.Array:
		if d.Items == nil || v.Len() == 0 {
			t.Fatalf("%s: an array of nothing", where)
		}
		holdToSchema(t, all, where+"[]", *d.Items, v.Elem(0).Value)
	case ast.Object:
		if d.Properties == nil {
			return
		}
		if d.AdditionalProperties == nil || *d.AdditionalProperties {
			t.Errorf("%s may have other properties", where)
		}
		var keys []string
		v.Foreach(func(k, value *ast.Term) {
			key := string(k.Value.(ast.String))
			keys = append(keys, key)
			if property, ok := d.Properties[key]; !ok {
				t.Errorf("%s.%s is not described", where, key)
			} else {
				holdToSchema(t, all, where+"."+key, property, value.Value)
			}
		})
		for key := range d.Properties {
			if !slices.Contains(keys, key) && where+"."+key != "input of release.label.retention_ends" {
				t.Errorf("%s.%s is described, and not there", where, key)
			}
		}
	}
}

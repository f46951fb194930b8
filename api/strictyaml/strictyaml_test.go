package strictyaml_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/strictyaml"
)

func TestToJSON(t *testing.T) {
	for in, want := range map[string]string{
		"a: 1\nb: [x, true, null, 1.5]": `{"a":1,"b":["x",true,null,1.5]}`,
		"until: 2030-01-01":             `{"until":"2030-01-01"}`,
		`"1": "yes"`:                    `{"1":"yes"}`,
		"b: 1\na: 2\nb: 3":              `{"b":1,"a":2,"b":3}`, // for the reader of the JSON to refuse
		"{}":                            `{}`,
	} {
		if got, err := strictyaml.ToJSON([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%q: %s, %v; want %s", in, got, err, want)
		}
	}
	for name, in := range map[string]string{
		"empty":         "",
		"alias":         "a: &x [1]\nb: *x",
		"merge key":     "a: &x {c: 1}\n<<: {c: 1}",
		"two documents": "a: 1\n---\nb: 2",
		"number a name": "1: a",
		"null a name":   "~: a",
		"own tag":       "a: !other 1",
		"binary":        "a: !!binary aGk=",
		"not a number":  "a: .nan",
		"too deep":      strings.Repeat("[", strictyaml.MaxDepth+2) + strings.Repeat("]", strictyaml.MaxDepth+2),
		"broken":        "a: [",
	} {
		if got, err := strictyaml.ToJSON([]byte(in)); err == nil {
			t.Errorf("%s: accepted as %s", name, got)
		}
	}
}

func FuzzToJSON(f *testing.F) {
	for _, s := range []string{"a: 1", "- x\n- {y: z}", "a: &x 1\nb: *x", "--- |\n text", "a: 2030-01-01", "? [a]\n: b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if out, err := strictyaml.ToJSON(raw); err == nil && !json.Valid(out) {
			t.Errorf("%q becomes %q", raw, out)
		}
	})
}

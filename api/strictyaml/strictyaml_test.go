package strictyaml_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/strictyaml"
)

func TestToJSON(t *testing.T) {
	for in, want := range map[string]string{
		"a: 1\nb: [x, true, null, 1.5]":   `{"a":1,"b":["x",true,null,1.5]}`,
		"until: 2030-01-01":               `{"until":"2030-01-01"}`,
		`"1": "yes"`:                      `{"1":"yes"}`,
		"b: 1\na: 2\nb: 3":                `{"b":1,"a":2,"b":3}`, // for the reader of the JSON to refuse
		"{}":                              `{}`,
		"a: [0, -0, 30, -2, 0.50, -10.0]": `{"a":[0,-0,30,-2,0.50,-10.0]}`,
		"a: 12345678901234567890123":      `{"a":12345678901234567890123}`,
		"a: ['030', !!str 0x1F]":          `{"a":["030","0x1F"]}`, // said to be text
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
		"a set":         "a: !!set {x, y}",
		"own mapping":   "a: !other {x: 1}",
		"own list":      "a: !!omap [x: 1]",
		"tagged number": `a: !!int "3"`,
		"tagged null":   "a: !!null x",
		"tagged bool":   "a: !!bool yes",
	} {
		if got, err := strictyaml.ToJSON([]byte(in)); err == nil {
			t.Errorf("%s: accepted as %s", name, got)
		}
	}
}

// TestNumbersMeanWhatTheySay: who writes 030 means thirty, though to a reader of YAML
// it may be 24, as 090 is ninety. What readers differ on is refused, by its line.
func TestNumbersMeanWhatTheySay(t *testing.T) {
	for _, n := range []string{"030", "010", "090", "00", "0x1F", "0o17", "0b11", "1_000", "1e3", "1E3", "1.5e3", "+5", ".5", "5.", "-030",
		"1_0.5", ".inf", "-.inf", ".nan"} {
		out, err := strictyaml.ToJSON([]byte("b: 1\na: " + n))
		if err == nil || !strings.Contains(err.Error(), "line 2: number") || !strings.Contains(err.Error(), n) {
			t.Errorf("%s: %s, %v", n, out, err)
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

package cli

import (
	"bytes"
	"encoding/json"
	"math"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/entente-hub/entente/api/strictyaml"
	hubserver "github.com/entente-hub/entente/hub/server"
	nodeserver "github.com/entente-hub/entente/node/server"
)

var yamlSeeds = []string{planYAML, labelExample, "a: 1\nb: [true, 1.5, x]\n", "? [a]\n: b", "a: 2020-01-01", "a: .inf", "\"\\u0000\": 1", "a: !x y",
	"- - - a", "a: 0x1F", "a: 1_000", "a: 18446744073709551615", "a: 1e400", "a: -0.0", "a: ~", "a: !!float 1", "a: !!timestamp x", "1: a", "!!binary aWQ=: a",
	"a: &x [1]\nb: *x", "<<: {a: 1}", "\"<<\": 1", "a: 1\na: 2", "a: 1\n---\nb: 2", "# nothing", "a: \"\\xff\"", "a: !!str 1", "a: !!bool yes"}

// walk calls f for every node of a document, once each.
func walk(n *yaml.Node, f func(*yaml.Node)) {
	f(n)
	for _, c := range n.Content {
		walk(c, f)
	}
}

// sameAsYAML holds the JSON made of a document against what yaml's own decoder
// makes of it, dates being text.
func sameAsYAML(t *testing.T, doc *yaml.Node, raw []byte) {
	t.Helper()
	walk(doc, func(n *yaml.Node) {
		if n.ShortTag() == "!!timestamp" {
			n.Tag = "!!str"
		}
	})
	var want, got any
	if err := doc.Decode(&want); err != nil {
		return // a name that stands twice: the strict JSON reader refuses it
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&got); err != nil || dec.More() {
		t.Fatalf("no JSON: %v: %s", err, raw)
	}
	if got = like(got, want); !reflect.DeepEqual(got, want) {
		t.Fatalf("%s says something else (-yaml +json):\n%s", raw, cmp.Diff(want, got))
	}
}

// like gives the numbers in v the types that they have in the model, where that
// loses nothing.
func like(v, model any) any {
	switch v := v.(type) {
	case map[string]any:
		m, _ := model.(map[string]any)
		for k := range v {
			v[k] = like(v[k], m[k])
		}
	case []any:
		m, _ := model.([]any)
		for i := range v {
			if i < len(m) {
				v[i] = like(v[i], m[i])
			}
		}
	case json.Number:
		switch model := model.(type) {
		case float64:
			if f, err := strconv.ParseFloat(string(v), 64); err == nil && math.Float64bits(f) == math.Float64bits(model) {
				return model
			}
		case int, int64, uint64:
			if n, err := json.Marshal(model); err == nil && string(n) == string(v) {
				return model
			}
		}
	}
	return v
}

// What the YAML reader makes of a file says in JSON what yaml's own decoder reads
// in it, apart from dates, which stay text.
func FuzzYAMLToJSON(f *testing.F) {
	for _, s := range yamlSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var doc yaml.Node
		if yaml.Unmarshal([]byte(s), &doc) != nil || len(doc.Content) == 0 {
			return
		}
		asJSON, err := strictyaml.ToJSON([]byte(s))
		if err != nil {
			return
		}
		sameAsYAML(t, &doc, asJSON)
	})
}

// What is taken as plain YAML has no alias and no merge key, and a configuration
// that is taken is what yaml's own, lenient decoder reads.
func FuzzConfig(f *testing.F) {
	for _, s := range append(yamlSeeds, hubYAML, nodeYAML, hubYAML+"id: other\n", hubYAML+"postgres: &a x\npostgres_file: *a\n",
		hubYAML+"<<: {postgres: x}\n", nodeYAML+"egress: { data: { max_classification: restricted, until: 2030-01-01 } }\n") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, err := strictyaml.ToJSON([]byte(s))
		plain := err == nil
		if plain {
			var doc yaml.Node
			if err := yaml.Unmarshal([]byte(s), &doc); err != nil {
				t.Fatal(err)
			}
			walk(&doc, func(n *yaml.Node) {
				if n.Kind == yaml.AliasNode || n.ShortTag() == "!!merge" {
					t.Fatalf("taken, with an alias or a merge key: %q", s)
				}
			})
		}
		dir := filepath.Join(string(filepath.Separator), "d")
		for _, c := range [][2]config{{new(hubserver.Config), new(hubserver.Config)}, {new(nodeserver.Config), new(nodeserver.Config)}} {
			if parseConfig([]byte(s), dir, c[0]) != nil {
				continue
			}
			if !plain {
				t.Fatalf("taken, and not plain: %q", s)
			}
			if err := yaml.Unmarshal([]byte(s), c[1]); err != nil {
				t.Fatal(err)
			}
			c[1].Resolve(dir)
			if !reflect.DeepEqual(c[0], c[1]) {
				t.Fatalf("%q (-yaml +read):\n%s", s, cmp.Diff(c[1], c[0]))
			}
		}
	})
}

const hubYAML = `id: hub
data_dir: data
listen: 127.0.0.1:8443
tls: { cert: c.pem, key: k.pem, ca: ca.pem }
keys: { dir: keys, secret_file: s, signing_kid: hub/k }
authority_key: a.json
`

const nodeYAML = `member: XA
data_dir: data
listen: 127.0.0.1:9443
hub: { id: hub, urls: ["https://127.0.0.1:8443"] }
tls: { cert: c.pem, key: k.pem, ca: ca.pem }
keys: { dir: keys, secret_file: s, signing_kid: XA/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA }
authority_key: a.json
`

// The fuzz test's seeds reach what it is about.
func TestFuzzSeedsAreTaken(t *testing.T) {
	if err := parseConfig([]byte(hubYAML), "/d", new(hubserver.Config)); err != nil {
		t.Error(err)
	}
	if err := parseConfig([]byte(nodeYAML), "/d", new(nodeserver.Config)); err != nil {
		t.Error(err)
	}
}

// No object of a file is lost, doubled or changed, whichever of the three forms it
// has.
func FuzzParseObjects(f *testing.F) {
	const one = `{"type":"identity","id":"identity--f690c992-8e7d-4b9a-9303-3312616c0220","n":1.0}`
	const head = `{"type":"bundle","id":"bundle--f690c992-8e7d-4b9a-9303-3312616c0220","objects":[`
	for _, s := range []string{one, " [" + one + ", " + one + "]\n", head + one + "]}", head + "]}", head + one + `],"objects":[]}`, head + one + `],"Objects":[]}`,
		"", "[]x", "{}", "null", "[1", "[null]", `{"type":"bundle"}`, string(demoFile("xd-labour.bundle.json"))} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := parseObjects(raw)
		if err != nil {
			return
		}
		rest := raw
		for _, o := range got {
			i := bytes.Index(rest, o)
			if i < 0 || !json.Valid(o) {
				t.Fatalf("%q is not in %q as it stands, in its order", o, raw)
			}
			rest = rest[i+len(o):]
		}
		list, isList := exact(raw).([]any)
		if object, ok := exact(raw).(map[string]any); ok {
			if list, isList = object["objects"].([]any); object["type"] != "bundle" {
				list, isList = []any{object}, true
			}
		}
		if !isList || len(list) != len(got) {
			t.Fatalf("%d objects of %q", len(got), raw)
		}
		for i := range got {
			if !reflect.DeepEqual(exact(got[i]), list[i]) {
				t.Fatalf("object %d of %q is %s", i, raw, got[i])
			}
		}
	})
}

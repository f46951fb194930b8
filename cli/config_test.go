package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/cli/setup"
	hubserver "github.com/entente-hub/entente/hub/server"
	nodeserver "github.com/entente-hub/entente/node/server"
)

const planYAML = `
expires_in: 720h
portions:
  - id: one
    label:
      policy: urn:entente:policy:regional:1
      classification: restricted
      releasable_to: [XB, federation]
      categories: [smuggling]
      purposes: [prevention]
      personal_data: none
      retention: 2027-03-31
    objects: ["*"]
`

func TestPlanReadsDatesAndListsAsWritten(t *testing.T) {
	p, err := parsePlan([]byte(planYAML))
	if err != nil {
		t.Fatal(err)
	}
	l := p.Portions[0].Label
	if l.Retention != "2027-03-31" || !reflect.DeepEqual(l.ReleasableTo, []alert.Audience{"XB", "federation"}) {
		t.Errorf("label: %+v", l)
	}
}

// A slip in a label file must never become a wider release.
func TestPlanRefusesEverySlip(t *testing.T) {
	for name, change := range map[string][2]string{
		"unknown field":        {"releasable_to:", "releaseable_to:"},
		"other case":           {"classification:", "Classification:"},
		"repeated field":       {"      purposes: [prevention]\n", "      purposes: [prevention]\n      purposes: [prevention]\n"},
		"unknown level":        {"restricted", "official"},
		"upper-case level":     {"restricted", "Restricted"},
		"unknown category":     {"[smuggling]", "[smugling]"},
		"member twice":         {"[XB, federation]", "[XB, XB]"},
		"empty":                {planYAML, ""},
		"no portions":          {planYAML, "portions: []"},
		"second document":      {`objects: ["*"]`, "objects: [\"*\"]\n---\nportions: []"},
		"alias":                {"[XB, federation]", "&a [XB]\n      discoverable_to: *a"},
		"merge key":            {"      personal_data: none\n", "      <<: {personal_data: none}\n"},
		"null":                 {"personal_data: none", "personal_data: null"},
		"number for text":      {"[prevention]", "[1]"},
		"no such date":         {"2027-03-31", "2027-02-31"},
		"trailing junk in id":  {"id: one", "id: \"one\\n\""},
		"name not text":        {"    label:\n", "    7: x\n    label:\n"},
		"binary name":          {"    label:\n", "    !!binary aWQ=: x\n    label:\n"},
		"binary tag":           {"id: one", "id: !!binary b25l"},
		"lifetime of ages":     {"720h", "720000h"},
		"text for a list":      {`objects: ["*"]`, `objects: "*"`},
		"portion without list": {`    objects: ["*"]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(planYAML, change[0], change[1], 1)
			if changed == planYAML {
				t.Fatal("the change does not apply")
			}
			if p, err := parsePlan([]byte(changed)); err == nil {
				t.Errorf("accepted as %+v", p)
			}
		})
	}
}

func TestYAMLBombIsRefused(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		p := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+p+",", 8) + "*" + p + "]\n"
	}
	if _, err := parsePlan([]byte(bomb)); err == nil || !strings.Contains(err.Error(), "aliases") {
		t.Errorf("err = %v", err)
	}
	deep := strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
	if _, err := parsePlan([]byte(deep)); err == nil {
		t.Error("deep nesting was accepted")
	}
}

// Both configurations as setup writes them are complete, and each field is one
// that the strict reader knows.
func TestConfigsAreReadStrictly(t *testing.T) {
	layout, err := setup.Make(t.Context(), filepath.Join(t.TempDir(), "f"), setup.Trial())
	if err != nil {
		t.Fatal(err)
	}
	var h hubserver.Config
	if err := loadConfig(layout.HubConfig(), &h); err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(h.DataDir) || !filepath.IsAbs(h.Statements) {
		t.Errorf("paths stay relative: %+v", h)
	}
	var n nodeserver.Config
	if err := loadConfig(layout.NodeConfig("XA"), &n); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(layout.HubConfig())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"unknown field":   string(raw) + "\nops_listn: 127.0.0.1:1\n",
		"repeated field":  string(raw) + "\nid: hub\n",
		"second document": string(raw) + "\n---\nid: other\n",
		"open ops":        strings.Replace(string(raw), "ops_listen: 127.0.0.1", "ops_listen: 0.0.0.0", 1),
		"alias":           strings.Replace(string(raw), "id: hub\n", "id: &h hub\n", 1) + "\npostgres: *h\n",
		"merge key":       string(raw) + "\n<<: {postgres: x}\n",
		"missing field":   strings.Replace(string(raw), "data_dir: data", "", 1),
	} {
		file := filepath.Join(layout.Hub(), "changed.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := loadConfig(file, new(hubserver.Config)); err == nil || exitCode(err) != exitUsage {
			t.Errorf("%s: err = %v", name, err)
		}
	}
}

func TestObjectsAreTakenInThreeForms(t *testing.T) {
	one := `{"type":"identity","id":"identity--f690c992-8e7d-4b9a-9303-3312616c0220","n":1.0}`
	for _, s := range []string{one, "[" + one + "]", `{"type":"bundle","id":"bundle--f690c992-8e7d-4b9a-9303-3312616c0220","objects":[` + one + `]}`} {
		got, err := parseObjects([]byte(s))
		if err != nil || len(got) != 1 || string(got[0]) != one {
			t.Errorf("%s: %s %v", s, got, err)
		}
	}
	for _, s := range []string{"", "[]x", "{}", `{"type":"bundle"}`, "null", "[1"} {
		if got, err := parseObjects([]byte(s)); err == nil && len(got) > 0 {
			t.Errorf("%q was read as %s", s, got)
		}
	}
}

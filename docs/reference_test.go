package docs_test

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	hubserver "github.com/entente-hub/entente/hub/server"
	nodeserver "github.com/entente-hub/entente/node/server"
	"github.com/entente-hub/entente/openapi"
	"github.com/entente-hub/entente/policies"
)

// fieldsOf returns the names that a struct has in a kind of tag. Structs of the
// same package go down to their own fields if deep.
func fieldsOf(v reflect.Type, tag string, deep bool) []string {
	var list []string
	for _, f := range reflect.VisibleFields(v) {
		name, _, _ := strings.Cut(f.Tag.Get(tag), ",")
		switch {
		case f.Anonymous || name == "" || name == "-":
		case deep && f.Type.Kind() == reflect.Struct && f.Type.PkgPath() == v.PkgPath():
			for _, inner := range fieldsOf(f.Type, tag, true) {
				list = append(list, name+"."+inner)
			}
		default:
			list = append(list, name)
		}
	}
	return list
}

func TestProblemTypes(t *testing.T) {
	tb := read(t, "docs/api.md").tableUnder(t, "Problem types")
	var real []string
	for _, k := range problem.Kinds() {
		real = append(real, k.Type())
	}
	sameSet(t, "problem types", tb.column(t, 0), real)
	for _, row := range tb.rows {
		kind := problem.Kind(strings.TrimPrefix(code(t, row[0]), "urn:entente:problem:"))
		if want := strconv.Itoa(kind.Status()); row[1] != want {
			t.Errorf("%s: status %s, not %s", kind, want, row[1])
		}
	}
}

func TestMessageFormats(t *testing.T) {
	d := read(t, "docs/api.md")
	for heading, m := range map[string]struct {
		typ string // "" for what is not signed by itself
		v   any
	}{
		"Alert":                    {alert.Type, alert.Payload{}},
		"Label":                    {"", alert.Label{}},
		"Receipt":                  {feed.ReceiptType, feed.Receipt{}},
		"Feed head":                {feed.HeadType, feed.Head{}},
		"Acknowledgement":          {feed.AckType, feed.Ack{}},
		"Delivery":                 {"", feed.Delivery{}},
		"Statement":                {federation.StatementJWSType, federation.Statement{}},
		"Registry":                 {"", federation.Registry{}},
		"Node key":                 {"", federation.NodeKey{}},
		"Roster":                   {"", federation.Roster{}},
		"Agreement":                {"", federation.Agreement{}},
		"Suspension":               {"", federation.Suspension{}},
		"Consent":                  {"", federation.Consent{}},
		"Duty officers":            {"", federation.DutyOfficers{}},
		"Emergency":                {"", federation.Emergency{}},
		"Policy":                   {"", federation.Policy{}},
		"Audit entry":              {"", audit.Entry{}},
		"Decision in an audit log": {"", audit.Decision{}},
	} {
		tb := d.tableUnder(t, heading)
		sameSet(t, heading, tb.column(t, 0), fieldsOf(reflect.TypeOf(m.v), "json", false))
		if m.typ != "" && !slices.Contains(codes(d.section(heading)), m.typ) {
			t.Errorf("%s: the typ %s is not named", heading, m.typ)
		}
	}
}

// section returns the text between a heading and the next.
func (d document) section(heading string) string {
	_, text, _ := strings.Cut(d.text, "# "+heading+"\n")
	text, _, _ = strings.Cut(text, "\n#")
	return text
}

func TestStatementTypes(t *testing.T) {
	tb := read(t, "docs/api.md").tableUnder(t, "Who signs a statement")
	real := constants(t, "api/federation", "StatementType")
	sameSet(t, "statement types", tb.column(t, 0), real)
}

func TestAuditKinds(t *testing.T) {
	sameSet(t, "kinds of audit entry", read(t, "docs/api.md").tableUnder(t, "Kinds of audit entry").column(t, 0), constants(t, "api/audit", "Kind"))
}

// constants returns the values of a package's string constants of a type.
func constants(t *testing.T, folder, typ string) []string {
	t.Helper()
	var list []string
	each(t, folder, func(file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			s, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if id, ok := s.Type.(*ast.Ident); ok && id.Name == typ {
				for _, v := range s.Values {
					if lit, ok := v.(*ast.BasicLit); ok && lit.Kind == token.STRING {
						value, err := strconv.Unquote(lit.Value)
						if err != nil {
							t.Fatal(err)
						}
						list = append(list, value)
					}
				}
			}
			return true
		})
	})
	return list
}

// each parses the files of a package, tests left out.
func each(t *testing.T, folder string, f func(*ast.File)) {
	t.Helper()
	matches, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
	if err != nil || len(matches) == 0 {
		t.Fatalf("%s: no files, %v", folder, err)
	}
	for _, name := range matches {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		f(file)
	}
}

func TestOperations(t *testing.T) {
	d := read(t, "docs/api.md")
	for heading, load := range map[string]func() (*openapi3.T, error){"The hub's interface": openapi.Hub, "The node's local interface": openapi.Node} {
		spec, err := load()
		if err != nil {
			t.Fatal(err)
		}
		var real, documented []string
		for path, item := range spec.Paths.Map() {
			for method, op := range item.Operations() {
				real = append(real, fmt.Sprintf("%s %s %s %v", method, path, op.OperationID, op.Extensions["x-policy-action"]))
			}
		}
		for _, row := range d.tableUnder(t, heading).rows {
			documented = append(documented, code(t, row[0])+" "+code(t, row[1])+" "+code(t, row[2]))
		}
		sameSet(t, heading, documented, real)
	}
}

func TestReasonCodes(t *testing.T) {
	engine, err := policies.Load()
	if err != nil {
		t.Fatal(err)
	}
	d := read(t, "docs/api.md")
	for heading, rules := range map[string][]policies.Rule{"Reasons for a refusal of release": engine.Rules(),
		"Reasons for a refusal of admission": engine.AdmissionRules()} {
		var real, documented []string
		for _, r := range rules {
			real = append(real, r.Code+": "+r.Message)
		}
		for _, row := range d.tableUnder(t, heading).rows {
			documented = append(documented, code(t, row[0])+": "+row[1])
		}
		sameSet(t, heading, documented, real)
	}
}

// validator is what both configurations are.
type validator interface{ Validate() error }

// TestConfigurations: the tables name every field and no other, the examples are
// valid, and without a field that is needed they are not.
func TestConfigurations(t *testing.T) {
	d := read(t, "docs/operations.md")
	examples := d.fences("yaml")
	if len(examples) != 2 {
		t.Fatalf("%d YAML examples, want the hub's and the node's", len(examples))
	}
	for i, c := range []struct {
		heading string
		fresh   func() validator
		typ     reflect.Type
	}{
		{"Configuration of a hub", func() validator { return new(hubserver.Config) }, reflect.TypeFor[hubserver.Config]()},
		{"Configuration of a node", func() validator { return new(nodeserver.Config) }, reflect.TypeFor[nodeserver.Config]()},
	} {
		if err := validate(t, examples[i], c.fresh()); err != nil {
			t.Errorf("%s: the example: %v", c.heading, err)
		}
		tb := d.tableUnder(t, c.heading)
		sameSet(t, c.heading, tb.column(t, 0), fieldsOf(c.typ, "yaml", true))
		for _, row := range tb.rows {
			field := code(t, row[0])
			err := validate(t, without(t, examples[i], field), c.fresh())
			if needed := row[1] == "yes"; needed != (err != nil) || !needed && row[1] != "no" {
				t.Errorf("%s: %s is needed: %s, but without it: %v", c.heading, field, row[1], err)
			}
		}
	}
}

func validate(t *testing.T, text string, c validator) error {
	t.Helper()
	dec := yaml.NewDecoder(strings.NewReader(text))
	dec.KnownFields(true)
	return errors.Join(dec.Decode(c), c.Validate())
}

// without takes a field out of a configuration.
func without(t *testing.T, text, field string) string {
	t.Helper()
	var doc map[string]any
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	at := doc
	steps := strings.Split(field, ".")
	for _, step := range steps[:len(steps)-1] {
		inner, ok := at[step].(map[string]any)
		if !ok {
			return text // not in the example: nothing to take out
		}
		at = inner
	}
	delete(at, steps[len(steps)-1])
	out, err := yaml.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestExitCodes: the table has every code of the binary.
func TestExitCodes(t *testing.T) {
	var real []string
	each(t, "cli", func(file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			s, ok := n.(*ast.ValueSpec)
			if ok && strings.HasPrefix(s.Names[0].Name, "exit") && len(s.Values) == 1 {
				if lit, ok := s.Values[0].(*ast.BasicLit); ok && lit.Kind == token.INT {
					real = append(real, lit.Value)
				}
			}
			return true
		})
	})
	sameSet(t, "exit codes", read(t, "docs/operations.md").tableUnder(t, "Exit codes").column(t, 0), real)
}

// TestFigures: the figures that an operator may look for are those that are
// registered.
func TestFigures(t *testing.T) {
	d := read(t, "docs/operations.md")
	for heading, of := range map[string]struct {
		prefix  string
		folders []string
	}{"Figures of a hub": {"entente_hub_", []string{"hub", "hub/server"}}, "Figures of a node": {"entente_node_", []string{"node/server"}}} {
		var real []string
		for _, folder := range of.folders {
			each(t, folder, func(file *ast.File) {
				ast.Inspect(file, func(n ast.Node) bool {
					if name := figure(n); name != "" {
						real = append(real, of.prefix+name)
					}
					return true
				})
			})
		}
		sameSet(t, heading, d.tableUnder(t, heading).column(t, 0), real)
	}
}

// figure returns the name in a call of counter or figure, or in the options of
// a collector.
func figure(n ast.Node) string {
	var e ast.Expr
	switch n := n.(type) {
	case *ast.CallExpr:
		if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "counter" || id.Name == "figure") && len(n.Args) > 0 {
			e = n.Args[0]
		}
	case *ast.KeyValueExpr:
		if id, ok := n.Key.(*ast.Ident); ok && id.Name == "Name" {
			e = n.Value
		}
	}
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		return string(bytes.Trim([]byte(lit.Value), `"`))
	}
	return ""
}

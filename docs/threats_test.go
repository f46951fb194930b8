package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestThreatsAreTested: every threat has a control, and every control at least
// one test. That they exist is TestNamedTestsExist's to say.
func TestThreatsAreTested(t *testing.T) {
	for _, row := range read(t, "docs/threat-model.md").tableUnder(t, "Threat, control, test").rows {
		threat, control, tests := row[0], row[1], codes(row[2])
		if threat == "" || control == "" || len(tests) == 0 {
			t.Errorf("%q: a threat needs a control, and a control a test", threat)
		}
		for _, name := range tests {
			if !testRE.MatchString(name) {
				t.Errorf("%q: %s does not name a test, as in crypto/sdjwt.TestVectors", threat, name)
			}
		}
	}
}

// TestNamedTestsExist: every test that a document names, with its script if it
// names one, is there.
func TestNamedTestsExist(t *testing.T) {
	known := make(map[string]map[string]bool) // folder → functions
	functions := func(folder string) map[string]bool {
		if known[folder] == nil {
			known[folder] = functionsIn(t, folder)
		}
		return known[folder]
	}
	n := 0
	for _, d := range documents(t) {
		for _, c := range codes(d.withoutFences()) {
			if m := testRE.FindStringSubmatch(c); m != nil {
				n++
				if !functions(m[1])[m[2]] {
					t.Errorf("%s: there is no test %s in %s", d.path, m[2], m[1])
				}
				script := filepath.Join(root, m[1], "testdata", "script", m[3]+".txtar")
				if _, err := os.Stat(script); m[3] != "" && err != nil {
					t.Errorf("%s: %s: %v", d.path, c, err)
				}
			}
			if m := benchRE.FindStringSubmatch(c); m != nil && !functions(m[2])["Benchmark"+m[1]] {
				t.Errorf("%s: there is no benchmark %s in %s", d.path, m[1], m[2])
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d tests were found: are they looked for in the right places?", n)
	}
}

// benchRE finds name and folder in a command that measures.
var benchRE = regexp.MustCompile(`^go test .*-bench (\w+) \./(\S+)$`)

// functionsIn returns the functions of a folder's test files, those that take no
// part in a normal build included.
func functionsIn(t *testing.T, folder string) map[string]bool {
	t.Helper()
	dir := filepath.Join(root, folder)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Errorf("%v", err)
		return nil
	}
	found := make(map[string]bool)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name != "TestMain" {
				found[f.Name.Name] = true
			}
		}
	}
	return found
}

package docs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/entente-hub/entente"

// pkg is a package as the go command lists it.
type pkg struct {
	ImportPath string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

// path is the package's folder below the root; "." is the root itself.
func (p pkg) path() string { return ours(p.ImportPath) }

// ours shortens the import path of a package of this module.
func ours(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

func isOurs(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

// isStandard tells the standard library by its first element, which has no dot.
func isStandard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// packages asks the go command for the packages of this module.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,GoFiles,Imports,Deps", "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var list []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

func (p pkg) importsOfOurs() []string {
	var list []string
	for _, i := range p.Imports {
		if isOurs(i) {
			list = append(list, ours(i))
		}
	}
	slices.Sort(list)
	return list
}

// TestImportTable: the table in ARCHITECTURE.md says of each package exactly
// which of ours it imports, tests apart.
func TestImportTable(t *testing.T) {
	allowed := make(map[string]string)
	for _, row := range read(t, "docs/ARCHITECTURE.md").tableUnder(t, "Import table").rows {
		name := code(t, row[0])
		if _, twice := allowed[name]; twice {
			t.Errorf("%s stands twice in the table", name)
		}
		allowed[name] = importRow(name, codes(row[1]))
	}
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 {
			continue // tests alone
		}
		want := importRow(p.path(), p.importsOfOurs())
		switch got, ok := allowed[p.path()]; {
		case !ok:
			t.Errorf("missing row:\n%s", want)
		case got != want:
			t.Errorf("the table says\n%s\nand the code\n%s", got, want)
		}
		delete(allowed, p.path())
	}
	for name := range allowed {
		t.Errorf("the table has a row for %s, which is no package", name)
	}
}

func importRow(name string, imports []string) string {
	cell := "nothing of ours"
	if len(imports) > 0 {
		cell = "`" + strings.Join(slices.Sorted(slices.Values(imports)), "` `") + "`"
	}
	return "| `" + name + "` | " + cell + " |"
}

// machinery is what no core may depend upon, however indirectly.
var machinery = []string{"github.com/gofiber/", "github.com/valyala/fasthttp", "database/sql", "github.com/jackc/",
	"modernc.org/", "github.com/pressly/goose", "github.com/hashicorp/vault", "github.com/spf13/"}

func isMachinery(dep string) bool {
	return slices.ContainsFunc(machinery, func(m string) bool {
		return dep == m || strings.HasSuffix(m, "/") && strings.HasPrefix(dep, m) || strings.HasPrefix(dep, m+"/") && m != "database/sql"
	})
}

// forTests are packages that exist to test others with.
var forTests = []string{"crypto/keys/keystest", "hub/store/pgtest", "hub/store/storetest", "node/nodetest"}

// norm tells which texts are in a Unicode normalization form; it does nothing else.
const norm = "golang.org/x/text/unicode/norm"

// TestImportRules holds the rules that a table of today's imports can not: what
// must never come to stand in it.
func TestImportRules(t *testing.T) {
	cores := []string{"api/alert", "api/federation", "api/feed", "api/audit", "api/problem", "api/strictjson",
		"hub", "node", "policies", "trust", "crypto/keys", "crypto/pki", "crypto/sdjwt", "crypto/tlog"}
	seen := make(map[string]bool)
	for _, p := range packages(t) {
		path := p.path()
		seen[path] = true
		broken := func(rule, dep string) { t.Errorf("%s depends on %s: %s", path, dep, rule) }
		for _, dep := range p.Imports {
			o := ours(dep)
			switch {
			case (path == "api/alert" || path == "api/federation") && !isStandard(dep) && !(isOurs(dep) && below(o, []string{"api"})) && dep != norm:
				broken("only the standard library, "+norm+" and api", dep)
			case isOurs(dep) && below(path, []string{"crypto"}) && !below(o, []string{"crypto"}):
				broken("crypto knows nothing of ours outside crypto", dep)
			case isOurs(dep) && path == "policies" && !below(o, []string{"api"}):
				broken("policies know only api", dep)
			case isOurs(dep) && path == "trust" && !below(o, []string{"api", "crypto"}):
				broken("trust knows only api and crypto", dep)
			case isOurs(dep) && below(o, []string{"cli"}) && path != "." && !below(path, []string{"cli"}):
				broken("nothing but main imports cli", dep)
			case isOurs(dep) && slices.Contains(forTests, o) && !slices.Contains(forTests, path):
				broken("for tests only", dep)
			}
		}
		for _, dep := range p.Deps {
			o := ours(dep)
			switch {
			case slices.Contains(cores, path) && isMachinery(dep):
				broken("a core knows no web framework, database driver or command line", dep)
			case isOurs(dep) && below(path, []string{"hub"}) && below(o, []string{"node"}),
				isOurs(dep) && below(path, []string{"node"}) && below(o, []string{"hub"}):
				broken("hub and node never know one another", dep)
			}
		}
	}
	for _, path := range slices.Concat(cores, forTests) {
		if !seen[path] {
			t.Errorf("the rules name %s, which is no package", path)
		}
	}
}

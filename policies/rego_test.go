package policies

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
)

// regoFiles returns every module of the folders, tests included.
func regoFiles(t *testing.T, folders ...string) map[string]*ast.Module {
	t.Helper()
	files := make(map[string]*ast.Module)
	for _, folder := range folders {
		err := fs.WalkDir(sources, folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			src, err := sources.ReadFile(path)
			if err != nil {
				return err
			}
			if !strings.HasSuffix(path, ".rego") {
				t.Errorf("%s is embedded and no rule", path)
				return nil
			}
			files[path], err = ast.ParseModuleWithOpts(path, string(src), ast.ParserOptions{ProcessAnnotation: true})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestRego runs the tests beside the rules and wants every line of a rule run.
func TestRego(t *testing.T) {
	modules := regoFiles(t, "release", "admission", "egress", "ingress")
	coverage := cover.New()
	store := inmem.New()
	txn, err := store.NewTransaction(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Abort(t.Context(), txn)
	runner := tester.NewRunner().SetCompiler(ast.NewCompiler().WithStrict(true).WithCapabilities(Capabilities())).
		SetStore(store).SetCoverageQueryTracer(coverage).SetModules(modules).RaiseBuiltinErrors(true)
	results, err := runner.RunTests(t.Context(), txn)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for r := range results {
		ran++
		if !r.Pass() {
			t.Errorf("%v %v", r, r.Error)
		}
	}
	if ran < 50 {
		t.Errorf("only %d tests ran", ran)
	}
	report := coverage.Report(modules)
	rules := 0
	for name := range modules {
		if strings.HasSuffix(name, "_test.rego") {
			continue
		}
		rules++
		file, ok := report.Files[name]
		if !ok || file.CoveredLines == 0 || file.NotCoveredLines != 0 || file.Coverage != 100 {
			t.Errorf("%s: %+v", name, file)
		}
		if modules[strings.TrimSuffix(name, ".rego")+"_test.rego"] == nil {
			t.Errorf("%s has no test beside it", name)
		}
	}
	t.Logf("%d tests, %d modules covered", ran, rules)
}

// TestRegoStyle wants what opa fmt writes, packages named like their folders,
// and lines that fit a page.
func TestRegoStyle(t *testing.T) {
	for name, m := range regoFiles(t, "release", "admission", "egress", "ingress") {
		src, err := sources.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		formatted, err := format.SourceWithOpts(name, src, format.Opts{RegoVersion: ast.RegoV1})
		if err != nil {
			t.Fatal(err)
		}
		if string(formatted) != string(src) {
			t.Errorf("%s is not as opa fmt writes it:\n%s", name, formatted)
		}
		folder, _, _ := cut(name)
		want := "entente." + strings.ReplaceAll(folder, "/", ".")
		if strings.HasSuffix(name, "_test.rego") {
			want += "_test"
		}
		if got := packageOf(m); got != want {
			t.Errorf("%s is of package %s, want %s", name, got, want)
		}
		for i, line := range strings.Split(string(src), "\n") {
			if len(line) > 120 {
				t.Errorf("%s:%d is longer than 120 bytes", name, i+1)
			}
		}
	}
}

func cut(name string) (folder, file string, ok bool) {
	i := strings.LastIndexByte(name, '/')
	return name[:max(i, 0)], name[i+1:], i >= 0
}

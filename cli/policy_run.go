package cli

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/policies/bundle"
	"github.com/entente-hub/entente/policies/scenario"
)

func policyTestCommand() *cobra.Command {
	var scenarios string
	var asJSON bool
	c := &cobra.Command{
		Use:   "test RULES [--scenarios DIR]",
		Short: "Run the tests and the scenarios on a bundle or on a folder of rules",
		Long: `Compiles the rules in a bundle, signed or not, or in a folder, and runs on them

  - the tests beside them (*_test.rego; a bundle has none), with OPA's tester;
  - the scenarios: tables in YAML that say of a world and a label who gets what and
    why the others do not. Without --scenarios these are the ones that this binary
    carries; a federation with rules of its own keeps its own.

Whatever is not as expected is printed, and the exit code is 1. Signatures are not
looked at: entente policy verify does that.`,
		Example: "  entente policy test rules/entente --scenarios rules/entente/scenarios",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("name one bundle or folder")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			modules, tests, err := readRules(args[0])
			if err != nil {
				return err
			}
			engine, err := policies.Compile(modules)
			if err != nil {
				return bundleError(args[0], err)
			}
			cases, err := readScenarios(scenarios)
			if err != nil {
				return err
			}
			report := testReport{Digest: engine.Digest()}
			if report.Tests, err = runTests(cmd.Context(), modules, tests); err != nil {
				return bundleError(args[0], err)
			}
			if report.Scenarios, err = runScenarios(cmd.Context(), engine, cases); err != nil {
				return err
			}
			return report.finish(cmd.OutOrStdout(), asJSON)
		},
	}
	c.Flags().StringVar(&scenarios, "scenarios", "", "folder of scenario files instead of those that this binary carries")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// readRules reads the rules of a bundle or a folder, and the tests in it.
func readRules(path string) (modules, tests map[string]string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, usage("%v", err)
	}
	if !info.IsDir() {
		raw, err := readBundle(path)
		if err != nil {
			return nil, nil, err
		}
		b, err := bundle.Parse(raw)
		if err != nil {
			return nil, nil, bundleError(path, err)
		}
		return b.Modules, nil, nil
	}
	if modules, err = bundle.WithTests(os.DirFS(path)); err != nil {
		return nil, nil, folderError(path, err)
	}
	tests = make(map[string]string)
	for name, source := range modules {
		if strings.HasSuffix(name, "_test.rego") {
			tests[name] = source
			delete(modules, name)
		}
	}
	return modules, tests, nil
}

// readScenarios reads the scenarios in a folder, "" for the embedded ones.
func readScenarios(dir string) ([]scenario.Scenario, error) {
	var from fs.FS = scenario.Embedded()
	if dir != "" {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return nil, usage("--scenarios: %s is no folder", dir)
		}
		from = os.DirFS(dir)
	}
	list, err := scenario.Read(from)
	if err != nil {
		return nil, usage("--scenarios: %w", err)
	}
	if len(list) == 0 {
		return nil, usage("--scenarios: there are none in %s", dir)
	}
	return list, nil
}

// testReport says what was run and what failed.
type testReport struct {
	Digest    string `json:"digest"`
	Tests     tally  `json:"tests"`
	Scenarios tally  `json:"scenarios"`
}

// tally counts what was run.
type tally struct {
	Run     int       `json:"run"`
	Skipped int       `json:"skipped"` // tests called todo_test_…
	Failed  []failure `json:"failed"`
}

// failure is one thing that is not as expected.
type failure struct {
	Where string   `json:"where"`
	Why   []string `json:"why"`
}

// finish prints the report; what failed is an error.
func (r testReport) finish(w io.Writer, asJSON bool) error {
	if err := r.print(w, asJSON); err != nil {
		return err
	}
	if n := len(r.Tests.Failed) + len(r.Scenarios.Failed); n > 0 {
		return fmt.Errorf("%d of %d are not as expected", n, r.Tests.Run+r.Scenarios.Run)
	}
	return nil
}

func (r testReport) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(w, r)
	}
	for _, t := range []tally{r.Tests, r.Scenarios} {
		for _, f := range t.Failed {
			printf(w, "FAILED %s\n", f.Where)
			for _, line := range f.Why {
				printf(w, "   %s\n", line)
			}
		}
	}
	row := func(name string, t tally) []string {
		return []string{name, fmt.Sprint(t.Run), fmt.Sprint(t.Run - len(t.Failed)), fmt.Sprint(len(t.Failed)), fmt.Sprint(t.Skipped)}
	}
	fmt.Fprintln(w, "rules", r.Digest)
	return table(w, []string{"WHAT", "RUN", "AS EXPECTED", "NOT", "SKIPPED"}, [][]string{row("tests", r.Tests), row("scenarios", r.Scenarios)})
}

// runTests runs the tests beside the rules, with no more builtins than rules have.
func runTests(ctx context.Context, modules, tests map[string]string) (tally, error) {
	out := tally{Failed: []failure{}}
	if len(tests) == 0 {
		return out, nil
	}
	parsed := make(map[string]*ast.Module)
	for _, sources := range []map[string]string{modules, tests} {
		for name, source := range sources {
			m, err := parseModule(name, source)
			if err != nil {
				return out, err
			}
			parsed[name] = m
		}
	}
	for name := range tests {
		// A test in a rule's own package could be part of what the rule answers, and
		// is left out of the bundle.
		if pkg := parsed[name].Package.Path.String(); !strings.HasSuffix(pkg, "_test") {
			return out, fmt.Errorf("%w: %s is of package %s; a test's package ends in _test", policies.ErrPolicy, name, strings.TrimPrefix(pkg, "data."))
		}
	}
	store := inmem.New()
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return out, err
	}
	defer store.Abort(ctx, txn)
	compiler := ast.NewCompiler().WithStrict(true).WithCapabilities(policies.Capabilities())
	results, err := tester.NewRunner().SetCompiler(compiler).SetStore(store).SetModules(parsed).RaiseBuiltinErrors(true).RunTests(ctx, txn)
	if err != nil {
		return out, fmt.Errorf("%w: %w", policies.ErrPolicy, err)
	}
	for r := range results {
		out.add(r)
	}
	return out, ctx.Err()
}

// add counts a test.
func (t *tally) add(r *tester.Result) {
	if r.Skip {
		t.Skipped++
		return
	}
	t.Run++
	where := r.Location.String() + ": " + r.Name
	switch {
	case r.Error != nil:
		t.Failed = append(t.Failed, failure{where, []string{r.Error.Error()}})
	case !r.Pass():
		t.Failed = append(t.Failed, failure{where, []string{"the test does not hold"}})
	}
}

func parseModule(name, source string) (*ast.Module, error) {
	m, err := ast.ParseModuleWithOpts(name, source, ast.ParserOptions{
		ProcessAnnotation: true, RegoVersion: ast.RegoV1, Capabilities: policies.Capabilities()})
	if err != nil {
		return nil, fmt.Errorf("%w: parse: %w", policies.ErrPolicy, err)
	}
	if m == nil {
		return nil, fmt.Errorf("%w: %s is empty", policies.ErrPolicy, name)
	}
	return m, nil
}

// runScenarios holds the rules to the scenarios.
func runScenarios(ctx context.Context, e *policies.Engine, list []scenario.Scenario) (tally, error) {
	out := tally{Failed: []failure{}}
	for _, s := range list {
		differences, err := s.Check(ctx, e)
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		if err != nil {
			differences = append(differences, err.Error())
		}
		if out.Run++; len(differences) > 0 {
			out.Failed = append(out.Failed, failure{s.String(), differences})
		}
	}
	return out, nil
}

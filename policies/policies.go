// Package policies says what is permitted: who may have which portion of an
// alert (release), which alerts the federation takes in (admission), what a
// member's own rules let out (egress), and which of its own users may read what
// it holds (ingress). The rules are Rego, in the folders
// beside this file; the Go code compiles them once, indexes a federation.World
// as sets of members for them, and keeps their answers. It decides nothing
// itself and fails closed: an answer that is not exactly of the expected shape
// is an error.
//
// A release depends on originator, label, recipient and the revisions of policy
// and data alone (DESIGN section 4), so one evaluation answers for all
// recipients of a label and is remembered for the life of its World.
package policies

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

//go:embed release admission egress ingress
var sources embed.FS

// ErrPolicy is wrapped by every error that lies in the rules rather than in
// what they were asked: they do not compile, or answer in the wrong shape.
var ErrPolicy = errors.New("policy")

// ErrTooLong is wrapped, besides ErrPolicy, where an evaluation was given up after a time:
// either the rules come to no end or the machine is too busy. It is no verdict on the rules:
// nothing may be taken in or released on it, and it is worth another try.
var ErrTooLong = errors.New("the rules gave no answer in time: they come to no end, or the machine is too busy; try again")

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrPolicy}, args...)...)
}

const (
	releaseQuery   = "data.entente.release.decision.answer"
	admissionQuery = "data.entente.admission.refuse"
)

// Engine holds the compiled rules of release and admission. It is immutable
// and safe for concurrent use.
type Engine struct {
	digest    string
	release   rego.PreparedEvalQuery
	admission rego.PreparedEvalQuery
	rules     []Rule // of release, in order
	admitting []Rule // of admission, in order
}

// Load compiles the embedded rules in strict mode. That they answer the questions that
// Compile puts is for the tests of this package to see, not for a program that starts on a
// busy machine. Errors wrap ErrPolicy.
func Load() (*Engine, error) { return newEngine(Embedded()) }

// Embedded returns the rules of release and admission that the binary carries,
// as name → source, tests left out: {"release/active/active.rego": "package …"}.
func Embedded() map[string]string {
	modules, err := embedded("release", "admission")
	if err != nil {
		panic("policies: embedded files can not be read: " + err.Error()) // they are part of the binary
	}
	return modules
}

// Compile compiles the rules of release and admission in strict mode, given as
// Embedded gives them. They see nothing but their input, of which they name only
// what Schema describes, are of packages below entente.release and
// entente.admission, and answer the questions that Compile puts to them in the
// right shape. Compiling ends within seconds, whatever the rules are, and each
// question after five; then the error wraps ErrTooLong too. Errors wrap ErrPolicy.
func Compile(modules map[string]string) (*Engine, error) {
	e, err := newEngine(modules)
	if err != nil {
		return nil, err
	}
	if err := e.probe(context.Background()); err != nil {
		return nil, err
	}
	return e, nil
}

// newEngine compiles rules of which it is not known yet that they can answer.
func newEngine(modules map[string]string) (*Engine, error) {
	compiler, err := compile(modules)
	if err != nil {
		return nil, err
	}
	if err := checkPackages(compiler); err != nil {
		return nil, err
	}
	if err := checkPaths(modules, compiler); err != nil {
		return nil, err
	}
	if err := checkGrowth(compiler.Modules); err != nil {
		return nil, err
	}
	e := &Engine{digest: Digest(modules)}
	if e.rules, err = rulesBelow(compiler, releasePackage); err != nil {
		return nil, err
	}
	if e.admitting, err = rulesOf(compiler, "entente.admission"); err != nil {
		return nil, err
	}
	if e.release, err = prepare(compiler, releaseQuery, nil); err != nil {
		return nil, err
	}
	e.admission, err = prepare(compiler, admissionQuery, nil)
	return e, err
}

// checkPackages refuses what would be undefined without an error: a query that
// no rule answers, and rules where none is looked for.
func checkPackages(c *ast.Compiler) error {
	for name, m := range c.Modules {
		pkg := packageOf(m)
		if pkg != "entente.admission" && !strings.HasPrefix(pkg, "entente.admission.") &&
			pkg != "entente.release" && !strings.HasPrefix(pkg, releasePackage) {
			return broken("%s is of package %s, which is neither of release nor of admission", name, pkg)
		}
	}
	for _, query := range []string{releaseQuery, admissionQuery} {
		if len(c.GetRules(ast.MustParseRef(query))) == 0 {
			return broken("no rule defines %s", query)
		}
	}
	return nil
}

// Digest returns the Digest of the engine's rules of release and admission.
// federation.Policy names a bundle by it.
func (e *Engine) Digest() string { return e.digest }

// Rules returns the rules of release, in the order in which their codes are
// given as the reason of a refusal.
func (e *Engine) Rules() []Rule { return slices.Clone(e.rules) }

// AdmissionRules returns the rules of admission, in order.
func (e *Engine) AdmissionRules() []Rule { return slices.Clone(e.admitting) }

// embedded returns the embedded modules under the folders, tests left out.
func embedded(folders ...string) (map[string]string, error) {
	modules := make(map[string]string)
	for _, folder := range folders {
		err := fs.WalkDir(sources, folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".rego") || strings.HasSuffix(path, "_test.rego") {
				return err
			}
			src, err := sources.ReadFile(path)
			modules[path] = string(src)
			return err
		})
		if err != nil {
			return nil, broken("read %s: %w", folder, err)
		}
	}
	return modules, nil
}

// Digest returns the SHA-256, base64url, of rules: over each module's name and
// source, in the order of the names, each with its length before it, as a 64-bit
// number, most significant byte first.
func Digest(modules map[string]string) string {
	h := sha256.New()
	part := func(s string) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		part(name)
		part(modules[name])
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// compile parses and compiles modules in strict mode, with the builtins of
// Capabilities only.
func compile(modules map[string]string) (*ast.Compiler, error) { return compileWith(modules, nil, nil) }

// compileWith is compile against a schema of the input, and without some builtins.
func compileWith(modules map[string]string, input *ast.SchemaSet, without []string) (*ast.Compiler, error) {
	parsed := make(map[string]*ast.Module, len(modules))
	for name, src := range modules {
		if err := checkBrackets(name, src); err != nil {
			return nil, err
		}
		m, err := ast.ParseModuleWithOpts(name, src, ast.ParserOptions{
			ProcessAnnotation: true, RegoVersion: ast.RegoV1, Capabilities: Capabilities()})
		if err != nil {
			return nil, broken("parse: %w", err)
		}
		if m == nil {
			return nil, broken("%s is empty", name)
		}
		parsed[name] = m
	}
	if err := checkSize(parsed); err != nil {
		return nil, err
	}
	compiler := ast.NewCompiler().WithStrict(true).WithCapabilities(capabilities(without)).WithSchemas(input)
	if compiler.Compile(parsed); compiler.Failed() {
		return nil, broken("compile: %w", compiler.Errors)
	}
	return compiler, nil
}

// prepare readies a query; data is what the rules find under "data" besides
// themselves.
func prepare(compiler *ast.Compiler, query string, data map[string]any) (rego.PreparedEvalQuery, error) {
	options := []func(*rego.Rego){rego.Compiler(compiler), rego.Query(query), rego.StrictBuiltinErrors(true), rego.Strict(true)}
	if data != nil {
		options = append(options, rego.Data(data))
	}
	p, err := rego.New(options...).PrepareForEval(context.Background())
	if err != nil {
		return p, broken("prepare %s: %w", query, err)
	}
	return p, nil
}

// evaluationTimeout bounds one evaluation; tests make it short.
var evaluationTimeout = 5 * time.Second

// evaluate runs a prepared query and returns its one value as OPA has it. It ends
// with ctx, and after evaluationTimeout at the latest.
func evaluate(ctx context.Context, p rego.PreparedEvalQuery, input ast.Value) (*ast.Term, error) {
	options := []rego.EvalOption{rego.EvalParsedInput(input), rego.EvalMetrics(metrics.NoOp()),
		rego.EvalGenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) { return t, nil })}
	end := topdown.NewCancel()
	defer time.AfterFunc(evaluationTimeout, end.Cancel).Stop()
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, end.Cancel)()
	}
	rs, err := p.Eval(ctx, append(options, rego.EvalExternalCancel(end))...)
	switch {
	case topdown.IsCancel(err) && ctx.Err() != nil:
		return nil, ctx.Err()
	case topdown.IsCancel(err):
		return nil, broken("evaluate: %w", ErrTooLong)
	case err != nil:
		return nil, broken("evaluate: %w", err)
	}
	if len(rs) != 1 || len(rs[0].Expressions) != 1 {
		return nil, broken("the rules gave no answer")
	}
	t, ok := rs[0].Expressions[0].Value.(*ast.Term)
	if !ok {
		return nil, broken("the rules answered with %T", rs[0].Expressions[0].Value)
	}
	return t, nil
}

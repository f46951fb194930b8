package policies

import (
	_ "embed" // for schema.json
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Schema is a JSON Schema (draft 7) of what rules find under input: the
// definitions "release" and "admission". Rules that name a path which is not in it
// do not compile: undefined as it is, "not" would make it true for everybody.
//
//go:embed schema.json
var Schema string

// schemaOf returns the schema of one definition's input.
func schemaOf(definition string) (*ast.SchemaSet, error) {
	var s map[string]any
	if err := json.Unmarshal([]byte(Schema), &s); err != nil {
		return nil, broken("schema of the input: %w", err)
	}
	s["$ref"] = "#/definitions/" + definition
	set := ast.NewSchemaSet()
	set.Put(ast.SchemaRootRef, s)
	return set, nil
}

// checkPaths refuses rules that refer to what there is not: below input, by the
// schema of their folder's, or below data, where rules find nothing but rules.
func checkPaths(modules map[string]string, compiled *ast.Compiler) error {
	for _, definition := range []string{"release", "admission"} {
		own := maps.Clone(modules)
		maps.DeleteFunc(own, func(name, _ string) bool {
			pkg := packageOf(compiled.Modules[name])
			return pkg != "entente."+definition && !strings.HasPrefix(pkg, "entente."+definition+".")
		})
		schema, err := schemaOf(definition)
		if err != nil {
			return err
		}
		if _, err := compileWith(own, schema, growing); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(compiled.Modules)) {
		var err error
		ast.WalkRefs(compiled.Modules[name], func(ref ast.Ref) bool {
			if err == nil && ref.HasPrefix(ast.DefaultRootRef) && len(compiled.GetRules(ref)) == 0 {
				err = broken("compile: %s: no rule defines %s", name, ref)
			}
			return false
		})
		if err != nil {
			return err
		}
	}
	return nil
}

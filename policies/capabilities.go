package policies

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// builtins are those that rules may use: the answer of each depends on its
// arguments alone. What reads the clock, a zone, the environment, the network,
// chance or a certificate is not among them, nor what makes much of little
// (numbers.range, bits.lsh).
var builtins = []string{
	// what the language itself is made of
	"assign", "eq", "internal.member_2", "internal.member_3", "internal.template_string", "rego.metadata.chain", "rego.metadata.rule",
	// comparison and arithmetic
	"equal", "neq", "lt", "lte", "gt", "gte", "plus", "minus", "mul", "div", "rem", "abs", "ceil", "floor", "round",
	// aggregates
	"all", "any", "count", "max", "min", "product", "sort", "sum",
	// sets, objects and arrays
	"and", "or", "set_diff", "intersection", "union",
	"object.filter", "object.get", "object.keys", "object.remove", "object.subset", "object.union", "object.union_n",
	"array.concat", "array.flatten", "array.reverse", "array.slice",
	// strings
	"concat", "contains", "endswith", "format_int", "indexof", "indexof_n", "lower", "replace", "split", "sprintf", "startswith",
	"strings.any_prefix_match", "strings.any_suffix_match", "strings.count", "strings.replace_n", "strings.reverse", "substring",
	"trim", "trim_left", "trim_prefix", "trim_right", "trim_space", "trim_suffix", "upper",
	"regex.find_all_string_submatch_n", "regex.find_n", "regex.is_valid", "regex.match", "regex.replace", "regex.split",
	// kinds of values
	"is_array", "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string", "to_number", "type_name",
}

// growing are those of the builtins with which a few rules could fill a memory
// before an evaluation is stopped: each may make twice as much of what the one before
// it made, and to_number a number that is too long of a short text. A member's own
// modules may use them; rules that are brought to all may not.
var growing = []string{"array.concat", "array.flatten", "concat", "internal.template_string", "product", "regex.replace", "replace",
	"sprintf", "strings.replace_n", "to_number"}

// Capabilities returns the builtins that rules may use: those whose answer
// depends on nothing but their arguments. No rule can reach the network, the
// environment, the clock or chance. Rules of release and admission can do without
// those that build texts and lists, too: Compile refuses them.
func Capabilities() *ast.Capabilities { return capabilities(nil) }

func capabilities(without []string) *ast.Capabilities {
	all := ast.CapabilitiesForThisVersion()
	all.AllowNet = []string{}
	all.Builtins = slices.DeleteFunc(all.Builtins, func(b *ast.Builtin) bool {
		return !slices.Contains(builtins, b.Name) || slices.Contains(without, b.Name)
	})
	return all
}

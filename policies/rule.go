package policies

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Rule is what a rule's METADATA says of it.
type Rule struct {
	Name        string // its package: of release and ingress the part below entente.release or entente.ingress, else the whole name
	Code        string // the reason code that a refusal gives; stable
	Title       string
	Description string
	Message     string // one sentence for the person whose portion was refused
	Order       int    // of several reasons the lowest is given first; from 1
}

const releasePackage = "entente.release."

// maxRules bounds the rules of one decision: one bit each where it is kept who
// fails which.
const maxRules = 32

// rulesBelow collects the METADATA of every package that defines permits and
// whose name begins with prefix.
func rulesBelow(c *ast.Compiler, prefix string) ([]Rule, error) {
	var rules []Rule
	for _, m := range c.Modules {
		name, ok := strings.CutPrefix(packageOf(m), prefix)
		if !ok || !defines(m, "permits") {
			continue
		}
		r, err := metadata(name, m, "package")
		if err != nil {
			return nil, err
		}
		rules = append(rules, r...)
	}
	return ordered(rules)
}

// rulesOf collects the METADATA of each rule of one package.
func rulesOf(c *ast.Compiler, pkg string) ([]Rule, error) {
	var rules []Rule
	for _, m := range c.Modules {
		if packageOf(m) != pkg {
			continue
		}
		r, err := metadata(pkg, m, "rule")
		if err != nil {
			return nil, err
		}
		rules = append(rules, r...)
	}
	return ordered(rules)
}

func packageOf(m *ast.Module) string { return strings.TrimPrefix(m.Package.Path.String(), "data.") }

func defines(m *ast.Module, rule string) bool {
	return slices.ContainsFunc(m.Rules, func(r *ast.Rule) bool { return r.Head.Name.String() == rule })
}

func metadata(name string, m *ast.Module, scope string) ([]Rule, error) {
	var rules []Rule
	for _, a := range m.Annotations {
		if a.Scope != scope || a.Custom["code"] == nil {
			continue
		}
		r := Rule{Name: name, Title: a.Title, Description: strings.TrimSpace(a.Description)}
		r.Code, _ = a.Custom["code"].(string)
		r.Message, _ = a.Custom["message"].(string)
		switch n := a.Custom["order"].(type) {
		case int:
			r.Order = n
		case float64:
			r.Order = int(n)
		case json.Number:
			i, _ := n.Int64()
			r.Order = int(i)
		}
		if r.Code == "" || r.Message == "" || r.Title == "" || r.Order < 1 {
			return nil, broken("%s: METADATA needs title, custom.code, custom.message and custom.order", name)
		}
		rules = append(rules, r)
	}
	if len(rules) == 0 {
		return nil, broken("%s has no METADATA with a code", name)
	}
	return rules, nil
}

// ordered sorts rules and refuses two of one code or order.
func ordered(rules []Rule) ([]Rule, error) {
	slices.SortFunc(rules, func(a, b Rule) int { return cmp.Compare(a.Order, b.Order) })
	codes := make(map[string]bool)
	for i, r := range rules {
		if codes[r.Code] || i > 0 && rules[i-1].Order == r.Order {
			return nil, broken("code %s or order %d given twice", r.Code, r.Order)
		}
		codes[r.Code] = true
	}
	if len(rules) == 0 {
		return nil, broken("no rules")
	}
	if len(rules) > maxRules {
		return nil, broken("more than %d rules", maxRules)
	}
	return rules, nil
}

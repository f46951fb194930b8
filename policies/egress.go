package policies

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/strictjson"
)

const (
	egressPackage = "entente.egress"
	egressQuery   = "data.entente.egress.deny"
)

// EgressLimits are the settings of the embedded outgoing rules, as they find
// them under data.egress. The zero value denies nothing.
type EgressLimits struct {
	MaxClassification              alert.Classification `json:"max_classification,omitempty"`                 // nothing above it leaves
	BlockedMembers                 []alert.MemberID     `json:"blocked_members,omitempty"`                    // may not be named as recipients, nor reached by a community
	CategoriesKeptIn               []alert.Category     `json:"categories_kept_in,omitempty"`                 // never leave
	RequireHandlingForPersonalData bool                 `json:"require_handling_for_personal_data,omitempty"` // personal data leave with a handling code only
	RequireRetention               bool                 `json:"require_retention,omitempty"`                  // every portion must name its retention
}

// Egress is a member's own rules on what leaves it, checked at its node before
// an alert goes anywhere. It is immutable and safe for concurrent use.
type Egress struct {
	query rego.PreparedEvalQuery
	rules []Rule
}

// LoadEgress compiles a member's rules: a module of package entente.egress in
// which deny is a set of objects {code, message, portion}, or the embedded
// module where module is nil. data is what the rules find as data.egress; for
// the embedded module it must be of the form of EgressLimits, and an unknown
// key is an error, since a misspelt limit would limit nothing. Rules can reach
// no network, clock, environment or chance. Errors wrap ErrPolicy.
func LoadEgress(module []byte, data map[string]any) (*Egress, error) {
	modules := map[string]string{"egress.rego": string(module)}
	if module == nil {
		var err error
		if modules, err = embedded("egress"); err != nil {
			return nil, err
		}
		if data, err = checkLimits(data); err != nil {
			return nil, err
		}
	}
	compiler, err := compile(modules)
	if err != nil {
		return nil, err
	}
	for name, m := range compiler.Modules {
		if packageOf(m) != egressPackage || !defines(m, "deny") {
			return nil, broken("%s: package %s with a rule deny is needed", name, egressPackage)
		}
	}
	e := &Egress{}
	if module == nil {
		if e.rules, err = rulesOf(compiler, egressPackage); err != nil {
			return nil, err
		}
	}
	if data == nil {
		data = map[string]any{}
	}
	e.query, err = prepare(compiler, egressQuery, map[string]any{"egress": data})
	return e, err
}

// Rules returns the embedded rules, in order; none for a member's own module.
func (e *Egress) Rules() []Rule { return slices.Clone(e.rules) }

// Check returns every reason of the member's own against an alert with these
// labels; none: it may leave. Rules see input.originator and input.labels, the
// labels in their JSON form (DESIGN section 4). Errors are those of ctx or wrap
// ErrPolicy.
func (e *Egress) Check(ctx context.Context, originator alert.MemberID, labels []alert.Label) ([]Refusal, error) {
	terms := make([]*ast.Term, len(labels))
	for i, l := range labels {
		v, err := ast.ValueFromReader(bytes.NewReader(l.Canonical()))
		if err != nil {
			return nil, broken("label %d: %w", i, err)
		}
		terms[i] = ast.NewTerm(v)
	}
	answer, err := evaluate(ctx, e.query, object(
		"originator", ast.StringTerm(string(originator)), "labels", ast.ArrayTerm(terms...)).Value)
	if err != nil {
		return nil, err
	}
	return refusals(answer, e.rules, len(labels))
}

// checkLimits holds data against EgressLimits and returns it in that form.
func checkLimits(data map[string]any) (map[string]any, error) {
	var l EgressLimits
	if data != nil {
		raw, err := json.Marshal(data)
		if err != nil {
			return nil, broken("egress limits: %w", err)
		}
		if err := strictjson.Unmarshal(raw, &l); err != nil {
			return nil, broken("egress limits: %w", err)
		}
	}
	for _, c := range l.CategoriesKeptIn {
		if !slices.Contains(alert.Categories, c) {
			return nil, broken("egress limits: categories_kept_in: %.40q is no category", string(c))
		}
	}
	raw, err := json.Marshal(l)
	if err != nil {
		return nil, broken("egress limits: %w", err)
	}
	out := map[string]any{}
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, broken("egress limits: %w", err)
	}
	return out, nil
}

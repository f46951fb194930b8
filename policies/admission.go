package policies

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/entente-hub/entente/api/alert"
)

// WholeAlert is the Portion of a Refusal that concerns no single portion.
const WholeAlert = -1

// Admission asks whether an alert may be taken in. IssuedAt and Expires are its
// iat and exp, in seconds since 1970-01-01 UTC; Labels are its portions', in
// order and canonical form.
type Admission struct {
	Originator alert.MemberID
	IssuedAt   int64
	Expires    int64
	Labels     []alert.Label
}

// Refusal is one reason against an alert.
type Refusal struct {
	Code    string
	Message string
	Portion int // position from 0, or WholeAlert
}

// Admit returns every reason against an alert, by portion and then by the
// rules' order; none: it is admitted. Errors are those of ctx or wrap ErrPolicy or
// alert.ErrInvalid.
func (w *World) Admit(ctx context.Context, a Admission) ([]Refusal, error) {
	in, err := w.admissionInput(a)
	if err != nil {
		return nil, err
	}
	answer, err := evaluate(ctx, w.engine.admission, in)
	if err != nil {
		return nil, err
	}
	return refusals(answer, w.engine.admitting, len(a.Labels))
}

// admissionInput builds what the rules of admission see.
func (w *World) admissionInput(a Admission) (ast.Value, error) {
	labels := make([]*ast.Term, len(a.Labels))
	for i := range a.Labels {
		l := w.label(&a.Labels[i])
		end, named, err := retentionEnd(&a.Labels[i])
		if err != nil {
			return nil, err
		}
		if named {
			l.Value.(ast.Object).Insert(ast.StringTerm("retention_ends"), intTerm(end))
		}
		labels[i] = l
	}
	return object(
		"originator", w.memberTerm(a.Originator), "issued_at", intTerm(a.IssuedAt), "expires", intTerm(a.Expires),
		"labels", ast.ArrayTerm(labels...), "world", w.index).Value, nil
}

func intTerm(n int64) *ast.Term { return ast.NewTerm(ast.Number(strconv.FormatInt(n, 10))) }

// refusals reads a set of {code, portion, message}: code is needed, message
// unless a rule of that code has one, portion where a single one is meant.
func refusals(answer *ast.Term, rules []Rule, portions int) ([]Refusal, error) {
	set, ok := answer.Value.(ast.Set)
	if !ok {
		return nil, broken("the rules answered with no set")
	}
	order := make(map[string]int)
	message := make(map[string]string)
	for _, r := range rules {
		order[r.Code], message[r.Code] = r.Order, r.Message
	}
	var out []Refusal
	err := set.Iter(func(t *ast.Term) error {
		r := Refusal{Portion: WholeAlert}
		code, ok := member(t, "code").(ast.String)
		if !ok || code == "" {
			return broken("a refusal without a code: %v", t)
		}
		r.Code, r.Message = string(code), message[string(code)]
		if m, ok := member(t, "message").(ast.String); ok {
			r.Message = string(m)
		}
		if r.Message == "" {
			return broken("refusal %s has no message", r.Code)
		}
		if v := member(t, "portion"); v != nil {
			n, isNumber := v.(ast.Number)
			i, isInt := n.Int()
			if !isNumber || !isInt || i < 0 || i >= portions {
				return broken("refusal %s names portion %v of %d", r.Code, v, portions)
			}
			r.Portion = i
		}
		out = append(out, r)
		return nil
	})
	slices.SortStableFunc(out, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(a.Portion, b.Portion), cmp.Compare(order[a.Code], order[b.Code]), cmp.Compare(a.Code, b.Code))
	})
	return out, err
}

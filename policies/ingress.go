package policies

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
)

const (
	ingressPackage  = "entente.ingress"
	ingressQuery    = "data.entente.ingress.decision.answer" // of the embedded rules
	ownIngressQuery = "data.entente.ingress.answer"          // of a member's own module
)

// maxReadersBytes bounds the answers that an Ingress remembers.
const maxReadersBytes = 16 << 20

// Ingress is a member's own rules on which of its users may read what it holds,
// with its national directory indexed for them as sets of users. It is safe for
// concurrent use.
type Ingress struct {
	ingressRules
	users    []UserID
	position map[UserID]int
	index    *ast.Term                          // "directory" of the rules' input
	cleared  map[alert.Classification]*ast.Term // the levels that a ceiling dominates

	mu    sync.Mutex
	known map[[sha256.Size]byte]*Readers
}

// LoadIngress compiles a member's rules and indexes its directory. The rules are
// the embedded ones where module is nil. Else they are a module of package
// entente.ingress with a rule answer: an object {permitted, refused}, permitted the
// set of users who may read, refused an object with the set of users refused for
// each code. The codes are those in the METADATA of the module's rules (code,
// message, order), every one and no other. Rules see what the embedded package
// entente.ingress.decision describes, and can reach no network, clock, environment
// or chance. Errors wrap ErrPolicy or alert.ErrInvalid.
func LoadIngress(module []byte, n National) (*Ingress, error) {
	rules, err := loadIngressRules(module)
	if err != nil {
		return nil, err
	}
	return rules.over(n)
}

// ingressRules are compiled rules of ingress.
type ingressRules struct {
	query rego.PreparedEvalQuery
	rules []Rule
}

func loadIngressRules(module []byte) (ingressRules, error) {
	if module != nil {
		return compileOwnIngress(module)
	}
	modules, err := embedded("ingress")
	if err != nil {
		return ingressRules{}, err
	}
	return compileIngress(modules)
}

// compileIngress compiles rules that are packages below entente.ingress.
func compileIngress(modules map[string]string) (r ingressRules, err error) {
	compiler, err := compile(modules)
	if err != nil {
		return r, err
	}
	if r.rules, err = rulesBelow(compiler, ingressPackage+"."); err != nil {
		return r, err
	}
	r.query, err = prepare(compiler, ingressQuery, nil)
	return r, err
}

// compileOwnIngress compiles a module of a member's own.
func compileOwnIngress(module []byte) (r ingressRules, err error) {
	compiler, err := compile(map[string]string{"ingress.rego": string(module)})
	if err != nil {
		return r, err
	}
	for name, m := range compiler.Modules {
		if packageOf(m) != ingressPackage || !defines(m, "answer") {
			return r, broken("%s: package %s with a rule answer is needed", name, ingressPackage)
		}
	}
	if r.rules, err = rulesOf(compiler, ingressPackage); err != nil {
		return r, err
	}
	r.query, err = prepare(compiler, ownIngressQuery, nil)
	return r, err
}

// over indexes a directory for the rules.
func (r ingressRules) over(n National) (*Ingress, error) {
	if err := n.Validate(); err != nil {
		return nil, err
	}
	i := &Ingress{ingressRules: r, position: make(map[UserID]int, len(n.Users)), index: nationalFacts(n), cleared: ceilings(),
		known: make(map[[sha256.Size]byte]*Readers)}
	for _, u := range n.Users {
		i.users = append(i.users, u.ID)
	}
	slices.Sort(i.users)
	for pos, u := range i.users {
		i.position[u] = pos
	}
	return i, nil
}

// Rules returns the rules, in the order in which their codes are given as the
// reason of a refusal.
func (r ingressRules) Rules() []Rule { return slices.Clone(r.rules) }

// Reading asks who may read a portion that the member holds.
type Reading struct {
	Release   feed.Release         // what was released to the member: content with obligations, or existence
	Label     *alert.Label         // in canonical form; with content only
	Emergency []alert.TaskForceID  // the compartments that the emergency opens on which the release rests; none if it rests on none
	Purpose   alert.Purpose        // what it is to be read for
	Ceiling   alert.Classification // the member's own; zero clears nobody
	At        int64                // the moment of reading, seconds since 1970-01-01 UTC
}

// check refuses a question that is not whole.
func (r *Reading) check() error {
	content := r.Release.Kind == feed.Content
	switch {
	case !content && r.Release.Kind != feed.Existence:
		return fmt.Errorf("%w: a release of kind %.20q can not be read", alert.ErrInvalid, string(r.Release.Kind))
	case content != (r.Label != nil) || content != (r.Release.Obligations != nil):
		return fmt.Errorf("%w: label and obligations go with content, and only with it", alert.ErrInvalid)
	case !slices.Contains(alert.Purposes, r.Purpose):
		return fmt.Errorf("%w: purpose %.40q is not known", alert.ErrInvalid, string(r.Purpose))
	}
	return nil
}

// ended reports whether the time for which the portion may be held is over.
func (r *Reading) ended() bool {
	return r.Release.Obligations != nil && r.At >= r.Release.Obligations.HoldUntil
}

// excused returns the compartments that an emergency opens: none unless the release
// rests on it.
func (r *Reading) excused() []alert.TaskForceID {
	if r.Release.Emergency == "" {
		return nil
	}
	return slices.Sorted(slices.Values(r.Emergency))
}

// key names all that the answer depends on besides rules and directory.
func (r *Reading) key() [sha256.Size]byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %t %q %d %s", r.Release.Kind, r.ended(), r.excused(), r.Ceiling, r.Purpose)
	if r.Label != nil {
		fmt.Fprintf(&b, "\n%q\n", r.Release.Obligations.Purposes)
		b.Write(r.Label.Canonical())
	}
	return sha256.Sum256([]byte(b.String()))
}

// input builds what the rules see.
func (i *Ingress) input(r *Reading) (ast.Value, error) {
	ceiling, ok := i.cleared[r.Ceiling]
	if !ok {
		ceiling = ast.NewTerm(ast.NewSet())
	}
	purposes := ast.NewTerm(ast.NewSet())
	if r.Release.Obligations != nil {
		purposes = stringSet(r.Release.Obligations.Purposes)
	}
	in := object(
		"release", ast.StringTerm(string(r.Release.Kind)),
		"purposes", purposes,
		"ended", ast.InternedTerm(r.ended()),
		"emergency", stringSet(r.excused()),
		"purpose", ast.StringTerm(string(r.Purpose)),
		"ceiling", ceiling,
		"directory", i.index,
	).Value.(ast.Object)
	if r.Label != nil {
		label, err := ast.ValueFromReader(bytes.NewReader(r.Label.Canonical()))
		if err != nil {
			return nil, broken("label: %w", err)
		}
		in.Insert(ast.StringTerm("label"), ast.NewTerm(label))
	}
	return in, nil
}

// Decide returns who of the directory may read a portion: one evaluation for all
// users, remembered for those who come later. Errors are those of ctx or wrap
// ErrPolicy or alert.ErrInvalid; they are not remembered. A label that was never
// parsed has no canonical form: it panics, as alert.Label.Canonical does.
func (i *Ingress) Decide(ctx context.Context, r Reading) (*Readers, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	key := r.key()
	i.mu.Lock()
	known := i.known[key]
	i.mu.Unlock()
	if known != nil {
		return known, nil
	}
	fresh, err := i.evaluate(ctx, &r)
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.known) >= max(maxReadersBytes/(4*len(i.users)), 1) {
		clear(i.known)
	}
	i.known[key] = fresh
	return fresh, nil
}

// evaluate asks the rules.
func (i *Ingress) evaluate(ctx context.Context, r *Reading) (*Readers, error) {
	in, err := i.input(r)
	if err != nil {
		return nil, err
	}
	answer, err := evaluate(ctx, i.query, in)
	if err != nil {
		return nil, err
	}
	return i.readers(answer)
}

// readers reads the rules' answer. It takes nothing on trust: every user must be
// permitted, or refused under a code, and not both; every rule must answer.
func (i *Ingress) readers(answer *ast.Term) (*Readers, error) {
	out := &Readers{ingress: i, failed: make([]uint32, len(i.users))}
	refused, ok := member(answer, "refused").(ast.Object)
	if !ok || refused.Len() != len(i.rules) {
		return nil, broken("the answer does not account for every rule")
	}
	for n, rule := range i.rules {
		set, ok := member(ast.NewTerm(refused), rule.Code).(ast.Set)
		if !ok {
			return nil, broken("the answer does not account for rule %s", rule.Code)
		}
		if err := each(set, i.position, func(pos int) { out.failed[pos] |= 1 << n }); err != nil {
			return nil, err
		}
	}
	permitted, ok := member(answer, "permitted").(ast.Set)
	if !ok {
		return nil, broken("the answer has no set %q", "permitted")
	}
	may := make([]bool, len(i.users))
	if err := each(permitted, i.position, func(pos int) { may[pos] = true }); err != nil {
		return nil, err
	}
	for pos, u := range i.users {
		if may[pos] != (out.failed[pos] == 0) {
			return nil, broken("the answer contradicts itself on user %s", u)
		}
	}
	return out, nil
}

// each calls f with the position of every name in a set.
func each[K ~string](set ast.Set, position map[K]int, f func(int)) error {
	return set.Iter(func(t *ast.Term) error {
		s, ok := t.Value.(ast.String)
		pos, known := position[K(s)]
		if !ok || !known {
			return broken("the answer names %v, who is unknown", t)
		}
		f(pos)
		return nil
	})
}

// Readers says of every user of a directory whether it may read one portion, and
// why not. It is immutable and safe for concurrent use.
type Readers struct {
	ingress *Ingress
	failed  []uint32 // by position: bit n stands for the n-th rule
}

// Permits reports whether a user may read the portion; whoever is not in the
// directory may not.
func (r *Readers) Permits(u UserID) bool {
	pos, ok := r.ingress.position[u]
	return ok && r.failed[pos] == 0
}

// Permitted returns those who may read the portion, sorted.
func (r *Readers) Permitted() []UserID {
	var out []UserID
	for pos, mask := range r.failed {
		if mask == 0 {
			out = append(out, r.ingress.users[pos])
		}
	}
	return out
}

// Refused returns every rule that refuses a user the portion, in order: none if it
// may read it. Whoever is not in the directory is not decided upon.
func (r *Readers) Refused(u UserID) []Rule {
	pos, ok := r.ingress.position[u]
	if !ok {
		return nil
	}
	var out []Rule
	for mask := r.failed[pos]; mask != 0; mask &= mask - 1 {
		out = append(out, r.ingress.rules[bits.TrailingZeros32(mask)])
	}
	return out
}

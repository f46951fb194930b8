package policies

import (
	"math/bits"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
)

// maxRules bounds the rules of release: one bit each in Audience.failed.
const maxRules = 32

// Audience is one label's decision for everybody: who gets what, and why
// others do not. It is immutable and safe for concurrent use.
type Audience struct {
	world  *World
	kinds  []feed.Kind // by member's position in the world
	failed []uint32    // by position: bit i stands for the i-th rule of release
	onward bool        // whether the label lets those who get content pass it on
}

// Of returns what a member gets. The originator and strangers get none: an
// originator's own portions are not released to it.
func (a *Audience) Of(m alert.MemberID) feed.Kind {
	if i, ok := a.world.position[m]; ok {
		return a.kinds[i]
	}
	return feed.None
}

// Content returns the members that get content, sorted.
func (a *Audience) Content() []alert.MemberID { return a.of(feed.Content) }

// Existence returns the members that learn of existence only, sorted.
func (a *Audience) Existence() []alert.MemberID { return a.of(feed.Existence) }

func (a *Audience) of(k feed.Kind) []alert.MemberID {
	var out []alert.MemberID
	for i, kind := range a.kinds {
		if kind == k {
			out = append(out, a.world.members[i])
		}
	}
	return out
}

// Refused returns, by reason code, the members refused content for that
// reason, sorted; a member stands under every code that it fails.
func (a *Audience) Refused() map[string][]alert.MemberID {
	out := make(map[string][]alert.MemberID)
	for i, mask := range a.failed {
		for ; mask != 0; mask &= mask - 1 {
			code := a.world.engine.rules[bits.TrailingZeros32(mask)].Code
			out[code] = append(out[code], a.world.members[i])
		}
	}
	return out
}

// Reason returns the first code, by the rules' order, for which a member is
// refused content: "" if content is released, and for the originator and
// strangers, who are not decided upon.
func (a *Audience) Reason(m alert.MemberID) string {
	i, ok := a.world.position[m]
	if !ok || a.failed[i] == 0 {
		return ""
	}
	return a.world.engine.rules[bits.TrailingZeros32(a.failed[i])].Code
}

// audience reads the rules' decision. It takes nothing on trust: every member
// but the originator must have content, or a code of refusal, and not both.
func (w *World) audience(originator alert.MemberID, decision *ast.Term) (*Audience, error) {
	a := &Audience{world: w, kinds: make([]feed.Kind, len(w.members)), failed: make([]uint32, len(w.members))}
	for i := range a.kinds {
		a.kinds[i] = feed.None
	}
	refused, ok := member(decision, "refused").(ast.Object)
	if !ok || refused.Len() != len(w.engine.rules) {
		return nil, broken("the decision does not answer for every rule")
	}
	for i, r := range w.engine.rules {
		set, ok := member(ast.NewTerm(refused), r.Name).(ast.Set)
		if !ok {
			return nil, broken("the decision does not answer for rule %s", r.Name)
		}
		if err := w.each(set, func(pos int) { a.failed[pos] |= 1 << i }); err != nil {
			return nil, err
		}
	}
	onward, ok := member(decision, "onward").(ast.Boolean)
	if !ok {
		return nil, broken("the decision does not say whether the label permits onward sharing")
	}
	a.onward = bool(onward)
	if err := a.fill(decision, "existence", feed.Existence); err != nil {
		return nil, err
	}
	if err := a.fill(decision, "content", feed.Content); err != nil {
		return nil, err
	}
	for i, m := range w.members {
		switch {
		case m == originator && (a.kinds[i] != feed.None || a.failed[i] != 0):
			return nil, broken("the decision names the originator %s as a recipient", m)
		case m != originator && (a.kinds[i] == feed.Content) != (a.failed[i] == 0):
			return nil, broken("the decision contradicts itself on %s", m)
		}
	}
	return a, nil
}

func (a *Audience) fill(decision *ast.Term, key string, k feed.Kind) error {
	set, ok := member(decision, key).(ast.Set)
	if !ok {
		return broken("the decision has no set %q", key)
	}
	return a.world.each(set, func(pos int) { a.kinds[pos] = k })
}

// each calls f with the position of every member of a set.
func (w *World) each(set ast.Set, f func(int)) error {
	return set.Iter(func(t *ast.Term) error {
		s, ok := t.Value.(ast.String)
		pos, known := w.position[alert.MemberID(s)]
		if !ok || !known {
			return broken("the decision names %v, who is no member", t)
		}
		f(pos)
		return nil
	})
}

// member returns the value under a key of an object, nil if there is none.
func member(t *ast.Term, key string) ast.Value {
	o, ok := t.Value.(ast.Object)
	if !ok {
		return nil
	}
	v := o.Get(ast.StringTerm(key))
	if v == nil {
		return nil
	}
	return v.Value
}

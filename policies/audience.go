package policies

import (
	"iter"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
)

// Audience is one label's decision for everybody: who gets what, and why
// others do not. It is immutable and safe for concurrent use.
type Audience struct {
	world      *World
	recipients bitset   // every member but the originator
	permitted  []bitset // by rule of release
	content    bitset   // the recipients that all rules permit
	existence  bitset   // those of the others that learn of existence
	onward     bool     // whether the label lets those who get content pass it on
}

// Of returns what a member gets. The originator and strangers get none: an
// originator's own portions are not released to it.
func (a *Audience) Of(m alert.MemberID) feed.Kind {
	if i, ok := a.world.position[m]; ok {
		return a.kind(i)
	}
	return feed.None
}

func (a *Audience) kind(i int) feed.Kind {
	switch {
	case a.content.has(i):
		return feed.Content
	case a.existence.has(i):
		return feed.Existence
	}
	return feed.None
}

// All returns what every member gets, in the order of their names, the originator
// among them.
func (a *Audience) All() iter.Seq2[alert.MemberID, feed.Kind] {
	return func(yield func(alert.MemberID, feed.Kind) bool) {
		for i, m := range a.world.members {
			if !yield(m, a.kind(i)) {
				return
			}
		}
	}
}

// Content returns the members that get content, sorted.
func (a *Audience) Content() []alert.MemberID { return a.world.named(a.content) }

// Existence returns the members that learn of existence only, sorted.
func (a *Audience) Existence() []alert.MemberID { return a.world.named(a.existence) }

// Refused returns, by reason code, the members refused content for that
// reason, sorted; a member stands under every code that it fails.
func (a *Audience) Refused() map[string][]alert.MemberID {
	out := make(map[string][]alert.MemberID)
	for i, permitted := range a.permitted {
		if refused := a.world.named(a.recipients.without(permitted)); refused != nil {
			out[a.world.engine.rules[i].Code] = refused
		}
	}
	return out
}

// Reason returns the first code, by the rules' order, for which a member is
// refused content: "" if content is released, and for the originator and
// strangers, who are not decided upon.
func (a *Audience) Reason(m alert.MemberID) string {
	i, ok := a.world.position[m]
	if !ok || !a.recipients.has(i) {
		return ""
	}
	for rule, permitted := range a.permitted {
		if !permitted.has(i) {
			return a.world.engine.rules[rule].Code
		}
	}
	return ""
}

// audience reads the rules' decision. It takes nothing on trust: each rule must
// have answered, and existence must rest on something.
func (w *World) audience(recipients bitset, decision *ast.Term) (*Audience, error) {
	a := &Audience{world: w, recipients: recipients, permitted: make([]bitset, len(w.engine.rules))}
	content, ok := member(decision, "content").(ast.Object)
	if !ok || content.Len() != len(w.engine.rules) {
		return nil, broken("the decision does not answer for every rule")
	}
	a.content = recipients
	for i, r := range w.engine.rules {
		set, ok := member(ast.NewTerm(content), r.Name).(ast.Set)
		if !ok {
			return nil, broken("the decision does not answer for rule %s", r.Name)
		}
		a.permitted[i] = w.bitsIn(set)
		a.content = a.content.and(a.permitted[i])
	}
	existence, ok := member(decision, "existence").(ast.Object)
	if !ok || existence.Len() == 0 {
		return nil, broken("the decision does not say who may learn of existence")
	}
	a.existence = recipients.without(a.content)
	err := existence.Iter(func(k, v *ast.Term) error {
		set, ok := v.Value.(ast.Set)
		if !ok {
			return broken("the decision has no set of members under %v of existence", k)
		}
		a.existence = a.existence.and(w.bitsIn(set))
		return nil
	})
	if err != nil {
		return nil, err
	}
	onward, ok := member(decision, "onward").(ast.Boolean)
	if !ok {
		return nil, broken("the decision does not say whether the label permits onward sharing")
	}
	a.onward = bool(onward)
	return a, nil
}

// member returns the value under a key of an object, nil if there is none.
func member(t *ast.Term, key string) ast.Value {
	o, ok := t.Value.(ast.Object)
	if !ok {
		return nil
	}
	v := o.Get(ast.InternedTerm(key))
	if v == nil {
		return nil
	}
	return v.Value
}

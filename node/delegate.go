package node

import (
	"context"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
)

// A delegation is an alert to one other member, which is to publish what it says as an
// alert of its own: alert.Delegation. Its source stays known to that member and the hub.

// DelegateTo makes a draft a delegation. Its plan is that of the publication: the labels
// say whom the other member may give it to.
type DelegateTo struct {
	To         alert.MemberID   `json:"to"`
	Precedence alert.Precedence `json:"precedence,omitempty"` // "": routine
	Due        time.Time        `json:"due,omitzero"`         // zero: Precedence.Deadline from now
	Checked    bool             `json:"checked,omitempty"`    // somebody has looked at where the member is named: see discretion
}

// delegation makes an alert a delegation of what is to live for a time. It ends that time
// after its deadline, so that a publication in time lives as long as any other of its kind.
func (d *DelegateTo) delegation(a *alert.Alert, lifetime time.Duration, now time.Time) error {
	out := &alert.Delegation{To: d.To, Precedence: d.Precedence, Lifetime: int64(lifetime / time.Second)}
	if out.Precedence == "" {
		out.Precedence = alert.Routine
	}
	due := d.Due
	if due.IsZero() {
		due = now.Add(out.Precedence.Deadline())
	}
	switch {
	case out.Precedence.Deadline() == 0:
		return problem.New(problem.Malformed, "precedence %.40q: one of %v", string(out.Precedence), alert.Precedences())
	case due.Before(now.Add(time.Second)):
		return problem.New(problem.Malformed, "the deadline %s has passed", due.UTC().Format(time.RFC3339))
	case due.Sub(now) > alert.MaxLifetime-lifetime:
		return problem.New(problem.Malformed, "the deadline %s lies too far ahead", due.UTC().Format(time.RFC3339))
	}
	out.Due = due.Unix()
	a.Delegate, a.Expires = out, due.Add(lifetime).Unix()
	return nil
}

// prepareDelegation makes the alert that delegates a draft: its portions are addressed to
// the other member alone, and carry the labels of the plan, without marked_as, for the
// publication. The member's own policy is asked about both. What names the member is
// refused before anything is signed: see discretion.
func (n *Node) prepareDelegation(ctx context.Context, d Draft, now time.Time) (alert.Alert, error) {
	if d.Supersedes != "" || d.Re != nil || d.MadeOf != nil {
		return alert.Alert{}, problem.New(problem.Malformed, "a delegation stands alone: it is no next version, no feedback and no publication of another")
	}
	portions, lifetime, err := n.compose(ctx, d)
	if err != nil {
		return alert.Alert{}, err
	}
	k, err := n.registered()
	if err != nil {
		return alert.Alert{}, err
	}
	if to := d.Delegate.To; to == n.Member || !slices.ContainsFunc(k.dir.Registry().Members, func(m federation.Member) bool { return m.ID == to }) {
		return alert.Alert{}, problem.New(problem.Malformed, "%s can not delegate to itself, nor to who is no member: %s", n.Member, to)
	}
	labels := make([]alert.Label, len(portions))
	for i := range portions {
		as := *portions[i].Label
		as.MarkedAs = ""
		portions[i].Content.Publish = &as
		l := *portions[i].Label
		l.ReleasableTo, l.DiscoverableTo, l.OriginatorControl = []alert.Audience{alert.Audience(d.Delegate.To)}, nil, false
		portions[i].Label, labels[i] = &l, l
	}
	if _, err := joinLabels(labels); err != nil { // the label of the answer
		return alert.Alert{}, problem.New(problem.Malformed, "it can not be answered: %w", err)
	}
	if err := n.permits(ctx, labels, portions); err != nil {
		return alert.Alert{}, err
	}
	hide, err := n.discretion(n.Member)
	if err != nil {
		return alert.Alert{}, err
	}
	if err := hide.check(portions, d.Delegate.Checked); err != nil {
		return alert.Alert{}, err
	}
	a, err := n.newAlert(now, lifetime, portions)
	if err != nil {
		return alert.Alert{}, err
	}
	if err := d.Delegate.delegation(&a, lifetime, now); err != nil {
		return alert.Alert{}, err
	}
	if err := a.CheckDelegation(); err != nil {
		return alert.Alert{}, problem.New(problem.Malformed, "%w", err)
	}
	return a, nil
}

// delegatingOf is what is kept of an alert that is a delegation, nil if it is none.
func delegatingOf(a alert.Alert, by string) *store.Delegating {
	if a.Delegate == nil {
		return nil
	}
	return &store.Delegating{Originator: a.Issuer, Delegation: *a.Delegate, Expires: a.Expires, By: by}
}

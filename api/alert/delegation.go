package alert

import "slices"

// Delegation makes of an alert a request to one other member: to publish what it says as
// an alert of that member's own, so that nobody else learns whose it is. The label that
// each portion is to have then is its Content.Publish.
type Delegation struct {
	To         MemberID   `json:"to"`
	Precedence Precedence `json:"prec"`
	Due        int64      `json:"due"`      // when it is to be published, or refused, seconds since 1970-01-01 UTC
	Lifetime   int64      `json:"lifetime"` // of the publication at most, seconds: published by Due it lives so long, and tells nothing by its end
}

// validate checks the delegation of a payload. It has one version: what was published
// rests on what it said, and it ends by a recall.
func (d Delegation) validate(p Payload) error {
	switch {
	case d.To == "":
		return invalid("delegate names no member")
	case d.To == p.Issuer:
		return invalid("delegate.to: %s can not delegate to itself", d.To)
	case p.Version != 1:
		return invalid("a delegation has one version: it is recalled, and another takes its place")
	case p.Recall != nil || p.Re != nil:
		return invalid("delegate goes with neither recall nor re")
	case !slices.Contains(Precedences(), d.Precedence):
		return invalid("delegate.prec %.40q: one of %v", string(d.Precedence), Precedences())
	case d.Due <= p.IssuedAt || d.Due > p.Expires:
		return invalid("delegate.due does not lie between iat and exp")
	case d.Lifetime < 1 || d.Lifetime > p.Expires-p.IssuedAt:
		return invalid("delegate.lifetime %d: from 1 second up to that of the delegation", d.Lifetime)
	}
	return nil
}

// CheckDelegation holds the portions, as far as they are disclosed, to what the payload
// says: those of a delegation are addressed to nobody but the member that is to publish
// them, rest on no source that would have to stand on what is published, and propose a
// label for that which names the level by no national marking and is, but for the
// recipients, as strict: whoever may read a draft of the publication sees whose it is. Any
// other alert's propose none. Errors wrap ErrInvalid.
func (a *Alert) CheckDelegation() error {
	for _, p := range a.Portions {
		if p.Label == nil || p.Content == nil {
			continue
		}
		if err := a.Delegate.checkPortion(p); err != nil {
			return invalid("portion %s: %w", p.ID, err)
		}
	}
	return nil
}

// checkPortion checks one portion; d is nil where the alert is no delegation.
func (d *Delegation) checkPortion(p Portion) error {
	l, as := p.Label, p.Content.Publish
	switch {
	case d == nil && as == nil:
		return nil
	case d == nil:
		return invalid("a label for its publication goes with a delegation, and only with it")
	case as == nil:
		return invalid("no label for its publication by %s", d.To)
	case len(l.ReleasableTo) != 1 || l.ReleasableTo[0] != Audience(d.To) || len(l.DiscoverableTo) > 0:
		return invalid("a delegation is releasable to %s and nobody else", d.To)
	case len(l.DerivedFrom) > 0 || len(as.DerivedFrom) > 0:
		return invalid("what is derived from another alert can not be delegated: its sources would have to stand on what is published")
	case as.MarkedAs != "":
		return invalid("the label for its publication has marked_as, by which its source could be told")
	}
	strict := *as // but for whom it is addressed to
	strict.ReleasableTo, strict.DiscoverableTo = l.ReleasableTo, nil
	if err := strict.AtLeast(*l); err != nil {
		return invalid("the label for its publication is looser than its own, by which the same content is read: %w", err)
	}
	return nil
}

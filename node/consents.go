package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// Consent is what this member consents to for one of its alerts.
type Consent struct {
	Alert      alert.ID
	Recipients []alert.Audience // none: it was withdrawn
	Revision   int64
	Digest     string // of the statement
	At         time.Time
}

func consentOf(s trust.Statement) (Consent, bool) {
	b, ok := s.Body.(*federation.Consent)
	if !ok {
		return Consent{}, false
	}
	return Consent{Alert: b.Alert, Recipients: b.Recipients, Revision: s.Revision, Digest: s.Digest,
		At: time.Unix(s.IssuedAt, 0).UTC()}, true
}

// Consents returns this member's consents, withdrawn ones too, sorted by alert; not
// those that a registry has ended. The error is of kind Unavailable.
func (n *Node) Consents(ctx context.Context) ([]Consent, error) {
	k, err := n.asOfNow(ctx)
	if err != nil {
		return nil, err
	}
	var list []Consent
	for _, s := range k.dir.Heads(federation.TypeConsent) {
		if c, ok := consentOf(s); ok && !k.dir.Ended(s) && s.Body.(*federation.Consent).Originator == n.Member {
			list = append(list, c)
		}
	}
	return list, nil
}

// GiveConsent adds recipients to those to whom an alert of this member's own, and
// what is derived from it, may go; the node's key signs. Errors are of kind NotFound
// (no such alert was published here), Malformed, BadSignature, Unavailable, or the
// hub's.
func (n *Node) GiveConsent(ctx context.Context, id alert.ID, to []alert.Audience) (Consent, error) {
	return n.changeConsent(ctx, id, func(have []alert.Audience) ([]alert.Audience, error) {
		if len(to) == 0 {
			return nil, problem.New(problem.Malformed, "name those to whom consent is given")
		}
		return append(slices.Clone(have), to...), nil
	})
}

// WithdrawConsent takes recipients off again; without any it withdraws all. It
// refuses what would leave one of those withdrawn from covered by what remains, and
// what was never given. Errors are those of GiveConsent.
func (n *Node) WithdrawConsent(ctx context.Context, id alert.ID, from []alert.Audience) (Consent, error) {
	return n.changeConsent(ctx, id, func(have []alert.Audience) ([]alert.Audience, error) {
		if len(from) == 0 {
			return nil, nil
		}
		rest := slices.DeleteFunc(slices.Clone(have), func(a alert.Audience) bool { return slices.Contains(from, a) })
		world := n.known.Load().dir.World(n.Now())
		for _, a := range from {
			if err := uncovered(world, n.Member, a, rest); err != nil {
				return nil, err
			}
			if !slices.Contains(have, a) {
				return nil, problem.New(problem.Malformed, "no consent was given to %s", a)
			}
		}
		return rest, nil
	})
}

// uncovered refuses that a member from which consent is withdrawn, itself or as one of
// a community, stays covered by what remains. To the originator none is given.
func uncovered(world *federation.World, originator alert.MemberID, from alert.Audience, rest []alert.Audience) error {
	gone := world.Expand([]alert.Audience{from})
	for _, r := range rest {
		still := slices.DeleteFunc(world.Expand([]alert.Audience{r}), func(m alert.MemberID) bool {
			return m == originator || !slices.Contains(gone, m)
		})
		if len(still) > 0 {
			return problem.New(problem.Malformed, "%s would still be covered by the consent to %s: withdraw that too", join(still), r)
		}
	}
	return nil
}

// changeConsent signs the list that change makes of the present one. One that stays
// as it is needs no further statement.
func (n *Node) changeConsent(ctx context.Context, id alert.ID, change func(have []alert.Audience) ([]alert.Audience, error)) (Consent, error) {
	done, err := n.beforeSigning(ctx)
	if err != nil {
		return Consent{}, err
	}
	defer done()
	k, err := n.asOfNow(ctx)
	if err != nil {
		return Consent{}, err
	}
	if err := n.own(ctx, id); err != nil {
		return Consent{}, err
	}
	head, known := k.dir.Head(federation.TypeConsent, string(n.Member)+"/"+string(id))
	var have Consent
	if known = known && !k.dir.Ended(head); known {
		have, _ = consentOf(head)
	}
	to, err := change(have.Recipients)
	if err != nil {
		return Consent{}, err
	}
	slices.Sort(to)
	to = slices.Compact(to)
	if !known && len(to) == 0 {
		return Consent{}, problem.New(problem.Malformed, "no consent was given")
	}
	if known && slices.Equal(to, have.Recipients) {
		return have, nil
	}
	for _, a := range to {
		if len(k.dir.World(n.Now()).Expand([]alert.Audience{a})) == 0 && !slices.Contains(have.Recipients, a) {
			return Consent{}, problem.New(problem.Malformed, "the registry lists no %s", a)
		}
	}
	s, err := n.sign(ctx, federation.TypeConsent, &federation.Consent{Originator: n.Member, Alert: id, Recipients: to})
	if err != nil {
		return Consent{}, err
	}
	c, _ := consentOf(s)
	return c, nil
}

// own refuses, as not found, what is no alert that was published here.
func (n *Node) own(ctx context.Context, id alert.ID) error {
	_, err := n.Store.Latest(ctx, "", id)
	if errors.Is(err, store.ErrNotFound) {
		return problem.New(problem.NotFound, "no such alert")
	} else if err != nil {
		return problem.Wrap(problem.Unavailable, err, "the outbox can not be read")
	}
	return nil
}

package node

import (
	"context"
	"errors"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
)

// Release lets a draft go that another has written, and which a releaser has read:
// digest is that of what was read. The alert is composed anew and checked again, signed
// and queued, once however often it is asked for. To the same releaser a draft that it
// has released is answered as it was then, as far as that has not ended.
//
// Errors are those of Publish and of Draft, and Forbidden where the person is no releaser
// or has written the draft itself, Conflict where the digest is another, the draft
// has ended otherwise, or its author could not write it any more: see stillWrites.
func (n *Node) Release(ctx context.Context, p Person, id store.DraftID, digest string) (*store.Outgoing, error) {
	d, err := n.toDecide(ctx, p, id, "released")
	if err != nil {
		return nil, err
	}
	switch {
	case d.Digest != digest:
		return nil, problem.New(problem.Conflict, "the digest is not that of this draft: read it again, and release what you have read")
	case d.State != store.Pending:
		return n.releasedBefore(ctx, p, d)
	}
	body, err := open(d)
	if err == nil {
		err = n.stillWrites(ctx, d, body)
	}
	if err != nil {
		return nil, err
	}
	o, err := n.issue(ctx, body.Draft, &released{body, d.Digest, store.DraftEnd{By: p.User, At: n.moment()}})
	if err == nil || !errors.Is(err, store.ErrStale) {
		return o, err
	}
	// Somebody was faster, perhaps the same person.
	if d, err = n.toDecide(ctx, p, id, "released"); err != nil {
		return nil, err
	}
	return n.releasedBefore(ctx, p, d)
}

// toDecide returns a draft that a person may decide on.
func (n *Node) toDecide(ctx context.Context, p Person, id store.DraftID, done string) (*store.Draft, error) {
	v, err := n.viewer(p)
	if err != nil {
		return nil, err
	}
	d, err := v.find(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case d.Author == p.User:
		return nil, &problem.Error{Kind: problem.Forbidden, Codes: []string{codeFourEyes},
			Detail: "a draft is " + done + " by another than " + d.Author + ", who wrote it; its author can withdraw it"}
	case !n.People.Has(p.User, Releaser):
		return nil, problem.New(problem.Forbidden, "%s is not a releaser in the directory of users", p.User)
	}
	return d, nil
}

// releasedBefore answers a release of a draft that is not pending.
func (n *Node) releasedBefore(ctx context.Context, p Person, d *store.Draft) (*store.Outgoing, error) {
	if d.State != store.Released || d.End.By != p.User {
		return nil, over(d)
	}
	o, err := n.Store.ReleasedAs(ctx, d.ID)
	if err != nil {
		return nil, problem.Wrap(problem.Unavailable, err, "the outbox can not be read")
	}
	return n.unended(o), nil
}

// over says what has become of a draft.
func over(d *store.Draft) error {
	return problem.New(problem.Conflict, "the draft has been %s already, by %s on %s", d.State, d.End.By, d.End.At.Format(time.RFC3339))
}

// Reject ends a draft that another has written, with a reason for its author. Errors
// are those of Draft, Forbidden and Conflict as with Release, and Malformed for a reason
// that is none.
func (n *Node) Reject(ctx context.Context, p Person, id store.DraftID, reason string) (*KeptDraft, error) {
	if err := alert.CheckText("reason", reason); err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	} else if reason == "" {
		return nil, problem.New(problem.Malformed, "reason: the author must learn why")
	}
	d, err := n.toDecide(ctx, p, id, "rejected")
	if err != nil {
		return nil, err
	}
	return n.end(ctx, p, d, store.Rejected, reason)
}

// Withdraw ends a draft by its author. Errors are those of Draft, Forbidden where another
// has written it, and Conflict where it has ended otherwise.
func (n *Node) Withdraw(ctx context.Context, p Person, id store.DraftID) (*KeptDraft, error) {
	v, err := n.viewer(p)
	if err != nil {
		return nil, err
	}
	d, err := v.find(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case d.Author != p.User:
		return nil, problem.New(problem.Forbidden, "a draft is withdrawn by %s, who wrote it; a releaser rejects it", d.Author)
	}
	return n.end(ctx, p, d, store.Withdrawn, "")
}

// end rejects or withdraws a draft; one that the person has ended like that is answered
// as it stands.
func (n *Node) end(ctx context.Context, p Person, d *store.Draft, state store.DraftState, reason string) (*KeptDraft, error) {
	if d.State == store.Pending {
		err := n.erasing(func() error {
			return n.Store.EndDraft(ctx, d.ID, state, store.DraftEnd{By: p.User, At: n.moment(), Reason: reason})
		})
		if err != nil && !errors.Is(err, store.ErrStale) {
			return nil, draftsAway(err)
		}
		if d, err = n.Store.Draft(ctx, d.ID, n.Now()); errors.Is(err, store.ErrNotFound) {
			return nil, problem.New(problem.NotFound, "no such draft")
		} else if err != nil {
			return nil, draftsAway(err)
		}
	}
	if d.State != state || d.End.By != p.User || d.End.Reason != reason {
		return nil, over(d)
	}
	return &KeptDraft{Draft: *d}, nil
}

// moment is now, as a store keeps it.
func (n *Node) moment() time.Time { return n.Now().UTC().Truncate(time.Microsecond) }

package node

import (
	"context"
	"errors"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// Recall takes back an alert of the member's own: it queues the last version of it,
// which says why and what its holders have to do. It goes to everybody who was handed
// over any version, through the same feed. Where a version before it turns out to be
// refused by the hub, it follows the one before that. Errors are those of Publish.
func (n *Node) Recall(ctx context.Context, id alert.ID, r alert.Recall) (*store.Outgoing, error) {
	return n.issue(ctx, Draft{Supersedes: id, Recall: &r}, nil)
}

// prepareRecall makes the last version of an alert.
func (n *Node) prepareRecall(ctx context.Context, d Draft, now time.Time) (alert.Alert, error) {
	switch {
	case d.Supersedes == "" || len(d.Objects) > 0 || len(d.Plan.Portions) > 0 || d.Re != nil || d.Delegate != nil || d.MadeOf != nil:
		return alert.Alert{}, problem.New(problem.Malformed, "a recall names an alert of this member's own, a mode and a reason, and nothing else")
	case d.Recall.Validate() != nil:
		return alert.Alert{}, problem.New(problem.Malformed, "%w", d.Recall.Validate())
	}
	if err := n.checkClock(); err != nil {
		return alert.Alert{}, err
	}
	before, err := n.last(ctx, d.Supersedes, 0, now)
	if err != nil {
		return alert.Alert{}, err
	}
	if before.Recall != nil && (before.Recall.Mode == alert.Purge || d.Recall.Mode != alert.Purge) {
		return alert.Alert{}, errRecalled // what is not to be used any more can still be purged
	}
	return n.recallOf(before, *d.Recall, now)
}

var errRecalled = problem.New(problem.Conflict, "the alert has been recalled")

// recallOf makes the recall that follows a version, and expires with it.
func (n *Node) recallOf(before *trust.VerifiedAlert, r alert.Recall, now time.Time) (alert.Alert, error) {
	a, err := n.newAlert(now, 0, nil)
	if err != nil {
		return alert.Alert{}, err
	}
	a.Expires, a.Recall = before.Expires, &r
	follow(&a, before)
	return a, nil
}

// supersede makes an alert the next version of one of the member's own.
func (n *Node) supersede(ctx context.Context, a *alert.Alert, id alert.ID, now time.Time) error {
	before, err := n.last(ctx, id, 0, now)
	if err != nil {
		return err
	}
	if before.Recall != nil {
		return errRecalled
	}
	if before.Delegate != nil {
		return problem.New(problem.Malformed, "a delegation has no next version: recall it, and delegate anew")
	}
	follow(a, before)
	switch re := before.Re; {
	case a.Re == nil:
		a.Re = re
	case re == nil || a.Re.Originator != re.Originator || a.Re.Alert != re.Alert || a.Re.Act != re.Act:
		return problem.New(problem.Malformed, "the next version of an alert refers to what the one before refers to")
	}
	return nil
}

// follow gives an alert its place after another version.
func follow(a *alert.Alert, before *trust.VerifiedAlert) {
	a.Subject, a.Version, a.Previous = before.Subject, before.Version+1, before.SignedDigest
}

// last returns the version of an alert of the member's own that the next one follows:
// the highest that the hub has accepted or may accept yet, below a number unless that is
// 0. Errors are of kind NotFound, Expired, Unavailable or Internal.
func (n *Node) last(ctx context.Context, id alert.ID, below int, now time.Time) (*trust.VerifiedAlert, error) {
	a, _, _, err := n.lastLabelled(ctx, id, below, now)
	return a, err
}

// lastLabelled is last, with what labelled tells of the version.
func (n *Node) lastLabelled(ctx context.Context, id alert.ID, below int, now time.Time) (a *trust.VerifiedAlert, portions []alert.Portion, known bool, err error) {
	o, err := n.Store.Current(ctx, id, below)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, false, problem.New(problem.NotFound, "no such alert of this member's own, or the hub has refused it")
	} else if err != nil {
		return nil, nil, false, problem.Wrap(problem.Unavailable, err, "the outbox can not be read")
	}
	a, portions, known, err = labelled(o)
	switch {
	case err != nil:
		return nil, nil, false, problem.Wrap(problem.Internal, err, "the alert in the outbox can not be read")
	case !now.Before(time.Unix(a.Expires, 0)):
		return nil, nil, false, problem.New(problem.Expired, "the alert has expired")
	}
	a.Portions = nil // of what has ended nobody goes by more than the labels
	return a, portions, known, nil
}

// errRefusedBefore: what an alert follows will never be at the hub.
var errRefusedBefore = problem.New(problem.Fork, "the hub has refused the version before, which this one follows")

// place looks whether the hub can take a queued version at all: whether it has not
// refused the one before. A recall is placed anew, after the last version that it did
// not refuse; any other version, whose author may have built on what was refused, can
// not be sent. The error is then errRefusedBefore, and the alert is returned as it is.
func (n *Node) place(ctx context.Context, o *store.Outgoing) (*store.Outgoing, error) {
	if o.Version == 1 {
		return o, nil
	}
	before, err := n.Store.Outgoing(ctx, o.ID, o.Version-1)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if err != nil || before.State != store.Refused {
		return o, nil // if it is not there the database is not whole: the hub knows
	}
	a, err := trust.ReadAlert(o.Token)
	if err != nil {
		return nil, err
	}
	if a.Recall == nil {
		return o, errRefusedBefore
	}
	now := n.Now()
	last, err := n.last(ctx, o.ID, o.Version, now)
	switch problem.KindOf(err) {
	case problem.NotFound, problem.Expired:
		return o, errRefusedBefore // nothing is out that could be recalled
	}
	if err != nil {
		return nil, err
	}
	if last.Recall != nil {
		return o, errRefusedBefore
	}
	again, err := n.recallOf(last, *a.Recall, now)
	if err != nil {
		return nil, err
	}
	token, err := sign(ctx, n.Signer, again)
	if err != nil {
		return nil, err
	}
	next := *o
	next.Version, next.Token, next.Digest, next.Due, next.Recall = again.Version, token, digestOf(token), ownEnd(again), again.Recall
	next.Urgent = n.urgent(ctx, again) // what it follows now may be at the hub already
	return &next, n.Store.Renumber(ctx, o.ID, o.Version, next)
}

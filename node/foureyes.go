package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
)

// FourEyes is the member's own rule on which of its alerts take two persons: one who
// writes the draft, another who lets it go.
type FourEyes string

// The rules. The zero value is NoFourEyes.
const (
	NoFourEyes         FourEyes = "none"       // none: one person publishes
	ClassifiedFourEyes FourEyes = "classified" // those with a portion above unclassified
	AllFourEyes        FourEyes = "all"        // every one
)

// codeFourEyes is the reason code of what one person may not do alone.
const codeFourEyes = "four-eyes"

// Validate refuses what is no rule.
func (f FourEyes) Validate() error {
	switch f {
	case "", NoFourEyes, ClassifiedFourEyes, AllFourEyes:
		return nil
	}
	return fmt.Errorf("four_eyes: %.40q is none of %s, %s, %s", string(f), NoFourEyes, ClassifiedFourEyes, AllFourEyes)
}

// asks reports whether an alert of these portions takes two persons. Where none is known
// it may be of any level.
func (f FourEyes) asks(portions []alert.Portion) bool {
	switch f {
	case "", NoFourEyes:
		return false
	case ClassifiedFourEyes:
		unclassified := func(p alert.Portion) bool { return p.Label != nil && p.Label.Classification == alert.Unclassified }
		return len(portions) == 0 || slices.ContainsFunc(portions, func(p alert.Portion) bool { return !unclassified(p) })
	}
	return true
}

// released is a draft that another than its author has let go: see Release, which alone
// makes one.
type released struct {
	body   *draftBody
	digest string
	end    store.DraftEnd
}

// covers reports whether an alert has the place after other versions, and the portions
// with the labels, that were read.
func (r *released) covers(a alert.Alert, shown []alert.Portion) bool {
	return a.Version == r.body.Version && a.Previous == r.body.Previous && samePortions(keptPortions(shown), r.body.Portions)
}

// judged returns the portions by which it is judged who may read a draft that makes an
// alert; and all whose labels tell whether it takes two persons: those of the version too
// that it replaces, since its holders lose them. Errors are those of Publish.
func (n *Node) judged(ctx context.Context, a alert.Alert, now time.Time) (shown, all []alert.Portion, err error) {
	switch {
	case a.Version == 1:
		return a.Portions, a.Portions, nil
	case a.Recall != nil:
		return n.judgedRecall(ctx, a, now)
	}
	_, before, known, err := n.lastLabelled(ctx, a.Subject, a.Version, now)
	if err != nil {
		return nil, nil, err
	}
	return a.Portions, slices.Concat(a.Portions, orAny(before, known)), nil
}

// judgedRecall is judged for a recall: who may read it is judged by the last version that
// it takes back, and whether it takes two persons by all: the hub may yet refuse the last.
// What has ended here counts as if it stood: its holders may know of it still.
func (n *Node) judgedRecall(ctx context.Context, a alert.Alert, now time.Time) (shown, all []alert.Portion, err error) {
	for below := a.Version; below > 1; {
		o, err := n.Store.Current(ctx, a.Subject, below)
		if errors.Is(err, store.ErrNotFound) {
			break
		} else if err != nil {
			return nil, nil, problem.Wrap(problem.Unavailable, err, "the outbox can not be read")
		}
		before, portions, known, err := labelled(o)
		if err != nil {
			return nil, nil, problem.Wrap(problem.Internal, err, "the alert in the outbox can not be read")
		}
		below = o.Version
		if before.Recall != nil || now.Unix() >= before.Expires { // holds nothing, or nothing any more
			continue
		}
		if len(shown) == 0 {
			shown = n.orStrictest(portions, known)
		}
		all = append(all, orAny(portions, known)...)
	}
	return shown, all, nil
}

// orAny returns the portions of a version. For those of which not even the label is known, with
// which the hub did not give it back (see regain) or which an earlier version of this program
// erased, stands one without a label, which may be of any level.
func orAny(portions []alert.Portion, known bool) []alert.Portion {
	if known {
		return portions
	}
	return append(slices.Clip(portions), alert.Portion{})
}

// unknownPortion stands for those of which not even the label is known, which have no name.
const unknownPortion = "unknown"

// orStrictest is orAny for who may read: one who may read all that the member may hold.
func (n *Node) orStrictest(portions []alert.Portion, known bool) []alert.Portion {
	if known {
		return portions
	}
	return append(slices.Clip(portions), alert.Portion{ID: unknownPortion, Label: n.strictest()})
}

// strictest is a label of the member's own ceiling in all of its compartments. It is for no
// fewer than those: somebody must be able to take back what it stands for. nil: there is no
// registry yet, or the member has no ceiling in it.
func (n *Node) strictest() *alert.Label {
	w := n.known.Load().dir.World(n.Now())
	if w == nil || len(w.Schemes) == 0 {
		return nil
	}
	c := w.Clearance(n.Member)
	l := alert.Label{Policy: w.Schemes[0].URN, Classification: c.Ceiling, Compartments: c.Compartments[:min(len(c.Compartments), alert.MaxList)],
		Categories: alert.Categories, Purposes: alert.Purposes, PersonalData: alert.SpecialCategory}
	if l.Normalize() != nil {
		return nil
	}
	return &l
}

// leave is what the member's rule on two persons has let go. mayGo mints it, queue
// redeems it: nothing else writes to the outbox.
type leave struct{ by *released }

// mayGo holds an alert against the rule on two persons; by is nil where one person
// publishes. Errors are of kind EgressDenied or Conflict, or those of judged.
func (n *Node) mayGo(ctx context.Context, a alert.Alert, by *released, now time.Time) (*leave, error) {
	shown, all, err := n.judged(ctx, a, now)
	switch {
	case err != nil:
		return nil, err
	case by == nil && n.FourEyes.asks(all):
		return nil, &problem.Error{Kind: problem.EgressDenied, Codes: []string{codeFourEyes},
			Detail: fmt.Sprintf("the member's rule (four_eyes: %s) wants two persons for this alert: an author adds it as a draft (entente draft add), "+
				"and a releaser, who is somebody else, lets it go (entente draft release)", n.FourEyes)}
	case by != nil && !by.covers(a, shown):
		return nil, problem.New(problem.Conflict, "the alert would not be the one that was read: its labels, or what it follows, have changed; it must be written again")
	}
	return &leave{by}, nil
}

// queue stores an alert in the outbox, by leave of mayGo; one that was released ends its
// draft in the same transaction. Errors are of kind Unavailable, or Conflict: wrapping
// store.ErrStale where the draft has moved on, store.ErrExists where another version was
// faster, store.ErrDelegation where it is made of a delegation that waits no more.
func (n *Node) queue(ctx context.Context, l *leave, o *store.Outgoing) error {
	var err error
	if by := l.by; by == nil { // panics without leave
		err = n.Store.Enqueue(ctx, *o)
	} else {
		err = n.erasing(func() error { return n.Store.ReleaseDraft(ctx, by.body.ID, by.digest, by.end, *o) })
		o.Author, o.ReleasedBy = by.body.Author, by.end.By
	}
	switch {
	case errors.Is(err, store.ErrStale):
		return problem.Wrap(problem.Conflict, err, "the draft is not what it was")
	case errors.Is(err, store.ErrDelegation):
		return problem.Wrap(problem.Conflict, err, "the delegation has been published already, or was recalled")
	case errors.Is(err, store.ErrExists):
		return problem.Wrap(problem.Conflict, err, "another version has been published meanwhile")
	case err != nil:
		return problem.Wrap(problem.Unavailable, err, "the outbox can not be written to")
	}
	wake(n.woken.sender)
	return nil
}

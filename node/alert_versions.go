package node

import (
	"context"
	"errors"
	"slices"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
)

// HoldersTo is Holders for one user, nil for nobody in particular (NewReader): the
// member's own alerts are the focal point's to know of. To everybody else there is no
// such alert, in the words of what does not exist.
func (n *Node) HoldersTo(ctx context.Context, reader *Reader, id alert.ID) (Holders, error) {
	focal, err := n.focal(ctx, reader)
	if err != nil {
		return Holders{}, err
	}
	if !focal {
		return Holders{}, noneAccepted()
	}
	return n.Holders(ctx, id)
}

// noneAccepted is the answer where there is nothing that anybody could hold.
func noneAccepted() error {
	return problem.New(problem.NotFound, "no such alert of this member's own that the hub has accepted")
}

// Versions returns the versions that are here of an alert, in order: those received, or
// those of the member's own that the hub has not refused. A user is told of those of which
// it may read something, and of the member's own if it is the focal point's; nil is nobody
// in particular (NewReader). Errors are of kind NotFound where there are none, Malformed
// where the member has a directory of users and none is named, Unavailable or Internal.
func (n *Node) Versions(ctx context.Context, reader *Reader, originator alert.MemberID, id alert.ID) (list []int, err error) {
	if reader == nil {
		err = n.unnamed()
	}
	switch {
	case err != nil:
	case originator == n.Member:
		list, err = n.ownList(ctx, reader, id)
	default:
		list, err = n.receivedList(ctx, reader, originator, id)
	}
	if err == nil && len(list) == 0 {
		err = problem.New(problem.NotFound, "no such alert")
	}
	return list, err
}

func (n *Node) ownList(ctx context.Context, reader *Reader, id alert.ID) (list []int, err error) {
	focal, err := n.focal(ctx, reader)
	if err != nil || !focal {
		return nil, err
	}
	for below := 0; below != 1; {
		o, err := n.Store.Current(ctx, id, below)
		if errors.Is(err, store.ErrNotFound) {
			break
		} else if err != nil {
			return nil, problem.Wrap(problem.Unavailable, err, "the outbox can not be read")
		}
		below = o.Version
		list = append(list, below)
	}
	slices.Reverse(list)
	return list, nil
}

func (n *Node) receivedList(ctx context.Context, reader *Reader, originator alert.MemberID, id alert.ID) (list []int, err error) {
	all, err := n.Store.Versions(ctx, originator, id)
	if err != nil {
		return nil, unreadable(err)
	}
	if reader == nil {
		return all, nil
	}
	d := n.desk(*reader)
	d.later = false // what each says of the others is not asked for
	for _, v := range all {
		view, _, err := d.latest(ctx, originator, id, v)
		if err != nil {
			return nil, err
		}
		if view != nil {
			list = append(list, v)
		}
	}
	return list, nil
}

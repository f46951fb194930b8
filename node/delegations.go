package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
)

// DelegationState says how a delegation stands.
type DelegationState string

// The states. One that is late becomes published, or refused, like one that waits; a
// refusal that a publication follows counts for nothing.
const (
	DelegationWaiting   DelegationState = "waiting"
	DelegationLate      DelegationState = "late" // waiting beyond its deadline
	DelegationPublished DelegationState = "published"
	DelegationRefused   DelegationState = "refused"
	DelegationRecalled  DelegationState = "recalled" // before anything was published of it
)

// DelegationStatus is how a delegation stands. Source and recipient compute it from what
// both of them hold, but that the recipient knows of a publication before the hub has
// accepted it, and the source after.
type DelegationStatus struct {
	store.Delegation
	State     DelegationState
	Published alert.ID // by Delegation.To, as an alert of its own; "": not yet
	Rests     bool     // one received: what was published of it stands, and the delegation has been recalled or has ended
	Expired   bool

	Plan *alert.Plan // of one received that can be published, where it is asked for alone: how its source asks for it
}

// Other returns the other side: who is to publish, or who asks for it.
func (d *DelegationStatus) Other() alert.MemberID {
	if d.Own {
		return d.To
	}
	return d.Originator
}

// DelegationFilter says which delegations are wanted.
type DelegationFilter struct {
	State  DelegationState // "": any
	Reader *Reader         // where the member has a directory of users
	Limit  int             // 0 or less: none
}

// Delegations returns those that this member has sent and received, until they expire, and
// beyond that while what it has published of one stands: by their deadline, those first on
// which something rests that should be recalled, then the late ones.
//
// Where there is a directory of users, a reader finds those received that it may read and
// those that it has written; all of them if it is the focal point's. Of answers and refusals
// that it may not read it learns nothing, not even by the state. Errors are of kind
// Unavailable, Internal, or Malformed as with Inbox.
func (n *Node) Delegations(ctx context.Context, f DelegationFilter) ([]DelegationStatus, error) {
	if err := n.checkReader(f.Reader); err != nil {
		return nil, err
	}
	now := n.Now()
	all, err := n.Store.Delegations(ctx, now.Unix())
	if err != nil {
		return nil, unreadable(err)
	}
	v, err := n.delegationView(ctx, f.Reader)
	if err != nil {
		return nil, err
	}
	var list []DelegationStatus
	for _, d := range all {
		if may, err := v.limitDelegation(ctx, &d); err != nil {
			return nil, err
		} else if !may {
			continue
		}
		if s := delegationAt(d, now); f.State == "" || f.State == s.State {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b DelegationStatus) int { return a.order() - b.order() }) // they come by their deadline
	return list[:min(len(list), max(f.Limit, 0))], nil
}

// Delegation returns one, with how it would be published. Errors are those of Delegations,
// BadSignature, and NotFound where there is none or the reader may not know of it.
func (n *Node) Delegation(ctx context.Context, reader *Reader, originator alert.MemberID, id alert.ID) (*DelegationStatus, error) {
	if err := n.checkReader(reader); err != nil {
		return nil, err
	}
	now := n.Now()
	absent := problem.New(problem.NotFound, "no such delegation")
	d, err := n.Store.Delegation(ctx, originator, id, now.Unix())
	if errors.Is(err, store.ErrNotFound) {
		return nil, absent
	} else if err != nil {
		return nil, unreadable(err)
	}
	v, err := n.delegationView(ctx, reader)
	if err != nil {
		return nil, err
	}
	if may, err := v.limitDelegation(ctx, d); err != nil {
		return nil, err
	} else if !may {
		return nil, absent
	}
	s := delegationAt(*d, now)
	if d.Own || s.Published != "" {
		return &s, nil
	}
	b, err := n.baseOf(ctx, originator, id)
	if err != nil {
		return nil, err
	}
	if b.standing(now) != nil {
		return &s, nil
	}
	if r, err := n.show(ctx, reader, originator, id, 1); err == nil && readsAll(reader, r, b) == nil {
		plan := b.plan(n.known.Load(), n.Member)
		s.Plan = &plan
	}
	return &s, nil
}

func (n *Node) delegationView(ctx context.Context, reader *Reader) (requestView, error) {
	focal, err := n.focal(ctx, reader)
	return requestView{n, reader, focal, make(map[store.Name]bool)}, err
}

// limitDelegation reports whether the reader may know of a delegation, and takes off it
// what it may not.
func (v requestView) limitDelegation(ctx context.Context, d *store.Delegation) (bool, error) {
	if v.reader == nil {
		return true, nil
	}
	if d.By != v.reader.User && !v.focal {
		d.By = ""
	}
	switch {
	case v.focal:
	case d.Own && d.By == "":
		return false, nil
	case !d.Own:
		if may, err := v.reads(ctx, store.Name{Originator: d.Originator, ID: d.ID, Version: 1}); err != nil || !may {
			return false, err
		}
	}
	var replies []store.DelegationReply
	for _, r := range d.Replies {
		reads := v.reads
		if r.Originator == v.Member {
			reads = v.readsOwn
		}
		if may, err := reads(ctx, r.Name); err != nil {
			return false, err
		} else if may {
			replies = append(replies, r)
		}
	}
	d.Replies = replies
	return true, nil
}

// delegationAt computes how a delegation stands at a moment.
func delegationAt(d store.Delegation, now time.Time) DelegationStatus {
	s := DelegationStatus{Delegation: d, Published: d.Published, Expired: now.Unix() >= d.Expires}
	refused := false
	for _, r := range d.Replies {
		if d.Own && s.Published == "" && r.Act == alert.Answer {
			s.Published = r.Published
		}
		refused = refused || r.Act == alert.Declined
	}
	s.Rests = !d.Own && d.Standing && (d.Recalled || s.Expired)
	switch {
	case s.Published != "":
		s.State = DelegationPublished
	case d.Recalled:
		s.State = DelegationRecalled
	case refused:
		s.State = DelegationRefused
	case now.Unix() > d.Due:
		s.State = DelegationLate
	default:
		s.State = DelegationWaiting
	}
	return s
}

func (d *DelegationStatus) order() int {
	switch {
	case d.Rests:
		return 0
	case d.State == DelegationLate:
		return 1
	}
	return 2
}

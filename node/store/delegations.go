package store

import (
	"context"

	"github.com/entente-hub/entente/api/alert"
)

// Delegations is the part of a Store that finds delegations (alert.Delegation), sent and
// received, and what was made of them. What is said of Store holds. It keeps nothing that
// the signed part of an alert does not say, but who wrote it and which alert of the
// member's own was made of it.
type Delegations interface {
	// Delegations returns those that have not expired at a moment, in seconds since
	// 1970-01-01 UTC, and those of which an alert was made that still stands then: the
	// earliest due first, then by originator and id. The member's own that the hub has
	// refused are left out.
	Delegations(ctx context.Context, at int64) ([]Delegation, error)

	// Delegation returns one as it stands at a moment, or ErrNotFound.
	Delegation(ctx context.Context, originator alert.MemberID, id alert.ID, at int64) (*Delegation, error)

	// MadeOf returns the received delegation that an alert of the member's own was made
	// of, as it stands at a moment, or ErrNotFound.
	MadeOf(ctx context.Context, own alert.ID, at int64) (*Delegation, error)
}

// Delegating is what is kept of an alert that is a delegation, with an Item or an Outgoing.
type Delegating struct {
	Originator alert.MemberID
	alert.Delegation
	Expires int64  // seconds since 1970-01-01 UTC
	By      string // who wrote it, a user of the member's directory; "" where that is not known here
}

// Publication is what is kept with an Outgoing that was made of a received delegation. The
// answer is stored with it, and queued in the transaction that settles it as accepted; it
// is dropped where it is refused.
type Publication struct {
	Originator alert.MemberID
	ID         alert.ID
	Answer     Outgoing // as Enqueue takes it
}

// Delegation is how one stands.
type Delegation struct {
	Delegating
	ID       alert.ID
	Own      bool // of this member's own
	Recalled bool

	// Of one received: the alert that was made of it and that the hub has not refused.
	Published alert.ID
	State     State // of its first version
	Standing  bool  // it has been neither recalled nor has it expired

	Replies []DelegationReply // of To, answers before refusals; see MaxReplies
}

// DelegationReply is an answer to a delegation, or a refusal.
type DelegationReply struct {
	Reply
	Published alert.ID // by an answer
}

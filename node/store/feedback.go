package store

import (
	"context"

	"github.com/entente-hub/entente/api/alert"
)

// Feedback is the part of a Store that finds alerts by what they refer to
// (alert.Reference). What is said of Store holds. It keeps nothing that the signed part
// of an alert does not say, but who is asked and who wrote it: that stays when the
// disclosures are erased.
//
// Feedback stands unless a later version of it is stored; the member's own unless the
// hub refuses it, in which case the version before stands.
type Feedback interface {
	// Requests returns the requests that stand and have not expired at a moment, in
	// seconds since 1970-01-01 UTC, one for each member that is asked: the earliest due
	// first, then by originator, id and who is asked. Those in which nobody is asked are
	// left out.
	Requests(ctx context.Context, at int64) ([]Request, error)

	// Asked returns the members that a request of that name asks, sorted: of its version
	// that stands. None: there is no such request, or it asks nobody that is known here.
	Asked(ctx context.Context, originator alert.MemberID, id alert.ID) ([]alert.MemberID, error)
}

// Referring is what is kept of an alert that refers to another, with an Item or an
// Outgoing.
type Referring struct {
	Originator alert.MemberID // of the feedback itself
	Re         alert.Reference
	Expires    int64            // of the feedback, seconds since 1970-01-01 UTC
	Asked      []alert.MemberID // by a request, each once: of the member's own all, else the member itself or none
	By         string           // who wrote it, a user of the member's directory; "" where that is not known here
}

// Request is a request for information to one of those whom it asks.
type Request struct {
	Name
	Own     bool // of this member's own
	Re      alert.Reference
	Expires int64 // seconds since 1970-01-01 UTC
	By      string
	Asked   alert.MemberID
	Replies []Reply // by Asked, the oldest first as ids tell; see MaxReplies
}

// MaxReplies bounds how many replies to a request are returned: the latest, answers before
// refusals.
const MaxReplies = 100

// Name names a version of an alert.
type Name struct {
	Originator alert.MemberID
	ID         alert.ID
	Version    int
}

// Reply is an answer to a request, or a refusal.
type Reply struct {
	Name
	Act alert.Act
}

package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/entente-hub/entente/api/alert"
)

// Drafts is the part of a Store that keeps alerts which one user has written and another
// is to let go. What is said of Store holds. A draft is gone once its time is over,
// unless it was released: no method knows it any more, whether or not it has been erased.
type Drafts interface {
	// AddDraft stores a pending draft; of its end nothing is looked at. ErrStale if its
	// author has most or more pending ones at CreatedAt, ErrExists if there is one of
	// that id.
	AddDraft(ctx context.Context, d Draft, most int) error

	// Draft returns a draft as it stands at a moment, or ErrNotFound.
	Draft(ctx context.Context, id DraftID, at time.Time) (*Draft, error)

	// Drafts returns up to limit drafts as they stand at a moment, the latest first,
	// without their bodies: those of a state, or all where it is "", and only those
	// before an id unless that is "".
	Drafts(ctx context.Context, state DraftState, before DraftID, at time.Time, limit int) ([]Draft, error)

	// ReleaseDraft ends a pending draft at e.At as released, erases its body, and
	// enqueues the alert, with who wrote and who released it: see Enqueue. ErrStale
	// unless it is pending then with this digest, ErrExists and ErrDelegation as in Enqueue.
	ReleaseDraft(ctx context.Context, id DraftID, digest string, e DraftEnd, o Outgoing) error

	// ReleasedAs returns the alert that was enqueued when a draft was released, as it
	// stands now, or ErrNotFound.
	ReleasedAs(ctx context.Context, id DraftID) (*Outgoing, error)

	// EndDraft ends a pending draft at e.At as rejected or withdrawn, and erases its body.
	// ErrStale unless it is pending then.
	EndDraft(ctx context.Context, id DraftID, state DraftState, e DraftEnd) error

	// EraseDrafts removes up to limit drafts whose time is over at a moment, or that would
	// publish a delegation which was recalled, has ended then or of which something was
	// erased, released ones left out, and Outgoing.Labels of all alerts that have expired. It
	// returns how many drafts and alerts there were.
	EraseDrafts(ctx context.Context, at time.Time, limit int) (int, error)
}

// DraftID names a draft: a UUIDv7 (RFC 9562), so that ids sort by time.
type DraftID string

// DraftState says what has become of a draft.
type DraftState string

// The states. Pending is the only one that changes.
const (
	Pending   DraftState = "pending"
	Released  DraftState = "released"
	Rejected  DraftState = "rejected"
	Withdrawn DraftState = "withdrawn"
)

// Draft is an alert that waits for its release, or what is kept of it afterwards.
type Draft struct {
	ID        DraftID
	Author    string // a user of the member's directory
	Digest    string // SHA-256 of Body, base64url
	Body      []byte // while it is pending, and where it is asked for
	Portions  []DraftPortion
	CreatedAt time.Time // to the microsecond, UTC
	ExpiresAt time.Time // likewise
	State     DraftState

	End     DraftEnd // where it is not pending
	Alert   alert.ID // where released, as is Version
	Version int      // as it is now, where the alert was renumbered before it was sent
}

// DraftPortion is what is kept of a portion as long as the draft is there: by its label
// it is judged who may know of the draft.
type DraftPortion struct {
	ID    alert.PortionID `json:"id"`
	Label json.RawMessage `json:"label"` // in canonical form
}

// DraftEnd says who ended a draft, and when.
type DraftEnd struct {
	By     string    // a user of the member's directory
	At     time.Time // to the microsecond, UTC
	Reason string    // of a rejection
}

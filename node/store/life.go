package store

import (
	"context"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
)

// Life is what a node needs to end what it holds: what is due, its erasure, and the
// receipts of it. What was erased is overwritten in the database file; Scrub has the
// file's log give it up too.
type Life interface {
	// Due returns up to limit places of which something is to be erased by a moment, in
	// seconds since 1970-01-01 UTC: received ones, the earliest first.
	Due(ctx context.Context, by int64, limit int) ([]Due, error)

	// DueOutgoing returns up to limit alerts of the outbox, none of them queued, of which
	// something is to be erased by a moment, the earliest first.
	DueOutgoing(ctx context.Context, by int64, limit int) ([]Outgoing, error)

	// NextDue returns the earliest moment at which something is to be erased, in seconds
	// since 1970-01-01 UTC; 0: there is nothing.
	NextDue(ctx context.Context) (int64, error)

	// Erase erases with receipts, all or nothing.
	Erase(ctx context.Context, e Erase) error

	// Scrub makes sure that nothing of what was erased is left in any file of the
	// database. The error tells that others still read what was there before.
	Scrub(ctx context.Context) error

	// PurgesOf returns what was erased of one version, in order.
	PurgesOf(ctx context.Context, originator alert.MemberID, id alert.ID, version int) ([]Purge, error)

	// Unsigned returns up to limit acknowledgements and up to limit receipts that are to
	// be signed, in order.
	Unsigned(ctx context.Context, limit int) ([]Ack, []Purge, error)

	// Signed stores the tokens of such. Those that are signed already are passed over.
	Signed(ctx context.Context, acks []Ack, purges []Purge) error

	// PurgesTaken notes that the hub has taken receipts.
	PurgesTaken(ctx context.Context, ns []int64) error

	// PurgeRefused keeps a receipt with the reason of its refusal; it is not returned by
	// PurgesAfter any more. ErrStale if it is not stored.
	PurgeRefused(ctx context.Context, n int64, reason string) error
}

// Due is a received delivery of which something is to be erased.
type Due struct {
	Seq        int64
	Originator alert.MemberID
	ID         alert.ID
	Due        int64 // Item.Due
}

// Erase is what is erased in one transaction, and the receipts of it.
type Erase struct {
	Erasures []Erasure
	Outgoing []OutgoingErasure
	Purges   []Purge
}

// Erasure puts something else in the place of a stored delivery.
type Erasure struct {
	Seq int64
	// Left returns what is left of the item: its Delivery, Kept and Due are stored. It is
	// called in the transaction, so that one delivery is in memory at a time. Its error
	// ends the transaction.
	Left func(Item) (Item, error)
}

// OutgoingErasure puts another token in the place of one in the outbox.
type OutgoingErasure struct {
	ID      alert.ID
	Version int
	Digest  string // of the token as it was sent
	Token   string
	Due     int64
	Labels  []DraftPortion // Outgoing.Labels from now on; nil: as they are
	Expires int64          // of the alert, seconds since 1970-01-01 UTC: when they go too
}

// Purge is what was erased of one version for one reason.
type Purge struct {
	N          int64 // its place in order; given by the store
	Originator alert.MemberID
	ID         alert.ID
	Version    int
	Digest     string // of the version's signed part, base64url
	Cause      feed.Cause
	Portions   []alert.PortionID // sorted
	At         int64             // seconds since 1970-01-01 UTC
	Token      string            // the JWS of feed.Purge; "": it is to be signed
}

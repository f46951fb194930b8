package store

import "context"

// Carried is what waits for the hub, page by page, for a node whose messages are carried
// by hand. Nothing is changed by reading it.
type Carried interface {
	// QueuedAfter returns up to limit queued alerts after a place in the order of sending;
	// 0: from the first.
	QueuedAfter(ctx context.Context, after int64, limit int) ([]Waiting, error)

	// AcksAfter returns up to limit signed acknowledgements that the hub has neither taken
	// nor refused, after a sequence number, in order; 0: from the first.
	AcksAfter(ctx context.Context, after int64, limit int) ([]Ack, error)

	// PurgesAfter returns up to limit signed receipts that the hub has neither taken nor
	// refused, after a place in order; 0: from the first.
	PurgesAfter(ctx context.Context, after int64, limit int) ([]Purge, error)
}

// Waiting is something signed that waits for the hub, at its place in order.
type Waiting struct {
	Place int64
	Token string
}

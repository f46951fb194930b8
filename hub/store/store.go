// Package store is the contract between the hub and its database. It is
// implemented by hub/store/sqlite and hub/store/postgres; hub/store/storetest
// holds both to it.
package store

import (
	"context"
	"errors"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/crypto/tlog"
)

// ErrNotFound says that what was asked for is not stored.
var ErrNotFound = errors.New("store: not found")

// ErrInvalid is wrapped by refusals of a malformed request: a mistake of the
// caller's, not of what is stored. Nothing was done.
var ErrInvalid = errors.New("store: invalid request")

// Store keeps the hub's state. It is safe for concurrent use, by several hub
// processes at once where the database is shared. Every error of Commit but
// ErrInvalid means that the store may or may not have done what it was told, a
// context's error too: the caller reads back, or tries the same writes again.
//
// Names, ids, digests and chain values are UTF-8 without NUL of at most 512
// bytes, names and chain values not empty. Tokens, label keys, leaves and other
// contents are any bytes; empty ones read back as nil. A limit of 0 or less
// returns nothing.
type Store interface {
	// Commit applies the writes in order in one transaction that is on stable
	// storage when it returns, and reports what became of each. A write sees
	// those before it. A write whose condition fails has no effect, its entries
	// are not appended, and it does not disturb the others. An error means that
	// none took effect, or all; ErrInvalid, if any write is malformed, none.
	Commit(ctx context.Context, writes []Write) ([]Result, error)

	// Alert returns one version of an originator's alert, or ErrNotFound.
	Alert(ctx context.Context, originator alert.MemberID, id alert.ID, version int) (*Alert, error)

	// Pending returns up to limit deliveries that wait for hand-over to the
	// recipient, oldest first, with the alerts' bytes.
	Pending(ctx context.Context, recipient alert.MemberID, limit int) ([]Delivery, error)

	// Delivered returns up to limit handed-over deliveries after a sequence
	// number, in order, with the alerts' bytes.
	Delivered(ctx context.Context, recipient alert.MemberID, after int64, limit int) ([]Delivery, error)

	// DeliveryOf returns the handed-over delivery of one alert version to the
	// recipient, or ErrNotFound: whether there is no such alert or no such
	// delivery can not be told.
	DeliveryOf(ctx context.Context, recipient, originator alert.MemberID, id alert.ID, version int) (*Delivery, error)

	// Originators returns, for those of the ids under which any alert is
	// stored, whose they are: of the member that first used it.
	Originators(ctx context.Context, ids []alert.ID) (map[alert.ID]alert.MemberID, error)

	// Feed returns where a recipient's feed stands. A recipient without
	// deliveries has the zero Feed with Chain "".
	Feed(ctx context.Context, recipient alert.MemberID) (Feed, error)

	// Statements returns up to limit signed statements after a position, in
	// the order in which they were stored.
	Statements(ctx context.Context, after int64, limit int) ([]Statement, error)

	// LogHead returns the audit log's size and root.
	LogHead(ctx context.Context) (LogHead, error)

	// Entries returns up to limit leaves from an index on; none from beyond the
	// log's end.
	Entries(ctx context.Context, from int64, limit int) ([][]byte, error)

	// Hashes returns the stored hashes at the indexes (x/mod/sumdb/tlog's
	// stored-hash order); a missing one is an error.
	Hashes(ctx context.Context, indexes []int64) ([]tlog.Hash, error)

	// Subscribe returns a channel of wake-ups from other processes on the same
	// database: recipients with new pending deliveries, or an empty Wake for
	// "anything may have changed" (statements, or wake-ups that were lost).
	// A wake-up is a hint; it may come late, twice or not at all. The
	// channel closes when ctx ends.
	Subscribe(ctx context.Context) (<-chan Wake, error)

	// Ping reports whether the database can be written to.
	Ping(ctx context.Context) error

	// Close waits for calls under way and releases everything.
	Close() error
}

// Write is one conditional change with its audit entries. At most one of the
// pointers is set; with none, the entries are appended unconditionally.
type Write struct {
	Accept    *Accept
	HandOver  *HandOver
	Ack       *Ack
	Statement *Statement
	Entries   [][]byte // audit leaves, appended if and only if the write takes effect

	// Seen, if not 0, is the position of the last statement that the write's
	// decisions know of. Where a later one is stored by now the write is Stale:
	// nothing is released under rules that no longer hold, whichever process
	// changed them.
	Seen int64
}

// Outcome says what became of a write.
type Outcome int

// The outcomes.
const (
	Done     Outcome = iota + 1
	Replay           // Accept, Statement: stored already with the same bytes; Ack: at all
	Conflict         // Accept, Statement: other bytes are stored under the same name
	Gap              // Accept, Statement: the predecessor is missing or is another one
	Stale            // HandOver: the feed has moved on, or a delivery is no longer pending; any: see Write.Seen
	Unknown          // Ack: no such delivery was handed over
)

// Result is a write's outcome. Index is the log index of its first entry, -1 if
// it appended none; on a Replay of Accept, that of the stored one, which Prior
// holds.
type Result struct {
	Outcome Outcome
	Index   int64
	Prior   *Alert
}

// Accept stores an alert version, interns its labels and makes a pending
// delivery for each recipient. Version n > 1 needs version n-1 of the same
// originator stored with SignedDigest equal to Previous, version 1 an empty
// Previous, else Gap. It must come with an entry: no record, no release.
type Accept struct {
	Alert
	Portions   []Portion
	Recipients []alert.MemberID // each once
}

// Alert is a stored alert version.
type Alert struct {
	Originator   alert.MemberID
	ID           alert.ID
	Version      int
	Token        string   // the SD-JWT as sent, with all disclosures
	Digest       [32]byte // SHA-256 of Token
	SignedDigest string   // SHA-256 of the signed part, base64url
	Previous     string   // SignedDigest of the version before, or ""
	IssuedAt     int64    // seconds since 1970-01-01 UTC, as are the others
	Expires      int64
	AcceptedAt   int64
	LogIndex     int64 // of the admission's first entry; set by the store
}

// Portion is one portion's place among the interned labels: LabelKey is
// alert.Label.ReleaseKey.
type Portion struct {
	ID       alert.PortionID
	LabelKey string
}

// HandOver gives the next sequence numbers of a recipient's feed to pending
// deliveries and marks others as withheld. Its condition: the feed stands at
// After and every delivery named is still pending.
type HandOver struct {
	Recipient alert.MemberID
	After     int64  // the feed's Seq before
	Chain     string // the last item's; not looked at without items
	Items     []HandedOver
	Withheld  []int64 // Delivery.ID
}

// HandedOver is one pending delivery's place in the feed.
type HandedOver struct {
	ID     int64 // Delivery.ID
	Seq    int64 // After+1, After+2, …
	Chain  string
	Digest string // of feed.Delivery
	Facts  []byte // JSON of what, with the alert, makes the delivery again
}

// Delivery is one recipient's delivery of an alert version.
type Delivery struct {
	ID         int64
	Alert      Alert
	HandedOver // zero but for ID while pending
	Acked      bool
}

// Feed is where a recipient's feed stands.
type Feed struct {
	Seq     int64
	Chain   string
	Acked   int64 // the highest acknowledged item
	Pending int64 // deliveries that wait for hand-over
}

// Ack stores a recipient's signed acknowledgement of one item. The first one
// stays: another receipt for the same item and chain value is a Replay.
type Ack struct {
	Recipient alert.MemberID
	Seq       int64
	Chain     string // must be the chain value at Seq, else Unknown
	Receipt   string // the JWS
}

// Statement is a signed statement. Its condition: revision 1 with none stored
// of that type and subject, or the successor of the one stored last, which
// Previous names, else Gap; other bytes under a stored revision: Conflict.
type Statement struct {
	Position int64 // set by the store, rising; not gapless
	Type     string
	Subject  string
	Revision int64
	Digest   string // of the payload, base64url
	Previous string // Digest of revision-1, or ""
	Raw      []byte // the general JWS
}

// LogHead is the audit log's size in entries and its RFC 6962 root.
type LogHead struct {
	Size int64
	Root tlog.Hash
}

// Wake names recipients with something to fetch; empty means anybody.
type Wake struct {
	Recipients []alert.MemberID
}

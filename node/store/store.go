// Package store is the contract between a national node and its database: the
// statements that it has verified, what it sends, what it has received, and how
// far it has followed its feed. node/store/sqlite implements it.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
)

var (
	// ErrNotFound: what was asked for is not stored.
	ErrNotFound = errors.New("store: not found")
	// ErrStale: the condition of a write no longer holds; nothing was written.
	ErrStale = errors.New("store: has moved on")
	// ErrExists: something is stored under that name already; nothing was written.
	ErrExists = errors.New("store: exists already")
	// ErrDelegation: of a delegation an alert was made already, or it was recalled; nothing
	// was written.
	ErrDelegation = errors.New("store: the delegation does not wait")
)

// Kinds of alarm.
const (
	AlarmLog       = "log"       // two histories, or a shrunk one
	AlarmFeed      = "feed"      // what the hub says of the feed is not what it, or an alert's originator, has signed
	AlarmAck       = "ack"       // the hub does not know what it has delivered
	AlarmRestored  = "restored"  // the hub knows more of this member than this node: it was restored from a backup, or another has its keys
	AlarmStatement = "statement" // one that is not what the federation has signed
)

// Bounds on how many alarms are kept, so that whoever causes them can not fill
// the disk. Each kind has its own, so that many of one do not keep out another;
// statements cost nothing to make up, and have the lowest.
const (
	MaxAlarms          = 200 // of any other kind
	MaxStatementAlarms = 50
)

// Store keeps a node's state. It is safe for concurrent use by one process.
//
// Each method that writes does so in one transaction, and what it has written is
// on stable storage when it returns nil. ErrStale, ErrExists, ErrDelegation
// and ErrNotFound mean that nothing was written. Any other error of a write, a context's too,
// means that all of it was written or nothing: the caller reads back, or makes
// the same write again, whose condition then tells. Texts and contents are
// given back as they came. A limit of 0 or less returns nothing.
type Store interface {
	// Statements returns all verified statements, in the order in which they were
	// added: each was verified against those before it.
	Statements(ctx context.Context) ([]Statement, error)

	// AddStatements stores statements after those that are stored, whatever
	// their positions. ErrStale if the bytes of one of them are stored already.
	AddStatements(ctx context.Context, list []Statement) error

	// KeepOwn stores a statement that the node has signed before it is sent to the
	// hub, as the last in order. ErrExists if its bytes are stored already.
	KeepOwn(ctx context.Context, raw []byte) error

	// Own returns the statements of KeepOwn of which it is not known yet what became
	// of them, in the order in which they were signed.
	Own(ctx context.Context) ([][]byte, error)

	// ForgetOwn removes one of them: it is known what became of it. One that is not
	// stored is passed over.
	ForgetOwn(ctx context.Context, raw []byte) error

	Drafts

	Feedback

	Delegations

	// Enqueue stores an alert to be sent, as the last in order. Only ID,
	// Version, Token, Digest, QueuedAt, Due, Recall, Urgent, Referring, Delegating and Publication are
	// looked at. ErrExists if there is one of that id and version that was not refused,
	// ErrDelegation if it was made of a delegation that does not wait.
	Enqueue(ctx context.Context, o Outgoing) error

	// Sendable returns up to limit queued alerts, those that are Urgent first and
	// otherwise in the order in which they were stored: fewer where their tokens would
	// be larger than alert.MaxBytes together, but one at least where any is queued.
	Sendable(ctx context.Context, limit int) ([]Outgoing, error)

	// Attempted counts a failed attempt to send a queued alert and keeps its
	// error's text. ErrStale if the alert is not queued.
	Attempted(ctx context.Context, id alert.ID, version int, lastError string) error

	// SettleAll ends the sending of queued alerts and counts the attempts. A queued recall
	// of what the hub has accepted becomes Urgent; where a recall with alert.Purge is
	// accepted all else of its alert becomes due. ErrStale if one of them is not queued.
	SettleAll(ctx context.Context, list []Settled) error

	// Outgoing returns one version, or ErrNotFound: of several of the same number the
	// one that was not refused, else the last.
	Outgoing(ctx context.Context, id alert.ID, version int) (*Outgoing, error)

	// Current returns the highest version of an alert that was not refused, below a number
	// unless that is 0, or ErrNotFound.
	Current(ctx context.Context, id alert.ID, below int) (*Outgoing, error)

	// Renumber puts an alert in the place of a queued one, in the order too. Of o only
	// what Enqueue looks at. ErrStale if the other is not queued, ErrExists as Enqueue.
	Renumber(ctx context.Context, id alert.ID, version int, o Outgoing) error

	// Regain stores an alert of the member's own that the hub has accepted, as the last in
	// order; what Enqueue looks at, and Receipt, is looked at. One that is queued with the
	// same digest becomes accepted; one that is queued under its id and version with another
	// becomes refused, as a conflict; and so does one that is queued as made of a delegation
	// which the alert answers as published already. A recall makes due what it does in SettleAll.
	// It reports whether the alert was not known: where one of its id and version is accepted
	// already nothing is written.
	Regain(ctx context.Context, o Outgoing) (news bool, err error)

	// LastReceipt returns the receipt of the accepted alert that is the last in order, or
	// ErrNotFound.
	LastReceipt(ctx context.Context) (string, error)

	// Outbox returns up to limit alerts, newest first, without their tokens.
	Outbox(ctx context.Context, limit int) ([]Outgoing, error)

	// Position returns how far the feed has been followed: the zero Position
	// before the first Receive.
	Position(ctx context.Context) (Position, error)

	// Receive stores the items of a page with their acknowledgements, erases what the
	// page ends, with the receipts, and moves the position, all or nothing. ErrStale
	// unless the stored position is Before; then nothing is written. So each item is
	// stored once.
	Receive(ctx context.Context, r Reception) error

	// Inbox returns up to limit deliveries after a sequence number, oldest
	// first: of each alert version the latest, whatever comes before it; withheld
	// items are left out.
	Inbox(ctx context.Context, after int64, limit int) ([]Item, error)

	// Deliveries returns up to limit deliveries after a sequence number, oldest
	// first, superseded ones too; withheld items are left out.
	Deliveries(ctx context.Context, after int64, limit int) ([]Item, error)

	// Received returns the latest delivery of one version, or ErrNotFound.
	Received(ctx context.Context, originator alert.MemberID, id alert.ID, version int) (*Item, error)

	// Handed returns up to limit deliveries of one version after a sequence number,
	// oldest first.
	Handed(ctx context.Context, originator alert.MemberID, id alert.ID, version int, after int64, limit int) ([]Item, error)

	// Latest returns the highest version that is stored of an alert: of those
	// received from the originator or, where that is "", of those in the outbox.
	// ErrNotFound if there is none.
	Latest(ctx context.Context, originator alert.MemberID, id alert.ID) (version int, err error)

	// Versions returns the versions of an alert that were received, in order.
	Versions(ctx context.Context, originator alert.MemberID, id alert.ID) ([]int, error)

	Life

	Carried

	// AcksTaken removes acknowledgements that the hub has taken. Those that are
	// not stored are passed over.
	AcksTaken(ctx context.Context, seqs []int64) error

	// AckRefused keeps an acknowledgement with the reason of its refusal; it is
	// not returned by AcksAfter any more. ErrStale if it is not stored.
	AckRefused(ctx context.Context, seq int64, reason string) error

	// Raise stores an alarm. One of the same kind and detail is stored once; the
	// first stays. So do the first of each kind, up to its bound: what comes after
	// them is not stored.
	Raise(ctx context.Context, a Alarm) error

	// Alarms returns up to limit alarms, newest first, those of statements last.
	Alarms(ctx context.Context, limit int) ([]Alarm, error)

	// Counts returns how much is stored.
	Counts(ctx context.Context) (Counts, error)

	// Ping reports whether the database can be written to.
	Ping(ctx context.Context) error

	// Close waits for calls under way and releases everything.
	Close() error
}

// Statement is a verified statement at its position in the hub's list.
type Statement struct {
	Position int64
	Raw      []byte // the general JWS
}

// State says what has become of an outgoing alert.
type State string

// The states. Queued is the only one that changes.
const (
	Queued   State = "queued"
	Accepted State = "accepted" // the hub's receipt has been verified
	Refused  State = "refused"  // the hub will never take it
)

// Outgoing is one version of an alert in the outbox.
type Outgoing struct {
	ID        alert.ID
	Version   int
	Token     string // the SD-JWT with all of its disclosures
	Digest    string // SHA-256 of Token, base64url
	State     State
	QueuedAt  time.Time // to the microsecond, UTC
	Attempts  int
	LastError string       // of the last failed attempt, or ""
	Problem   problem.Kind // of a refusal, or ""
	Codes     []string     // of a refusal
	Receipt   string       // the JWS of feed.Receipt, once accepted
	Due       int64        // when something of Token is to be erased, once it is not queued any more, seconds since 1970-01-01 UTC; 0: nothing is left to erase
	Purged    bool         // the hub has accepted a recall of the alert with alert.Purge: all of Token is due at once

	// The labels of all that Token disclosed as it was signed, once some of that is erased,
	// and until the alert expires; nil: Token has them all, or they are not known. Enqueue
	// does not look at them.
	Labels []DraftPortion

	Recall *alert.Recall // where the version is a recall
	Urgent bool          // goes before all that is not; not given back

	// Who wrote it and who released it, users of the member's directory; "" where it did
	// not take two. Enqueue does not look at them.
	Author, ReleasedBy string

	Referring   *Referring   // where it refers to another alert; not given back
	Delegating  *Delegating  // where it is a delegation; not given back
	Publication *Publication // where it was made of one; not given back
}

// Settlement is how the sending of an alert ended.
type Settlement struct {
	State   State        // Accepted or Refused
	Receipt string       // where accepted
	Problem problem.Kind // where refused, as are the others
	Codes   []string
	Error   string
}

// Settled is a Settlement of one version.
type Settled struct {
	ID      alert.ID
	Version int
	Settlement
}

// Position is how far a feed has been followed, and what the hub's word was there.
type Position struct {
	Seq        int64  // of the last item stored; 0: none
	Chain      string // the chain value at Seq; "" before the first head
	HeadAt     int64  // iat of the last head, seconds since 1970-01-01 UTC
	Checkpoint []byte // the audit log's last verified checkpoint, a signed note
	Head       string // JWS of the feed.Head that stands at Seq and Chain, as the hub signed it; "" before the first
}

// Item is one place in the feed. Delivery is nil where it was withheld; then
// the alert's fields are zero. Receive does not look at the last three.
type Item struct {
	Seq          int64
	Digest       string    // of the delivery, as the chain has it
	ReceivedAt   time.Time // to the microsecond, UTC
	Delivery     []byte    // JSON of feed.Delivery, or what is left of it
	Originator   alert.MemberID
	ID           alert.ID
	Version      int
	SignedDigest string           // of the alert's signed part, base64url
	Recall       alert.RecallMode // where the version is a recall
	Kept         string           // digest of Delivery since something of it was erased; "": it is as it was received
	Due          int64            // when something of Delivery is to be erased, seconds since 1970-01-01 UTC; 0: nothing is left
	Referring    *Referring       // where it refers to another alert; not given back
	Delegating   *Delegating      // where it is a delegation to this member; not given back

	Previous int64            // Seq of the delivery of the same version before; 0: none
	Latest   int              // the highest version that was received of the alert
	Ended    alert.RecallMode // of the recall that was received of the alert, or ""
}

// Ack is a signed acknowledgement of one item, or one to be signed.
type Ack struct {
	Seq   int64
	Token string // the JWS of feed.Ack; "": it is to be signed
	Chain string // where it is to be signed: the feed's chain value at Seq
}

// Reception is what one verified page adds.
type Reception struct {
	Before Position // what the page was verified against
	After  Position
	Items  []Item // Before.Seq+1, Before.Seq+2, … up to After.Seq
	Acks   []Ack
	Erase  // of what was stored before
}

// Alarm is a sign that somebody does not keep to the rules. It stays stored
// with its evidence until an operator has looked into it.
type Alarm struct {
	Kind     string
	At       time.Time
	Detail   string
	Evidence []byte // what was signed: checkpoints, heads, a statement, an acknowledgement
}

// Counts says how much is stored.
type Counts struct {
	Inbox    int64 // deliveries, each of a version delivered again; withheld items not counted
	Withheld int64
	Queued   int64
	Accepted int64
	Refused  int64
	Acks     int64 // waiting
	Purges   int64 // receipts waiting
	Alarms   int64
}

// Package store is the contract between the hub and its database. It is
// implemented by hub/store/sqlite and hub/store/postgres; hub/store/storetest
// holds both to it.
package store

import (
	"context"
	"errors"
	"time"

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

	// Portions returns the portions of an alert version in the order in which they were
	// accepted, without Portion.Audience: those too that are erased from its token. There
	// are none of an alert that is not stored.
	Portions(ctx context.Context, originator alert.MemberID, id alert.ID, version int) ([]Portion, error)

	// Pending returns up to limit deliveries that wait for hand-over to the
	// recipient, oldest first, with the alerts' bytes.
	Pending(ctx context.Context, recipient alert.MemberID, limit int) ([]Delivery, error)

	// Delivered returns up to limit handed-over deliveries after a sequence
	// number, in order, with the alerts' bytes.
	Delivered(ctx context.Context, recipient alert.MemberID, after int64, limit int) ([]Delivery, error)

	// DeliveryOf returns the delivery of one alert version that was handed over to
	// the recipient last, or ErrNotFound: whether there is no such alert or no such
	// delivery can not be told.
	DeliveryOf(ctx context.Context, recipient, originator alert.MemberID, id alert.ID, version int) (*Delivery, error)

	// Handed reports whether any version of an alert was handed over to the recipient.
	Handed(ctx context.Context, recipient, originator alert.MemberID, id alert.ID) (bool, error)

	// Originators returns, for those of the ids under which any alert is
	// stored, whose they are: of the member that first used it.
	Originators(ctx context.Context, ids []alert.ID) (map[alert.ID]alert.MemberID, error)

	// Labels returns up to limit interned labels after a row, in the order of the
	// rows: those under which an alert stands that is standing at a moment, in
	// seconds since 1970-01-01 UTC. Of an alert, the latest version stands until
	// it expires.
	Labels(ctx context.Context, at, after int64, limit int) ([]Label, error)

	// Standing returns up to limit alerts standing at a moment that have a portion
	// under a label, after a row of alerts and in the order of those.
	Standing(ctx context.Context, at, label, after int64, limit int) ([]Standing, error)

	// StandingAlert returns the version of an alert that stands at a moment, or
	// ErrNotFound.
	StandingAlert(ctx context.Context, at int64, originator alert.MemberID, id alert.ID) (*Standing, error)

	// Unsettled returns up to limit deliveries of standing alerts, after a
	// Delivery.ID and in the order of those: all that are pending or withheld, and
	// those that were handed over by a write whose Seen was above since.
	Unsettled(ctx context.Context, at, since, after int64, limit int) ([]Unsettled, error)

	// Held returns the delivery of an alert version that was handed over to the
	// recipient last, of those that are not Delivery.Lost, or ErrNotFound. alertRow
	// is Delivery.AlertRow.
	Held(ctx context.Context, recipient alert.MemberID, alertRow int64) (*Delivery, error)

	// Due returns up to limit alerts of which something is to be erased by a moment,
	// in seconds since 1970-01-01 UTC: those whose Alert.EraseAt is not 0 and not after
	// it, the earliest first, then by row, after a place in that order (the zero Place: from
	// the first).
	Due(ctx context.Context, at int64, after Place, limit int) ([]Due, error)

	// Published returns up to limit alert versions of an originator whose LogIndex lies
	// after an index, in its order; -1: from the first.
	Published(ctx context.Context, originator alert.MemberID, after int64, limit int) ([]Alert, error)

	// Holders returns all hand-overs of all versions of an alert, ordered by recipient,
	// then by sequence number.
	Holders(ctx context.Context, originator alert.MemberID, id alert.ID) ([]Holder, error)

	// Purges returns the purge receipts for all versions of an alert, ordered by
	// recipient, version, cause, portions and moment.
	Purges(ctx context.Context, originator alert.MemberID, id alert.ID) ([]Purge, error)

	// Settled returns how far standing alerts have been decided again.
	Settled(ctx context.Context) (Settled, error)

	// Proposals returns the statements that wait for further signatures, oldest
	// first.
	Proposals(ctx context.Context) ([]Proposal, error)

	// Bundle returns a policy bundle by the digest of its rules, or ErrNotFound.
	Bundle(ctx context.Context, digest string) (*Bundle, error)

	// Bundles returns all policy bundles without their bytes, in the order in which
	// they were stored or took another's place.
	Bundles(ctx context.Context) ([]Bundle, error)

	// Feed returns where a recipient's feed stands. A recipient without
	// deliveries has the zero Feed with Chain "".
	Feed(ctx context.Context, recipient alert.MemberID) (Feed, error)

	// Statements returns up to limit signed statements after a position, in
	// the order in which they were stored.
	Statements(ctx context.Context, after int64, limit int) ([]Statement, error)

	// LogHead returns the audit log's size and root.
	LogHead(ctx context.Context) (LogHead, error)

	// Entries returns up to limit leaves from an index on; none from beyond the
	// log's end. In the place of one that was trimmed stands nil.
	Entries(ctx context.Context, from int64, limit int) ([][]byte, error)

	// Trail returns up to limit leaves after an index that are not trimmed, in order;
	// -1: from the first.
	Trail(ctx context.Context, after int64, limit int) ([]Kept, error)

	// Hashes returns the stored hashes at the indexes (x/mod/sumdb/tlog's
	// stored-hash order); a missing one is an error.
	Hashes(ctx context.Context, indexes []int64) ([]tlog.Hash, error)

	// Subscribe returns a channel of wake-ups from other processes on the same
	// database: recipients with new pending deliveries, or an empty Wake for
	// "anything may have changed" (statements, or wake-ups that were lost).
	// A wake-up is a hint; it may come late, twice or not at all. The
	// channel closes when ctx ends.
	Subscribe(ctx context.Context) (<-chan Wake, error)

	// Used returns what a member takes up.
	Used(ctx context.Context, member alert.MemberID) (Used, error)

	// Scrub makes sure that nothing of what was erased can be read from the database's
	// files, as far as they are its own: the packages of the stores say what that leaves.
	// It reports whether that is so of all that was erased before the call; where it is
	// not, it is worth another call later. It does little where there is nothing to do.
	Scrub(ctx context.Context) (clean bool, err error)

	// Clock returns the time by the database server's clock, and true; or, where there is
	// no server, the moment that Remember was told last, and false: 1970-01-01 UTC before
	// the first.
	Clock(ctx context.Context) (at time.Time, server bool, err error)

	// Remember keeps a moment, in seconds, where there is no server's clock.
	Remember(ctx context.Context, at time.Time) error

	// Ping reports whether the database can be written to.
	Ping(ctx context.Context) error

	// Close waits for calls under way and releases everything.
	Close() error
}

// Write is one conditional change with its audit entries. At most one of the
// pointers is set; with none, the entries are appended unconditionally.
type Write struct {
	Accept    *Accept
	Refuse    *Refuse
	HandOver  *HandOver
	Ack       *Ack
	Statement *Statement
	Resettle  *Resettle
	Proposal  *Proposal
	Bundle    *Bundle
	Erase     *Erase
	Purge     *Purge
	Trim      *Trim
	Entries   [][]byte // audit leaves, none of them empty, appended if and only if the write takes effect

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
	Replay           // Accept, Refuse, Statement, Bundle: stored already with the same bytes; Ack, Purge: at all
	Conflict         // Accept, Statement, Bundle: something else is stored under the same name
	Gap              // Accept, Statement: the predecessor is missing or is another one, or a recall, which nothing but a recall follows
	Stale            // HandOver: the feed has moved on, or a delivery is no longer pending; Proposal, Erase, Trim: see there; any: see Write.Seen
	Unknown          // Ack, Purge: no such delivery was handed over
	Full             // Accept, Statement: see Quota
	Refused          // Accept, Refuse: see Refuse
)

// Result is a write's outcome. Index is the log index of its first entry, -1 if
// it appended none; on a Replay of Accept or Refuse, that of the stored alert, which Prior
// holds. Reason is why it was Refused before. Woken are those, sorted, for whom an Accept made a pending delivery although
// it does not name them: they hold an earlier version.
type Result struct {
	Outcome Outcome
	Index   int64
	Prior   *Alert
	Reason  []byte
	Woken   []alert.MemberID
}

// Accept stores an alert version, interns its labels and makes a pending
// delivery for each recipient. Version n > 1 needs version n-1 of the same
// originator stored with SignedDigest equal to Previous, and that is no recall unless this is one,
// version 1 an empty Previous, else Gap. It must come with an entry: no record, no
// release.
//
// A version ends those before it, for good: their pending and withheld deliveries
// become Dropped, and each recipient of one that was handed over, lost or not, gets a
// pending delivery of this one, whether or not it is named. Unless Keep says otherwise
// the versions before are to be erased now: those whose EraseAt is not 0 get EndsAt as it,
// or this one's AcceptedAt where that is 0, unless theirs is earlier, and become Due.Over;
// those that are so already keep what they have.
// So the AcceptedAt of a version n > 1 must be above 0.
type Accept struct {
	Alert
	Portions   []Portion
	Recipients []alert.MemberID // each once
	Keep       bool             // what is stored of the versions before stays until its own time
	EndsAt     int64            // seconds since 1970-01-01 UTC; see above
	Quota      Quota
}

// Refuse remembers that a member was refused an alert as it was sent, and why: of an Accept
// and a Refuse of the same bytes the one that comes first decides, in whichever processes
// they are made. Its condition: these bytes are not stored as the version that it names, if
// it names one, else Replay; and are not refused already, else Refused. It must come with an
// entry.
type Refuse struct {
	Originator alert.MemberID
	ID         alert.ID // "", and Version 0: not known
	Version    int
	Digest     [32]byte // SHA-256 of the token as sent
	Reason     []byte   // not empty
}

// Alert is a stored alert version.
type Alert struct {
	Originator   alert.MemberID
	ID           alert.ID
	Version      int
	Token        string   // the SD-JWT with all disclosures, or with those that are not erased
	Digest       [32]byte // SHA-256 of the token as sent
	SignedDigest string   // SHA-256 of the signed part, base64url
	Previous     string   // SignedDigest of the version before, or ""
	IssuedAt     int64    // seconds since 1970-01-01 UTC, as are the others
	Expires      int64
	AcceptedAt   int64
	EraseAt      int64 // when something of Token is to be erased next; 0: nothing is left that could be
	Recall       bool  // it ends the alert, and has no portions
	Refers       bool  // it is feedback to another alert
	LogIndex     int64 // of the admission's first entry; set by the store
}

// Portion is one portion's place among the interned labels: LabelKey is
// alert.Label.ReleaseKey. Audience is what Label.Audience becomes if the label is
// interned now; a label that is known keeps its own.
type Portion struct {
	ID       alert.PortionID
	LabelKey string
	Audience []byte
}

// Label is an interned label.
type Label struct {
	Row        int64
	Originator alert.MemberID
	Key        string // alert.Label.ReleaseKey
	Audience   []byte // the decision up to which its alerts are settled, as the hub encodes it; nil: none
}

// Standing is an alert version that stands.
type Standing struct {
	Row        int64
	Originator alert.MemberID
	ID         alert.ID
	Version    int
	Digest     [32]byte // SHA-256 of the token
	IssuedAt   int64
	Expires    int64
	Refers     bool
	Labels     []int64 // rows of its portions' labels, sorted, each once
}

// Unsettled is a delivery on which a pass over all must look: see Store.Unsettled.
type Unsettled struct {
	ID        int64 // Delivery.ID
	Recipient alert.MemberID
	State     State
	Seen      int64 // Write.Seen of the HandOver or Resettle that brought it into its state last; 0 while it is as its Accept made it
	Alert     Standing
}

// State says what has become of a delivery.
type State int

// The states of a delivery, as both databases keep them.
const (
	Pending  State = iota
	Handed         // it has its place in the feed
	Withheld       // a later Resettle may renew it
	Dropped        // for good
)

// Resettle brings what waits for hand-over, and what is known of what was handed
// over, up to a later decision. It always takes effect, as far as it still can:
// each part passes over what is no longer so.
type Resettle struct {
	Renew   []Claim  // get a pending delivery each: one that was withheld, or else a new one; none where one is pending
	Lost    []int64  // Delivery.ID of handed-over ones that become Delivery.Lost, for good
	Labels  []Label  // whose Audience is remembered; only Row and Audience are looked at
	Settled *Settled // where a pass over all is done: never back to an earlier position or, at the same, an earlier moment
}

// Claim is a recipient of an alert version that may get more of it than it has. Where
// a later version is stored nobody may: it is passed over.
type Claim struct {
	AlertRow  int64
	Recipient alert.MemberID
}

// Settled says up to where standing alerts have been decided again.
type Settled struct {
	Position int64 // of the last statement
	At       int64 // the moment whose validities counted, seconds since 1970-01-01 UTC
}

// Proposal is a statement that does not yet have all signatures. Its condition:
// the proposal of that digest is stored with Edition-1, or is not stored where
// Edition is 1; else Stale. Without Raw it is removed. Proposals of a type and
// subject go when a statement of their revision, or a later one, is stored.
type Proposal struct {
	Digest   string // of the payload, base64url
	Edition  int64  // counts the changes, from 1
	Type     string
	Subject  string
	Revision int64
	By       alert.MemberID // who proposed it
	At       int64          // when it was proposed, seconds since 1970-01-01 UTC
	Raw      []byte         // the general JWS with the signatures that are there
}

// Bundle is a policy bundle. Its condition: none is stored under the digest, or one
// of a lower revision, whose place it takes, as the youngest; of the same revision
// and bytes it is a Replay, else a Conflict.
type Bundle struct {
	Digest   string // of its rules, base64url
	Revision int64
	By       alert.MemberID // who brought it
	At       int64          // seconds since 1970-01-01 UTC
	Raw      []byte
}

// HandOver gives the next sequence numbers of a recipient's feed to pending
// deliveries and marks others as withheld, which a later Resettle may renew, or as
// dropped, for good. Its condition: the feed stands at After and every delivery
// named is still pending.
type HandOver struct {
	Recipient alert.MemberID
	After     int64  // the feed's Seq before
	Chain     string // the last item's; not looked at without items
	Items     []HandedOver
	Withheld  []int64 // Delivery.ID
	Dropped   []int64 // Delivery.ID: it holds nothing that the recipient does not have, or never will again
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
	AlertRow   int64
	Alert      Alert
	HandedOver // zero but for ID while pending
	Acked      bool
	Lost       bool // handed over, and served again without content: the recipient holds nothing of it, whatever its receipt says
	Superseded bool // a later version of the alert is stored
	Follows    bool // an earlier version of the alert was handed over to the recipient
	Renewed    bool // made or taken back by a Resettle: the recipient may hold an earlier one of this version
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

	// Of is the member among whose Used.Statements a first revision counts, "": nobody's.
	// Where it has as many as Quota, unless that is 0, the statement is Full. Both are not
	// stored with it.
	Of    alert.MemberID
	Quota int64
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

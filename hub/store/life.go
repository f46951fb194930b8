package store

import "github.com/entente-hub/entente/api/alert"

// Place is a place in the order of what is due: a moment and a row.
type Place struct{ EraseAt, Row int64 }

// Due is an alert of which something is to be erased.
type Due struct {
	Row int64
	Alert
	Over bool // a later version has ended it: all of it
}

// Erase replaces the token of an alert by one with less disclosed. Its condition: the
// alert's EraseAt is still Before and, where it is Due.Over, nothing shall be left; else
// Stale. What was the token before was stored under a key that is gone with it: see
// Store.Scrub.
type Erase struct {
	Row     int64
	Before  int64 // Alert.EraseAt, above 0
	Token   string
	EraseAt int64 // the next time, after Before; 0: nothing is left
}

// Used is what a member takes up: its live alert versions, that is those of which something
// is to be erased yet and which no later version has ended; the bytes of their tokens; and
// the first revisions of statements that count as its own.
type Used struct{ Alerts, Bytes, Statements int64 }

// Quota bounds what a member's live alerts take up; 0: no bound. An Accept that would take
// Used.Alerts or Used.Bytes of the originator above its bound is Full, unless it adds
// nothing to that figure: what ends as much as it brings always passes.
type Quota struct{ Alerts, Bytes int64 }

// Holder is one hand-over of an alert.
type Holder struct {
	Recipient alert.MemberID
	Version   int
	Seq       int64
	Chain     string // the feed's chain value at Seq
	Facts     []byte // HandedOver.Facts
	Receipt   string // the acknowledgement, a JWS; "": none
	Lost      bool   // Delivery.Lost
}

// Purge is a recipient's signed word that it has erased what it held of an alert
// version. Its condition: the version was handed over to the recipient, else Unknown.
// The first of a recipient, version and cause whose portions and moment are the same
// stays: another is a Replay. Whose alert it is about is the recipient's own word: where no
// alert could have such a name it is Unknown too.
type Purge struct {
	Recipient  alert.MemberID
	Originator alert.MemberID
	ID         alert.ID
	Version    int
	Cause      string
	Portions   string // JSON, sorted: what has been erased
	At         int64  // when, by the recipient's clock, seconds since 1970-01-01 UTC
	Receipt    string // the JWS
}

// Kept is a leaf of the log that is not trimmed.
type Kept struct {
	Index int64
	Leaf  []byte
}

// MaxTrim bounds the leaves that one Trim erases.
const MaxTrim = 4096

// Trim erases leaves of the log, at most MaxTrim. Their hashes stay, so that the tree,
// its root and all proofs are as before. Its condition: each leaf named was there before
// the Commit and is not trimmed yet; else Stale. It must come with an entry: nothing is
// removed without a record. When what was erased is gone from the database the packages
// of the stores say.
type Trim struct {
	Runs []Run // one or more, ascending, with a leaf or more between two of them
}

// Run is a run of leaves, by index.
type Run struct{ First, Last int64 }

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
// Stale. What was the token before is gone from the database when the store has had the
// time to reuse its pages: the packages of the stores say when that is.
type Erase struct {
	Row     int64
	Before  int64 // Alert.EraseAt, above 0
	Token   string
	EraseAt int64 // the next time, after Before; 0: nothing is left
}

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
// The first of a recipient, version and cause whose portions are the same stays:
// another is a Replay. Whose alert it is about is the recipient's own word: where no
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

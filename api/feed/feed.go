// Package feed holds what passes between hub and nodes about alerts:
// deliveries in a gapless, chained feed, its signed head, and receipts
// (DESIGN section 6, steps 6 to 8).
package feed

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/strictjson"
)

// JWS "typ" of the signed messages.
const (
	ReceiptType = "entente-receipt+jwt"
	HeadType    = "entente-feed-head+jwt"
	AckType     = "entente-ack+jwt"
	PurgeType   = "entente-purge+jwt"
)

// ErrInvalid is wrapped by Parse where a field is missing or out of its range.
var ErrInvalid = errors.New("a field is missing or out of range")

// MaxPage bounds the deliveries of one page.
const MaxPage = 100

// Kind is what one recipient gets of one portion.
type Kind string

// The kinds of release. None never travels.
const (
	Content   Kind = "content"
	Existence Kind = "existence" // "there is a hit, ask the originator"
	None      Kind = "none"
)

// Release is what the recipient of a delivery got of one portion, on which
// agreements it rests, and what binds the recipient.
type Release struct {
	Portion     alert.PortionID `json:"portion"`
	Kind        Kind            `json:"kind"`                  // content or existence
	Agreements  []string        `json:"agreements,omitempty"`  // statement digests, sorted
	Emergency   string          `json:"emergency,omitempty"`   // digest of the statement without which it were not released
	Obligations *Obligations    `json:"obligations,omitempty"` // with content only
}

// Obligations bind the recipient of content.
type Obligations struct {
	Purposes  []alert.Purpose  `json:"purposes"`   // the label's that the agreements share
	HoldUntil int64            `json:"hold_until"` // end of lawful holding, seconds since 1970-01-01 UTC
	Onward    bool             `json:"onward"`     // may be passed on, subject to the label
	Handling  []alert.Handling `json:"handling,omitempty"`
}

// Delivery is one released view of an alert in one recipient's feed.
type Delivery struct {
	Alert      string    `json:"alert"`       // the SD-JWT, reduced to the releases
	Releases   []Release `json:"releases"`    // in the order of the portions; none: the version before is over, and no more is said
	Revision   string    `json:"revision"`    // federation.World.Revision decided upon
	Policy     string    `json:"policy"`      // digest of the policy bundle that decided
	ReleasedAt int64     `json:"released_at"` // seconds since 1970-01-01 UTC
}

// MarshalJSON writes no releases as [], never as null, which no reader accepts.
func (d Delivery) MarshalJSON() ([]byte, error) {
	type plain Delivery
	if d.Releases == nil {
		d.Releases = []Release{}
	}
	return json.Marshal(plain(d))
}

// MarshalJSON writes no purposes as [].
func (o Obligations) MarshalJSON() ([]byte, error) {
	type plain Obligations
	if o.Purposes == nil {
		o.Purposes = []alert.Purpose{}
	}
	return json.Marshal(plain(o))
}

// Digest returns the SHA-256 of the delivery's one encoding, base64url.
func (d Delivery) Digest() string {
	b, err := json.Marshal(d)
	if err != nil {
		panic("feed: a delivery of strings does not encode: " + err.Error())
	}
	return encode(sha256.Sum256(b))
}

// Item is one place in a feed. Delivery is nil where what stood there may no
// longer be released: its digest keeps the chain whole.
type Item struct {
	Seq      int64     `json:"seq"` // from 1, without gaps
	Digest   string    `json:"digest"`
	Delivery *Delivery `json:"delivery,omitempty"`
}

// Page is an answer to a poll: the items after the cursor, in order, and the
// head that they lead to. Without items the head stands at the cursor.
type Page struct {
	Items []Item `json:"items"`
	Head  string `json:"head"` // JWS of Head, by a hub key
}

// MarshalJSON writes no items as [], never as null.
func (p Page) MarshalJSON() ([]byte, error) {
	type plain Page
	if p.Items == nil {
		p.Items = []Item{}
	}
	return json.Marshal(plain(p))
}

// Head says where a feed stands after a page.
type Head struct {
	Issuer     federation.HubID `json:"iss"`
	Recipient  alert.MemberID   `json:"aud"`
	Seq        int64            `json:"seq"`        // of the page's last item
	Chain      string           `json:"chain"`      // Next over all items up to Seq
	IssuedAt   int64            `json:"iat"`        // seconds since 1970-01-01 UTC
	Checkpoint string           `json:"checkpoint"` // the audit log's, a C2SP signed note

	// Acked is the last item that the recipient has acknowledged, 0 for none. A node that
	// has followed its feed less far has lost what it had stored, or another has its keys.
	Acked int64 `json:"acked,omitempty"`
}

// Origin is the name of a hub's audit log in its checkpoints.
func Origin(hub federation.HubID) string { return "entente/" + string(hub) }

// ChainStart is the chain value before a feed's first item.
func ChainStart(recipient alert.MemberID) string {
	return encode(sha256.Sum256([]byte("entente feed 1\n" + string(recipient) + "\n")))
}

// Next returns the chain value after an item: SHA-256 over the value before,
// the sequence number and the delivery's digest.
func Next(chain string, seq int64, digest string) string {
	return encode(sha256.Sum256([]byte(chain + "\n" + strconv.FormatInt(seq, 10) + "\n" + digest + "\n")))
}

// Receipt is the hub's signed word that it has accepted an alert for good: the
// alert, its deliveries and its audit entries are on stable storage.
type Receipt struct {
	Issuer     federation.HubID `json:"iss"`
	Originator alert.MemberID   `json:"aud"`
	Alert      alert.ID         `json:"sub"`
	Version    int              `json:"ver"`
	Digest     string           `json:"digest"`    // SHA-256 of the alert as sent, base64url
	AcceptedAt int64            `json:"iat"`       // seconds since 1970-01-01 UTC
	LogIndex   int64            `json:"log_index"` // of the admission's audit entry
}

// Ack is a node's signed word that it has verified and stored a delivery.
type Ack struct {
	Issuer   alert.MemberID   `json:"iss"`
	Hub      federation.HubID `json:"aud"`
	Seq      int64            `json:"seq"`
	Chain    string           `json:"chain"` // the chain value at Seq
	IssuedAt int64            `json:"iat"`   // seconds since 1970-01-01 UTC
}

// Cause says why a node has erased what it held.
type Cause string

// The causes of erasure.
const (
	Recalled   Cause = "recalled"   // the originator has recalled the alert, to be purged
	Superseded Cause = "superseded" // a later version does not release it any more
	Ended      Cause = "ended"      // the alert has expired, or lawful holding has ended
)

// Purge is a node's signed word that it has erased what was disclosed to it of an
// alert version: of the portions named it holds nothing but the digests that the
// signature covers.
type Purge struct {
	Issuer     alert.MemberID    `json:"iss"`
	Hub        federation.HubID  `json:"aud"`
	Originator alert.MemberID    `json:"orig"`
	Alert      alert.ID          `json:"sub"`
	Version    int               `json:"ver"`
	Digest     string            `json:"digest"` // SHA-256 of the version's signed part, base64url
	Cause      Cause             `json:"cause"`
	Portions   []alert.PortionID `json:"portions"` // sorted; at least one
	IssuedAt   int64             `json:"iat"`      // seconds since 1970-01-01 UTC
}

// Parse decodes a signed message's payload, strictly: every field must be
// there. T is Head, Receipt, Ack or Purge. Errors wrap ErrInvalid or
// strictjson.ErrStrict.
func Parse[T Head | Receipt | Ack | Purge](payload []byte) (T, error) {
	var v T
	if err := strictjson.Unmarshal(payload, &v); err != nil {
		return v, fmt.Errorf("feed: %T: %w", v, err)
	}
	var ok bool
	switch m := any(v).(type) {
	case Head:
		ok = m.Issuer != "" && m.Recipient != "" && m.Seq >= 0 && isDigest(m.Chain) && isTime(m.IssuedAt) && m.Checkpoint != "" && m.Acked >= 0
	case Receipt:
		ok = m.Issuer != "" && m.Originator != "" && m.Alert != "" && m.Version >= 1 && isDigest(m.Digest) &&
			isTime(m.AcceptedAt) && m.LogIndex >= 0
	case Ack:
		ok = m.Issuer != "" && m.Hub != "" && m.Seq >= 1 && isDigest(m.Chain) && isTime(m.IssuedAt)
	case Purge:
		ok = m.Issuer != "" && m.Hub != "" && m.Originator != "" && m.Alert != "" && m.Version >= 1 && isDigest(m.Digest) &&
			(m.Cause == Recalled || m.Cause == Superseded || m.Cause == Ended) && isSet(m.Portions) && isTime(m.IssuedAt)
	}
	if !ok {
		var none T
		return none, fmt.Errorf("feed: %T: %w", v, ErrInvalid)
	}
	return v, nil
}

// isSet reports whether portions are sorted, each named once, and at least one.
func isSet(portions []alert.PortionID) bool {
	if len(portions) == 0 || len(portions) > alert.MaxPortions {
		return false
	}
	for i, p := range portions {
		if p == "" || i > 0 && portions[i-1] >= p {
			return false
		}
	}
	return true
}

func isTime(t int64) bool { return t > 0 && t <= alert.MaxTime }

func isDigest(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == sha256.Size && len(s) == base64.RawURLEncoding.EncodedLen(sha256.Size)
}

func encode(sum [sha256.Size]byte) string { return base64.RawURLEncoding.EncodeToString(sum[:]) }

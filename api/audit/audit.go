// Package audit holds the entries of the hub's audit log: what every leaf of
// the Merkle tree says. Nothing here is content: alerts are named by id and
// digest, portions by id.
package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/strictjson"
)

// ErrInvalid is wrapped by Parse for strict JSON that is no entry.
var ErrInvalid = errors.New("audit: invalid entry")

// Kind says what an entry records.
type Kind string

// The kinds of entry.
const (
	Decided   Kind = "decision"  // what one label of an originator means at one revision, for everybody
	Admission Kind = "admission" // an alert was accepted; its portions refer to decisions
	Refusal   Kind = "refusal"   // something was refused; Problem says as what
	Release   Kind = "release"   // a delivery was handed over
	Withheld  Kind = "withheld"  // a delivery fell to a later revision before hand-over
	Received  Kind = "received"  // a recipient's signed acknowledgement
	Preview   Kind = "preview"   // somebody asked who would get what
	Statement Kind = "statement" // a statement came into force
	Proposal  Kind = "proposal"  // a statement was brought with some of its signatures
	Declined  Kind = "declined"  // a proposal was declined or withdrawn
	Bundle    Kind = "bundle"    // a policy bundle was brought
	Settled   Kind = "settled"   // standing alerts were decided again
	Erased    Kind = "erased"    // the hub has erased content of an alert that ended
	Purged    Kind = "purged"    // a recipient's signed word that it has
	Holders   Kind = "holders"   // an originator asked who holds an alert of its own, or what it has published
	Simulated Kind = "simulated" // past decisions were replayed under other rules
	Trimmed   Kind = "trimmed"   // the hub has erased what older entries say; never erased itself
)

// A salt's length in characters: crypto/rand.Text gives 26 of five bits each.
const (
	minSalt = 26
	maxSalt = 64
)

// Entry is one leaf. At is in microseconds since 1970-01-01 UTC.
type Entry struct {
	Version   int            `json:"v"`    // 1
	Salt      string         `json:"salt"` // at least 128 random bits: whoever sees a leaf's hash can not guess the leaf
	At        int64          `json:"at"`
	Kind      Kind           `json:"kind"`
	Actor     string         `json:"actor"`           // who acted: a member, or the hub
	Alert     *Alert         `json:"alert,omitempty"` // nil where it could not be read: none of its fields may be empty
	Recipient alert.MemberID `json:"recipient,omitempty"`
	Seq       int64          `json:"seq,omitempty"`
	Releases  []feed.Release `json:"releases,omitempty"` // of Release
	Portions  []Portion      `json:"portions,omitempty"` // of Admission and Preview
	Decision  *Decision      `json:"decision,omitempty"` // of Decided
	Revision  string         `json:"revision,omitempty"`
	Policy    string         `json:"policy,omitempty"`
	Problem   string         `json:"problem,omitempty"` // problem type of a refusal
	Codes     []string       `json:"codes,omitempty"`
	Statement *Named         `json:"statement,omitempty"`
	Proof     string         `json:"proof,omitempty"`     // of Received: the signed acknowledgement
	Resettled *Resettled     `json:"resettled,omitempty"` // of Settled
	Cause     string         `json:"cause,omitempty"`     // of Erased and Purged: a feed.Cause

	Erased []alert.PortionID `json:"erased,omitempty"` // of Erased and Purged
	Trim   *Trim             `json:"trim,omitempty"`   // of Trimmed
}

// Alert names an alert version and its bytes.
type Alert struct {
	Originator alert.MemberID `json:"iss"`
	ID         alert.ID       `json:"sub"`
	Version    int            `json:"ver"`
	Digest     string         `json:"digest"` // SHA-256 of the alert as sent, base64url
}

// Portion says under which decided label a portion stands.
type Portion struct {
	Portion alert.PortionID `json:"portion"`
	Label   string          `json:"label"` // Decision.Label
}

// Decision is what one label of an originator means for everybody. It goes
// into the log with the first admission that rests on it at a revision.
type Decision struct {
	Label     string                      `json:"label"` // SHA-256 of originator, a line feed and policies.World.Key, base64url
	Content   []alert.MemberID            `json:"content,omitempty"`
	Existence []alert.MemberID            `json:"existence,omitempty"`
	Refused   map[string][]alert.MemberID `json:"refused,omitempty"` // reason code → members refused content
}

// Resettled counts what a pass over standing alerts has changed.
type Resettled struct {
	Labels   int64 `json:"labels"`   // decided otherwise than before
	Renewed  int64 `json:"renewed"`  // deliveries that wait for hand-over because of it
	Withheld int64 `json:"withheld"` // deliveries that do not any more
}

// Named names a statement, or a policy bundle.
type Named struct {
	Type     string `json:"type"`
	Subject  string `json:"sub"`
	Revision int64  `json:"rev"`
	Digest   string `json:"digest"`
}

// Leaf returns the entry's encoding, which is what the log commits to.
func (e Entry) Leaf() []byte {
	e.Version = 1
	b, err := json.Marshal(e)
	if err != nil {
		panic("audit: an entry of strings does not encode: " + err.Error())
	}
	// What is not UTF-8 is encoded as an escaped replacement character, which
	// when read and written again is none: the second encoding is the one.
	var again Entry
	if bytes.Contains(b, []byte(`\ufffd`)) && json.Unmarshal(b, &again) == nil {
		if c, err := json.Marshal(again); err == nil {
			return c
		}
	}
	return b
}

// MarshalJSON leaves out reason codes under which nobody was refused.
func (d Decision) MarshalJSON() ([]byte, error) {
	type plain Decision
	refused := make(map[string][]alert.MemberID, len(d.Refused))
	for code, members := range d.Refused {
		if len(members) > 0 {
			refused[code] = members
		}
	}
	d.Refused = refused
	return json.Marshal(plain(d))
}

// Parse reads a leaf. Only the bytes that Leaf writes are accepted, so that an
// entry and its hash in the log stand for one another.
func Parse(leaf []byte) (Entry, error) {
	var e Entry
	if err := strictjson.Unmarshal(leaf, &e); err != nil {
		return Entry{}, fmt.Errorf("audit: %w", err)
	}
	if e.Version != 1 {
		return Entry{}, fmt.Errorf("%w: version %d is not known", ErrInvalid, e.Version)
	}
	if len(e.Salt) < minSalt || len(e.Salt) > maxSalt {
		return Entry{}, fmt.Errorf("%w: salt of %d characters", ErrInvalid, len(e.Salt))
	}
	switch e.Kind {
	case Decided, Admission, Refusal, Release, Withheld, Received, Preview, Statement, Proposal, Declined, Bundle, Settled, Erased, Purged, Holders, Simulated, Trimmed:
	default:
		return Entry{}, fmt.Errorf("%w: kind %.40q is not known", ErrInvalid, e.Kind)
	}
	if (e.Kind == Trimmed) != (e.Trim != nil) {
		return Entry{}, fmt.Errorf("%w: trim goes with the kind %q, and with no other", ErrInvalid, Trimmed)
	}
	if e.Trim != nil {
		if err := e.Trim.validate(e.At); err != nil {
			return Entry{}, err
		}
	}
	if !bytes.Equal(e.Leaf(), leaf) {
		return Entry{}, fmt.Errorf("%w: not in its one encoding", ErrInvalid)
	}
	return e, nil
}

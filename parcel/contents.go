package parcel

import (
	"encoding/json"

	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/tlog"
)

// Outcome is what the hub has answered when something was handed over: an alert, an
// acknowledgement, a purge receipt or a statement.
type Outcome struct {
	Digest  string            `json:"digest"`            // SHA-256 of its bytes, base64url
	Receipt string            `json:"receipt,omitempty"` // of an alert that was accepted: the JWS of feed.Receipt
	Problem *problem.Document `json:"problem,omitempty"` // where the hub has refused it
}

// ProblemOf is the refusal in an error of a hub's, without what names an occurrence; nil
// for nil.
func ProblemOf(err error) *problem.Document {
	if err == nil {
		return nil
	}
	d := problem.Describe(err, "")
	return &d
}

// PublishedAlert is an alert of the member's own as the hub has it.
type PublishedAlert struct {
	Index   int64  `json:"index"` // of the log, as the receipt says
	Alert   string `json:"alert"`
	Receipt string `json:"receipt"`
}

// PlacedStatement is a statement at its position in the hub's list.
type PlacedStatement struct {
	Position  int64           `json:"position"`
	Statement json.RawMessage `json:"statement"`
}

// FeedPage is the hub's answer to a poll: a page, or a refusal.
type FeedPage struct {
	Page    *feed.Page        `json:"page,omitempty"`
	Problem *problem.Document `json:"problem,omitempty"`
}

// Proof is that the log of size New begins with that of size Old.
type Proof struct {
	Old    int64    `json:"old"`
	New    int64    `json:"new"`
	Hashes [][]byte `json:"hashes"` // base64
}

// NewProof writes a proof down.
func NewProof(older, newer int64, path tlog.ConsistencyPath) Proof {
	p := Proof{Old: older, New: newer, Hashes: make([][]byte, len(path))}
	for i, h := range path {
		p.Hashes[i] = h[:]
	}
	return p
}

// Path returns the proof as it was. The error wraps ErrParcel.
func (p Proof) Path() (tlog.ConsistencyPath, error) {
	path := make(tlog.ConsistencyPath, len(p.Hashes))
	for i, h := range p.Hashes {
		if len(h) != tlog.HashSize {
			return nil, bad("a proof with a hash of %d bytes", len(h))
		}
		path[i] = tlog.Hash(h)
	}
	return path, nil
}

// Package parcel is the file in which what a node and its hub have to say to one
// another is carried by hand, where there is no network between them: bytes and
// files, nothing of how they travel.
//
// A parcel is, in this order: the line [Format]; the bodies of its parts, one after
// the other; a compact JWS (RFC 7515 section 7.1) over its [Manifest], which has the
// size and the SHA-256 of each; and a last line with the JWS's length in sixteen
// hexadecimal digits. Whoever makes one signs with the key of the member's TLS
// certificate, which the JWS carries (x5c, section 4.1.6): it is believed as far as it
// leads to an authority that the reader has pinned, and names the reader's own member.
//
// The signature says who has packed a parcel. What the parts say is verified besides,
// as if it had come over the wire.
package parcel

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/strictjson"
)

// Format is the first line of a parcel, and says how the rest is written.
const Format = "entente-parcel/1"

// Type is the typ of the JWS over a manifest.
const Type = "entente-parcel+jwt"

// Limits. All are checked before anything is allocated for what they bound.
const (
	MaxParts    = 1 << 16   // parts of a parcel
	MaxPart     = 160 << 20 // bytes of a part; a page of the feed has at most 128 MiB
	MaxManifest = 16 << 20  // bytes of a manifest, and of the JWS over it
	maxChain    = 4         // certificates in a JWS
)

// idSize is the size of a parcel's id, in bytes.
const idSize = 16

// maxTime is the end of the year 9999, in seconds.
const maxTime = 253402300799

// footerSize is the size of the last line: the JWS's length, between line ends.
const footerSize = 1 + 16 + 1

// ErrParcel is wrapped by every refusal of a file that is no intact parcel.
var ErrParcel = errors.New("not an intact parcel")

// ErrSigner is wrapped where a parcel is intact, but not signed by whom it must be.
var ErrSigner = errors.New("the parcel's signature does not hold")

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrParcel}, args...)...)
}

// Bound says which way a parcel goes.
type Bound string

// The ways.
const (
	ToHub  Bound = "to-hub"  // made by a node: what it would have sent, and asked for
	ToNode Bound = "to-node" // made by who carried that to the hub: what the hub has answered
)

// Kind says what a part holds.
type Kind string

// The kinds of part.
const (
	Alerts      Kind = "alerts"      // to the hub: signed alerts, []string
	Acks        Kind = "acks"        // to the hub: signed acknowledgements, []string
	Purges      Kind = "purges"      // to the hub: signed purge receipts, []string
	Submissions Kind = "submissions" // to the hub: statements that the node has signed, []string

	Outcomes   Kind = "outcomes"   // to the node: what became of what was handed over, []Outcome
	Published  Kind = "published"  // to the node: the member's own alerts at the hub, []PublishedAlert
	Statements Kind = "statements" // to the node: the hub's list of statements, []PlacedStatement
	Pages      Kind = "page"       // to the node: one answer to a poll, FeedPage
	Checkpoint Kind = "checkpoint" // to the node: the audit log's signed checkpoint, string
	Proofs     Kind = "proofs"     // to the node: that the log has only grown, []Proof
)

var kinds = map[Bound][]Kind{
	ToHub:  {Alerts, Acks, Purges, Submissions},
	ToNode: {Outcomes, Published, Statements, Pages, Checkpoint, Proofs},
}

// Manifest says what a parcel is and what is in it.
type Manifest struct {
	Format   string           `json:"format"`
	Bound    Bound            `json:"bound"`
	Member   alert.MemberID   `json:"member"`
	Hub      federation.HubID `json:"hub"`
	ID       string           `json:"id"`             // 16 random bytes, base64url
	Re       string           `json:"re,omitempty"`   // to a node: the id of the parcel that it answers
	MadeAt   int64            `json:"made_at"`        // seconds since 1970-01-01 UTC, by its maker's clock
	Standing Standing         `json:"standing"`       // of the node, when it packed what this is or answers
	More     bool             `json:"more,omitempty"` // to a node: the feed goes on after the last page
	Parts    []Part           `json:"parts"`
}

// Standing is where a node stands: what it would ask the hub for next.
type Standing struct {
	Cursor         int64 `json:"cursor"`          // sequence number of the last item of the feed that it has
	LogSize        int64 `json:"log_size"`        // entries of the audit log that it has a verified checkpoint of; 0: none
	PublishedAfter int64 `json:"published_after"` // index of the last of its own alerts that it knows to be accepted; -1: none
}

// Part is one part of a parcel. After and Last bound what it holds of a list of the
// hub's: positions of statements, indexes of the log for published alerts, sequence
// numbers for a page; 0 for all other kinds.
type Part struct {
	Kind   Kind   `json:"kind"`
	After  int64  `json:"after,omitempty"` // what was asked for: all that follows this
	Last   int64  `json:"last,omitempty"`  // the last that was answered; After where there was nothing
	Size   int64  `json:"size"`            // in bytes
	SHA256 string `json:"sha256"`          // hexadecimal
}

func (m Manifest) text() ([]byte, error) { return json.Marshal(m) }

// parseManifest reads a manifest and holds it to all that can be said without the
// parts. There is one text for each manifest.
func parseManifest(raw []byte) (Manifest, error) {
	var m Manifest
	if len(raw) > MaxManifest {
		return m, bad("the manifest has more than %d bytes", MaxManifest)
	}
	if err := strictjson.Unmarshal(raw, &m); err != nil {
		return m, bad("manifest: %w", err)
	}
	if err := m.validate(); err != nil {
		return Manifest{}, err
	}
	if again, err := m.text(); err != nil || !bytes.Equal(again, raw) {
		return Manifest{}, bad("the manifest is not written as a parcel's is")
	}
	return m, nil
}

func (m Manifest) validate() error {
	_, memberErr := alert.ParseMemberID(string(m.Member))
	switch {
	case m.Format != Format:
		return bad("it has the format %.40q, this program reads %s", m.Format, Format)
	case kinds[m.Bound] == nil:
		return bad("it is bound for %.20q", string(m.Bound))
	case memberErr != nil || m.Hub == "":
		return bad("manifest: member or hub")
	case !isID(m.ID) || (m.Bound == ToNode) != isID(m.Re) || m.Bound == ToHub && m.Re != "":
		return bad("manifest: ids")
	case m.MadeAt <= 0 || m.MadeAt > maxTime:
		return bad("manifest: time")
	case m.More && m.Bound != ToNode:
		return bad("it is a parcel to a hub, and says that there is more")
	case len(m.Parts) > MaxParts:
		return bad("it has %d parts; at most %d are read", len(m.Parts), MaxParts)
	}
	if s := m.Standing; s.Cursor < 0 || s.LogSize < 0 || s.PublishedAfter < -1 {
		return bad("manifest: standing")
	}
	for i, p := range m.Parts {
		if err := p.validate(m.Bound); err != nil {
			return bad("part %d: %w", i, err)
		}
	}
	return nil
}

func (p Part) validate(b Bound) error {
	digest, err := hex.DecodeString(p.SHA256)
	ranged := p.Kind == Published || p.Kind == Statements || p.Kind == Pages
	switch {
	case !slices.Contains(kinds[b], p.Kind):
		return fmt.Errorf("kind %.20q", string(p.Kind))
	case p.Size < 0 || p.Size > MaxPart:
		return fmt.Errorf("%d bytes; at most %d are read", p.Size, int64(MaxPart))
	case err != nil || len(digest) != 32 || hex.EncodeToString(digest) != p.SHA256:
		return errors.New("its digest is no SHA-256 in small hexadecimal digits")
	case !ranged && (p.After != 0 || p.Last != 0), p.After < -1, p.Last < p.After, p.After < 0 && p.Kind != Published:
		return fmt.Errorf("%s from %d to %d", p.Kind, p.After, p.Last)
	}
	return nil
}

// isID accepts 16 bytes in base64url without padding.
func isID(s string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(raw) == idSize && base64.RawURLEncoding.EncodedLen(idSize) == len(s)
}

// copyExactly copies n bytes, no more and no less.
func copyExactly(to io.Writer, from io.Reader, n int64) error {
	_, err := io.CopyN(to, from, n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// Package alert holds what is said in an alert: its signed payload, portions,
// labels and gradings, each parsed once into a type that can hold nothing
// malformed (DESIGN sections 4 and 5). It says nothing about who signed.
package alert

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/entente-hub/entente/api/strictjson"
)

// Type is the JWS "typ" of an alert.
const Type = "entente-alert+sd-jwt"

// Names of the disclosures nested in a portion.
const (
	LabelName   = "label"
	ContentName = "content"
)

// Payload is the clear part of an alert, what the signature covers and every
// recipient sees: originator, id, version and times, and digests.
type Payload struct {
	Issuer   MemberID    `json:"iss"`
	Subject  ID          `json:"sub"`
	Version  int         `json:"ver"`            // from 1
	Previous string      `json:"prev,omitempty"` // SHA-256 of version ver-1's signed part, base64url
	JTI      string      `json:"jti"`            // unique to these bytes: 16 random bytes, base64url
	IssuedAt int64       `json:"iat"`            // seconds since 1970-01-01 UTC
	Expires  int64       `json:"exp"`            // seconds since 1970-01-01 UTC
	SDAlg    string      `json:"_sd_alg"`        // "sha-256"
	Portions []DigestRef `json:"portions"`       // real portions and decoys, indistinguishable; none in a recall

	Recall *Recall    `json:"recall,omitempty"` // this version ends the alert
	Re     *Reference `json:"re,omitempty"`     // this alert is feedback to another

	Delegate *Delegation `json:"delegate,omitempty"` // another member is to publish it as its own
}

// DigestRef stands for a concealed array element (RFC 9901 section 4.2.4.2).
type DigestRef struct {
	Digest string `json:"..."`
}

// Portion is the unit of release. Label and Content are nil where they are not
// disclosed; a holder with neither has the portion's existence.
type Portion struct {
	ID      PortionID
	Notice  string // what a hit may say, e.g. a category; at most MaxText bytes
	Label   *Label
	Content *Content
}

// Content is what a portion says.
type Content struct {
	Grading *Grading          `json:"grading,omitempty"`
	Objects []json.RawMessage `json:"objects"` // STIX 2.1 objects, 1 to MaxObjects

	// Publish, of a delegation, is the label that its publication is to have at least:
	// concealed with the content, and erased with it.
	Publish *Label `json:"publish,omitempty"`
}

// Alert is one version of an alert, as far as it is disclosed to its holder.
type Alert struct {
	Payload
	Portions []Portion // only those disclosed, in the payload's order
}

// Names returns the ids by which an alert is bound to others: its own, which all its
// versions share, that of what it refers to, and those of its sources as far as they are
// disclosed. One may be among them twice.
func (a Alert) Names() []ID {
	ids := []ID{a.Subject}
	if a.Re != nil {
		ids = append(ids, a.Re.Alert)
	}
	for _, p := range a.Portions {
		if p.Label != nil {
			ids = append(ids, p.Label.DerivedFrom...)
		}
	}
	return ids
}

// ParsePayload checks the clear part. It does not judge whether the times
// fit the reader's clock: see Payload.CheckTimes.
func ParsePayload(data []byte) (Payload, error) {
	var p Payload
	if err := strictjson.Unmarshal(data, &p); err != nil {
		return Payload{}, err
	}
	n := len(p.Portions)
	switch {
	case p.Issuer == "":
		return Payload{}, invalid("iss is missing")
	case p.Subject == "":
		return Payload{}, invalid("sub is missing")
	case p.Version < 1 || p.Version > 1<<31-1:
		return Payload{}, invalid("ver %d: versions count from 1", p.Version)
	case (p.Version > 1) != (p.Previous != ""):
		return Payload{}, invalid("prev goes with every version but the first")
	case p.Previous != "" && !isDigest(p.Previous):
		return Payload{}, invalid("prev is not a SHA-256 digest in base64url")
	case !isBase64(p.JTI, 16):
		return Payload{}, invalid("jti is not 16 bytes in base64url")
	case p.IssuedAt <= 0 || p.Expires <= p.IssuedAt:
		return Payload{}, invalid("exp does not lie after iat")
	case p.Expires > MaxTime:
		return Payload{}, invalid("exp lies beyond the year 9999")
	case p.Expires-p.IssuedAt > int64(MaxLifetime/time.Second):
		return Payload{}, invalid("exp lies more than %d days after iat", MaxLifetime/(24*time.Hour))
	case p.SDAlg != "sha-256":
		return Payload{}, invalid("_sd_alg %.20q: only sha-256", p.SDAlg)
	case p.Recall == nil && n == 0 || n > MaxPortions || n%DigestPad != 0:
		return Payload{}, invalid("%d portion digests: a positive multiple of %d up to %d", n, DigestPad, MaxPortions)
	}
	if err := p.checkEnds(); err != nil {
		return Payload{}, err
	}
	seen := make(map[string]bool, n) // RFC 9901 section 7.1: no digest twice
	for i, d := range p.Portions {
		if !isDigest(d.Digest) {
			return Payload{}, invalid("portions[%d] is not a SHA-256 digest in base64url", i)
		}
		if seen[d.Digest] {
			return Payload{}, invalid("portions[%d] is given twice", i)
		}
		seen[d.Digest] = true
	}
	return p, nil
}

// checkEnds checks what a payload says of another version or another alert.
func (p Payload) checkEnds() error {
	if p.Re != nil {
		if err := p.Re.validate(p); err != nil {
			return err
		}
	}
	if p.Delegate != nil {
		if err := p.Delegate.validate(p); err != nil {
			return err
		}
	}
	switch {
	case p.Recall == nil:
		return nil
	case p.Version == 1:
		return invalid("a recall follows the version that it recalls")
	case len(p.Portions) > 0:
		return invalid("a recall has no portions")
	}
	return p.Recall.Validate()
}

// CheckTimes refuses a payload that is not yet valid or no longer.
func (p Payload) CheckTimes(now time.Time) error {
	if time.Unix(p.IssuedAt, 0).After(now.Add(MaxSkew)) {
		return ErrNotYetValid
	}
	if !now.Before(time.Unix(p.Expires, 0)) {
		return ErrExpired
	}
	return nil
}

// portionHead is the value of a portion's own disclosure.
type portionHead struct {
	ID     PortionID `json:"id"`
	Notice string    `json:"notice,omitempty"`
	SD     []string  `json:"_sd"` // label and content, sorted by digest
}

// ParsePortion reads a portion's own disclosure; label and content lie in
// disclosures nested in it.
func ParsePortion(data []byte) (Portion, error) {
	var h portionHead
	if err := strictjson.Unmarshal(data, &h); err != nil {
		return Portion{}, err
	}
	if h.ID == "" {
		return Portion{}, invalid("portion without id")
	}
	if err := CheckText("notice", h.Notice); err != nil {
		return Portion{}, err
	}
	if len(h.SD) != 2 || !isDigest(h.SD[0]) || !isDigest(h.SD[1]) {
		return Portion{}, invalid("portion %s: exactly two nested digests, label and content", h.ID)
	}
	if h.SD[0] >= h.SD[1] { // their order must not tell which is which
		return Portion{}, invalid("portion %s: nested digests not sorted, or the same twice", h.ID)
	}
	return Portion{ID: h.ID, Notice: h.Notice}, nil
}

// ParseContent reads a content disclosure. STIX objects are kept as they
// came; each must be an object with type and id.
func ParseContent(data []byte) (*Content, error) {
	var c Content
	if err := strictjson.Unmarshal(data, &c); err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &c, nil
}

// Validate checks the grading, the number of objects and each object's head, and brings
// the label for a publication to canonical form.
func (c *Content) Validate() error {
	if c.Publish != nil {
		if err := c.Publish.Normalize(); err != nil {
			return invalid("publish: %w", err)
		}
	}
	if c.Grading != nil {
		if err := c.Grading.Validate(); err != nil {
			return err
		}
	}
	if len(c.Objects) == 0 || len(c.Objects) > MaxObjects {
		return invalid("%d objects: 1 to %d a portion", len(c.Objects), MaxObjects)
	}
	seen := make(map[ObjectRef]bool, len(c.Objects)) // versions of one object may stand side by side
	for i, o := range c.Objects {
		ref, err := ParseObjectRef(o)
		if err != nil {
			return invalid("objects[%d]: %w", i, err)
		}
		ref.ID = strings.ToLower(ref.ID) // one UUID in two cases is one object (RFC 9562 section 4)
		if seen[ref] {
			return invalid("objects[%d]: %s given twice", i, ref.ID)
		}
		seen[ref] = true
	}
	return nil
}

func isDigest(s string) bool { return isBase64(s, 32) }

func isBase64(s string, n int) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == n && len(s) == base64.RawURLEncoding.EncodedLen(n)
}

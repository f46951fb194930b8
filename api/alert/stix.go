package alert

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/entente-hub/entente/api/strictjson"
)

// Errors of time.
var (
	ErrExpired     = errors.New("the alert has expired")
	ErrNotYetValid = errors.New("the alert is not yet valid")
)

// ObjectRef is the head of a STIX 2.1 object (section 3.2 of the standard).
type ObjectRef struct {
	Type     string
	ID       string
	Modified string // empty where the object type has none
}

// ParseObjectRef reads a STIX object's type and id and checks that they agree
// (STIX 2.1 section 2.9). The object itself is checked to be strict JSON.
func ParseObjectRef(object []byte) (ObjectRef, error) {
	var h objectHead
	if err := strictjson.Walk(object, h.see); err != nil {
		return ObjectRef{}, err
	}
	ref := ObjectRef{Type: h.typ.text, ID: h.id.text, Modified: h.modified.text}
	switch {
	case !h.typ.isText || !h.id.isText:
		return ObjectRef{}, invalid("a STIX object has a type and an id")
	case h.modified.given && ref.Modified == "":
		return ObjectRef{}, invalid("modified is not a timestamp")
	case h.lookalike != "":
		return ObjectRef{}, invalid("a STIX object with %q beside or for type, id or modified", h.lookalike)
	case h.conceals:
		return ObjectRef{}, invalid("a STIX object with a member that SD-JWT reserves: _sd, _sd_alg or ...")
	case ref.Type == "bundle": // its objects would be looked through by nobody
		return ObjectRef{}, invalid("a bundle where an object is wanted")
	case !fits(ref.ID, ref.Type):
		return ObjectRef{}, invalid("STIX id %.80q does not fit type %.40q", ref.ID, ref.Type)
	}
	return ref, nil
}

// objectHead gathers what ParseObjectRef judges, in one walk over the object.
type objectHead struct {
	typ, id, modified property
	lookalike         string // a name that other readers might take for one of the three
	conceals          bool   // a name, at any depth, that RFC 9901 section 4.1 reserves: it could hide what nobody released
}

// property is one of the head's members; text is empty where it is no string.
type property struct {
	given, isText bool
	text          string
}

func (p *property) set(m strictjson.Member) {
	p.given = true
	p.text, p.isText = m.Text()
}

func (h *objectHead) see(m strictjson.Member) {
	switch string(m.Name) {
	case "_sd", "_sd_alg", "...":
		h.conceals = true
	}
	if m.Depth > 1 {
		return
	}
	switch name := string(m.Name); {
	case name == "type":
		h.typ.set(m)
	case name == "id":
		h.id.set(m)
	case name == "modified":
		h.modified.set(m)
	case strings.EqualFold(name, "type"), strings.EqualFold(name, "id"), strings.EqualFold(name, "modified"):
		h.lookalike = name
	}
}

// fits reports whether id is a STIX identifier of the type: the type, two
// hyphens and a UUID.
func fits(id, typ string) bool {
	uuid, ok := strings.CutPrefix(id, typ+"--")
	return ok && isType(typ) && isUUID(uuid)
}

// isType reports whether s is 3 to 250 of a–z, 0–9 and hyphen, a letter first
// and no hyphen last (STIX 2.1 section 3.2).
func isType(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter, inner := 'a' <= c && c <= 'z', i > 0 && ('0' <= c && c <= '9' || c == '-')
		if !letter && !inner {
			return false
		}
	}
	return len(s) >= 3 && len(s) <= 250 && s[len(s)-1] != '-'
}

// isUUID leaves the case open, as the standard does: published objects come in
// both (RFC 9562 section 4).
func isUUID(s string) bool {
	for i := range len(s) {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return false
		}
	}
	return len(s) == 36
}

// ParseBundle reads a STIX 2.1 bundle (section 8) and returns its objects, in
// order and byte for byte.
func ParseBundle(data []byte) ([]json.RawMessage, error) {
	var b struct {
		Type    string            `json:"type"`
		ID      string            `json:"id"`
		Spec    string            `json:"spec_version,omitempty"` // STIX 2.0 bundles carried it; 2.1 allows custom ones to
		Objects []json.RawMessage `json:"objects"`
	}
	if err := strictjson.Unmarshal(data, &b); err != nil {
		return nil, err
	}
	if b.Type != "bundle" || !fits(b.ID, "bundle") {
		return nil, invalid("not a STIX bundle")
	}
	if len(b.Objects) == 0 {
		return nil, invalid("the bundle has no objects")
	}
	for i, o := range b.Objects {
		if _, err := ParseObjectRef(o); err != nil {
			return nil, invalid("objects[%d]: %w", i, err)
		}
	}
	return b.Objects, nil
}

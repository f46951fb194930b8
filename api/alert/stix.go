package alert

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
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

const uuidSize = 36 // RFC 9562 section 4, in characters

// stixIDRE leaves the case of the UUID open, as the standard does: published
// objects come in both.
var stixIDRE = regexp.MustCompile(`^[a-z][a-z0-9-]{1,248}[a-z0-9]--[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// ParseObjectRef reads a STIX object's type and id and checks that they agree
// (STIX 2.1 section 2.9). The object itself is checked to be strict JSON.
func ParseObjectRef(object []byte) (ObjectRef, error) {
	if err := strictjson.Check(object); err != nil {
		return ObjectRef{}, err
	}
	var raw map[string]json.RawMessage // not ObjectRef: its members match without regard to case
	if err := json.Unmarshal(object, &raw); err != nil || raw == nil {
		return ObjectRef{}, invalid("not a STIX object")
	}
	var ref ObjectRef
	if json.Unmarshal(raw["type"], &ref.Type) != nil || json.Unmarshal(raw["id"], &ref.ID) != nil {
		return ObjectRef{}, invalid("a STIX object has a type and an id")
	}
	if m, ok := raw["modified"]; ok && (json.Unmarshal(m, &ref.Modified) != nil || ref.Modified == "") {
		return ObjectRef{}, invalid("modified is not a timestamp")
	}
	for name := range raw {
		for _, known := range []string{"type", "id", "modified"} {
			if name != known && strings.EqualFold(name, known) {
				return ObjectRef{}, invalid("a STIX object with %q beside or for %s", name, known)
			}
		}
	}
	if conceals(object) {
		return ObjectRef{}, invalid("a STIX object with a member that SD-JWT reserves: _sd, _sd_alg or ...")
	}
	if ref.Type == "bundle" { // its objects would be looked through by nobody
		return ObjectRef{}, invalid("a bundle where an object is wanted")
	}
	if !fits(ref.ID, ref.Type) {
		return ObjectRef{}, invalid("STIX id %.80q does not fit type %.40q", ref.ID, ref.Type)
	}
	return ref, nil
}

// conceals reports whether a member at any depth has a name that RFC 9901
// (section 4.1) reserves: behind it an object could hide what nobody released.
// The object must be JSON.
func conceals(object []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(object))
	dec.UseNumber() // some numbers of JSON do not fit a float64
	var v any
	return dec.Decode(&v) != nil || hasReserved(v)
}

func hasReserved(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if name == "_sd" || name == "_sd_alg" || name == "..." || hasReserved(member) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, hasReserved)
	}
	return false
}

// fits reports whether id is a STIX identifier of the type: the type, two
// hyphens and a UUID. A type may hold two hyphens itself, so that its end is
// counted from the UUID.
func fits(id, typ string) bool {
	return stixIDRE.MatchString(id) && id[:len(id)-len("--")-uuidSize] == typ
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

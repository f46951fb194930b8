package alert

import (
	"fmt"
	"slices"
	"strings"
)

// names maps an ordered code to its one spelling.
type names[T ~int] map[T]string

func (n names[T]) has(v T) bool { _, ok := n[v]; return ok }

func (n names[T]) parse(what, s string) (T, error) {
	for v, name := range n {
		if name == s {
			return v, nil
		}
	}
	return 0, invalid("%s %.40q: one of %s", what, s, n.list())
}

func (n names[T]) text(what string, v T) ([]byte, error) {
	s, ok := n[v]
	if !ok {
		return nil, invalid("%s %d has no name", what, int(v))
	}
	return []byte(s), nil
}

func (n names[T]) list() string {
	var keys []T
	for v := range n {
		keys = append(keys, v)
	}
	slices.Sort(keys)
	var out []string
	for _, v := range keys {
		out = append(out, n[v])
	}
	return strings.Join(out, ", ")
}

// ParseClassification accepts the five level names in lower case.
func ParseClassification(s string) (Classification, error) {
	return classificationNames.parse("classification", s)
}

// Dominates reports whether a reader cleared to c may see level other. The
// zero value on either side never dominates: an empty clearance grants nothing.
func (c Classification) Dominates(other Classification) bool {
	return classificationNames.has(c) && classificationNames.has(other) && c >= other
}

// String returns the level's name, or "none" for the zero value.
func (c Classification) String() string {
	if s, ok := classificationNames[c]; ok {
		return s
	}
	return "none"
}

// MarshalText encodes the level's name; the zero value has none and fails.
func (c Classification) MarshalText() ([]byte, error) {
	return classificationNames.text("classification", c)
}

// UnmarshalText parses.
func (c *Classification) UnmarshalText(b []byte) (err error) {
	*c, err = ParseClassification(string(b))
	return err
}

// ParseTLP accepts the five TLP 2.0 names in lower case.
func ParseTLP(s string) (TLP, error) { return tlpNames.parse("tlp", s) }

// String returns the name, or "" for none.
func (t TLP) String() string { return tlpNames[t] }

// MarshalText encodes the name.
func (t TLP) MarshalText() ([]byte, error) { return tlpNames.text("tlp", t) }

// UnmarshalText parses.
func (t *TLP) UnmarshalText(b []byte) (err error) {
	*t, err = ParseTLP(string(b))
	return err
}

// ParsePersonalData accepts none, personal and special-category.
func ParsePersonalData(s string) (PersonalData, error) {
	return personalDataNames.parse("personal_data", s)
}

// Covers reports whether leave to process p extends to other. The zero value
// covers nothing.
func (p PersonalData) Covers(other PersonalData) bool {
	return personalDataNames.has(p) && personalDataNames.has(other) && p >= other
}

// String returns the name, or "unset".
func (p PersonalData) String() string {
	if s, ok := personalDataNames[p]; ok {
		return s
	}
	return "unset"
}

// MarshalText encodes the name.
func (p PersonalData) MarshalText() ([]byte, error) {
	return personalDataNames.text("personal_data", p)
}

// UnmarshalText parses.
func (p *PersonalData) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePersonalData(string(b))
	return err
}

// Grading is an evaluation of a source and its information in one scheme's own
// codes. Schemes are never converted into one another: a Europol B is not an
// Admiralty B.
type Grading struct {
	Scheme      string `json:"scheme"`             // "4x4", "admiralty" or "3x5x2"
	Source      string `json:"source"`             // reliability of the source
	Information string `json:"information"`        // credibility of the information
	Handling    string `json:"handling,omitempty"` // 3x5x2 only: P or C
}

type gradingScheme struct{ source, information, handling string }

var gradingSchemes = map[string]gradingScheme{
	"4x4":       {"ABCX", "1234", ""},
	"admiralty": {"ABCDEF", "123456", ""},
	"3x5x2":     {"123", "ABCDE", "PC"},
}

// Validate checks the codes against the scheme's own.
func (g Grading) Validate() error {
	s, ok := gradingSchemes[g.Scheme]
	if !ok {
		return invalid("grading scheme %.20q: one of 4x4, admiralty, 3x5x2", g.Scheme)
	}
	for _, c := range []struct{ field, value, codes string }{
		{"source", g.Source, s.source}, {"information", g.Information, s.information}, {"handling", g.Handling, s.handling}} {
		if c.codes == "" && c.value == "" {
			continue
		}
		if len(c.value) != 1 || !strings.Contains(c.codes, c.value) {
			return fmt.Errorf("%w: grading %s %s %.20q: one of %s", ErrInvalid, g.Scheme, c.field, c.value, c.codes)
		}
	}
	return nil
}

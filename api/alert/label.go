package alert

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/entente-hub/entente/api/strictjson"
)

// Classification is a level of the federation's marking scheme, lowest first.
// The zero value is no level at all: it dominates nothing and nothing
// dominates it.
type Classification int

// The levels, in rising order.
const (
	Unclassified Classification = iota + 1
	Restricted
	Confidential
	Secret
	TopSecret
)

var classificationNames = names[Classification]{Unclassified: "unclassified", Restricted: "restricted",
	Confidential: "confidential", Secret: "secret", TopSecret: "top-secret"}

// TLP is a FIRST Traffic Light Protocol 2.0 label. Zero: none given.
type TLP int

// The TLP 2.0 labels, from the widest audience to the narrowest.
const (
	Clear TLP = iota + 1
	Green
	Amber
	AmberStrict
	Red
)

var tlpNames = names[TLP]{Clear: "clear", Green: "green", Amber: "amber", AmberStrict: "amber+strict", Red: "red"}

// PersonalData says what kind of personal data a portion holds, in rising
// order of protection. The zero value is not a kind.
type PersonalData int

// The kinds; special categories are those of Article 10 of Directive (EU) 2016/680.
const (
	NoPersonalData PersonalData = iota + 1
	Personal
	SpecialCategory
)

var personalDataNames = names[PersonalData]{NoPersonalData: "none", Personal: "personal", SpecialCategory: "special-category"}

// Category is a subject that agreements cover.
type Category string

// Categories lists the accepted categories. Smuggling of migrants and
// trafficking in persons are two offences (two Palermo protocols) and stay two.
var Categories = []Category{"border-security", "document-fraud", "health", "labour", "migration-policy",
	"smuggling", "statistics", "trafficking", "visa"}

// Purpose is a use that a portion may be put to.
type Purpose string

// Purposes lists the accepted purposes.
var Purposes = []Purpose{"border-check", "health-protection", "humanitarian", "investigation", "labour-matching",
	"policy-making", "prevention", "risk-analysis"}

// Handling is a Europol handling code: H0 prevention and combating of crime
// only, H1 not in judicial proceedings without permission, H2 no onward
// sharing without permission, H3 other, with text.
type Handling string

// HandlingCodes lists the accepted codes, which may be combined.
var HandlingCodes = []Handling{"H0", "H1", "H2", "H3"}

// Date is a calendar day in UTC, "2027-03-31".
type Date string

// Label says who may have a portion and what they may do with it: DESIGN
// section 4. Lists are sets: sorted and without repetition once parsed.
type Label struct {
	Policy            string         `json:"policy"`              // the marking scheme, a URN
	Classification    Classification `json:"classification"`      // the recipient's ceiling must dominate it
	MarkedAs          string         `json:"marked_as,omitempty"` // the level as the originator writes it, a name of the scheme's
	TLP               TLP            `json:"tlp,omitempty"`       // narrows the audience, never widens it
	Compartments      []TaskForceID  `json:"compartments,omitempty"`
	ReleasableTo      []Audience     `json:"releasable_to,omitempty"` // empty: nobody but the originator
	DiscoverableTo    []Audience     `json:"discoverable_to,omitempty"`
	Categories        []Category     `json:"categories"`
	Purposes          []Purpose      `json:"purposes"`
	PersonalData      PersonalData   `json:"personal_data"`
	Handling          []Handling     `json:"handling,omitempty"`
	HandlingText      string         `json:"handling_text,omitempty"` // what H3 says
	OriginatorControl bool           `json:"originator_control,omitempty"`
	Retention         Date           `json:"retention,omitempty"` // last day of lawful holding
	DerivedFrom       []ID           `json:"derived_from,omitempty"`
}

// ParseLabel decodes and checks one label and brings it to canonical form. An
// unknown field, level or code is an error. Errors wrap ErrInvalid or
// strictjson.ErrStrict.
func ParseLabel(data []byte) (Label, error) {
	var l Label
	if err := strictjson.Unmarshal(data, &l); err != nil {
		return Label{}, err
	}
	if err := l.Normalize(); err != nil {
		return Label{}, err
	}
	return l, nil
}

// Normalize checks every field and sorts the lists; a list that names
// something twice is refused, since its author may have meant something else.
func (l *Label) Normalize() error {
	if !schemeRE.MatchString(l.Policy) {
		return invalid("policy %.70q is not the URN of a marking scheme", l.Policy)
	}
	if !classificationNames.has(l.Classification) {
		return invalid("classification is missing")
	}
	return l.normalizeRest()
}

// normalizeRest is Normalize but for scheme and level.
func (l *Label) normalizeRest() error {
	if err := CheckMarking(l.MarkedAs); err != nil {
		return err
	}
	if l.TLP != 0 && !tlpNames.has(l.TLP) {
		return invalid("tlp %d", int(l.TLP))
	}
	if !personalDataNames.has(l.PersonalData) {
		return invalid("personal_data is missing: none, personal or special-category")
	}
	if err := l.normalizeLists(); err != nil {
		return err
	}
	if err := CheckText("handling_text", l.HandlingText); err != nil {
		return err
	}
	if slices.Contains(l.Handling, "H3") != (l.HandlingText != "") {
		return invalid("handling H3 and handling_text go together")
	}
	if l.Retention != "" {
		if _, err := l.Retention.Time(); err != nil {
			return err
		}
	}
	return nil
}

func (l *Label) normalizeLists() error {
	err := sortSet("compartments", &l.Compartments, func(t TaskForceID) bool { return nameRE.MatchString(string(t)) })
	if err == nil {
		err = sortSet("releasable_to", &l.ReleasableTo, validAudience)
	}
	if err == nil {
		err = sortSet("discoverable_to", &l.DiscoverableTo, validAudience)
	}
	if err == nil {
		err = sortSet("categories", &l.Categories, among(Categories))
	}
	if err == nil {
		err = sortSet("purposes", &l.Purposes, among(Purposes))
	}
	if err == nil {
		err = sortSet("handling", &l.Handling, among(HandlingCodes))
	}
	if err == nil {
		err = sortSet("derived_from", &l.DerivedFrom, func(id ID) bool { return uuid7RE.MatchString(string(id)) })
	}
	switch {
	case err != nil:
		return err
	case len(l.Categories) == 0:
		return invalid("categories is empty: no agreement could cover the portion")
	case len(l.Purposes) == 0:
		return invalid("purposes is empty: nobody could use the portion")
	}
	return nil
}

// Canonical returns the one encoding of a normalized label.
func (l Label) Canonical() []byte {
	b, err := json.Marshal(l)
	if err != nil {
		panic("alert: a parsed label does not encode: " + err.Error()) // only an unparsed level can do it
	}
	return b
}

// ReleaseKey returns the canonical encoding of all that a release depends on
// besides originator, recipient and revisions: the label without its date
// of retention, and, where consent to this very alert counts, the alert's id
// (DESIGN section 4). Equal keys of one originator are released alike.
func (l Label) ReleaseKey(id ID) string {
	l.Retention = ""
	if !l.NamesAlert() {
		id = ""
	}
	return string(id) + "\n" + string(l.Canonical())
}

// NamesAlert reports whether a release depends on which alert it is, as far as the
// label goes: consents are given to alerts.
func (l Label) NamesAlert() bool { return l.OriginatorControl || len(l.DerivedFrom) > 0 }

// ReadReleaseKey takes a ReleaseKey apart: the label, which has no date of
// retention, and the alert's id where it counts, else "". Errors wrap ErrInvalid or
// strictjson.ErrStrict.
func ReadReleaseKey(key string) (Label, ID, error) {
	id, raw, ok := strings.Cut(key, "\n")
	if !ok {
		return Label{}, "", invalid("no release key: %.70q", key)
	}
	if id != "" {
		if _, err := ParseID(id); err != nil {
			return Label{}, "", err
		}
	}
	l, err := ParseLabel([]byte(raw))
	if err != nil {
		return Label{}, "", err
	}
	if l.ReleaseKey(ID(id)) != key {
		return Label{}, "", invalid("a release key in another than its one form")
	}
	return l, ID(id), nil
}

// Time returns the first moment after the day, when holding ends.
func (d Date) Time() (time.Time, error) {
	t, err := time.Parse(time.DateOnly, string(d))
	if err != nil {
		return time.Time{}, invalid("date %.20q, not of the form 2027-03-31", string(d))
	}
	return t.AddDate(0, 0, 1), nil
}

func validAudience(a Audience) bool { _, err := ParseAudience(string(a)); return err == nil }

func among[T comparable](list []T) func(T) bool {
	return func(v T) bool { return slices.Contains(list, v) }
}

func sortSet[T ~string](field string, list *[]T, valid func(T) bool) error {
	if len(*list) > MaxList {
		return invalid("%s has more than %d entries", field, MaxList)
	}
	if len(*list) == 0 {
		*list = nil
		return nil
	}
	out := slices.Clone(*list)
	slices.Sort(out)
	for i, v := range out {
		if !valid(v) {
			return invalid("%s: %.70q is not known", field, string(v))
		}
		if i > 0 && out[i-1] == v {
			return invalid("%s: %q given twice", field, string(v))
		}
	}
	*list = out
	return nil
}

// CheckText refuses free text that is longer than MaxText bytes, not UTF-8, or
// holds control characters (C0 but tab and line feed, C1, line and paragraph
// separators, and those that reorder text): they could make what a reader
// sees, on a page or a terminal, lie.
func CheckText(field, s string) error {
	switch {
	case len(s) > MaxText:
		return invalid("%s is longer than %d bytes", field, MaxText)
	case !utf8.ValidString(s):
		return invalid("%s is not UTF-8", field)
	case strings.ContainsFunc(s, isControl):
		return invalid("%s holds control characters", field)
	}
	return nil
}

func isControl(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t' || r == 0x2028 || r == 0x2029 || isBidi(r)
}

// isBidi reports the characters that reorder what a reader sees (Unicode
// UAX #9 section 2): with them a banner or notice could be made to lie.
func isBidi(r rune) bool {
	return r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 || r == 0x200E || r == 0x200F || r == 0x061C
}

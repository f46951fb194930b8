package alert

import (
	"slices"
	"strings"
)

// Clearance is what a reader may be shown at most: a ceiling and the
// compartments that the reader is in. The zero value grants nothing.
type Clearance struct {
	Ceiling      Classification
	Compartments []TaskForceID
}

// Dominates reports whether the reader's clearance covers the label's level and
// all of its compartments (Bell and LaPadula's simple security property over
// the lattice of levels × sets of compartments). It is necessary for a
// release and never sufficient.
func (c Clearance) Dominates(l Label) bool {
	if !c.Ceiling.Dominates(l.Classification) {
		return false
	}
	for _, comp := range l.Compartments {
		if !slices.Contains(c.Compartments, comp) {
			return false
		}
	}
	return true
}

// Marking is the part of labels that can be joined into a banner: the least
// marking that dominates every portion a reader holds.
type Marking struct {
	Classification    Classification `json:"classification"`
	TLP               TLP            `json:"tlp,omitempty"`         // the narrowest that is given
	WithoutTLP        bool           `json:"without_tlp,omitempty"` // some portion gives none
	Compartments      []TaskForceID  `json:"compartments,omitempty"`
	PersonalData      PersonalData   `json:"personal_data"`
	Handling          []Handling     `json:"handling,omitempty"`
	OriginatorControl bool           `json:"originator_control,omitempty"` // of some portion
}

// Marking returns the label's own marking.
func (l Label) Marking() Marking {
	return Marking{Classification: l.Classification, TLP: l.TLP, WithoutTLP: l.TLP == 0, Compartments: slices.Clone(l.Compartments),
		PersonalData: l.PersonalData, Handling: slices.Clone(l.Handling), OriginatorControl: l.OriginatorControl}
}

// Join returns the least upper bound of two markings: the higher level, the
// narrower TLP, all compartments and all handling codes, and what any of them lacks or
// reserves. The zero Marking is its identity.
func (m Marking) Join(o Marking) Marking {
	return Marking{
		Classification:    max(m.Classification, o.Classification),
		TLP:               max(m.TLP, o.TLP),
		WithoutTLP:        m.WithoutTLP || o.WithoutTLP,
		Compartments:      union(m.Compartments, o.Compartments),
		PersonalData:      max(m.PersonalData, o.PersonalData),
		Handling:          union(m.Handling, o.Handling),
		OriginatorControl: m.OriginatorControl || o.OriginatorControl,
	}
}

// ShownTLP returns the TLP label that can stand over all that is joined, 0 if none can.
// Clear and green permit a wide audience, which a portion that gives no TLP label does
// not; and nothing above unclassified is for everybody, as clear says (TLP 2.0).
func (m Marking) ShownTLP() TLP {
	if m.TLP <= Green && m.WithoutTLP || m.TLP == Clear && m.Classification > Unclassified {
		return 0
	}
	return m.TLP
}

// AtLeast returns nil if nobody may be given more, or do more with it, under the label
// than under another one: at least its level, personal data, compartments, categories,
// handling and originator control; TLP as narrow, retention as short; no purpose, and no
// recipient, that the other does not name. The built-in community of all members names
// everybody; of any other community it is not known here who belongs to it. Schemes,
// markings and sources are not compared. The error says what is looser, and wraps
// ErrInvalid.
func (l Label) AtLeast(o Label) error {
	reach := func(list ...Audience) func(Audience) bool {
		return func(a Audience) bool {
			return slices.Contains(list, a) || slices.Contains(list, Audience(Federation))
		}
	}
	switch {
	case !l.Classification.Dominates(o.Classification):
		return invalid("classification %s, where at least %s is asked for", l.Classification, o.Classification)
	case !l.PersonalData.Covers(o.PersonalData):
		return invalid("personal_data %s, where at least %s is asked for", l.PersonalData, o.PersonalData)
	case o.TLP != 0 && l.TLP < o.TLP:
		return invalid("tlp is wider than %s", o.TLP)
	case !all(o.Compartments, among(l.Compartments)):
		return invalid("compartments: not all of %v", o.Compartments)
	case !all(o.Categories, among(l.Categories)):
		return invalid("categories: not all of %v", o.Categories)
	case !all(l.Purposes, among(o.Purposes)):
		return invalid("purposes: others than %v", o.Purposes)
	case !all(o.Handling, among(l.Handling)) || !strings.Contains(l.HandlingText, o.HandlingText):
		return invalid("handling: not all of %v, with its text", o.Handling)
	case o.OriginatorControl && !l.OriginatorControl:
		return invalid("originator_control is missing")
	case o.Retention != "" && (l.Retention == "" || l.Retention > o.Retention): // dates sort as texts
		return invalid("retention beyond %s", o.Retention)
	case !all(l.ReleasableTo, reach(o.ReleasableTo...)):
		return invalid("releasable_to: others than %v", o.ReleasableTo)
	case !all(l.DiscoverableTo, reach(slices.Concat(o.ReleasableTo, o.DiscoverableTo)...)):
		return invalid("discoverable_to: others than %v", slices.Concat(o.ReleasableTo, o.DiscoverableTo))
	}
	return nil
}

func all[T any](list []T, such func(T) bool) bool {
	return !slices.ContainsFunc(list, func(v T) bool { return !such(v) })
}

func union[T ~string](a, b []T) []T {
	out := slices.Concat(a, b)
	slices.Sort(out)
	out = slices.Compact(out)
	if len(out) == 0 {
		return nil
	}
	return out
}

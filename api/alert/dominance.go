package alert

import "slices"

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
	Classification Classification `json:"classification"`
	TLP            TLP            `json:"tlp,omitempty"`
	Compartments   []TaskForceID  `json:"compartments,omitempty"`
	PersonalData   PersonalData   `json:"personal_data"`
	Handling       []Handling     `json:"handling,omitempty"`
}

// Marking returns the label's own marking.
func (l Label) Marking() Marking {
	return Marking{l.Classification, l.TLP, slices.Clone(l.Compartments), l.PersonalData, slices.Clone(l.Handling)}
}

// Join returns the least upper bound of two markings: the higher level, the
// narrower TLP, all compartments and all handling codes. The zero Marking is
// its identity.
func (m Marking) Join(o Marking) Marking {
	return Marking{
		Classification: max(m.Classification, o.Classification),
		TLP:            max(m.TLP, o.TLP),
		Compartments:   union(m.Compartments, o.Compartments),
		PersonalData:   max(m.PersonalData, o.PersonalData),
		Handling:       union(m.Handling, o.Handling),
	}
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

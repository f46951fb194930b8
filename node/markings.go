package node

import (
	"fmt"
	"slices"
	"strings"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

// ResolveMarking fills in what a label of a plan leaves to the node of member m:
// the policy, which is then the member's own marking scheme, and the
// classification, which is the level that marked_as stands for in the policy. The
// label is then held to all that is demanded of one. Names are compared exactly
// and none is guessed: what the scheme does not know, or what contradicts the
// classification given, is an error, and the label stays as it was.
func ResolveMarking(r *federation.Registry, m alert.MemberID, l *alert.Label) error {
	whole := *l
	if whole.Policy == "" {
		if whole.Policy = ownScheme(r, m); whole.Policy == "" {
			return fmt.Errorf("the label names no policy, and the registry no marking scheme of %s's own", m)
		}
	}
	if whole.MarkedAs != "" {
		level, err := levelOf(r, whole.Policy, whole.MarkedAs)
		if err != nil {
			return err
		}
		if whole.Classification != 0 && whole.Classification != level {
			return fmt.Errorf("%q stands for %s in %s, the classification given is %s", whole.MarkedAs, level, whole.Policy, whole.Classification)
		}
		whole.Classification = level
	}
	if err := whole.Normalize(); err != nil {
		return err
	}
	*l = whole
	return nil
}

// levelOf returns the level that a name stands for in a marking scheme in use.
func levelOf(r *federation.Registry, urn, name string) (alert.Classification, error) {
	s := schemeOf(r, urn)
	if s == nil {
		var known []string
		for _, s := range r.Schemes {
			known = append(known, s.URN)
		}
		return 0, fmt.Errorf("%.70q is no marking scheme of the federation, which has %s", urn, strings.Join(known, ", "))
	}
	if level := s.Level(name); level != 0 {
		return level, nil
	}
	var names []string
	for _, l := range s.Levels {
		names = append(names, l.Names...)
	}
	return 0, fmt.Errorf("%q is no level of %s, whose levels are: %s", name, urn, strings.Join(names, ", "))
}

// ShownLevel is how the level of a portion is told to a reader: by the name that
// the reader's own scheme has for it, with the originator's beside it. Which level
// it is, is what the label's classification says, and nothing else: on that every
// decision rests, and two names are equivalent where they stand for the same one.
type ShownLevel struct {
	Name       string // in the reader's scheme; where it has none, the federation's name of the level
	Scheme     string // the reader's, a URN; "": the registry names none for the reader
	Equivalent bool   // false: the reader's scheme has no name for the level
	MarkedAs   string // the level as the originator wrote it: a name in MarkedIn, or the federation's name of the level
	MarkedIn   string // the originator's scheme, a URN
	// MarkingUnknown: what the originator wrote is no name that MarkedIn has, by the
	// registry, for the level; MarkedAs is the federation's name of the level instead.
	MarkingUnknown bool
}

// ShowLevel tells the level of a label that is marked in the scheme theirs to a reader
// whose scheme is own; nil: the registry has no such scheme, the reader has none.
func ShowLevel(own, theirs *federation.Scheme, l alert.Label) ShownLevel {
	s := ShownLevel{Name: l.Classification.String(), Equivalent: true, MarkedAs: l.Classification.String(), MarkedIn: l.Policy}
	if l.MarkedAs != "" {
		s.MarkingUnknown = theirs == nil || theirs.URN != l.Policy || theirs.Level(l.MarkedAs) != l.Classification
		if !s.MarkingUnknown {
			s.MarkedAs = l.MarkedAs
		}
	}
	if own == nil {
		return s
	}
	s.Scheme = own.URN
	if name := own.Name(l.Classification); name != "" {
		s.Name = name
	} else {
		s.Equivalent = false
	}
	return s
}

// Banner writes a marking on one line, as "SECRET // TLP:AMBER // ORCON // tf-river //
// personal data // H2", with the reader's own name for the level as its scheme
// writes it: see ShowLevel. The zero marking, of somebody who holds no content, is
// "NO CONTENT HELD".
func Banner(own *federation.Scheme, m alert.Marking) string {
	if m.Classification == 0 {
		return "NO CONTENT HELD"
	}
	level := ShowLevel(own, nil, alert.Label{Classification: m.Classification})
	switch {
	case !level.Equivalent:
		level.Name = strings.ToUpper(level.Name) + " (WITHOUT EQUIVALENT IN " + level.Scheme + ")"
	case level.Scheme == "":
		level.Name = strings.ToUpper(level.Name)
	}
	parts := []string{level.Name}
	if t := m.ShownTLP(); t != 0 {
		parts = append(parts, "TLP:"+strings.ToUpper(t.String()))
	}
	if m.OriginatorControl {
		parts = append(parts, "ORCON")
	}
	if len(m.Compartments) > 0 {
		parts = append(parts, join(m.Compartments))
	}
	if m.PersonalData > alert.NoPersonalData {
		parts = append(parts, fmt.Sprintf("%s data", m.PersonalData))
	}
	if len(m.Handling) > 0 {
		parts = append(parts, join(m.Handling))
	}
	return strings.Join(parts, " // ")
}

func join[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = string(s)
	}
	return strings.Join(texts, " ")
}

// ownScheme returns the URN of the scheme that a member's people read, "" if the
// registry names none.
func ownScheme(r *federation.Registry, m alert.MemberID) string {
	if i := slices.IndexFunc(r.Members, func(e federation.Member) bool { return e.ID == m }); i >= 0 {
		return r.Members[i].Scheme
	}
	return ""
}

// schemeOf returns a marking scheme of the registry's, nil if it has none of that URN.
func schemeOf(r *federation.Registry, urn string) *federation.Scheme {
	if i := slices.IndexFunc(r.Schemes, func(s federation.Scheme) bool { return s.URN == urn }); i >= 0 {
		return &r.Schemes[i]
	}
	return nil
}

// scheme returns the scheme that a member's people read, nil if there is none.
func (k *known) scheme(m alert.MemberID) *federation.Scheme {
	if !k.dir.Ready() {
		return nil
	}
	return schemeOf(k.dir.Registry(), ownScheme(k.dir.Registry(), m))
}

// schemeNamed returns the scheme of a URN, nil if the registry has none.
func (k *known) schemeNamed(urn string) *federation.Scheme {
	if !k.dir.Ready() {
		return nil
	}
	return schemeOf(k.dir.Registry(), urn)
}

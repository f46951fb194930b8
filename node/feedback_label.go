package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

// joinLabels returns the label of what is said about portions with these labels, but for
// its lists, its sources and its scheme: never less restrictive than any of them. The
// level is the highest, compartments, categories and handling codes are those of all,
// purposes only those that all have; personal data, TLP and retention are the strictest.
//
// Originator control is not joined: it would make the release of the feedback hang on a
// consent of its author. What stands in its place is that the feedback goes to the
// originator, or names it as a source: see sources.
func joinLabels(labels []alert.Label) (alert.Label, error) {
	var m alert.Marking
	var joined alert.Label
	var texts []string
	for i, l := range labels {
		m = m.Join(l.Marking())
		joined.Categories = merge(joined.Categories, l.Categories)
		if i == 0 {
			joined.Purposes = slices.Clone(l.Purposes)
		}
		joined.Purposes = slices.DeleteFunc(joined.Purposes, func(p alert.Purpose) bool { return !slices.Contains(l.Purposes, p) })
		if l.Retention != "" && (joined.Retention == "" || l.Retention < joined.Retention) { // dates sort as texts
			joined.Retention = l.Retention
		}
		if l.HandlingText != "" && !slices.Contains(texts, l.HandlingText) {
			texts = append(texts, l.HandlingText)
		}
	}
	if len(joined.Purposes) == 0 {
		return alert.Label{}, errors.New("its portions have no purpose in common")
	}
	joined.Classification, joined.TLP, joined.Compartments = m.Classification, m.ShownTLP(), m.Compartments
	joined.PersonalData, joined.Handling, joined.HandlingText = m.PersonalData, m.Handling, strings.Join(texts, "\n")
	if err := alert.CheckText("handling_text", joined.HandlingText); err != nil {
		return alert.Label{}, err
	}
	return joined, nil
}

func merge[T ~string](a, b []T) []T {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// defaultLabel returns the label of feedback for which its author gives none, to the
// members named. The error says why there is no such label.
func (s *subject) defaultLabel(r *federation.Registry, self alert.MemberID, to []alert.MemberID, reader *Reader) (alert.Label, error) {
	var labels []alert.Label
	for _, p := range s.portions {
		if p.Label != nil {
			labels = append(labels, *p.Label)
		}
	}
	if len(labels) == 0 || len(labels) < len(s.portions) { // of some nothing is known but that they exist
		labels = append(labels, s.guessed(labels, reader))
	}
	l, err := joinLabels(labels)
	if err != nil {
		return alert.Label{}, err
	}
	if len(l.Categories) == 0 {
		return alert.Label{}, errors.New("nothing is known of what it is about: neither a label nor a notice names a category")
	}
	l.DerivedFrom = s.sources(to)
	s.mark(r, self, &l)
	return l, nil
}

// guessed is what is taken for the label of portions of which only their existence is
// known: restricted, and of the category that a notice names. Their purposes are those of
// the labels that are known; else the reader's, else all.
func (s *subject) guessed(known []alert.Label, reader *Reader) alert.Label {
	l := alert.Label{Classification: alert.Restricted, PersonalData: alert.NoPersonalData, Purposes: alert.Purposes}
	for _, p := range s.portions {
		if c := alert.Category(p.Notice); p.Label == nil && slices.Contains(alert.Categories, c) {
			l.Categories = merge(l.Categories, []alert.Category{c})
		}
	}
	if len(known) == 0 && reader != nil {
		l.Purposes = []alert.Purpose{reader.Purpose}
	}
	for _, k := range known { // TLP says how narrow an audience is; nothing is guessed of it
		l.TLP = max(l.TLP, k.TLP)
	}
	return l
}

// sources returns the alerts whose originators must consent to what feedback says about
// them: none where it goes to the originator alone. Whoever else it goes to is told of
// what was derived from others, or may not be passed on.
func (s *subject) sources(to []alert.MemberID) []alert.ID {
	if len(to) == 1 && to[0] == s.re.Originator {
		return nil
	}
	var ids []alert.ID
	for _, p := range s.portions {
		if p.Label == nil {
			continue
		}
		ids = merge(ids, p.Label.DerivedFrom)
		if p.Label.OriginatorControl || s.kept[p.ID] {
			ids = merge(ids, []alert.ID{s.re.Alert})
		}
	}
	return ids
}

// mark gives the label the member's own marking scheme and its name for the level. Where
// the registry names none for the member it is the scheme in which the portions are
// marked, or the federation's only one.
func (s *subject) mark(r *federation.Registry, self alert.MemberID, l *alert.Label) {
	l.Policy = ownScheme(r, self)
	for _, p := range s.portions {
		if l.Policy == "" && p.Label != nil {
			l.Policy = p.Label.Policy
		}
	}
	if l.Policy == "" && len(r.Schemes) == 1 {
		l.Policy = r.Schemes[0].URN
	}
	if scheme := schemeOf(r, l.Policy); scheme != nil {
		l.MarkedAs = scheme.Name(l.Classification)
	}
}

// addressed gives a label the release list of feedback: exactly those to whom it goes.
func addressed(l alert.Label, to []alert.MemberID) (alert.Label, error) {
	var list []alert.Audience
	for _, m := range to {
		list = append(list, alert.Audience(m))
	}
	given := slices.Clone(l.ReleasableTo)
	slices.Sort(given)
	switch {
	case len(given) > 0 && !slices.Equal(given, list):
		return alert.Label{}, fmt.Errorf("the label is releasable to %v: feedback goes to those whom it is addressed to, %v", given, list)
	case len(l.DiscoverableTo) > 0:
		return alert.Label{}, errors.New("the label has discoverable_to: of feedback nobody learns but those whom it is addressed to")
	}
	l.ReleasableTo = list
	return l, nil
}

// covers reports whether a label is at least as strict as another in what clearance, need
// to know and the protection of persons ask for.
func covers(l, other alert.Label) bool {
	c := alert.Clearance{Ceiling: l.Classification, Compartments: l.Compartments}
	return c.Dominates(other) && l.PersonalData.Covers(other.PersonalData)
}

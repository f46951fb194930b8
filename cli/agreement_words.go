package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

// term is one condition of an agreement, in words.
type term struct{ name, words string }

// inWords says what an agreement's terms mean.
func inWords(a *federation.Agreement) []term {
	onward := "receivers may not pass it on"
	if a.Onward {
		onward = "receivers may pass it on, where the label allows it"
	}
	return []term{
		{"title", a.Title},
		{"parties", list(a.Parties)},
		{"gives", whoGives(a)},
		{"covers", list(a.Categories)},
		{"up to", a.MaxClassification.String()},
		{"personal data", personalData(a.PersonalData)},
		{"purposes", list(a.Purposes)},
		{"held", fmt.Sprintf("by a receiver for at most %d days", a.RetentionDays)},
		{"onward", onward},
		{"valid", "from " + day(a.ValidFrom) + " until " + day(a.ValidUntil)},
	}
}

func whoGives(a *federation.Agreement) string {
	switch {
	case len(a.From) == 0 && len(a.To) == 0:
		return "each party to every other"
	case len(a.From) == 0:
		return "every other party to " + list(a.To)
	case len(a.To) == 0:
		return list(a.From) + " to every other party"
	}
	return list(a.From) + " to " + list(a.To)
}

func personalData(p alert.PersonalData) string {
	switch p {
	case alert.NoPersonalData:
		return "none may be given"
	case alert.SpecialCategory:
		return "may be given, special categories too"
	}
	return "may be given, but no special categories"
}

func list[T ~string](names []T) string {
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = string(n)
	}
	return strings.Join(texts, ", ")
}

// printTerms writes terms; where they amend others, each one that differs with what
// it was.
func printTerms(w io.Writer, now, was *federation.Agreement) error {
	var before []term
	if was != nil {
		before = inWords(was)
	}
	var rows [][]string
	for i, t := range inWords(now) {
		if was != nil && before[i].words != t.words {
			rows = append(rows, []string{"- " + t.name, before[i].words}, []string{"+ " + t.name, t.words})
			continue
		}
		rows = append(rows, []string{"  " + t.name, t.words})
	}
	return table(w, nil, rows)
}

// sameTerms reports whether two agreements say the same in all that counts.
func sameTerms(a, b *federation.Agreement) bool {
	return a.ID == b.ID && a.Onward == b.Onward && a.ValidFrom == b.ValidFrom && a.ValidUntil == b.ValidUntil &&
		a.MaxClassification == b.MaxClassification && a.PersonalData == b.PersonalData && a.RetentionDays == b.RetentionDays &&
		a.Title == b.Title && sameSet(a.Parties, b.Parties) && sameSet(a.From, b.From) && sameSet(a.To, b.To) &&
		sameSet(a.Categories, b.Categories) && sameSet(a.Purposes, b.Purposes)
}

func sameSet[T ~string](a, b []T) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

package alert

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// MaxMarking bounds a marking scheme's name of a level, in bytes.
const MaxMarking = 64

// CheckMarking checks the form of a level's name in a marking scheme, "" being none:
// one line, at most MaxMarking bytes, and nothing by which two names could look like
// one. It is in Unicode normalization form C (UAX #15); its words stand one space
// (U+0020) apart, with none at either end; nothing in it is invisible; and of the
// scripts whose letters look alike, Latin, Greek and Cyrillic, it is written in one
// (UTS #39 section 5). Errors wrap ErrInvalid.
func CheckMarking(name string) error {
	if err := CheckText("marked_as", name); err != nil {
		return err
	}
	switch {
	case len(name) > MaxMarking || strings.ContainsAny(name, "\n\t"):
		return invalid("marking %.70q: one line of at most %d bytes", name, MaxMarking)
	case strings.TrimSpace(name) != name || strings.Contains(name, "  "):
		return invalid("marking %.70q: single spaces, and between words only", name)
	case strings.ContainsFunc(name, isUnseen):
		return invalid("marking %.70q holds a character that nobody sees, or a space of another kind", name)
	case !norm.NFC.IsNormalString(name):
		return invalid("marking %.70q is not in Unicode normalization form C", name)
	case mixesScripts(name):
		return invalid("marking %.70q mixes Latin, Greek or Cyrillic letters", name)
	}
	return nil
}

// FoldMarking returns what two names in a marking scheme have in common if they
// differ by nothing but capitals.
func FoldMarking(name string) string {
	return strings.ToLower(strings.ToUpper(name)) // both: some letters have several forms of one kind
}

// isUnseen reports what shows as nothing or as a space: all that is not printable
// but U+0020 (so formats, category Cf, and other spaces, Zs), the default ignorable
// (UAX #44) and the empty pattern of Braille.
func isUnseen(r rune) bool {
	return !unicode.IsPrint(r) || r == 0x2800 ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func mixesScripts(name string) bool {
	scripts := 0
	for _, script := range []*unicode.RangeTable{unicode.Latin, unicode.Greek, unicode.Cyrillic} {
		if strings.ContainsFunc(name, func(r rune) bool { return unicode.Is(script, r) }) {
			scripts++
		}
	}
	return scripts > 1
}

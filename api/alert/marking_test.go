package alert_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"github.com/entente-hub/entente/api/alert"
)

// TestCheckMarking: names of levels as states write them pass; what could make two of
// them look like one does not.
func TestCheckMarking(t *testing.T) {
	for _, name := range []string{"", "SECRET", "TR\u00c8S SECRET", "VS-NfD", "DIFFUSION RESTREINTE", "\u0421\u041e\u0412. \u0421\u0415\u041a\u0420\u0415\u0422\u041d\u041e",
		"\u0391\u03a0\u039f\u03a1\u03a1\u0397\u03a4\u039f", "\u6975\u79d8", "\u0633\u0631\u064a", "SECRET (2/3) \u2013 EU", strings.Repeat("x", alert.MaxMarking)} {
		if err := alert.CheckMarking(name); err != nil {
			t.Error(err)
		}
	}
	for what, name := range map[string]string{
		"zero width space": "SEC\u200bRET", "word joiner": "\u2060SECRET", "soft hyphen": "SEC\u00adRET", "byte order mark": "\ufeffSECRET",
		"joiner": "SEC\u200dRET", "Hangul filler": "SECRET\u3164", "half-width filler": "SECRET\uffa0", "grapheme joiner": "SEC\u034fRET",
		"variation selector": "SECRET\ufe0f", "supplementary selector": "SECRET\U000e0100", "tag": "SECRET\U000e0041", "Mongolian": "SEC\u180eRET",
		"no-break space": "TR\u00c8S\u00a0SECRET", "thin space": "TR\u00c8S\u2009SECRET", "ideographic space": "TR\u00c8S\u3000SECRET",
		"Braille blank": "TR\u00c8S\u2800SECRET", "two spaces": "TR\u00c8S  SECRET", "space before": " SECRET", "space after": "SECRET ",
		"not composed": "TRE\u0300S", "Kelvin sign": "\u212aA", "Cyrillic among Latin": "S\u0415CRET", "Greek among Latin": "S\u0395CRET",
		"Greek among Cyrillic": "\u0421\u0395", "two lines": "A\nB", "tab": "A\tB", "right to left": "A\u202eB", "private use": "A\ue000",
		"not assigned": "A\U000e0fff", "not UTF-8": "A\xff", "too long": strings.Repeat("x", alert.MaxMarking+1),
	} {
		if err := alert.CheckMarking(name); !errors.Is(err, alert.ErrInvalid) {
			t.Errorf("%s: %q passes", what, name)
		}
	}
}

// TestNothingUnseenInMarkings: for every character there is.
func TestNothingUnseenInMarkings(t *testing.T) {
	refused := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r >= 0xD800 && r < 0xE000 {
			continue
		}
		err := alert.CheckMarking("(" + string(r) + ")")
		if err != nil {
			refused++
		}
		if unseen := unicode.In(r, unicode.Cf, unicode.Zs, unicode.Zl, unicode.Zp, unicode.Cc, unicode.Other_Default_Ignorable_Code_Point) && r != ' '; unseen && err == nil {
			t.Errorf("%U passes", r)
		}
		if r > ' ' && r <= '~' && err != nil {
			t.Errorf("%q: %v", r, err)
		}
	}
	if refused == 0 || refused > unicode.MaxRune-100_000 {
		t.Errorf("%d refused", refused)
	}
}

func FuzzCheckMarking(f *testing.F) {
	for _, s := range []string{"SECRET", "TR\u00c8S SECRET", "S\u0415CRET", "\u3164", "A\u0300"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if alert.CheckMarking(name) != nil {
			return
		}
		if len(name) > alert.MaxMarking || strings.Join(strings.Fields(name), " ") != name {
			t.Errorf("%q passes", name)
		}
		if folded := alert.FoldMarking(name); alert.FoldMarking(folded) != folded {
			t.Errorf("%q folds to %q, and that to another", name, folded)
		}
	})
}

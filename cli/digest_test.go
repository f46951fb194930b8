package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// dashed returns a digest that begins with some text.
func dashed(t *testing.T, begin string) string {
	t.Helper()
	d := begin + strings.Repeat("A", 43-len(begin))
	if raw, err := base64.RawURLEncoding.Strict().DecodeString(d); err != nil || len(raw) != 32 {
		t.Fatalf("%s: %v", d, err)
	}
	return d
}

// A digest that begins as a flag does is an argument, wherever it stands; the value of a
// flag stays with it, and what is no whole digest stays a flag.
func TestDigestsLast(t *testing.T) {
	one, two := dashed(t, "-b"), dashed(t, "--")
	for args, want := range map[string]string{
		"agreement sign ONE --config f":             "agreement sign --config f -- ONE",
		"agreement sign TWO --config f":             "agreement sign --config f -- TWO",
		"agreement show --json TWO":                 "agreement show --json -- TWO",
		"agreement sign --config=f ONE":             "agreement sign --config=f -- ONE",
		"policy activate --sign ONE --keys k":       "policy activate --sign ONE --keys k",
		"policy activate --sign TWO":                "policy activate --sign TWO",
		"policy fetch --in-force ONE --out TWO":     "policy fetch --in-force --out TWO -- ONE",
		"policy fetch ONE --out f -- x":             "policy fetch --out f -- ONE x",
		"agreement sign -- ONE":                     "agreement sign -- ONE",
		"agreement sign " + one[:42]:                "agreement sign " + one[:42],
		"agreement sign " + one[:42] + "B":          "agreement sign " + one[:42] + "B", // not strict
		"agreement sign " + strings.Repeat("A", 43): "agreement sign " + strings.Repeat("A", 43),
		"ONE": "-- ONE", "no-such-command ONE": "no-such-command -- ONE", "": "",
	} {
		fill := func(s string) []string {
			return strings.Fields(strings.NewReplacer("ONE", one, "TWO", two).Replace(s))
		}
		given := fill(args)
		if diff := cmp.Diff(fill(want), digestsLast(newRoot(), given)); diff != "" {
			t.Errorf("%s: %s", args, diff)
		}
		if diff := cmp.Diff(fill(args), given); diff != "" {
			t.Errorf("%s: the arguments were changed: %s", args, diff)
		}
	}
}

// Every command that takes a digest comes as far as reading its configuration, which is
// behind all reading of flags and arguments.
func TestCommandsTakeDashedDigests(t *testing.T) {
	for _, d := range []string{dashed(t, "-b"), dashed(t, "--")} {
		for _, line := range []string{"agreement sign D", "agreement show D", "agreement decline D", "emergency sign D",
			"policy activate --sign D", "policy fetch D --out out"} {
			args := append(strings.Fields(strings.ReplaceAll(line, "D", d)), "--config", "absent.yaml")
			var stdout, stderr bytes.Buffer
			Main(context.Background(), args, &stdout, &stderr)
			if got := stderr.String(); !strings.Contains(got, "absent.yaml") || strings.Contains(got, "flag") {
				t.Errorf("%s: %s", line, got)
			}
		}
	}
}

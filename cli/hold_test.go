package cli

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestHoldIsToBeBrought: what was signed and not brought counts for nothing yet, whether it
// places a hold or lifts one, and the command says so.
func TestHoldIsToBeBrought(t *testing.T) {
	dir := t.TempDir()
	store, secret, _ := keyStore(t, dir, "auditor-1")
	placed := filepath.Join(dir, "placed.json")
	for _, c := range []struct {
		out  string
		args []string
	}{
		{placed, []string{"place", "case-7", "--all", "--from", "2027-03-01", "--until", "2027-03-02T12:00:00Z"}},
		{filepath.Join(dir, "lifted.json"), []string{"lift", placed}},
	} {
		out, _ := entente(t, exitOK, append(append([]string{"hold"}, c.args...), "--reason", "x", "--keys", store, "--secret-file", secret, "--out", c.out)...)
		if !strings.HasPrefix(out, c.out+" is signed, by auditor-1/") || !strings.HasSuffix(out, "entente hold bring "+c.out+"\n") ||
			!strings.Contains(out, "counts for nothing until") {
			t.Errorf("%s: %s", c.args[0], out)
		}
	}
	if _, errs := entente(t, exitUsage, "hold", "place", "case-8", "--all", "--from", "tomorrow", "--reason", "x", "--keys", store, "--out", "x"); !strings.Contains(errs, `--from "tomorrow"`) {
		t.Error(errs)
	}
}

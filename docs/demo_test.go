package docs_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/entente-hub/entente/cli"
)

// TestDemoExcerpt: what the README says that the demo prints, it prints.
func TestDemoExcerpt(t *testing.T) {
	_, section, _ := strings.Cut(read(t, "README.md").text, "\n## What the demo shows\n")
	section, _, _ = strings.Cut(section, "\n## ")
	excerpts := document{"README.md", section}.fences("text")
	if len(excerpts) == 0 {
		t.Fatal("no excerpt of the demo's output")
	}
	var stdout, stderr bytes.Buffer
	if code := cli.Main(t.Context(), []string{"demo", "--dir", t.TempDir()}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout.String(), stderr.String())
	}
	for _, e := range excerpts {
		if !strings.Contains(stdout.String(), e) {
			t.Errorf("the demo does not print\n%sbut\n%s", e, stdout.String())
		}
	}
}

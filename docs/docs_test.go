// Package docs_test holds the documents to the code: what they name must exist,
// and what they list must be complete. A document that has fallen behind fails
// here, with the line that it should have.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// root is the repository's root, as seen from this folder.
const root = ".."

// document is a Markdown file and its path below the root.
type document struct{ path, text string }

func read(t *testing.T, path string) document {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return document{path, string(raw)}
}

// documents returns README.md and everything below docs.
func documents(t *testing.T) []document {
	t.Helper()
	list := []document{read(t, "README.md")}
	for _, path := range files(t, "docs") {
		if strings.HasSuffix(path, ".md") {
			list = append(list, read(t, path))
		}
	}
	return list
}

// files returns the paths of all files below a folder of the repository.
func files(t *testing.T, below string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(filepath.Join(root, below), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		if d.IsDir() {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		list = append(list, filepath.ToSlash(rel))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// table is a Markdown table under a heading. Its cells keep their marks.
type table struct {
	header []string
	rows   [][]string
}

// tableUnder returns the one table between a heading and the next.
func (d document) tableUnder(t *testing.T, heading string) table {
	t.Helper()
	var found []table
	inside, open := false, false
	for _, line := range strings.Split(d.withoutFences(), "\n") {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			inside, open = title == heading, false
		}
		if !inside || !strings.HasPrefix(line, "|") {
			open = false
			continue
		}
		row := cells(line)
		switch {
		case !open:
			found, open = append(found, table{header: row}), true
		case !strings.HasPrefix(row[0], "---"):
			last := &found[len(found)-1]
			if len(row) != len(last.header) {
				t.Errorf("%s: %s: a row of %d cells under a header of %d: %s", d.path, heading, len(row), len(last.header), line)
				continue
			}
			last.rows = append(last.rows, row)
		}
	}
	if len(found) != 1 || len(found[0].rows) == 0 {
		t.Fatalf("%s: %d tables with rows under the heading %q, want one", d.path, len(found), heading)
	}
	return found[0]
}

func cells(line string) []string {
	list := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

var (
	fenceRE = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	codeRE  = regexp.MustCompile("`([^`\n]+)`")
)

func (d document) withoutFences() string { return fenceRE.ReplaceAllString(d.text, "") }

// fences returns the contents of the fenced blocks of a language.
func (d document) fences(language string) []string {
	var list []string
	for _, m := range fenceRE.FindAllStringSubmatch(d.text, -1) {
		if m[1] == language {
			list = append(list, m[2])
		}
	}
	return list
}

// codes returns what stands between backquotes in a text.
func codes(text string) []string {
	var list []string
	for _, m := range codeRE.FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return list
}

// code returns the one thing between backquotes in a cell.
func code(t *testing.T, cell string) string {
	t.Helper()
	list := codes(cell)
	if len(list) != 1 {
		t.Fatalf("the cell %q does not hold one name between backquotes", cell)
	}
	return list[0]
}

// column returns the names in a column, in order.
func (tb table) column(t *testing.T, n int) []string {
	t.Helper()
	var list []string
	for _, row := range tb.rows {
		list = append(list, code(t, row[n]))
	}
	return list
}

// sameSet reports what a document lists too much (-) or too little (+).
func sameSet(t *testing.T, what string, documented, real []string) {
	t.Helper()
	documented, real = slices.Sorted(slices.Values(documented)), slices.Sorted(slices.Values(real))
	if diff := cmp.Diff(documented, real); diff != "" {
		t.Errorf("%s (-documented +in the code):\n%s", what, diff)
	}
}

// TestDecisionsAreListed: the index names every decision.
func TestDecisionsAreListed(t *testing.T) {
	index := read(t, "docs/decisions/README.md").text
	for _, path := range files(t, "docs/decisions") {
		if name := filepath.Base(path); name != "README.md" && !strings.Contains(index, "]("+name+")") {
			t.Errorf("docs/decisions/README.md does not list %s", name)
		}
	}
}

package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/problem"
)

// TestWholeFiles: a file appears whole or not at all, also where there are no links, as on
// most removable media; what is there already stays.
func TestWholeFiles(t *testing.T) {
	noLinks := func(from, to string) error {
		return &os.LinkError{Op: "link", Old: from, New: to, Err: errors.ErrUnsupported}
	}
	for name, link := range map[string]func(string, string) error{"links": os.Link, "no links": noLinks} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			from, out := filepath.Join(dir, "from"), filepath.Join(dir, "out")
			for i, want := range []string{"first", "first"} {
				if err := os.WriteFile(from, []byte([]string{"first", "second"}[i]), 0o600); err != nil {
					t.Fatal(err)
				}
				err := appear(link, from, out)
				if (err == nil) != (i == 0) || err != nil && !strings.Contains(err.Error(), "nothing is overwritten") {
					t.Errorf("%d: %v", i, err)
				}
				got, err := os.ReadFile(out)
				if err != nil || string(got) != want {
					t.Errorf("%d: %q, %v", i, got, err)
				}
				if err := os.RemoveAll(from); err != nil { // where it was linked it is the same file
					t.Fatal(err)
				}
			}
			if err := appear(link, filepath.Join(dir, "absent"), filepath.Join(dir, "other")); err == nil {
				t.Error("a file that is not there has appeared")
			}
			if _, err := os.Lstat(filepath.Join(dir, "other")); err == nil {
				t.Error("what could not be moved leaves its name taken")
			}
		})
	}
	dir := t.TempDir()
	failed := problem.New(problem.Unavailable, "no")
	if err := writeWhole(filepath.Join(dir, "out"), func(*os.File) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Errorf("a failure leaves %v, %v", list, err)
	}
}

package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/cli/setup"
)

// examples returns the OASIS STIX 2.1 examples. They are not part of this
// repository: ENTENTE_TESTDATA names the folder that has them in
// stix-2.1/examples. Without it the test is skipped, in CI it fails.
func examples(t *testing.T) []string {
	t.Helper()
	dir := os.Getenv("ENTENTE_TESTDATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data")
	}
	var files []string
	err := filepath.WalkDir(filepath.Join(dir, "stix-2.1", "examples"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".json" {
			files = append(files, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") != "true" {
		t.Skipf("NOT TESTED ON THE OASIS EXAMPLES: %v; ENTENTE_TESTDATA names the folder with stix-2.1/examples", err)
	}
	if err != nil || len(files) == 0 {
		t.Fatalf("%d OASIS examples: %v", len(files), err)
	}
	return files
}

// TestOASISExamples publishes each file as it is, by the command, with a label file
// that takes all objects, and reads it back at another member.
func TestOASISExamples(t *testing.T) {
	files := examples(t)
	f := newFederation(t, setup.Trial(), 1)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			cmd := exec.Command("entente", "publish", "--config", f.NodeConfig("XA"), "--objects", file,
				"--labels", filepath.Join("testdata", "sample", "open.labels.yaml"), "--json")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, stderr.Bytes())
			}
			var sent nodeapi.Outgoing
			if err := json.Unmarshal(out, &sent); err != nil || sent.State != nodeapi.Accepted {
				t.Fatalf("%s: %v", out, err)
			}
			compareObjects(t, objectsOf(t, file), f.shown(t, "XB", "XA", alert.ID(sent.Id)))
		})
	}
}

// shown waits until a member has an alert, and returns the objects of its portion.
func (f *world) shown(t *testing.T, m, from alert.MemberID, id alert.ID) []json.RawMessage {
	t.Helper()
	var got *nodeapi.ReceivedAlert
	eventually(t, 2*time.Minute, "arrival", func() (bool, string) {
		var err error
		if got, err = f.clients[m].Show(t.Context(), from, id, 1); err != nil && problem.KindOf(err) != problem.NotFound {
			t.Fatal(err)
		}
		return err == nil, ""
	})
	if len(got.Portions) != 1 || got.Portions[0].Objects == nil {
		t.Fatalf("%+v", got.Portions)
	}
	return *got.Portions[0].Objects
}

// objectsOf reads a file apart from the code under test: a bundle's objects, or the
// one object that it holds.
func objectsOf(t *testing.T, file string) []json.RawMessage {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var bundle struct {
		Type    string            `json:"type"`
		Objects []json.RawMessage `json:"objects"`
	}
	switch err := json.Unmarshal(raw, &bundle); {
	case err != nil:
		t.Fatal(err)
	case bundle.Type != "bundle":
		return []json.RawMessage{raw}
	case len(bundle.Objects) == 0:
		t.Fatal("an empty bundle")
	}
	return bundle.Objects
}

// compareObjects: the same objects in the same order, with every number as it was
// written and, but for white space between the parts, the same bytes.
func compareObjects(t *testing.T, want, got []json.RawMessage) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d objects, published %d", len(got), len(want))
	}
	for i := range want {
		if diff := cmp.Diff(exactly(t, want[i]), exactly(t, got[i])); diff != "" {
			t.Errorf("object %d: published (-), read (+):\n%s", i, diff)
		}
		if w, g := compact(t, want[i]), compact(t, got[i]); w != g {
			t.Errorf("object %d: other bytes:\n%s\n%s", i, w, g)
		}
	}
}

func exactly(t *testing.T, raw []byte) (v any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func compact(t *testing.T, raw []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

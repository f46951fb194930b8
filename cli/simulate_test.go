package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/trust"
)

// A registry to suppose is its body or a statement of it, whoever has signed that;
// another statement, or what is neither, is a slip.
func TestSupposedRegistry(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "federation")
	entente(t, exitOK, "init", "--dir", dir)
	files, err := filepath.Glob(filepath.Join(setup.Layout(dir).Statements(), "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	registries := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := trust.Parse(bytes.TrimSpace(raw))
		if err != nil {
			t.Fatal(err)
		}
		c, err := readCandidate("", file, nil)
		want, ok := s.Body.(*federation.Registry)
		if !ok {
			if err == nil || exitCode(err) != exitUsage || !strings.Contains(err.Error(), string(s.Type)) {
				t.Errorf("%s is taken for a registry: %v", file, err)
			}
			continue
		}
		registries++
		if err != nil || len(c.Bodies) != 1 || !cmp.Equal(c.Bodies[0], s.Body) {
			t.Errorf("signed: %+v %v", c.Bodies, err)
		}
		body := write(t, want, dir, "body.json")
		if c, err = readCandidate("", body, nil); err != nil || len(c.Bodies) != 1 || !cmp.Equal(c.Bodies[0], s.Body) {
			t.Errorf("its body: %+v %v", c.Bodies, err)
		}
		var jws map[string]json.RawMessage
		if err := json.Unmarshal(raw, &jws); err != nil {
			t.Fatal(err)
		}
		jws["payload"] = json.RawMessage(`"e30"`)
		for name, content := range map[string]any{"another payload": jws, "two in one": append(raw, raw...), "nothing": []byte{}, "a list": []byte("[]"),
			"an unknown field": []byte(`{"more":1}`)} {
			if _, err := readCandidate("", write(t, content, dir, "wrong.json"), nil); err == nil || exitCode(err) != exitUsage {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if registries != 1 {
		t.Errorf("%d registries", registries)
	}
}

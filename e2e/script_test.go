package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs testdata/script/*.txtar, each in a folder of its own that also
// has the files of testdata/sample. The commands that the scripts have besides
// entente stand in commands_test.go and typed_test.go.
func TestScripts(t *testing.T) {
	sample, err := filepath.Glob("testdata/sample/*")
	if err != nil || len(sample) == 0 {
		t.Fatalf("no sample files: %v", err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                commands,
		Setup: func(env *testscript.Env) error {
			for _, file := range sample {
				raw, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(env.WorkDir, filepath.Base(file)), raw, 0o600); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

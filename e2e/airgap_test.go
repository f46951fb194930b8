package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// offline CONFIG: takes the hub's address out of a node's configuration, which says that
// there is no network instead, and sets HUB to it.
func cmdOffline(ts *testscript.TestScript, args []string) {
	cfg := nodeConfig(ts, args[0])
	if len(cfg.Hub.URLs) != 1 {
		ts.Fatalf("%d addresses of a hub", len(cfg.Hub.URLs))
	}
	ts.Setenv("HUB", cfg.Hub.URLs[0])
	var out []string
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if strings.HasPrefix(line, "hub:") {
			line = fmt.Sprintf("hub: { id: %s, offline: true }\n", cfg.Hub.ID)
		}
		out = append(out, line)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(out, "")), 0o600))
}

// spoil FROM TO: copies a file, and changes one bit in its middle.
func cmdSpoil(ts *testscript.TestScript, args []string) {
	raw := []byte(ts.ReadFile(args[0]))
	raw[len(raw)/2] ^= 1
	ts.Check(os.WriteFile(filepath.Clean(ts.MkAbs(args[1])), raw, 0o600))
}

package firecheck

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/hub/store/pgtest"
)

// TestSoundRun: a run in which nothing went wrong passes, and all kinds of things were
// looked at.
func TestSoundRun(t *testing.T) {
	dir, err := smallRun()
	if err != nil {
		t.Fatal(err)
	}
	sound(t, dir)
}

// TestSoundRunPostgreSQL: the same on the other store.
func TestSoundRunPostgreSQL(t *testing.T) {
	spec := setup.Trial()
	spec.Postgres = pgtest.New(t)
	f := newFixture(t.TempDir(), spec)
	if err := f.make(); err != nil {
		t.Fatal(err)
	}
	sound(t, f.dir)
}

func sound(t *testing.T, dir string) {
	t.Helper()
	r, err := Check(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", r)
	for _, f := range r.Findings {
		t.Error(f)
	}
	for _, name := range []string{"receipts", "alerts", "alert versions", "recalls, purge", "recalls, cease-use", "feedback, comment",
		"deliveries", "inbox items", "acknowledgements", "purge receipts", "log entries", "checkpoints", "markers",
		"live portions at nodes", "live portions at the hub", "markers found where they must be", "bytes searched",
		"portions that a later version's end has ended", "own versions that a recall has purged", "live portions of the members' own",
		"ended portions that a node held, recalled", "ended portions that a node held, superseded", "ended portions that a node held, ended",
		"erased at the hub, recalled", "erased at the hub, superseded", "erased at the hub, ended",
		"statements taken in the run", "deliveries that must be there"} {
		if r.Counts[name] == 0 {
			t.Errorf("nothing is counted as %q", name)
		}
	}
}

// TestNotChecked: where something is missing that there is to check, that is an error,
// and no pass.
func TestNotChecked(t *testing.T) {
	for _, name := range []string{"run.json", "journal.jsonl", "log", "notes/*", "federation/hub/data/hub.db", "federation/nodes/XC/data/node.db",
		"federation/authority/authority.jwk"} {
		dir := copyRun(t)
		files, err := filepath.Glob(filepath.Join(dir, name))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", name, files, err)
		}
		if err := os.RemoveAll(files[0]); err != nil {
			t.Fatal(err)
		}
		if r, err := Check(t.Context(), dir); err == nil {
			t.Errorf("without %s: %v", name, r.Findings)
		}
	}
}

package e2e_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/hub/store/pgtest"
	hubsqlite "github.com/entente-hub/entente/hub/store/sqlite"
	nodeserver "github.com/entente-hub/entente/node/server"
	nodestore "github.com/entente-hub/entente/node/store"
)

// answerOf runs entente as a process of its own and reads the JSON that it answers.
func answerOf[T any](t testing.TB, args ...string) (v T) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "entente", args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v: %s", args, err, &stderr)
	}
	if err := json.Unmarshal(stdout.Bytes(), &v); err != nil {
		t.Fatalf("%v: %v: %s", args, err, &stdout)
	}
	return v
}

type backedUp struct {
	Manifest struct {
		Log  struct{ Entries int64 }
		Feed struct{ Seq int64 }
	}
}

type restoredHub struct {
	Checkpoints []struct {
		Source  string
		Entries int64
		Covered int64 `json:"checkpoint_entries"`
		Missing int64
	}
}

// keepCheckpoint writes the last checkpoint that a member's node has seen to a file.
func (f *world) keepCheckpoint(m alert.MemberID, file string) {
	f.t.Helper()
	note, err := exec.CommandContext(f.t.Context(), "entente", "audit", "checkpoint", "--config", f.NodeConfig(m)).Output()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(file, note, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// rows is all that a database holds, a text a row, in the order of each table's rows.
func rows(t testing.TB, file string) map[string][]string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	query := func(q string) (out []string) {
		list, err := db.QueryContext(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		defer list.Close()
		columns, err := list.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for list.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(sql.RawBytes)
			}
			if err := list.Scan(values...); err != nil {
				t.Fatal(err)
			}
			var b []byte
			for _, v := range values {
				b = fmt.Appendf(b, "%q ", *v.(*sql.RawBytes))
			}
			out = append(out, string(b))
		}
		if err := list.Err(); err != nil {
			t.Fatal(err)
		}
		return out
	}
	out := map[string][]string{"sqlite_schema": query("SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2")}
	tables, err := db.QueryContext(t.Context(), "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for tables.Next() {
		var name string
		if err := tables.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := tables.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		list := query(fmt.Sprintf("SELECT * FROM %q", name))
		slices.Sort(list)
		out[name] = list
	}
	return out
}

// leaves are the entries of the log in a hub's folder.
func leaves(t testing.TB, dir string) [][]byte {
	t.Helper()
	st, err := hubsqlite.Open(t.Context(), filepath.Join(dir, "data", "hub.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	head, err := st.LogHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for int64(len(out)) < head.Size {
		list, err := st.Entries(t.Context(), int64(len(out)), 1000)
		if err != nil || len(list) == 0 {
			t.Fatal(len(list), err)
		}
		out = append(out, list...)
	}
	return out
}

// TestBackupWhileRunning: backups that are made while hub and nodes work are each of
// one moment; what has gone since is known to the entry.
func TestBackupWhileRunning(t *testing.T) {
	const each, backups = 30, 3
	f := newFederation(t, setup.Trial(), 1)
	dir := t.TempDir()
	tr := &traffic{f: f}
	published := tr.publishAll(t, random(t), map[alert.MemberID]int{"XA": each, "XB": each, "XC": each, "XD": each})
	accepted := make(map[alert.MemberID]int64)
	hubs, nodes := make([]backedUp, backups), make([]backedUp, backups)
	for i := range backups {
		eventually(t, 60*time.Second, "progress", func() (bool, string) {
			return f.progress(accepted) >= int64(4*each*(i+1)/(backups+2)), ""
		})
		hubs[i] = answerOf[backedUp](t, "backup", "--dir", f.Hub(), "--out", filepath.Join(dir, fmt.Sprint("hub-", i)), "--json")
		nodes[i] = answerOf[backedUp](t, "backup", "--dir", f.Node("XB"), "--out", filepath.Join(dir, fmt.Sprint("XB-", i)), "--json")
	}
	<-published
	// The page with this one comes with a checkpoint of all that was logged before it.
	if _, err := f.clients["XA"].Publish(t.Context(), draftOf(t, []alert.PortionID{"open"}, "the last")); err != nil {
		t.Fatal(err)
	}
	f.quiesce(60 * time.Second)
	checkpoint := filepath.Join(dir, "XD.checkpoint")
	f.keepCheckpoint("XD", checkpoint)
	for _, p := range f.nodes {
		p.kill()
	}
	f.hubs[0].kill()
	all := leaves(t, f.Hub())
	inbox := rows(t, filepath.Join(f.Node("XB"), "data", "node.db"))["inbox"]
	for i := range backups {
		to := filepath.Join(dir, fmt.Sprint("restored-hub-", i))
		back := answerOf[restoredHub](t, "restore", "--in", filepath.Join(dir, fmt.Sprint("hub-", i)), "--dir", to, "--checkpoint", checkpoint, "--json")
		got := leaves(t, to)
		if int64(len(got)) != hubs[i].Manifest.Log.Entries || len(got) == 0 || !slices.EqualFunc(got, all[:len(got)], bytes.Equal) {
			t.Errorf("backup %d: %d entries, the manifest says %d; or they are others", i, len(got), hubs[i].Manifest.Log.Entries)
		}
		last := back.Checkpoints[len(back.Checkpoints)-1]
		if len(back.Checkpoints) != 2 || back.Checkpoints[0].Missing != 0 || last.Entries != int64(len(got)) ||
			last.Missing != last.Covered-int64(len(got)) || last.Missing <= 0 || last.Covered > int64(len(all)) {
			t.Errorf("backup %d: %+v", i, back.Checkpoints)
		}
		to = filepath.Join(dir, fmt.Sprint("restored-XB-", i))
		answerOf[json.RawMessage](t, "restore", "--in", filepath.Join(dir, fmt.Sprint("XB-", i)), "--dir", to, "--json")
		had := rows(t, filepath.Join(to, "data", "node.db"))["inbox"]
		if int64(len(had)) != nodes[i].Manifest.Feed.Seq {
			t.Errorf("backup %d: %d items in the inbox, the manifest says %d", i, len(had), nodes[i].Manifest.Feed.Seq)
		}
		for _, row := range had {
			if _, ok := slices.BinarySearch(inbox, row); !ok {
				t.Errorf("backup %d: an item that the node does not have: %s", i, row)
			}
		}
	}
	f.checkAtRest(dir)
}

// checkAtRest: a backup of what has been killed holds all of it.
func (f *world) checkAtRest(dir string) {
	for part, db := range map[string]string{f.Hub(): "hub.db", f.Node("XB"): "node.db"} {
		out, to := filepath.Join(dir, db+".backup"), filepath.Join(dir, "rest-"+db)
		answerOf[json.RawMessage](f.t, "backup", "--dir", part, "--out", out, "--json")
		answerOf[json.RawMessage](f.t, "restore", "--in", out, "--dir", to, "--json")
		if d := cmp.Diff(rows(f.t, filepath.Join(part, "data", db)), rows(f.t, filepath.Join(to, "data", db))); d != "" {
			f.t.Errorf("%s: %s", db, d)
		}
	}
}

// putBack puts a folder, whose process is killed, back to a backup, with the keys from
// where they are kept.
func putBack(t testing.TB, dir, backup string, more ...string) {
	t.Helper()
	lost := dir + "-lost"
	if err := os.Rename(dir, lost); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"restore", "--in", backup, "--dir", dir, "--json"}, more...)
	answer := answerOf[struct{ Missing []struct{ Path string } }](t, args...)
	for _, missing := range answer.Missing {
		if err := os.Rename(filepath.Join(lost, filepath.Base(missing.Path)), missing.Path); err != nil {
			t.Fatal(err)
		}
	}
}

// goBack puts a member's node back to a backup.
func (f *world) goBack(m alert.MemberID, backup string) {
	f.t.Helper()
	f.nodes[m].kill()
	putBack(f.t, f.Node(m), backup)
	f.nodes[m].start()
	f.nodes[m].await("/readyz")
	client, err := nodeserver.NewClient(f.nodeCfg[m]) // the node has made another token
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(client.Close)
	f.clients[m] = client
}

// TestHubComesBack: a hub that is put back to a backup of which nothing is missing goes
// on as if nothing had happened.
func TestHubComesBack(t *testing.T) {
	f := newFederation(t, setup.Trial(), 1)
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(8, 8))
	tr := &traffic{f: f}
	shares := map[alert.MemberID]int{"XA": 5, "XB": 5, "XC": 5, "XD": 5}
	<-tr.publishAll(t, rnd, shares)
	f.quiesce(60 * time.Second)
	f.hubs[0].kill()
	file, checkpoint := filepath.Join(dir, "hub.backup"), filepath.Join(dir, "XC.checkpoint")
	answerOf[backedUp](t, "backup", "--dir", f.Hub(), "--out", file, "--json")
	f.keepCheckpoint("XC", checkpoint)
	putBack(t, f.Hub(), file, "--checkpoint", checkpoint)
	f.hubs[0].start()
	f.hubs[0].await("/readyz")
	<-tr.publishAll(t, rnd, shares)
	f.quiesce(60 * time.Second)
	for _, m := range f.members {
		if s, err := f.clients[m].Status(t.Context()); err != nil || len(s.Alarms) > 0 {
			t.Errorf("%s: %+v, %v", m, s, err)
		}
	}
	note, err := os.ReadFile(checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	f.check(tr, [][]byte{note})
}

// TestNodeGoesBack: a node that is put back to an old backup has soon all again that it
// had, and nothing twice: what it has received since, and what it had queued then and
// sent since.
func TestNodeGoesBack(t *testing.T) {
	f := newFederation(t, setup.Trial(), 1)
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(7, 7))
	tr := &traffic{f: f}
	<-tr.publishAll(t, rnd, map[alert.MemberID]int{"XA": 10, "XB": 5, "XC": 10, "XD": 5})
	f.quiesce(60 * time.Second)
	f.hubs[0].kill() // from here on XB queues
	tr.publish(t, rnd, "XB", 4)
	file := filepath.Join(dir, "XB.backup")
	made := answerOf[backedUp](t, "backup", "--dir", f.Node("XB"), "--out", file, "--json")
	f.hubs[0].start()
	f.hubs[0].await("/readyz")
	<-tr.publishAll(t, rnd, map[alert.MemberID]int{"XA": 10, "XC": 10, "XD": 5})
	f.quiesce(60 * time.Second)
	before, err := f.clients["XB"].Status(t.Context())
	if err != nil || before.Cursor <= made.Manifest.Feed.Seq {
		t.Fatalf("%+v, %v: the backup stands at %d", before, err, made.Manifest.Feed.Seq)
	}
	f.goBack("XB", file)
	f.quiesce(60 * time.Second)
	after, err := f.clients["XB"].Status(t.Context())
	restored := func(a nodeapi.Alarm) bool { return a.Kind == nodestore.AlarmRestored }
	if err != nil || after.Cursor != before.Cursor || len(after.Alarms) == 0 || slices.ContainsFunc(after.Alarms, func(a nodeapi.Alarm) bool { return !restored(a) }) {
		t.Errorf("%+v, %v; before: %+v", after, err, before)
	}
	<-tr.publishAll(t, rnd, map[alert.MemberID]int{"XA": 5, "XB": 5, "XC": 5, "XD": 5})
	f.quiesce(60 * time.Second)
	f.check(tr, nil)
}

// TestDumpPostgreSQL: a dump that is made while hubs work is of one moment, and the
// members' checkpoints tell which.
func TestDumpPostgreSQL(t *testing.T) {
	spec := setup.Trial()
	spec.Postgres = pgtest.New(t)
	f := newFederation(t, spec, 2)
	dir := t.TempDir()
	early, late, dump := filepath.Join(dir, "early"), filepath.Join(dir, "late"), filepath.Join(dir, "dump")
	tr := &traffic{f: f}
	rnd := rand.New(rand.NewPCG(5, 6))
	<-tr.publishAll(t, rnd, map[alert.MemberID]int{"XA": 5, "XB": 5, "XC": 5, "XD": 5})
	f.quiesce(60 * time.Second)
	f.keepCheckpoint("XB", early)
	published := tr.publishAll(t, rnd, map[alert.MemberID]int{"XA": 20, "XB": 20, "XC": 20, "XD": 20})
	run := func(name string, args ...string) {
		if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	run("pg_dump", "--format=custom", "--file="+dump, spec.Postgres)
	<-published
	if _, err := f.clients["XA"].Publish(t.Context(), draftOf(t, []alert.PortionID{"open"}, "the last")); err != nil {
		t.Fatal(err)
	}
	f.quiesce(60 * time.Second)
	f.keepCheckpoint("XB", late)
	for _, h := range f.hubs {
		h.kill()
	}
	again := pgtest.New(t)
	run("pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", "--dbname="+again, dump)
	if err := os.WriteFile(filepath.Join(f.Hub(), "postgres.dsn"), []byte(again), 0o600); err != nil {
		t.Fatal(err)
	}
	answerOf[json.RawMessage](t, "audit", "verify", "--config", f.HubConfig(), "--checkpoint", early, "--json")
	out, err := exec.CommandContext(t.Context(), "entente", "audit", "verify", "--config", f.HubConfig(), "--checkpoint", late).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 5 || !bytes.Contains(out, []byte("the checkpoint covers")) {
		t.Errorf("%v: %s", err, out)
	}
}

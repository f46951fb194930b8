package cli

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entente-hub/entente/cli/setup"
	hubserver "github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/sqlitefile"
)

// change writes to a database behind the program's back.
func change(t *testing.T, file, stmt string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	res, err := db.ExecContext(t.Context(), stmt)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		t.Fatal("nothing was changed", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// backupOf makes a backup of a folder.
func backupOf(t *testing.T, dir string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "backup")
	entente(t, exitOK, "backup", "--dir", dir, "--out", file)
	return file
}

func restoreJSON(t *testing.T, args ...string) (r restored) {
	t.Helper()
	out, _ := entente(t, exitOK, append([]string{"restore", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRestoreInPlace: what was lost is there again where it was, but for the private
// keys.
func TestRestoreInPlace(t *testing.T) {
	l := quiet(t)
	for part, database := range map[string]string{l.Hub(): "hub.db", l.Node("XA"): "node.db"} {
		file, lost := backupOf(t, part), part+"-lost"
		if err := os.Rename(part, lost); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(part, 0o755); err != nil { // an empty folder is taken
			t.Fatal(err)
		}
		r := restoreJSON(t, "--in", file, "--dir", part)
		name := strings.TrimSuffix(database, ".db") + ".yaml"
		for _, same := range []string{name, "tls.crt"} {
			got, err1 := os.ReadFile(filepath.Join(part, same))
			want, err2 := os.ReadFile(filepath.Join(lost, same))
			if err1 != nil || err2 != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %v %v", same, err1, err2)
			}
		}
		onlyIn(t, part, "data", name, "outside", "tls.crt")
		onlyIn(t, filepath.Join(part, "data"), database)
		onlyIn(t, filepath.Join(part, "outside"), "authority.jwk", "ca.crt")
		err := filepath.WalkDir(part, func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		var missing []string
		for _, m := range r.Missing {
			missing = append(missing, m.Field)
			if err := os.Rename(filepath.Join(lost, filepath.Base(m.Path)), m.Path); err != nil {
				t.Error(err)
			}
		}
		if got := strings.Join(missing, " "); got != "tls.key keys.dir keys.secret_file" {
			t.Errorf("missing: %s", got)
		}
		// With them it is whole: it can be backed up, and a hub signs.
		if again := backupOf(t, part); r.Manifest.Kind == hubKind {
			entente(t, exitOK, "restore", "--in", again, "--dir", filepath.Join(t.TempDir(), "again"))
		}
	}
	onlyIn(t, string(l), "auditor", "authority", "hub", "hub-lost", "nodes", "statements")
}

// TestRestoreElsewhere: with none of what the configuration names outside.
func TestRestoreElsewhere(t *testing.T) {
	l, dir := quiet(t), t.TempDir()
	write(t, []byte("package entente.egress\n"), l.Node("XA"), "rules", "egress.rego")
	raw, err := os.ReadFile(l.NodeConfig("XA"))
	if err != nil {
		t.Fatal(err)
	}
	raw = bytes.Replace(raw, []byte("data_dir: data"), []byte("data_dir: "+filepath.Join(l.Node("XA"), "data")), 1)
	write(t, append(raw, []byte("egress: { module: rules/egress.rego }\n")...), l.NodeConfig("XA"))
	file := backupOf(t, l.Node("XA"))
	to := filepath.Join(dir, "XA")
	text, _ := entente(t, exitOK, "restore", "--in", file, "--dir", to)
	onlyIn(t, filepath.Join(to, "outside"), "authority.jwk", "ca.crt", "node.db") // its data_dir is there and has one
	onlyIn(t, filepath.Join(to, "rules"), "egress.rego")
	for _, want := range []string{"data_dir", "authority_key", "tls.ca", filepath.Join(to, "outside"), "keys.secret_file"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not said: %s", want, text)
		}
	}
}

func TestRestoreOverNothing(t *testing.T) {
	l, dir := quiet(t), t.TempDir()
	file := backupOf(t, l.Node("XA"))
	full := filepath.Join(dir, "full")
	write(t, []byte("mine"), full, "x")
	plain := write(t, []byte("mine"), dir, "plain")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		code int
		args []string
	}{
		"not empty":      {exitUsage, []string{"--in", file, "--dir", full}},
		"itself":         {exitUsage, []string{"--in", file, "--dir", l.Node("XA")}},
		"a file":         {exitUsage, []string{"--in", file, "--dir", plain}},
		"a link":         {exitUsage, []string{"--in", file, "--dir", link}},
		"no parent":      {exitFailed, []string{"--in", file, "--dir", filepath.Join(dir, "no", "new")}},
		"no file":        {exitUsage, []string{"--in", filepath.Join(dir, "none"), "--dir", filepath.Join(dir, "new")}},
		"a folder":       {exitUsage, []string{"--in", full, "--dir", filepath.Join(dir, "new")}},
		"a checkpoint":   {exitUsage, []string{"--in", file, "--dir", filepath.Join(dir, "new"), "--checkpoint", plain}},
		"no checkpoint":  {exitUsage, []string{"--in", file, "--dir", filepath.Join(dir, "new"), "--checkpoint", full}},
		"nothing to do":  {exitUsage, []string{"--in", file}},
		"nothing there":  {exitUsage, []string{"--dir", filepath.Join(dir, "new")}},
		"not our format": {exitUsage, []string{"--in", plain, "--dir", filepath.Join(dir, "new")}},
	} {
		if _, said := entente(t, c.code, append([]string{"restore"}, c.args...)...); said == "" {
			t.Errorf("%s: nothing is said", name)
		}
		onlyIn(t, dir, "full", "link", "plain")
		onlyIn(t, full, "x")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := restore(gone, file, filepath.Join(dir, "new"), nil, nil); err == nil {
		t.Error("restored after the end")
	}
	onlyIn(t, dir, "full", "link", "plain")
}

// TestMissingTail: checkpoints tell to the entry what has gone since the backup, and
// one that the log contradicts ends it.
func TestMissingTail(t *testing.T) {
	l, dir := quiet(t), t.TempDir()
	var cfg hubserver.Config
	if err := loadConfig(l.HubConfig(), &cfg); err != nil {
		t.Fatal(err)
	}
	signed := func(name string, s logState) string {
		if err := s.sign(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		return write(t, []byte(s.Checkpoint), dir, name)
	}
	before := logMore(t, l.Hub(), 1)
	older := signed("older", before)
	then := logMore(t, l.Hub(), 4)
	same := signed("same", then)
	file := backupOf(t, l.Hub())
	now := logMore(t, l.Hub(), 7)
	newer := signed("newer", now)
	to := filepath.Join(dir, "to")
	r := restoreJSON(t, "--in", file, "--dir", to, "--checkpoint", older, "--checkpoint", same, "--checkpoint", newer)
	for i, want := range []struct {
		source           string
		covered, missing int64
	}{{inBackup, then.Entries, 0}, {older, before.Entries, 0}, {same, then.Entries, 0}, {newer, now.Entries, 7}} {
		got := r.Checkpoints[i]
		if got.Source != want.source || got.Entries != then.Entries || got.Checkpoint != want.covered || got.Missing != want.missing {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	text, _ := entente(t, exitOK, "restore", "--in", file, "--dir", to+"2", "--checkpoint", newer)
	if !strings.Contains(text, "7 ENTRIES ARE MISSING") || !strings.Contains(text, now.Root) {
		t.Error(text)
	}
	forked := logState{Entries: then.Entries, Root: now.Root}
	shorter := logState{Entries: before.Entries, Root: then.Root}
	forkedLater := logState{Entries: now.Entries, Root: then.Root}
	stranger := quiet(t)
	for name, files := range map[string][]string{
		"another history of that size":  {signed("a", forked)},
		"another beginning":             {signed("b", shorter)},
		"two histories after the end":   {newer, signed("c", forkedLater)},
		"another federation's hub":      {foreignCheckpoint(t, stranger, dir)},
		"no checkpoint":                 {write(t, []byte("x"), dir, "d")},
		"one with another size written": {tamper(t, newer, dir)},
	} {
		args := []string{"restore", "--in", file, "--dir", to + "3"}
		for _, f := range files {
			args = append(args, "--checkpoint", f)
		}
		if _, said := entente(t, exitNotVerified, args...); !strings.Contains(said, files[len(files)-1]) {
			t.Errorf("%s: %s", name, said)
		}
		if _, err := os.Lstat(to + "3"); err == nil {
			t.Fatalf("%s: something was restored", name)
		}
	}
}

// foreignCheckpoint is one of a hub of the same name in another federation.
func foreignCheckpoint(t *testing.T, l setup.Layout, dir string) string {
	t.Helper()
	var cfg hubserver.Config
	if err := loadConfig(l.HubConfig(), &cfg); err != nil {
		t.Fatal(err)
	}
	s := logMore(t, l.Hub(), 20)
	if err := s.sign(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return write(t, []byte(s.Checkpoint), dir, "foreign")
}

// tamper changes a digit of a checkpoint's size.
func tamper(t *testing.T, file, dir string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.IndexByte(raw, '\n') + 1
	raw[i] = '0' + (raw[i]-'0')%9 + 1
	return write(t, raw, dir, "tampered")
}

func TestAuditCheckpoint(t *testing.T) {
	l := quiet(t)
	config := l.NodeConfig("XA")
	entente(t, exitUnavailable, "audit", "checkpoint", "--config", config)
	database := filepath.Join(l.Node("XA"), "data", "node.db")
	note := "entente/hub\n1\nx\n\n— entente/hub y\n"
	change(t, database, `UPDATE position SET seq = 1, chain = 'c', head = 'h', head_at = 1, checkpoint = CAST('`+note+`' AS BLOB)`)
	if out, _ := entente(t, exitOK, "audit", "checkpoint", "--config", config); out != note {
		t.Errorf("%q", out)
	}
	file := filepath.Join(t.TempDir(), "out")
	for _, code := range []int{exitOK, exitUsage} { // the second time it is there
		entente(t, code, "audit", "checkpoint", "--config", config, "--out", file)
		if raw, err := os.ReadFile(file); err != nil || string(raw) != note {
			t.Errorf("%q %v", raw, err)
		}
	}
	change(t, database, `UPDATE goose_db_version SET version_id = version_id + 100 WHERE version_id > 1`)
	if _, said := entente(t, exitFailed, "audit", "checkpoint", "--config", config); !strings.Contains(said, "schema version") {
		t.Error(said)
	}
	if v, err := sqlitefile.Version(t.Context(), database); err != nil || v < 100 {
		t.Error("the database was changed", v, err)
	}
	entente(t, exitFailed, "audit", "checkpoint", "--config", l.NodeConfig("XB")) // no database yet
	if _, err := os.Lstat(filepath.Join(l.Node("XB"), "data", "node.db")); err == nil {
		t.Error("a database was made")
	}
}

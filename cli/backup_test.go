package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/serve"
	"github.com/entente-hub/entente/cli/setup"
	hubserver "github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/hub/store"
	hubsqlite "github.com/entente-hub/entente/hub/store/sqlite"
	nodeserver "github.com/entente-hub/entente/node/server"
	nodesqlite "github.com/entente-hub/entente/node/store/sqlite"
)

// quiet is a federation of which nothing runs: the hub has taken in its statements,
// and XA's node has a database.
func quiet(t *testing.T) setup.Layout {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "federation")
	l, err := setup.Make(t.Context(), dir, setup.Trial())
	if err != nil {
		t.Fatal(err)
	}
	var cfg hubserver.Config
	if err := loadConfig(l.HubConfig(), &cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err = hubserver.Run(ctx, cfg, slog.New(slog.DiscardHandler), hubserver.Events{Ready: func(serve.Addresses) { cancel() }})
	if err != nil {
		t.Fatal(err)
	}
	st, err := nodesqlite.Open(t.Context(), filepath.Join(l.Node("XA"), "data", "node.db"))
	if err == nil {
		err = st.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// logMore writes n entries to the log in a hub's folder, and returns its state.
func logMore(t *testing.T, hubDir string, n int) logState {
	t.Helper()
	st, err := hubsqlite.Open(t.Context(), filepath.Join(hubDir, "data", "hub.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	first, err := st.Entries(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	for range n { // each reads as an entry
		if _, err := st.Commit(t.Context(), []store.Write{{Entries: first}}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := describeHub(t.Context(), filepath.Join(hubDir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

// onlyIn fails if a folder holds anything but what is named.
func onlyIn(t *testing.T, dir string, names ...string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, e.Name())
	}
	if slices.Sort(names); !slices.Equal(got, names) {
		t.Errorf("%s holds %v, want %v", dir, got, names)
	}
}

func TestBackupAnswers(t *testing.T) {
	l, dir := quiet(t), t.TempDir()
	before := logMore(t, l.Hub(), 3)
	for part, c := range map[string]struct {
		kind  kind
		id    string
		parts []string
	}{
		l.Hub():      {hubKind, "hub", []string{"hub.db", "hub.yaml", "authority.jwk", "ca.crt", "tls.crt"}},
		l.Node("XA"): {nodeKind, "XA", []string{"node.db", "node.yaml", "authority.jwk", "ca.crt", "tls.crt"}},
	} {
		file := filepath.Join(dir, string(c.kind))
		out, _ := entente(t, exitOK, "backup", "--dir", part, "--out", file, "--json")
		var b backedUp
		if err := json.Unmarshal([]byte(out), &b); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, q := range b.Manifest.Parts {
			names = append(names, q.Name)
		}
		if b.Manifest.Kind != c.kind || b.Manifest.ID != c.id || !slices.Equal(names, c.parts) || b.Unsigned != "" {
			t.Errorf("%+v", b)
		}
		if c.kind == hubKind && (b.Manifest.Log.Entries != before.Entries || b.Manifest.Log.Root != before.Root || b.Manifest.Log.Checkpoint == "") {
			t.Errorf("%+v", b.Manifest.Log)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode() != 0o600 || info.Size() != b.Size {
			t.Errorf("%v %v", info, err)
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, apart := range b.Apart {
			if apart.Field == "keys.dir" {
				continue
			}
			if secret, err := os.ReadFile(apart.Path); err != nil || bytes.Contains(raw, bytes.TrimSpace(secret)) {
				t.Errorf("%s is in the backup: %v", apart.Field, err)
			}
		}
		text, _ := entente(t, exitOK, "backup", "--dir", part, "--out", file+"2")
		for _, want := range append(c.parts, "tls.key", "keys.secret_file", part) {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not said: %s", want, text)
			}
		}
	}
	onlyIn(t, dir, "hub", "hub2", "node", "node2")
}

// A backup that can not be made leaves nothing, and nothing is written over.
func TestBackupRefuses(t *testing.T) {
	l, dir := quiet(t), t.TempDir()
	there := write(t, []byte("mine"), dir, "there")
	both := filepath.Join(t.TempDir(), "both")
	write(t, []byte("x"), both, "hub.yaml")
	write(t, []byte("x"), both, "node.yaml")
	without := l.Node("XB") // its node has not been started yet
	damaged := l.Node("XC")
	write(t, bytes.Repeat([]byte("x"), 8192), damaged, "data", "node.db")
	postgres := t.TempDir()
	raw, err := os.ReadFile(l.HubConfig())
	if err != nil {
		t.Fatal(err)
	}
	write(t, append(raw, []byte("postgres_file: dsn\n")...), postgres, "hub.yaml")
	out := filepath.Join(dir, "new")
	for name, c := range map[string]struct {
		code int
		says string
		args []string
	}{
		"no folder":            {exitUsage, "--dir and --out", []string{"--out", out}},
		"no file":              {exitUsage, "--dir and --out", []string{"--dir", l.Hub()}},
		"no such folder":       {exitUsage, "neither", []string{"--dir", filepath.Join(dir, "none"), "--out", out}},
		"no configuration":     {exitUsage, "neither", []string{"--dir", dir, "--out", out}},
		"two configurations":   {exitUsage, "both", []string{"--dir", both, "--out", out}},
		"a file is there":      {exitUsage, "exists", []string{"--dir", l.Hub(), "--out", there}},
		"a folder is there":    {exitUsage, "exists", []string{"--dir", l.Hub(), "--out", dir}},
		"nowhere to write":     {exitFailed, "no such file", []string{"--dir", l.Hub(), "--out", filepath.Join(dir, "no", "new")}},
		"no database":          {exitFailed, "node.db", []string{"--dir", without, "--out", out}},
		"no database of ours":  {exitFailed, "damaged", []string{"--dir", damaged, "--out", out}},
		"PostgreSQL":           {exitUsage, "PostgreSQL", []string{"--dir", postgres, "--out", out}},
		"an argument too many": {exitUsage, "argument", []string{"x", "--dir", l.Hub(), "--out", out}},
	} {
		_, said := entente(t, c.code, append([]string{"backup"}, c.args...)...)
		if !strings.Contains(said, c.says) {
			t.Errorf("%s: %s", name, said)
		}
		onlyIn(t, dir, "there")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := backup(gone, l.Hub(), out, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	onlyIn(t, dir, "there")
	if raw, err := os.ReadFile(there); err != nil || string(raw) != "mine" {
		t.Errorf("%q %v", raw, err)
	}
}

// A hub whose key can not be opened is backed up all the same, without a checkpoint;
// one whose log does not hold is not.
func TestBackupOfAHubInTrouble(t *testing.T) {
	l, dir := quiet(t), t.TempDir()
	if err := os.Rename(filepath.Join(l.Hub(), "keys.secret"), filepath.Join(l.Hub(), "elsewhere")); err != nil {
		t.Fatal(err)
	}
	text, _ := entente(t, exitOK, "backup", "--dir", l.Hub(), "--out", filepath.Join(dir, "a"))
	if !strings.Contains(text, "without a signed checkpoint") {
		t.Error(text)
	}
	change(t, filepath.Join(l.Hub(), "data", "hub.db"), `UPDATE log_entries SET leaf = CAST(replace(CAST(leaf AS TEXT), '"kind":"statement"', '"kind":"refusal"') AS BLOB) WHERE idx = 3`)
	entente(t, exitNotVerified, "backup", "--dir", l.Hub(), "--out", filepath.Join(dir, "b"))
	change(t, filepath.Join(l.Hub(), "data", "hub.db"), `UPDATE goose_db_version SET version_id = version_id + 1 WHERE version_id > 1`)
	if _, said := entente(t, exitFailed, "backup", "--dir", l.Hub(), "--out", filepath.Join(dir, "c")); !strings.Contains(said, "schema version") {
		t.Error(said)
	}
	onlyIn(t, dir, "a")
}

// Every file that a configuration names is decided on: whoever adds one says whether
// it goes into a backup.
func TestBackupKnowsTheConfiguredFiles(t *testing.T) {
	left := map[string]bool{
		"data_dir":      true, // of which the database alone
		"statements":    true, // all of them are in the database
		"postgres_file": true, // then there is no backup
	}
	for k, c := range map[kind]config{hubKind: &hubserver.Config{}, nodeKind: &nodeserver.Config{}} {
		v := reflect.ValueOf(c).Elem()
		for _, f := range fieldsOf(v.Type(), "") {
			s := byYAML(v, strings.Split(f.name, "."))
			if s.Kind() != reflect.String {
				continue
			}
			s.SetString("relative")
			c.Resolve("/dir")
			if s.String() == "relative" { // no path
				continue
			}
			_, in := configuredAs[k][f.name]
			apart := slices.Contains([]string{"tls.key", "keys.dir", "keys.secret_file"}, f.name)
			if !in && !apart && !left[f.name] {
				t.Errorf("%s: what becomes of %s in a backup?", k, f.name)
			}
		}
	}
}

// byYAML finds a field of a configuration by its names in the file.
func byYAML(v reflect.Value, names []string) reflect.Value {
	for i := range v.NumField() {
		if tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ","); tag == names[0] {
			if len(names) == 1 {
				return v.Field(i)
			}
			return byYAML(v.Field(i), names[1:])
		}
	}
	panic("no field " + names[0])
}

func TestProgress(t *testing.T) {
	var nobody *progress
	nobody.at("x", 1, 2)
	p := &progress{}
	for _, c := range []struct {
		what        string
		done, total int64
		want        string
	}{{"", 0, 0, ""}, {"checking", 0, 0, "checking …"}, {"copying", 1_260_000, 4_000_000, "copying: 1.3 MB of 4.0 MB"}} {
		if p.at(c.what, c.done, c.total); p.line() != c.want {
			t.Errorf("%q, want %q", p.line(), c.want)
		}
	}
	lines := make(chan string)
	said := newProgress(sends(lines), time.Microsecond)
	said.at("working", 1, 2)
	if got := <-lines; got != "working: 0.0 MB of 0.0 MB\n" {
		t.Error(got)
	}
	go func() { // what it says meanwhile
		for range lines {
		}
	}()
	said.close()
	close(lines) // none comes after it
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := io.ReadAll(p.reader(gone, "x", 1, strings.NewReader("x"))); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type sends chan<- string

func (s sends) Write(b []byte) (int, error) {
	s <- string(b)
	return len(b), nil
}

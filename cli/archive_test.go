package cli

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/entente-hub/entente/sqlitefile"
)

// refusedWhole restores what is no intact backup, and makes sure that nothing is left.
func refusedWhole(t *testing.T, name string, raw []byte, code int) string {
	t.Helper()
	dir := t.TempDir()
	file := write(t, raw, dir, "backup")
	_, said := entente(t, code, "restore", "--in", file, "--dir", filepath.Join(dir, "new"))
	if !strings.Contains(said, file) {
		t.Errorf("%s: it is not said which file: %s", name, said)
	}
	onlyIn(t, dir, "backup")
	return said
}

// TestDamagedBackups: cut anywhere, or changed in any byte, a backup is refused.
func TestDamagedBackups(t *testing.T) {
	l := quiet(t)
	raw, err := os.ReadFile(backupOf(t, l.Node("XA")))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	// All of the first blocks, around each file's beginning, of the end, and by chance.
	positions := []int{len(raw) - 1, len(raw) - 512, len(raw) - 1024, len(raw) - 1025}
	for i := range 24 {
		positions = append(positions, i*97)
	}
	for at := 0; at < len(raw); at += 512 {
		if bytes.Equal(raw[at+257:min(at+262, len(raw))], []byte("ustar")) {
			for _, in := range []int{0, 100, 108, 124, 136, 148, 156, 157, 257, 263, 265, 329, 345, 500, 511, 512} {
				positions = append(positions, at+in)
			}
		}
	}
	for range 30 {
		positions = append(positions, rng.IntN(len(raw)))
	}
	for _, at := range positions {
		flipped := bytes.Clone(raw)
		flipped[at] ^= 1 << rng.IntN(8)
		refusedWhole(t, fmt.Sprintf("byte %d", at), flipped, exitUsage)
		refusedWhole(t, fmt.Sprintf("cut at %d", at), raw[:at], exitUsage)
	}
	for name, more := range map[string][]byte{"a byte more": {0}, "zeros more": make([]byte, 1024), "itself again": raw} {
		refusedWhole(t, name, append(bytes.Clone(raw), more...), exitUsage)
	}
	refusedWhole(t, "nothing", nil, exitUsage)
	refusedWhole(t, "the database alone", bytes.Repeat([]byte("SQLite format 3\x00"), 512), exitUsage)
}

// content is a backup taken apart, to be changed and put together again with
// digests that fit.
type content struct {
	m     manifest
	parts map[string][]byte
}

func apart(t *testing.T, file string) content {
	t.Helper()
	dir := t.TempDir()
	m, err := readArchive(t.Context(), file, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := content{m, make(map[string][]byte)}
	for _, q := range m.Parts {
		if c.parts[q.Name], err = os.ReadFile(filepath.Join(dir, q.Name)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// together writes the archive without asking whether it is one.
func (c content) together(t *testing.T) []byte {
	t.Helper()
	for i, q := range c.m.Parts {
		sum := sha256.Sum256(c.parts[q.Name])
		c.m.Parts[i].Size, c.m.Parts[i].SHA256 = int64(len(c.parts[q.Name])), hex.EncodeToString(sum[:])
	}
	raw, err := c.m.encode()
	if !errors.Is(err, errArchive) && err != nil {
		t.Fatal(err)
	}
	list := []struct {
		name string
		raw  []byte
	}{{manifestName, raw}}
	for _, q := range c.m.Parts {
		list = append(list, struct {
			name string
			raw  []byte
		}{q.Name, c.parts[q.Name]})
	}
	list = append(list, struct {
		name string
		raw  []byte
	}{digestName, digestLine(raw)})
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range list {
		if err := member(w, c.m, f.name, int64(len(f.raw)), bytes.NewReader(f.raw)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestForeignBackups: archives whose digests are all right, with something else in
// them than a backup of a hub or a node has.
func TestForeignBackups(t *testing.T) {
	l := quiet(t)
	node, hub := backupOf(t, l.Node("XA")), backupOf(t, l.Hub())
	if whole, err := os.ReadFile(node); err != nil || !bytes.Equal(apart(t, node).together(t), whole) {
		t.Fatal("the test does not put together what it took apart", err)
	}
	foreign, err := os.ReadFile(filepath.Join(quiet(t).Authority(), "authority.jwk"))
	if err != nil {
		t.Fatal(err)
	}
	rename := func(c *content, from, to string) {
		i := slices.IndexFunc(c.m.Parts, func(q part) bool { return q.Name == from })
		c.m.Parts[i].Name, c.parts[to] = to, c.parts[from]
	}
	edit := func(c *content, name, from, to string) {
		if !bytes.Contains(c.parts[name], []byte(from)) {
			t.Fatalf("%s has no %q", name, from)
		}
		c.parts[name] = bytes.Replace(c.parts[name], []byte(from), []byte(to), 1)
	}
	for name, f := range map[string]struct {
		of     string
		code   int
		says   string
		change func(*content)
	}{
		"another format":      {node, exitUsage, "format", func(c *content) { c.m.Format = "entente-backup/2" }},
		"another kind":        {node, exitUsage, "a hub has a log", func(c *content) { c.m.Kind = hubKind }},
		"no kind":             {node, exitUsage, "kind", func(c *content) { c.m.Kind = "../node" }},
		"another member":      {node, exitUsage, `"XA"`, func(c *content) { c.m.ID = "XB" }},
		"no schema":           {node, exitUsage, "schema", func(c *content) { c.m.Schema = 0 }},
		"another schema":      {node, exitUsage, "schema version", func(c *content) { c.m.Schema-- }},
		"another time":        {node, exitUsage, "time", func(c *content) { c.m.MadeAt = -1 }},
		"no feed":             {node, exitUsage, "feed", func(c *content) { c.m.Feed = nil }},
		"another position":    {node, exitUsage, "position", func(c *content) { c.m.Feed.Seq = 3 }},
		"a hub's log as well": {node, exitUsage, "log", func(c *content) { c.m.Log = &logState{} }},
		"no root":             {hub, exitUsage, "root", func(c *content) { c.m.Log.Root = "AA==" }},
		"another root":        {hub, exitNotVerified, "root", func(c *content) { c.m.Log.Root = base64.StdEncoding.EncodeToString(make([]byte, 32)) }},
		"another size":        {hub, exitNotVerified, "entries", func(c *content) { c.m.Log.Entries-- }},
		"a forged checkpoint": {hub, exitNotVerified, inBackup, func(c *content) {
			c.m.Log.Checkpoint = strings.Replace(c.m.Log.Checkpoint, "— entente/hub ", "— entente/hub A", 1)
		}},
		"a part too many":       {node, exitUsage, "no part", func(c *content) { rename(c, "tls.crt", "tls.key") }},
		"a part out of its dir": {node, exitUsage, "no part", func(c *content) { rename(c, "tls.crt", "../tls.crt") }},
		"a part at the root":    {node, exitUsage, "no part", func(c *content) { rename(c, "tls.crt", "/tmp/tls.crt") }},
		"a part with a folder":  {node, exitUsage, "no part", func(c *content) { rename(c, "tls.crt", "x/../tls.crt") }},
		"no name":               {node, exitUsage, "no part", func(c *content) { rename(c, "tls.crt", "") }},
		"a part twice":          {node, exitUsage, "twice", func(c *content) { c.m.Parts = append(c.m.Parts, c.m.Parts[2]) }},
		"no database":           {node, exitUsage, "missing", func(c *content) { c.m.Parts = c.m.Parts[1:] }},
		"a part too few":        {node, exitUsage, "names", func(c *content) { c.m.Parts = c.m.Parts[:4] }},
		"a part not configured": {node, exitUsage, "names", func(c *content) { rename(c, "tls.crt", "egress.rego") }},
		"no configuration":      {node, exitUsage, "node.yaml", func(c *content) { c.parts["node.yaml"] = []byte("member: XA\n") }},
		"an unknown field":      {node, exitUsage, "node.yaml", func(c *content) { edit(c, "node.yaml", "member:", "more: 1\nmember:") }},
		"a huge configuration":  {node, exitUsage, "at most", func(c *content) { c.parts["node.yaml"] = make([]byte, maxConfigPart+1) }},
		"no database of ours":   {node, exitUsage, "damaged", func(c *content) { c.parts["node.db"] = make([]byte, 4096) }},
		"a damaged database":    {node, exitUsage, "damaged", func(c *content) { clear(c.parts["node.db"][3*4096 : 4*4096]) }},
		"another's database": {node, exitFailed, "", func(c *content) {
			c.parts["node.db"] = apart(t, hub).parts["hub.db"]
			c.m.Schema = apart(t, hub).m.Schema
		}},
		"another authority":      {hub, exitNotVerified, "", func(c *content) { c.parts["authority.jwk"] = foreign }},
		"files inside of a file": {node, exitUsage, "two things", func(c *content) { edit(c, "node.yaml", "ca: ../../authority/ca.crt", "ca: tls.crt/ca.crt") }},
		"a file in a file":       {node, exitUsage, "inside", func(c *content) { edit(c, "node.yaml", "ca: ../../authority/ca.crt", "ca: node.yaml/ca.crt") }},
		"one file for two":       {node, exitUsage, "two things", func(c *content) { edit(c, "node.yaml", "ca: ../../authority/ca.crt", "ca: node.yaml") }},
	} {
		t.Run(name, func(t *testing.T) {
			c := apart(t, f.of)
			f.change(&c)
			if said := refusedWhole(t, name, c.together(t), f.code); !strings.Contains(said, f.says) {
				t.Errorf("%s", said)
			}
		})
	}
}

// TestOlderAndNewerBackups: one with an older schema is brought up to date, one with a
// newer is refused.
func TestOlderAndNewerBackups(t *testing.T) {
	l := quiet(t)
	c := apart(t, backupOf(t, l.Node("XA")))
	newest := c.m.Schema
	first := fstest.MapFS{}
	files, err := filepath.Glob("../node/store/sqlite/migrations/0000[12]_*.sql")
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first[filepath.Base(file)] = &fstest.MapFile{Data: raw}
	}
	dir := t.TempDir()
	old := filepath.Join(dir, "old.db")
	f, err := sqlitefile.Open(t.Context(), old, first, 1)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if c.parts["node.db"], err = os.ReadFile(old); err != nil {
		t.Fatal(err)
	}
	c.m.Schema = 2
	file, to := write(t, c.together(t), dir, "old"), filepath.Join(dir, "to")
	entente(t, exitOK, "restore", "--in", file, "--dir", to)
	if v, err := sqlitefile.Version(t.Context(), filepath.Join(to, "data", "node.db")); v != newest || err != nil {
		t.Error(v, err)
	}
	change(t, old, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)")
	if c.parts["node.db"], err = os.ReadFile(old); err != nil {
		t.Fatal(err)
	}
	c.m.Schema = 99999
	if said := refusedWhole(t, "newer", c.together(t), exitFailed); !strings.Contains(said, "newer entente") {
		t.Error(said)
	}
}

// TestNothingGetsOut: a configuration that names files above its folder has none of
// them written.
func TestNothingGetsOut(t *testing.T) {
	l := quiet(t)
	c := apart(t, backupOf(t, l.Node("XA")))
	c.parts["node.yaml"] = []byte(strings.NewReplacer("cert: tls.crt", "cert: ../evil.crt", "data_dir: data", "data_dir: ../..").Replace(string(c.parts["node.yaml"])))
	dir := t.TempDir()
	file := write(t, c.together(t), dir, "in", "backup")
	to := filepath.Join(dir, "in", "new")
	entente(t, exitOK, "restore", "--in", file, "--dir", to)
	onlyIn(t, dir, "in")
	onlyIn(t, filepath.Join(dir, "in"), "backup", "new")
	onlyIn(t, to, "node.yaml", "outside")
	onlyIn(t, filepath.Join(to, "outside"), "authority.jwk", "ca.crt", "node.db", "tls.crt")
}

// TestOddMembers: files of an archive that are no plain ones, or not the next.
func TestOddMembers(t *testing.T) {
	l := quiet(t)
	c := apart(t, backupOf(t, l.Node("XA")))
	raw, err := c.m.encode()
	if err != nil {
		t.Fatal(err)
	}
	database := c.parts["node.db"]
	for name, list := range map[string][]tar.Header{
		"a link":           {{Name: "node.db", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}},
		"a hard link":      {{Name: "node.db", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}},
		"a folder":         {{Name: "node.db", Typeflag: tar.TypeDir}},
		"a device":         {{Name: "node.db", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}},
		"another name":     {{Name: "../node.db", Typeflag: tar.TypeReg, Size: int64(len(database))}},
		"another order":    {{Name: "node.yaml", Typeflag: tar.TypeReg, Size: int64(len(c.parts["node.yaml"]))}},
		"another size":     {{Name: "node.db", Typeflag: tar.TypeReg, Size: int64(len(database)) - 1}},
		"another mode":     {{Name: "node.db", Typeflag: tar.TypeReg, Mode: 0o777, Size: int64(len(database))}},
		"extended headers": {{Name: "node.db", Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(database)), PAXRecords: map[string]string{"ENTENTE.x": "y"}}},
		"nothing":          nil,
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := member(w, c.m, manifestName, int64(len(raw)), bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
		for _, h := range list {
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
			if h.Size > 0 {
				if _, err := w.Write(append(bytes.Clone(database), make([]byte, 1<<16)...)[:h.Size]); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		refusedWhole(t, name, b.Bytes(), exitUsage)
	}
}

// FuzzManifest: what is taken is written again as it was.
func FuzzManifest(f *testing.F) {
	root := strings.Repeat("A", 43) + "="
	for _, m := range []manifest{
		{Format: archiveFormat, Kind: hubKind, ID: "hub", Schema: 2, MadeAt: 1, Log: &logState{Entries: 3, Root: root}},
		{Format: archiveFormat, Kind: nodeKind, ID: "XA", Schema: 3, MadeAt: 1, Feed: &feedState{Hub: "hub", Seq: 1, Chain: "c", Checkpoint: "n"}},
	} {
		for _, name := range []string{m.Kind.database(), m.Kind.config()} {
			m.Parts = append(m.Parts, part{Name: name, Size: 1, SHA256: strings.Repeat("0a", 32)})
		}
		raw, err := m.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parseManifest(raw)
		if err != nil {
			if !errors.Is(err, errArchive) {
				t.Error(err)
			}
			return
		}
		again, err := m.encode()
		if err != nil || !bytes.Equal(again, raw) {
			t.Errorf("%q is written again as %q, %v", raw, again, err)
		}
	})
}

package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/sqlitefile"
)

func backupCommand() *cobra.Command {
	var dir, out string
	var asJSON bool
	c := &cobra.Command{
		Use:   "backup --dir DIR --out FILE",
		Short: "Back up a node, or a hub with the embedded database, while it runs",
		Long: `Writes one file with all that a node or a hub holds at one moment: a copy of its
database, and its configuration file with the public files that this names
(certificate, certificate authorities, the authority's key; of a node its egress
and ingress rules and its directory of users). DIR is the folder of hub.yaml or
node.yaml. The process may go on working, or be stopped.

Not in it are the private keys: the key of the certificate, the key store and the
secret file that opens it. Whoever has them is the hub, or the member. The command
says where they are: back them up apart from this file, and the secret file apart
from the key store. Nor is the token of a node's local interface, which the node
makes anew, nor a hub's folder of statements, which are all in the database.

The file holds content in the clear: keep it as you keep the database. It is made
with mode 0600, never in the place of another, and is there only when it is whole
and on stable storage. The copy is checked before: its pages and indexes, and of a
hub the audit log, whose root is computed anew from the entries. It needs free
space for two copies of the database in the folder of FILE while it is made.

A hub on PostgreSQL is backed up by the database's own means; docs/operations.md
says how. Put the file back with: entente restore`,
		Example: "  entente backup --dir federation/hub --out hub-2026-11-23.backup\n" +
			"  entente backup --dir federation/nodes/XA --out XA-2026-11-23.backup --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" || out == "" {
				return usage("--dir and --out are needed")
			}
			p := newProgress(cmd.ErrOrStderr(), progressEvery)
			done, err := backup(cmd.Context(), dir, out, p)
			p.close()
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), done)
			}
			return done.print(cmd.OutOrStdout())
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "folder of hub.yaml or node.yaml")
	c.Flags().StringVar(&out, "out", "", "file to make")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// backedUp is what backup answers.
type backedUp struct {
	File     string       `json:"file"`
	Size     int64        `json:"size"`   // in bytes
	SHA256   string       `json:"sha256"` // of the file, hexadecimal
	Manifest manifest     `json:"manifest"`
	Unsigned string       `json:"checkpoint_left_out,omitempty"` // why a hub's has none
	Apart    []configured `json:"not_included"`
}

func (b backedUp) print(w io.Writer) error {
	m := b.Manifest
	printf(w, "Backup of the %s %s: %s, %s, SHA-256 %s\n", m.Kind, m.ID, b.File, megabytes(b.Size), b.SHA256)
	printf(w, "%s", verbatim(m.words()))
	if b.Unsigned != "" {
		printf(w, "  without a signed checkpoint: %s\n", b.Unsigned)
	}
	printf(w, "\nNot in it; back these up apart from it, and the secret file apart from the keys:\n")
	return table(w, nil, apartRows(b.Apart))
}

func apartRows(list []configured) (rows [][]string) {
	for _, a := range list {
		rows = append(rows, []string{indent + a.Field, a.Path})
	}
	return rows
}

// words says in lines what a backup holds.
func (m manifest) words() string {
	s := fmt.Sprintf("  as of %s, schema %d\n", time.Unix(m.MadeAt, 0).UTC().Format(time.RFC3339), m.Schema)
	for _, q := range m.Parts {
		s += fmt.Sprintf("  %-15s %d bytes\n", q.Name, q.Size)
	}
	if m.Log != nil {
		s += fmt.Sprintf("  audit log: %d entries, root %s\n", m.Log.Entries, plain(m.Log.Root))
	}
	if m.Feed != nil {
		s += fmt.Sprintf("  feed: followed up to item %d\n", m.Feed.Seq)
	}
	return s
}

// backup makes the backup of what is configured in dir. It works in a folder beside
// out, which is gone when it returns.
func backup(ctx context.Context, dir, out string, p *progress) (done backedUp, err error) {
	in, raw, err := findInstallation(dir)
	if err != nil {
		return done, err
	}
	if _, err := os.Lstat(out); err == nil {
		return done, usage("%s exists already; nothing is overwritten", out)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return done, usage("%v", err)
	}
	work, err := os.MkdirTemp(filepath.Dir(out), ".entente-backup-*") // with mode 0700
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	done = backedUp{File: out, Apart: in.apart}
	m := &done.Manifest
	*m = manifest{Format: archiveFormat, Kind: in.kind, ID: in.id, MadeAt: time.Now().Unix()}
	if err := copyDatabase(ctx, in, m, work, p); err != nil {
		return done, err
	}
	if m.Log != nil {
		if err := m.Log.sign(ctx, in.hub); err != nil {
			done.Unsigned, m.Log.Checkpoint = err.Error(), ""
		}
	}
	if err := collect(ctx, in, raw, m, work, p); err != nil {
		return done, err
	}
	file := filepath.Join(work, "archive")
	if done.Size, done.SHA256, err = writeFile(ctx, file, *m, work, p); err != nil {
		return done, err
	}
	// A link, not a rename: a rename would replace what has come there meanwhile.
	if err := os.Link(file, out); errors.Is(err, fs.ErrExist) {
		return done, usage("%s exists already; nothing is overwritten", out)
	} else if err != nil {
		return done, err
	}
	return done, syncFile(filepath.Dir(out))
}

// copyDatabase copies the database into the folder work, checks the copy, and
// enters what it amounts to.
func copyDatabase(ctx context.Context, in installation, m *manifest, work string, p *progress) error {
	var err error
	if err = checkSchema(ctx, in.kind, in.database()); err != nil {
		return err
	}
	if m.Schema, err = in.kind.schema(); err != nil {
		return err
	}
	copied := filepath.Join(work, in.kind.database())
	const what = "copying the database"
	p.at(what, 0, 0)
	if err := sqlitefile.Snapshot(ctx, in.database(), copied, func(done, total int64) { p.at(what, done, total) }); err != nil {
		return err
	}
	return examine(ctx, in, m, work, p)
}

// examine checks the database in the folder work and enters what it amounts to.
func examine(ctx context.Context, in installation, m *manifest, work string, p *progress) (err error) {
	p.at("checking the database", 0, 0)
	if err := sqlitefile.Check(ctx, filepath.Join(work, in.kind.database())); err != nil {
		return err
	}
	if in.kind == hubKind {
		p.at("computing the audit log's root", 0, 0)
		m.Log, err = describeHub(ctx, work)
	} else {
		m.Feed, err = describeNode(ctx, work, string(in.node.Hub.ID))
	}
	if err != nil {
		return err
	}
	// All of it must stand in the one file that is passed on.
	switch _, err := os.Lstat(filepath.Join(work, in.kind.database()+"-wal")); {
	case err == nil:
		return errors.New("the database can not be brought into one file: its write-ahead log stays")
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

// collect copies the configuration into the folder work, and enters all parts with
// their digests.
func collect(ctx context.Context, in installation, raw []byte, m *manifest, work string, p *progress) error {
	names := []string{in.kind.database(), in.kind.config()}
	if err := os.WriteFile(filepath.Join(work, in.kind.config()), raw, 0o600); err != nil {
		return err
	}
	for _, f := range in.files {
		raw, err := readBounded(f.Path, maxConfigPart)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Field, err)
		}
		if err := os.WriteFile(filepath.Join(work, f.name), raw, 0o600); err != nil {
			return err
		}
		names = append(names, f.name)
	}
	for _, name := range names {
		q, err := digestPart(ctx, name, filepath.Join(work, name), p)
		if err != nil {
			return err
		}
		m.Parts = append(m.Parts, q)
	}
	return nil
}

func digestPart(ctx context.Context, name, file string, p *progress) (q part, err error) {
	f, err := os.Open(file)
	if err != nil {
		return q, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return q, err
	}
	h := sha256.New()
	size, err := io.Copy(h, p.reader(ctx, "computing the digest of "+name, info.Size(), f))
	return part{Name: name, Size: size, SHA256: hex.EncodeToString(h.Sum(nil))}, err
}

// writeFile writes the archive to a new file, on stable storage.
func writeFile(ctx context.Context, file string, m manifest, work string, p *progress) (size int64, digest string, err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if err := writeArchive(ctx, io.MultiWriter(f, h), m, work, p); err != nil {
		return 0, "", err
	}
	if err := f.Sync(); err != nil {
		return 0, "", err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, "", err
	}
	return info.Size(), hex.EncodeToString(h.Sum(nil)), nil
}

// readBounded reads a regular file of at most max bytes.
func readBounded(file string, max int64) (raw []byte, err error) {
	f, err := openRegular(file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if raw, err = io.ReadAll(io.LimitReader(f, max+1)); err == nil && int64(len(raw)) > max {
		err = usage("%s has more than %d bytes", file, max)
	}
	return raw, err
}

// syncFile puts a file, or the names in a folder, on stable storage.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/sqlitefile"
)

func restoreCommand() *cobra.Command {
	var in, dir string
	var checkpoints []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "restore --in FILE --dir DIR",
		Short: "Put a backup of a node or a hub back into a fresh folder",
		Long: `Puts what "entente backup" has written into DIR, a folder that is empty or not
there yet: configuration, database and the public files that the configuration
names. What it names outside of DIR goes into DIR/outside; the command says what
belongs where, and which private keys have to be put back besides, from where they
are kept.

Before anything is in DIR every byte of the file has been held to its digests, the
database has been checked and opened with the program's own code, and a hub's audit
log has the root that the backup tells, computed from its entries. Otherwise DIR
stays as it was.

A hub's backup is older than the hub was. Which entries of the audit log have gone
with the rest, a checkpoint tells that the hub has signed later: any node has one
("entente audit checkpoint"). --checkpoint checks its signature with the hub's key
in the registry and says what is missing. A checkpoint that the log contradicts
ends it with exit code 5, and nothing is restored.`,
		Example: "  entente restore --in XA-2026-11-23.backup --dir federation/nodes/XA\n" +
			"  entente restore --in hub-2026-11-23.backup --dir federation/hub --checkpoint XB.checkpoint --checkpoint XC.checkpoint",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if in == "" || dir == "" {
				return usage("--in and --dir are needed")
			}
			notes, err := readCheckpoints(checkpoints)
			if err != nil {
				return err
			}
			p := newProgress(cmd.ErrOrStderr(), progressEvery)
			done, err := restore(cmd.Context(), in, dir, notes, p)
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
	c.Flags().StringVar(&in, "in", "", "file that entente backup has made")
	c.Flags().StringVar(&dir, "dir", "", "folder to restore into: empty, or not there yet")
	c.Flags().StringArrayVar(&checkpoints, "checkpoint", nil, "file with a checkpoint of a hub's audit log; repeatable")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// checkpointFile is a checkpoint that somebody kept.
type checkpointFile struct {
	name string
	note []byte
}

func readCheckpoints(files []string) (list []checkpointFile, err error) {
	for _, f := range files {
		note, err := readBounded(f, maxConfigPart)
		if err != nil {
			return nil, err
		}
		list = append(list, checkpointFile{f, note})
	}
	return list, nil
}

// restore puts a backup into the folder dir. It works in a folder beside dir, which
// is gone when it returns; dir gets all of it by one rename, or nothing.
func restore(ctx context.Context, file, dir string, notes []checkpointFile, p *progress) (done restored, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return done, err
	}
	if err := checkFresh(dir); err != nil {
		return done, err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".entente-restore-*") // with mode 0700
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	parts, tree := filepath.Join(work, "parts"), filepath.Join(work, "tree")
	if err := errors.Join(os.Mkdir(parts, 0o700), os.Mkdir(tree, 0o700)); err != nil {
		return done, err
	}
	m, err := readArchive(ctx, file, parts, p)
	if err != nil {
		return done, fromFile(file, err)
	}
	in, err := configuredIn(m, parts, dir)
	if err != nil {
		return done, fromFile(file, err)
	}
	done = restored{Dir: dir, Manifest: m}
	if err := verifyParts(ctx, in, m, parts, p); err != nil {
		return done, fromFile(file, err)
	}
	if done.Checkpoints, err = compareLog(ctx, m, parts, notes); err != nil {
		return done, fromFile(file, err)
	}
	if done.Outside, err = arrange(in, parts, tree); err != nil {
		return done, fromFile(file, err)
	}
	// Of a folder that is not empty by now it makes nothing; os.Rename would refuse one
	// that is.
	if err := syscall.Rename(tree, dir); err != nil {
		return done, fmt.Errorf("putting %s in place: %w", dir, err)
	}
	done.Apart, done.Missing = in.apart, in.missing()
	return done, syncFile(filepath.Dir(dir))
}

// fromFile says which file an error is about.
func fromFile(file string, err error) error { return fmt.Errorf("%s: %w", file, err) }

// checkFresh refuses a folder that holds anything.
func checkFresh(dir string) error {
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return usage("%v", err)
	case !info.IsDir():
		return usage("%s is not a folder", dir)
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = usage("%s is not empty: a backup is restored into a fresh folder, and never over what is there", dir)
	}
	return err
}

// configuredIn reads the configuration in a backup as it will be read in dir.
func configuredIn(m manifest, parts, dir string) (installation, error) {
	raw, err := os.ReadFile(filepath.Join(parts, m.Kind.config()))
	if err != nil {
		return installation{}, err
	}
	in, err := parseInstallation(m.Kind, raw, dir)
	if err != nil {
		return in, badArchive("%s: %w", m.Kind.config(), err)
	}
	if in.id != m.ID {
		return in, badArchive("%s is of %q, %s of %q", m.Kind.config(), in.id, manifestName, m.ID)
	}
	held := []string{m.Kind.database(), m.Kind.config()}
	for _, f := range in.files {
		held = append(held, f.name)
	}
	var there []string
	for _, q := range m.Parts {
		there = append(there, q.Name)
	}
	slices.Sort(held)
	if slices.Sort(there); !slices.Equal(held, there) {
		return in, badArchive("it holds %v, %s names %v", there, m.Kind.config(), held)
	}
	return in, nil
}

// verifyParts opens the database with the product's own code, which brings its schema
// up to date, and holds it to the manifest.
func verifyParts(ctx context.Context, in installation, m manifest, parts string, p *progress) error {
	known, err := in.kind.schema()
	if err != nil {
		return err
	}
	version, err := sqlitefile.Version(ctx, filepath.Join(parts, in.kind.database()))
	if err != nil {
		return badArchive("%w", err)
	}
	if version != m.Schema {
		return badArchive("the database has schema version %d, the manifest says %d", version, m.Schema)
	}
	if version > known {
		return fmt.Errorf("the database has schema version %d, this program knows versions up to %d: restore with a newer entente", version, known)
	}
	var is manifest
	if err := examine(ctx, in, &is, parts, p); errors.Is(err, sqlitefile.ErrDamaged) {
		return badArchive("%w", err)
	} else if err != nil {
		return err
	}
	if l := is.Log; l != nil && (l.Entries != m.Log.Entries || l.Root != m.Log.Root) {
		return fmt.Errorf("%w: the log has %d entries and the root %s, the manifest says %d and %s",
			errNotVerified, l.Entries, l.Root, m.Log.Entries, m.Log.Root)
	}
	if f := is.Feed; f != nil && *f != *m.Feed {
		return badArchive("the node's position is not the one that the manifest says")
	}
	return nil
}

// arrange moves the parts to where the configuration has them, in a folder tree that
// will become the one restored into. It returns those that belong elsewhere. Files
// and folders are on stable storage when it returns.
func arrange(in installation, parts, tree string) (outside []elsewhere, err error) {
	put := func(field, name, path string) error {
		rel, err := filepath.Rel(in.dir, path)
		if err != nil || !filepath.IsLocal(rel) {
			rel = filepath.Join("outside", name)
			outside = append(outside, elsewhere{Field: field, Path: path, Copy: filepath.Join(in.dir, rel)})
		}
		return settle(filepath.Join(parts, name), filepath.Join(tree, rel))
	}
	if err := put("", in.kind.config(), filepath.Join(in.dir, in.kind.config())); err != nil {
		return nil, err
	}
	if err := put("data_dir", in.kind.database(), in.database()); err != nil {
		return nil, err
	}
	for _, f := range in.files {
		if err := put(f.Field, f.name, f.Path); err != nil {
			return nil, err
		}
	}
	return outside, filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return syncFile(path)
	})
}

// settle moves a file to where nothing is, or the same already: two fields may name
// one file.
func settle(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); errors.Is(err, syscall.ENOTDIR) {
		return badArchive("the configuration names a file that lies inside of another")
	} else if err != nil {
		return err
	}
	err := os.Link(from, to)
	if err == nil {
		return syncFile(to)
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if same, err := sameContent(from, to); err != nil || !same {
		return badArchive("the configuration names one place for two things")
	}
	return nil
}

// sameContent compares two files, of which none is large but databases, and those
// have one name of their own.
func sameContent(a, b string) (bool, error) {
	x, err := readBounded(a, maxConfigPart)
	if err != nil {
		return false, err
	}
	y, err := readBounded(b, maxConfigPart)
	return string(x) == string(y), err
}

// compareLog holds a hub's log against the checkpoint in the backup and those that
// were kept elsewhere.
func compareLog(ctx context.Context, m manifest, parts string, notes []checkpointFile) ([]tail, error) {
	if m.Kind != hubKind {
		if len(notes) > 0 {
			return nil, usage("--checkpoint is for a hub; the backup is of the node of %s", m.ID)
		}
		return nil, nil
	}
	if m.Log.Checkpoint != "" {
		notes = append([]checkpointFile{{name: inBackup, note: []byte(m.Log.Checkpoint)}}, notes...)
	}
	return openAndCompare(ctx, m, parts, notes)
}

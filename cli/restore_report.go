package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/hub"
	hubserver "github.com/entente-hub/entente/hub/server"
	hubsqlite "github.com/entente-hub/entente/hub/store/sqlite"
)

// restored is what restore answers.
type restored struct {
	Dir         string       `json:"dir"`
	Manifest    manifest     `json:"manifest"`
	Checkpoints []tail       `json:"checkpoints,omitempty"` // of a hub
	Outside     []elsewhere  `json:"outside,omitempty"`     // of the configuration's files
	Apart       []configured `json:"not_included"`          // what else the configuration names
	Missing     []configured `json:"missing"`               // what of all that is not there
}

// elsewhere is a file that the configuration names outside of the folder.
type elsewhere struct {
	Field string `json:"field"`
	Path  string `json:"path"`
	Copy  string `json:"copy"` // where it was put instead
}

// tail is what one checkpoint tells of a restored log.
type tail struct {
	Source string `json:"source"` // a file's name
	hub.LogTail
}

// inBackup is the source of the checkpoint in the backup itself.
const inBackup = "the backup's own checkpoint"

func (t tail) words() string {
	switch {
	case t.Missing > 0:
		return fmt.Sprintf("%d ENTRIES ARE MISSING: the hub had %d, with the root %s; %d are restored, and those numbered %d to %d (counted from 0) are gone",
			t.Missing, t.Checkpoint, t.Root, t.Entries, t.Entries, t.Checkpoint-1)
	case t.Checkpoint == t.Entries:
		return fmt.Sprintf("nothing is missing: it covers the %d entries that are restored", t.Entries)
	}
	return fmt.Sprintf("it is older than the backup: the first %d of %d entries are as it says", t.Checkpoint, t.Entries)
}

// openAndCompare holds the log in the folder parts against checkpoints. Errors that
// mean a contradiction wrap errNotVerified.
func openAndCompare(ctx context.Context, m manifest, parts string, notes []checkpointFile) (list []tail, err error) {
	authority, err := hubserver.ReadPublicKey(filepath.Join(parts, configuredAs[hubKind]["authority_key"]))
	if err != nil {
		return nil, badArchive("%w", err)
	}
	st, err := hubsqlite.Open(ctx, filepath.Join(parts, hubKind.database()))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	for _, n := range notes {
		t, err := hub.CompareLog(ctx, st, federation.HubID(m.ID), authority, n.note)
		switch {
		case errors.Is(err, hub.ErrLog):
			return nil, fmt.Errorf("%w: %s: %w", errNotVerified, n.name, err)
		case err != nil:
			return nil, err
		case n.name == inBackup && (t.Checkpoint != m.Log.Entries || t.Root != m.Log.Root):
			return nil, fmt.Errorf("%w: %s is of %d entries and the root %s, the log has %d and %s",
				errNotVerified, n.name, t.Checkpoint, t.Root, m.Log.Entries, m.Log.Root)
		}
		for _, other := range list {
			if other.Checkpoint == t.Checkpoint && other.Root != t.Root {
				return nil, fmt.Errorf("%w: %s and %s: the hub has signed two logs of %d entries", errNotVerified, other.Source, n.name, t.Checkpoint)
			}
		}
		list = append(list, tail{n.name, t})
	}
	return list, nil
}

// missing are the files that the configuration names and that are not there.
func (in installation) missing() (list []configured) {
	for _, f := range append(append([]configured{{Field: "data_dir", Path: in.database()}}, in.files...), in.apart...) {
		if _, err := os.Stat(f.Path); errors.Is(err, fs.ErrNotExist) {
			list = append(list, f)
		}
	}
	return list
}

// print tells a person what was restored, what is missing, and what to do.
func (d restored) print(w io.Writer) error {
	m := d.Manifest
	printf(w, "The %s %s is restored in %s\n%s", m.Kind, m.ID, d.Dir, verbatim(m.words()))
	for _, t := range d.Checkpoints {
		printf(w, "%s: %s\n", t.Source, t.words())
	}
	if len(d.Outside) > 0 {
		printf(w, "\nThe configuration names these files outside of the folder; they are as they were there.\nWhat the backup has of them is in %s:\n", filepath.Join(d.Dir, "outside"))
		var rows [][]string
		for _, o := range d.Outside {
			rows = append(rows, []string{indent + o.Field, o.Path, filepath.Base(o.Copy)})
		}
		if err := table(w, nil, rows); err != nil {
			return err
		}
	}
	if len(d.Missing) > 0 {
		printf(w, "\nNot there; to be put in place before the start, the private keys from where they are kept:\n")
		return table(w, nil, apartRows(d.Missing))
	}
	_, err := fmt.Fprintln(w, "\nAll files that the configuration names are there.")
	return err
}

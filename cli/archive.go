package cli

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/strictjson"
	"github.com/entente-hub/entente/crypto/tlog"
)

// A backup is a tar archive (POSIX.1-2001) with the files manifest.json, those that it
// lists, in its order, and manifest.sha256, which is the digest of the first as
// sha256sum writes it. For each content there is one archive, to the byte: what reads
// one writes it again beside, and compares.

const (
	archiveFormat = "entente-backup/1"
	manifestName  = "manifest.json"
	digestName    = "manifest.sha256"

	maxManifest   = 256 << 10 // bytes; two checkpoints are the most of it
	maxConfigPart = 8 << 20   // bytes of a configuration file or what it names
	maxDatabase   = 1 << 44   // bytes, 16 TiB
)

// manifest says what a backup is of and what it holds.
type manifest struct {
	Format string     `json:"format"`
	Kind   kind       `json:"kind"`
	ID     string     `json:"id"`      // of the hub, or of the member
	Schema int64      `json:"schema"`  // version of the database's schema
	MadeAt int64      `json:"made_at"` // seconds since 1970-01-01 UTC
	Parts  []part     `json:"parts"`
	Log    *logState  `json:"log,omitempty"`  // of a hub
	Feed   *feedState `json:"feed,omitempty"` // of a node
}

// part is one file of a backup.
type part struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`   // in bytes
	SHA256 string `json:"sha256"` // hexadecimal
}

// errArchive marks what is no backup, or a damaged one.
var errArchive = fmt.Errorf("%w: not an intact backup", errUsage)

func badArchive(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errArchive}, args...)...)
}

// encode writes the manifest, and checks that it can be read again.
func (m manifest) encode() ([]byte, error) {
	raw, err := m.text()
	if err != nil {
		return nil, err
	}
	_, err = parseManifest(raw)
	return raw, err
}

func (m manifest) text() ([]byte, error) {
	raw, err := json.MarshalIndent(m, "", "  ")
	return append(raw, '\n'), err
}

// parseManifest reads a manifest and holds it to all that can be said without the
// parts. Errors wrap errArchive.
func parseManifest(raw []byte) (manifest, error) {
	var m manifest
	if len(raw) > maxManifest {
		return m, badArchive("%s has more than %d bytes", manifestName, maxManifest)
	}
	if err := strictjson.Unmarshal(raw, &m); err != nil {
		return m, badArchive("%s: %w", manifestName, err)
	}
	if m.Format != archiveFormat {
		return m, badArchive("%s has the format %.40q, this program reads %s", manifestName, m.Format, archiveFormat)
	}
	if m.Kind != hubKind && m.Kind != nodeKind || m.ID == "" || m.Schema < 1 || m.MadeAt < 0 || m.MadeAt > maxTime {
		return m, badArchive("%s: kind, id, schema or time", manifestName)
	}
	if (m.Log != nil) != (m.Kind == hubKind) || (m.Feed != nil) != (m.Kind == nodeKind) {
		return m, badArchive("%s: a hub has a log, a node has a feed", manifestName)
	}
	if m.Log != nil {
		if _, err := decodeRoot(m.Log.Root); err != nil || m.Log.Entries < 0 {
			return m, badArchive("%s: the log's size or root", manifestName)
		}
	}
	if err := m.checkParts(); err != nil {
		return m, err
	}
	if again, err := m.text(); err != nil || !bytes.Equal(again, raw) {
		return m, badArchive("%s is not written as a backup's is", manifestName)
	}
	return m, nil
}

// maxTime is the end of the year 9999, in seconds.
const maxTime = 253402300799

// checkParts holds the parts to the names that a backup of the kind can have, so that
// no name says where anything is written.
func (m manifest) checkParts() error {
	known := []string{m.Kind.database(), m.Kind.config()}
	needed := slices.Clone(known)
	for _, field := range slices.Sorted(maps.Keys(configuredAs[m.Kind])) {
		known = append(known, configuredAs[m.Kind][field])
	}
	var names []string
	for _, p := range m.Parts {
		most := int64(maxConfigPart)
		if p.Name == m.Kind.database() {
			most = maxDatabase
		}
		digest, err := hex.DecodeString(p.SHA256)
		switch {
		case !slices.Contains(known, p.Name):
			return badArchive("%s: a backup of a %s has no part %.100q", manifestName, m.Kind, p.Name)
		case slices.Contains(names, p.Name):
			return badArchive("%s: part %s stands there twice", manifestName, p.Name)
		case p.Size < 0 || p.Size > most:
			return badArchive("%s: part %s has %d bytes; at most %d are read", manifestName, p.Name, p.Size, most)
		case err != nil || len(digest) != sha256.Size || hex.EncodeToString(digest) != p.SHA256:
			return badArchive("%s: part %s: its digest is no SHA-256 in small hexadecimal digits", manifestName, p.Name)
		}
		names = append(names, p.Name)
	}
	for _, name := range needed {
		if !slices.Contains(names, name) {
			return badArchive("%s: part %s is missing", manifestName, name)
		}
	}
	return nil
}

// decodeRoot reads a log's root in base64.
func decodeRoot(s string) (tlog.Hash, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != tlog.HashSize {
		return tlog.Hash{}, fmt.Errorf("%.60q is not a root: %d bytes in base64", s, tlog.HashSize)
	}
	return tlog.Hash(raw), nil
}

// member adds one file to an archive.
func member(w *tar.Writer, m manifest, name string, size int64, from io.Reader) error {
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: time.Unix(m.MadeAt, 0)})
	if err != nil {
		return err
	}
	n, err := io.Copy(w, from)
	if err == nil && n != size {
		err = fmt.Errorf("%s has changed: %d bytes, where there were %d", name, n, size)
	}
	return err
}

func digestLine(manifest []byte) []byte {
	return fmt.Appendf(nil, "%x  %s\n", sha256.Sum256(manifest), manifestName)
}

// writeArchive writes a backup of the manifest's parts, which lie in dir.
func writeArchive(ctx context.Context, to io.Writer, m manifest, dir string, p *progress) error {
	raw, err := m.encode()
	if err != nil {
		return err
	}
	w := tar.NewWriter(to)
	if err := member(w, m, manifestName, int64(len(raw)), bytes.NewReader(raw)); err != nil {
		return err
	}
	for _, q := range m.Parts {
		if err := addPart(ctx, w, m, q, dir, p); err != nil {
			return err
		}
	}
	line := digestLine(raw)
	if err := member(w, m, digestName, int64(len(line)), bytes.NewReader(line)); err != nil {
		return err
	}
	return w.Close()
}

func addPart(ctx context.Context, w *tar.Writer, m manifest, q part, dir string, p *progress) (err error) {
	f, err := os.Open(filepath.Join(dir, q.Name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return member(w, m, q.Name, q.Size, p.reader(ctx, "writing "+q.Name, q.Size, f))
}

// readArchive takes a backup apart: it writes the parts into the folder dir, each
// with mode 0600, and returns the manifest. With an error what is in dir is worth
// nothing. Errors about the archive wrap errArchive.
func readArchive(ctx context.Context, file, dir string, p *progress) (m manifest, err error) {
	f, err := openRegular(file)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	again, err := os.Open(file)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, again.Close()) }()
	r := &archiveReader{in: tar.NewReader(bufio.NewReaderSize(f, 1<<20)), same: &comparer{with: bufio.NewReaderSize(again, 1<<20)}}
	r.out = tar.NewWriter(r.same)
	raw, err := r.manifest()
	if err != nil {
		return m, err
	}
	for _, q := range r.m.Parts {
		if err := r.extract(ctx, q, filepath.Join(dir, q.Name), p); err != nil {
			return m, err
		}
	}
	return r.m, r.end(raw)
}

// openRegular opens a file that is one.
func openRegular(file string) (*os.File, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, usage("%v", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = usage("%s is not a regular file", file)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

package cli

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
)

// archiveReader reads a backup and writes it again.
type archiveReader struct {
	m    manifest
	in   *tar.Reader
	out  *tar.Writer // to same
	same *comparer
}

// next is the header of the file that must come next.
func (r *archiveReader) next(name string) (size int64, err error) {
	h, err := r.in.Next()
	switch {
	case errors.Is(err, io.EOF):
		return 0, badArchive("it ends before %s", name)
	case err != nil:
		return 0, badArchive("before %s: %w", name, err)
	case h.Typeflag != tar.TypeReg || h.Name != name || h.Size < 0:
		return 0, badArchive("%.100q stands in the place of %s", h.Name, name)
	}
	return h.Size, nil
}

// small reads a whole file of at most max bytes.
func (r *archiveReader) small(name string, max int64) ([]byte, error) {
	size, err := r.next(name)
	if err != nil {
		return nil, err
	}
	if size > max {
		return nil, badArchive("%s has %d bytes; at most %d are read", name, size, max)
	}
	raw, err := io.ReadAll(r.in)
	if err != nil {
		return nil, badArchive("%s: %w", name, err)
	}
	return raw, nil
}

// manifest reads the manifest.
func (r *archiveReader) manifest() ([]byte, error) {
	raw, err := r.small(manifestName, maxManifest)
	if err != nil {
		return nil, err
	}
	if r.m, err = parseManifest(raw); err != nil {
		return nil, err
	}
	if err := member(r.out, r.m, manifestName, int64(len(raw)), bytes.NewReader(raw)); err != nil {
		return nil, badArchive("%s: %w", manifestName, err)
	}
	return raw, nil
}

// extract writes one part to a file and holds it to the manifest.
func (r *archiveReader) extract(ctx context.Context, q part, to string, p *progress) (err error) {
	size, err := r.next(q.Name)
	if err != nil {
		return err
	}
	if size != q.Size {
		return badArchive("%s has %d bytes, the manifest says %d", q.Name, size, q.Size)
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	digest := sha256.New()
	disk := &writing{to: f}
	from := io.TeeReader(p.reader(ctx, "reading "+q.Name, q.Size, r.in), io.MultiWriter(digest, disk))
	if err := member(r.out, r.m, q.Name, q.Size, from); err != nil {
		if disk.err != nil || ctx.Err() != nil {
			return err // the archive is not to blame
		}
		return badArchive("%s: %w", q.Name, err)
	}
	if got := hex.EncodeToString(digest.Sum(nil)); got != q.SHA256 {
		return badArchive("%s has the digest %s, the manifest says %s", q.Name, got, q.SHA256)
	}
	return f.Sync()
}

// end holds the manifest to its digest, and makes sure that nothing else follows.
func (r *archiveReader) end(manifest []byte) error {
	want := digestLine(manifest)
	line, err := r.small(digestName, int64(len(want)))
	if err != nil {
		return err
	}
	if !bytes.Equal(line, want) {
		return badArchive("%s does not fit %s", digestName, manifestName)
	}
	if _, err := r.in.Next(); !errors.Is(err, io.EOF) {
		return badArchive("something follows %s", digestName)
	}
	if err := errors.Join(member(r.out, r.m, digestName, int64(len(line)), bytes.NewReader(line)), r.out.Close()); err != nil {
		return badArchive("%w", err)
	}
	if _, err := r.same.with.ReadByte(); !errors.Is(err, io.EOF) {
		return badArchive("something follows its end")
	}
	return nil
}

// writing keeps the error with which the disk has refused.
type writing struct {
	to  io.Writer
	err error
}

func (w *writing) Write(b []byte) (n int, err error) {
	n, w.err = w.to.Write(b)
	return n, w.err
}

// comparer takes only the bytes that a reader has.
type comparer struct {
	with *bufio.Reader
	buf  []byte
}

var errOtherBytes = errors.New("it has other bytes than a backup of that content has")

func (c *comparer) Write(b []byte) (int, error) {
	if cap(c.buf) < len(b) {
		c.buf = make([]byte, len(b))
	}
	got := c.buf[:len(b)]
	if _, err := io.ReadFull(c.with, got); err != nil || !bytes.Equal(got, b) {
		return 0, errOtherBytes
	}
	return len(b), nil
}

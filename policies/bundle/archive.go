package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"slices"
	"time"
)

// files are the files of a bundle, by name.
type files map[string][]byte

// gzipHeader is how every gzip member here begins (RFC 1952 section 2.3): deflate,
// no optional field, no time, best compression, unknown system.
var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255}

// tarball writes the files in the order of their names as POSIX ustar (IEEE Std
// 1003.1-2017, pax utility): regular files with mode 0644 that belong to number 0
// and date from 1970.
func (f files) tarball() ([]byte, error) {
	if len(f) > MaxFiles {
		return nil, tooLarge("%d files, %d at most", len(f), MaxFiles)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if buf.Len()+len(f[name]) > MaxUnpacked {
			return nil, tooLarge("more than %d bytes unpacked", MaxUnpacked)
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Format: tar.FormatUSTAR, Name: name, Mode: 0o644,
			Size: int64(len(f[name])), ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(h); err != nil {
			return nil, malformed("%.110q: %w", name, err)
		}
		if _, err := w.Write(f[name]); err != nil {
			return nil, malformed("%.110q: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, malformed("%w", err)
	}
	if buf.Len() > MaxUnpacked {
		return nil, tooLarge("more than %d bytes unpacked", MaxUnpacked)
	}
	return buf.Bytes(), nil
}

// pack writes the files as a bundle.
func (f files) pack() ([]byte, error) {
	archive, err := f.tarball()
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	w, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return nil, malformed("%w", err)
	}
	w.OS = gzipHeader[9]
	if _, err := w.Write(archive); err != nil {
		return nil, malformed("%w", err)
	}
	if err := w.Close(); err != nil {
		return nil, malformed("%w", err)
	}
	if buf.Len() > MaxCompressed {
		return nil, tooLarge("%d bytes compressed, %d at most", buf.Len(), MaxCompressed)
	}
	return buf.Bytes(), nil
}

// unpack reads what pack writes, and nothing else.
func unpack(raw []byte) (files, error) {
	archive, err := inflate(raw)
	if err != nil {
		return nil, err
	}
	f, err := readTar(archive)
	if err != nil {
		return nil, err
	}
	// Whatever a tar archive can say besides (owners, times, extended headers,
	// another order, bytes after its end) makes it another one than this.
	canonical, err := f.tarball()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(canonical, archive) {
		return nil, malformed("the archive is not written as entente policy build writes it")
	}
	return f, nil
}

// inflate returns what is in the one gzip member that raw must be. It stops at
// MaxUnpacked, whatever more would come.
func inflate(raw []byte) ([]byte, error) {
	if len(raw) > MaxCompressed {
		return nil, tooLarge("%d bytes compressed, %d at most", len(raw), MaxCompressed)
	}
	if !bytes.HasPrefix(raw, gzipHeader) {
		return nil, malformed("not gzip, or not with the plain header")
	}
	in := bytes.NewReader(raw)
	r, err := gzip.NewReader(in)
	if err != nil {
		return nil, malformed("%w", err)
	}
	r.Multistream(false)
	archive, err := io.ReadAll(io.LimitReader(r, MaxUnpacked+1))
	if err != nil {
		return nil, malformed("%w", err)
	}
	if len(archive) > MaxUnpacked {
		return nil, tooLarge("more than %d bytes unpacked", MaxUnpacked)
	}
	if in.Len() > 0 {
		return nil, malformed("%d bytes follow the gzip member", in.Len())
	}
	return archive, nil
}

// readTar reads the files of an archive: regular ones, each name once. What their
// names may be is for the caller to say.
func readTar(archive []byte) (files, error) {
	f, left := make(files), int64(len(archive))
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err != nil {
			return nil, malformed("%w", err)
		}
		// A sparse file (GNU, PAX) says any size that it likes.
		if left -= h.Size; left < 0 {
			return nil, malformed("%.110q is larger than the archive", h.Name)
		}
		if h.Typeflag != tar.TypeReg {
			return nil, malformed("%.110q is not a regular file", h.Name)
		}
		if _, twice := f[h.Name]; twice {
			return nil, malformed("%.110q stands twice", h.Name)
		}
		if h.Name != manifestName && h.Name != signaturesName {
			if err := checkName(h.Name); err != nil {
				return nil, err
			}
		}
		if len(f) == MaxFiles {
			return nil, tooLarge("more than %d files", MaxFiles)
		}
		if f[h.Name], err = io.ReadAll(r); err != nil {
			return nil, malformed("%.110q: %w", h.Name, err)
		}
	}
}

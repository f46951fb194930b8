package parcel

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/entente-hub/entente/api/strictjson"
)

// Writer writes a parcel. It is for one goroutine. After an error it is worth nothing.
type Writer struct {
	to io.Writer
	m  Manifest
}

// NewWriter begins a parcel. Of the manifest Format, ID and Parts are filled in, and
// MadeAt with the time now.
func NewWriter(to io.Writer, m Manifest, now time.Time) (*Writer, error) {
	var id [idSize]byte
	_, _ = rand.Read(id[:]) // it never fails since Go 1.24
	m.Format, m.ID, m.MadeAt, m.Parts = Format, base64.RawURLEncoding.EncodeToString(id[:]), now.Unix(), []Part{}
	if err := m.validate(); err != nil {
		return nil, err
	}
	_, err := io.WriteString(to, Format+"\n")
	return &Writer{to, m}, err
}

// Manifest is what was written so far.
func (w *Writer) Manifest() Manifest { return w.m }

// Add adds a part that is no part of a list, as JSON.
func (w *Writer) Add(k Kind, v any) error { return w.AddRange(k, 0, 0, v) }

// AddRange adds a part that holds what the hub has after one place up to another, as
// JSON. Errors wrap ErrParcel where the part does not fit, or are the writer's.
func (w *Writer) AddRange(k Kind, after, last int64, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("parcel: %w", err)
	}
	sum := sha256.Sum256(raw)
	p := Part{Kind: k, After: after, Last: last, Size: int64(len(raw)), SHA256: hex.EncodeToString(sum[:])}
	if err := p.validate(w.m.Bound); err != nil {
		return bad("%w", err)
	}
	if len(w.m.Parts) == MaxParts {
		return bad("more than %d parts", MaxParts)
	}
	w.m.Parts = append(w.m.Parts, p)
	_, err = w.to.Write(raw)
	return err
}

// Close signs the parcel with the key of a member's TLS certificate. more says of one to
// a node that the feed goes on. It does not close what is written to.
func (w *Writer) Close(cert tls.Certificate, more bool) error {
	w.m.More = more
	raw, err := w.m.text()
	if err != nil {
		return fmt.Errorf("parcel: %w", err)
	}
	if _, err := parseManifest(raw); err != nil {
		return err
	}
	jws, err := sign(raw, cert)
	if err != nil {
		return err
	}
	if len(jws) > MaxManifest {
		return bad("the signed manifest has more than %d bytes", MaxManifest)
	}
	_, err = fmt.Fprintf(w.to, "%s\n%016x\n", jws, len(jws))
	return err
}

// Reader gives the parts of a parcel that was verified. It is safe for concurrent use.
type Reader struct {
	from io.ReaderAt
	m    Manifest
	at   []int64 // where each part begins
}

// Open verifies a parcel of size bytes: all of it, before anything is believed. Errors
// wrap ErrParcel, or ErrSigner, or are from's.
func Open(from io.ReaderAt, size int64, t Trust) (*Reader, error) {
	jws, bodies, err := readSignature(from, size)
	if err != nil {
		return nil, err
	}
	raw, by, err := verify(jws, t)
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(raw)
	if err != nil {
		return nil, err
	}
	if m.Member != by {
		return nil, fmt.Errorf("%w: it is %s's, and signed by %s", ErrSigner, m.Member, by)
	}
	r := &Reader{from: from, m: m}
	at := int64(len(Format) + 1)
	for _, p := range m.Parts {
		r.at = append(r.at, at)
		at += p.Size // at most MaxParts × MaxPart
	}
	if at != bodies {
		return nil, bad("the parts end at byte %d, the manifest says %d", bodies, at)
	}
	for i := range m.Parts {
		if err := r.check(i); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// readSignature returns the JWS at the end of a parcel, and where it begins.
func readSignature(from io.ReaderAt, size int64) (jws string, begins int64, err error) {
	first, footer := make([]byte, len(Format)+1), make([]byte, footerSize)
	if size < int64(len(first)+len(footer)) {
		return "", 0, bad("it has %d bytes", size)
	}
	if err := readAt(from, first, 0); err != nil {
		return "", 0, err
	}
	if string(first) != Format+"\n" {
		return "", 0, bad("it does not begin with %s", Format)
	}
	if err := readAt(from, footer, size-footerSize); err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseInt(string(footer[1:17]), 16, 64)
	if err != nil || n <= 0 || n > MaxManifest || !bytes.Equal(footer, fmt.Appendf(nil, "\n%016x\n", n)) {
		return "", 0, bad("its last line does not say how long the signature is; was it cut off?")
	}
	begins = size - footerSize - n
	if begins < int64(len(first)) {
		return "", 0, bad("a signature of %d bytes does not fit into it", n)
	}
	raw := make([]byte, n)
	err = readAt(from, raw, begins)
	return string(raw), begins, err
}

// readAt fills b; that there is less is the file's fault, as it has a size.
func readAt(from io.ReaderAt, b []byte, off int64) error {
	n, err := from.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		err = bad("it ends at byte %d", off+int64(n))
	}
	return err
}

// check holds one part to its digest.
func (r *Reader) check(i int) error {
	h := sha256.New()
	err := copyExactly(h, io.NewSectionReader(r.from, r.at[i], r.m.Parts[i].Size), r.m.Parts[i].Size)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return bad("part %d: %w", i, err)
	} else if err != nil { // the disk's fault, not the file's
		return fmt.Errorf("parcel: part %d: %w", i, err)
	}
	return r.fits(i, h.Sum(nil))
}

func (r *Reader) fits(i int, sum []byte) error {
	if p := r.m.Parts[i]; hex.EncodeToString(sum) != p.SHA256 {
		return bad("part %d, %s, has another digest than the manifest says", i, p.Kind)
	}
	return nil
}

// Manifest is the verified manifest. It must not be changed.
func (r *Reader) Manifest() Manifest { return r.m }

// Into reads part i strictly into v, and holds it to its digest once more: the file may
// have changed since. Errors wrap ErrParcel, or are those of what is read from.
func (r *Reader) Into(i int, v any) error {
	raw := make([]byte, r.m.Parts[i].Size)
	if err := readAt(r.from, raw, r.at[i]); err != nil {
		return err
	}
	sum := sha256.Sum256(raw)
	if err := r.fits(i, sum[:]); err != nil {
		return err
	}
	if err := strictjson.Unmarshal(raw, v); err != nil {
		return bad("part %d, %s: %w", i, r.m.Parts[i].Kind, err)
	}
	return nil
}

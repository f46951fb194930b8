package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/entente-hub/entente/crypto/keys"
)

func sha(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// gzipWriters are reused: each has a MiB of tables.
var gzipWriters = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is one that there is
	}
	return w
}}

// gz is a gzip member as pack writes it, of any bytes.
func gz(t testing.TB, archive []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	w.Reset(&buf)
	_, err := w.Write(archive)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// tarOf writes entries one after another, whatever they are.
func tarOf(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range entries {
		content := []byte(h.Linkname) // of regular files
		if h.Typeflag == tar.TypeReg {
			h.Linkname, h.Size = "", int64(len(content))
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if h.ModTime.IsZero() {
			h.ModTime = time.Unix(0, 0)
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write(content); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func entry(name, content string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Format: tar.FormatUSTAR, Name: name, Linkname: content}
}

// sparse is the header of an old GNU sparse file that says it has a TiB.
func sparse(t testing.TB) []byte {
	t.Helper()
	block := make([]byte, 512)
	copy(block, "release/a.rego")
	copy(block[100:], "0000644\x000000000\x000000000\x0000000000000\x0000000000000\x00        S")
	copy(block[257:], "ustar  \x00")
	copy(block[386:], "20000000000000"[:12]) // one empty run at the end
	copy(block[398:], "00000000000\x00")
	block[483], block[489] = 0x80, 1 // size in base 256: 2^40
	sum := 0
	for _, b := range block {
		sum += int(b)
	}
	copy(block[148:], fmt.Sprintf("%06o\x00 ", sum))
	return append(block, make([]byte, 1024)...)
}

// signAnything signs a payload as the bundle's signature.
func signAnything(t testing.TB, f files, s keys.Signer, typ, payload string) []byte {
	t.Helper()
	token, err := keys.Sign(t.Context(), s, typ, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	f = maps.Clone(f)
	if f[signaturesName], err = json.Marshal(signatures{Signatures: []string{token}}); err != nil {
		t.Fatal(err)
	}
	return mustPack(t, f)
}

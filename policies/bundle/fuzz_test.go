package bundle

import (
	"bytes"
	"testing"

	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/policies"
)

// FuzzOpen reads any bytes, as a bundle and as the archive in one. What parses is
// packed again as the same archive; what opens has the digest of its modules, and
// nobody but the officer has signed it.
func FuzzOpen(f *testing.F) {
	s, err := keys.Generate("officer-1", keys.EdDSA)
	if err != nil {
		f.Fatal(err)
	}
	unsigned, err := Pack(small(), 5)
	if err != nil {
		f.Fatal(err)
	}
	signed, err := Sign(f.Context(), unsigned, s)
	if err != nil {
		f.Fatal(err)
	}
	for _, raw := range [][]byte{unsigned, signed, nil, gzipHeader, signed[:len(signed)/2]} {
		f.Add(raw, false)
		if archive, err := inflate(raw); err == nil {
			f.Add(archive, true)
		}
	}
	f.Add(sparse(f), true)
	f.Fuzz(func(t *testing.T, raw []byte, archive bool) {
		if archive {
			raw = gz(t, raw)
		}
		parsed, err := Parse(raw)
		opened, errOpen := Open(raw, lookupOf(s))
		if err != nil {
			if errOpen == nil {
				t.Fatalf("opens and does not parse: %v", err)
			}
			return
		}
		content, err := unpack(raw)
		if err != nil {
			t.Fatal(err)
		}
		before, err := inflate(raw)
		if err != nil {
			t.Fatal(err)
		}
		if after, err := content.tarball(); err != nil || !bytes.Equal(before, after) {
			t.Fatalf("packed otherwise: %v", err)
		}
		if parsed.Revision < 1 || len(parsed.Modules) == 0 || parsed.Digest != policies.Digest(parsed.Modules) {
			t.Fatalf("parsed %+v", parsed)
		}
		if errOpen == nil && (opened.SignedBy != s.Public().KeyID() || opened.Digest != policies.Digest(small()) || opened.Revision != 5) {
			t.Fatalf("opened %+v", opened)
		}
	})
}

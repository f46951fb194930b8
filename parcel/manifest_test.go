package parcel

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

const manifestText = `{"format":"entente-parcel/1","bound":"to-node","member":"XA","hub":"hub-one","id":"AAAAAAAAAAAAAAAAAAAAAA",` +
	`"re":"AAAAAAAAAAAAAAAAAAAAAA","made_at":1800000000,"standing":{"cursor":0,"log_size":0,"published_after":-1},"more":true,` +
	`"parts":[{"kind":"page","last":2,"size":3,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]}`

// TestManifest: the text is frozen, and what does not fit is refused.
func TestManifest(t *testing.T) {
	m, err := parseManifest([]byte(manifestText))
	if err != nil || len(m.Parts) != 1 || m.Parts[0].Last != 2 || !m.More {
		t.Fatalf("%+v, %v", m, err)
	}
	for old, bad := range map[string]string{
		`"format":"entente-parcel/1"`: `"format":"entente-parcel/0"`, `"to-node"`: `"to-all"`, `"XA"`: `"xa"`, `"hub-one"`: `""`,
		`"made_at":1800000000`: `"made_at":0`, `"cursor":0`: `"cursor":-1`, `"published_after":-1`: `"published_after":-2`,
		`"log_size":0`: `"log_size":-1`, `"page"`: `"alerts"`, `"last":2`: `"last":-2`, `"size":3`: `"size":-3`, `"size":3,`: `"size":999999999,`,
		`"e3b0`: `"E3B0`, `852b855"`: `852b8"`, `"more":true`: `"more":true,"x":1`, `{"kind"`: ` {"kind"`, `"re":"A`: `"re":"`,
	} {
		if !strings.Contains(manifestText, old) {
			t.Fatalf("there is no %s", old)
		}
		if _, err := parseManifest([]byte(strings.Replace(manifestText, old, bad, 1))); !errors.Is(err, ErrParcel) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := parseManifest(bytes.Repeat([]byte{' '}, MaxManifest+1)); !errors.Is(err, ErrParcel) {
		t.Error(err)
	}
}

// FuzzManifest: what parses is written again to the byte.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(manifestText))
	f.Add([]byte(strings.Replace(manifestText, "to-node", "to-hub", 1)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parseManifest(raw)
		if err != nil {
			if !errors.Is(err, ErrParcel) {
				t.Fatal(err)
			}
			return
		}
		if again, err := m.text(); err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("%s, then %s: %v", raw, again, err)
		}
	})
}

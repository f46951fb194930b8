package sdjwt

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

// rfcExample is a file of testdata/rfc9901: see the README there.
type rfcExample struct {
	Section     string            `json:"section"`
	Token       string            `json:"token"`
	Payload     json.RawMessage   `json:"payload"`
	Disclosures []string          `json:"disclosures"`
	Claims      json.RawMessage   `json:"claims"`
	Digests     map[string]string `json:"digests"`
}

// readStrict decodes a vector; a member that v does not know is an error.
func readStrict(t testing.TB, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// diffJSON compares two JSON texts, numbers by their digits.
func diffJSON(t testing.TB, want, got []byte) string {
	t.Helper()
	return cmp.Diff(anyJSON(t, want), anyJSON(t, got))
}

func anyJSON(t testing.TB, data []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return v
}

// TestRFC9901Examples does not go through Verify, which wants a kid: the
// disclosures are resolved, and the signature is verified by go-jose alone.
func TestRFC9901Examples(t *testing.T) {
	const dir = "../testdata/rfc9901/"
	var key jose.JSONWebKey
	readStrict(t, dir+"issuer-key.json", &key)
	var files []string
	for _, pattern := range []string{"section-*.json", "appendix-*.json"} {
		found, err := filepath.Glob(dir + pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) != 12 {
		t.Fatalf("%d examples, want 12", len(files))
	}
	digests := 0
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			var example rfcExample
			readStrict(t, file, &example)
			for digest, disclosure := range example.Digests {
				if got := Digest(disclosure); got != digest {
					t.Errorf("digest %s of %s, want %s", got, disclosure, digest)
				}
				digests++
			}
			payload, disclosures := []byte(example.Payload), example.Disclosures
			if example.Token != "" {
				payload, disclosures = openRFC(t, example.Token, key)
			}
			r, err := resolve(payload, disclosures)
			if err != nil {
				t.Fatal(err)
			}
			if diff := diffJSON(t, example.Claims, r.merged()); diff != "" {
				t.Error(diff)
			}
			for i, d := range r.disclosures {
				if want, ok := example.Digests[d.Digest]; ok && want != d.Encoded {
					t.Errorf("disclosure %d is not that of the RFC", i)
				}
			}
		})
	}
	if digests < 60 {
		t.Errorf("only %d digests compared", digests)
	}
}

// openRFC verifies the signature, and takes off a key binding JWT once it has
// been refused.
func openRFC(t *testing.T, token string, key jose.JSONWebKey) (payload []byte, disclosures []string) {
	t.Helper()
	if !strings.HasSuffix(token, "~") {
		if _, err := Parse(token); !errors.Is(err, ErrKeyBinding) {
			t.Errorf("with key binding: %v, want %v", err, ErrKeyBinding)
		}
		token = token[:strings.LastIndexByte(token, '~')+1]
	}
	parsed, err := Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	if parsed.String() != token {
		t.Error("does not encode back to the same bytes")
	}
	jws, err := jose.ParseSignedCompact(parsed.JWS, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	payload, err = jws.Verify(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parsed.Disclosures {
		disclosures = append(disclosures, d.Encoded)
	}
	return payload, disclosures
}

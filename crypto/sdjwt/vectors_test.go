package sdjwt

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entente-hub/entente/crypto/keys"
)

const vectorDir = "../testdata/vectors/"

// vector is a file of testdata/vectors: see the README there.
type vector struct {
	Name   string            `json:"name"`
	Token  string            `json:"token"`
	Typ    string            `json:"typ"`
	Keys   []json.RawMessage `json:"keys"`
	Expect string            `json:"expect"`
	Claims json.RawMessage   `json:"claims,omitempty"`
}

// outcomes are the names of errors that vectors may expect.
var outcomes = map[string]error{
	"jws_algorithm":    keys.ErrAlgorithm,
	"jws_header":       keys.ErrHeader,
	"jws_key_unknown":  keys.ErrKeyUnknown,
	"jws_malformed":    keys.ErrMalformed,
	"jws_signature":    keys.ErrSignature,
	"jws_type":         keys.ErrType,
	"claim_conflict":   ErrClaimConflict,
	"duplicate_digest": ErrDuplicateDigest,
	"duplicate_name":   ErrDuplicateName,
	"invalid_unicode":  ErrEncoding,
	"hash_algorithm":   ErrHashAlg,
	"key_binding":      ErrKeyBinding,
	"malformed":        ErrMalformed,
	"misplaced":        ErrMisplaced,
	"reserved_name":    ErrReservedName,
	"too_deep":         ErrTooDeep,
	"too_large":        ErrTooLarge,
	"unreferenced":     ErrUnreferenced,
}

// outcome names an error; there must be exactly one name for it.
func outcome(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return "ok"
	}
	var names []string
	for name, want := range outcomes {
		if errors.Is(err, want) {
			names = append(names, name)
		}
	}
	if len(names) != 1 {
		t.Fatalf("%d outcomes %v for: %v", len(names), names, err)
	}
	return names[0]
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	files, err := filepath.Glob(vectorDir + "*.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	for _, file := range files {
		var v vector
		readStrict(t, file, &v)
		if v.Name != strings.TrimSuffix(filepath.Base(file), ".json") {
			t.Errorf("%s holds %q", file, v.Name)
		}
		vectors = append(vectors, v)
	}
	return vectors
}

func TestVectors(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range readVectors(t) {
		seen[v.Expect] = true
		t.Run(v.Name, func(t *testing.T) {
			var known []keys.PublicKey
			for _, jwk := range v.Keys {
				key, err := keys.ParsePublicKey(jwk)
				if err != nil {
					t.Fatal(err)
				}
				known = append(known, key)
			}
			verified, err := Verify(v.Token, v.Typ, lookup(known...))
			if got := outcome(t, err); got != v.Expect {
				t.Fatalf("%s (%v), want %s", got, err, v.Expect)
			}
			if (v.Claims != nil) != (v.Expect == "ok") {
				t.Fatal("claims go with ok, and with nothing else")
			}
			if err == nil {
				if diff := diffJSON(t, v.Claims, verified.Claims()); diff != "" {
					t.Error(diff)
				}
			} else if verified != nil {
				t.Error("a result with the error")
			}
			checkParse(t, v)
		})
	}
	for name := range outcomes {
		if !seen[name] {
			t.Errorf("no vector expects %s", name)
		}
	}
	readme, err := os.ReadFile(vectorDir + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range outcomes {
		if !strings.Contains(string(readme), "| `"+name+"` |") {
			t.Errorf("the README does not explain %s", name)
		}
	}
}

// checkParse: Parse and Reduce refuse what Verify refuses, for the same
// reason, unless that is about header or signature.
func checkParse(t *testing.T, v vector) {
	t.Helper()
	parsed, err := Parse(v.Token)
	_, reduceErr := Reduce(v.Token, func(Disclosure) bool { return true })
	if outcome(t, err) != outcome(t, reduceErr) {
		t.Errorf("Parse: %v, Reduce: %v", err, reduceErr)
	}
	if !strings.HasPrefix(v.Expect, "jws_") && outcome(t, err) != v.Expect {
		t.Errorf("Parse: %v, want %s", err, v.Expect)
	}
	if err == nil && parsed.String() != v.Token {
		t.Error("does not encode back to the same bytes")
	}
}

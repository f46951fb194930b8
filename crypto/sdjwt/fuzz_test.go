package sdjwt

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/entente-hub/entente/crypto/keys"
)

// FuzzParse: what parses encodes back to the same bytes, and can be reduced to
// all and to nothing.
func FuzzParse(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add(v.Token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		parsed, err := Parse(token)
		outcome(t, err)
		if err != nil {
			return
		}
		if parsed.String() != token {
			t.Fatalf("%q encodes back to %q", token, parsed)
		}
		for _, keep := range []bool{true, false} {
			want := token
			if !keep {
				want = parsed.JWS + "~"
			}
			got, err := Reduce(token, func(Disclosure) bool { return keep })
			if err != nil || got != want {
				t.Fatalf("%q reduced to %q, want %q: %v", token, got, want, err)
			}
		}
	})
}

// FuzzVerify signs any payload, with any JSON texts as disclosures, one a
// line; #0, #1 and so on in the payload stand for their digests.
func FuzzVerify(f *testing.F) {
	f.Add(`{"_sd":["#0"],"a":[{"...":"#1"}]}`, "[\"s\",\"n\",1]\n[\"s\",{\"x\":2}]")
	f.Add(`{"_sd_alg":"sha-256"}`, "")
	for _, v := range readVectors(f) {
		parts := strings.Split(v.Token, "~")
		var lines []string
		for _, p := range parts[1:] {
			if d, err := decode(p); err == nil && len(d) > 0 {
				lines = append(lines, string(d))
			}
		}
		if payload, err := jwsPayload(parts[0]); err == nil {
			f.Add(string(payload), strings.Join(lines, "\n"))
		}
	}
	key := fixedEd25519(f, "XA")
	f.Fuzz(func(t *testing.T, payload, lines string) {
		var disclosures []string
		for i, line := range strings.Split(lines, "\n") {
			if line == "" || i > 9 {
				continue
			}
			d := encode([]byte(line))
			disclosures = append(disclosures, d)
			payload = strings.ReplaceAll(payload, "#"+string(rune('0'+i)), Digest(d))
		}
		jws, err := keys.Sign(context.Background(), key, testTyp, []byte(payload))
		if err != nil {
			t.Skip()
		}
		token := Assemble(jws, disclosures)
		v, err := Verify(token, testTyp, lookup(key.public))
		if _, parseErr := Parse(token); outcome(t, err) != outcome(t, parseErr) {
			t.Fatalf("Verify: %v, Parse: %v", err, parseErr)
		}
		if err == nil {
			checkVerified(t, v, payload, len(disclosures))
		}
	})
}

// checkVerified holds a result to what the documentation promises.
func checkVerified(t *testing.T, v *Verified, payload string, disclosures int) {
	t.Helper()
	if string(v.Payload) != payload || len(v.Disclosures) != disclosures {
		t.Fatal("payload or disclosures changed")
	}
	n, err := parseObject(v.Claims())
	if err != nil {
		t.Fatalf("%v: %s", err, v.Claims())
	}
	if n.marked {
		t.Fatalf("reserved names in %s", v.Claims())
	}
	for i, d := range v.Disclosures {
		object := at(t, v, d)
		digests, _ := object[nameDigests].([]any)
		if found := object[nameElement] == d.Digest || slices.Contains(digests, any(d.Digest)); !found {
			t.Fatalf("disclosure %d is not at %s", i, d.Pointer)
		}
	}
}

// at follows a disclosure's pointer, with encoding/json alone, and returns the
// object that refers to it: for a member that around the pointer's end.
func at(t *testing.T, v *Verified, d Disclosure) map[string]any {
	t.Helper()
	text := json.RawMessage(v.Payload)
	if d.Parent >= 0 {
		text = v.Disclosures[d.Parent].Value
	}
	value := anyJSON(t, text)
	tokens := strings.Split(d.Pointer, "/")[1:]
	if !d.Element {
		tokens = tokens[:len(tokens)-1]
	}
	for _, token := range tokens {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		switch in := value.(type) {
		case map[string]any:
			value = in[token]
		case []any:
			var i int
			if err := json.Unmarshal([]byte(token), &i); err != nil || i >= len(in) {
				t.Fatalf("no %s in %v", d.Pointer, in)
			}
			value = in[i]
		}
	}
	object, ok := value.(map[string]any)
	if !ok {
		t.Fatalf("nothing at %s", d.Pointer)
	}
	return object
}

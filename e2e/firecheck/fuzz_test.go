package firecheck

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzParseToken: no text makes the parser of alerts fall, and what it reads of one is
// bound to it by digests: portions without an id, or of two kinds, are none.
func FuzzParseToken(f *testing.F) {
	head := b64.EncodeToString([]byte(`{"alg":"EdDSA","kid":"XA/k","typ":"entente-alert+sd-jwt"}`))
	content := b64.EncodeToString([]byte(`["salt","content",{"objects":[]}]`))
	label := b64.EncodeToString([]byte(`["salt","label",{"classification":"secret"}]`))
	portion := b64.EncodeToString([]byte(`["salt",{"id":"open","_sd":["` + digestOf(content) + `","` + digestOf(label) + `"]}]`))
	body := b64.EncodeToString([]byte(`{"iss":"XA","sub":"x","ver":1,"portions":[{"...":"` + digestOf(portion) + `"}]}`))
	f.Add(head + "." + body + ".c2ln~" + portion + "~" + content + "~" + label + "~")
	f.Add(head + "." + body + ".c2ln~" + portion + "~")
	f.Add(head + "." + body + ".c2ln~" + content + "~")
	f.Add("~")
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := parseToken(text)
		if err != nil {
			return
		}
		if !strings.HasPrefix(text, tok.jws+"~") {
			t.Errorf("the signed part of %q is said to be %q", text, tok.jws)
		}
		for _, p := range tok.portions {
			if (p.label == nil) != (p.content == nil) {
				t.Errorf("portion %s has one of label and content", p.id)
			}
		}
	})
}

// FuzzOpenCheckpoint: nothing opens that no key has signed.
func FuzzOpenCheckpoint(f *testing.F) {
	f.Add([]byte("entente/hub\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— entente/hub AAAA\n"))
	f.Add([]byte("\n\n"))
	keys := map[string]jwk{"hub/k": {Kty: "OKP", Crv: "Ed25519", X: strings.Repeat("A", 43), Kid: "hub/k"}, "hub/short": {X: "AA"}}
	f.Fuzz(func(t *testing.T, note []byte) {
		if c, err := openCheckpoint(note, "entente/hub", keys); err == nil && c.size < 0 {
			t.Errorf("%q opens as a log of %d entries", note, c.size)
		}
	})
}

// FuzzReadJournal: a journal is read as far as it is one, or refused.
func FuzzReadJournal(f *testing.F) {
	f.Add([]byte(`{"n":1,"t":1,"kind":"phase","phase":"fire"}` + "\n" + `{"n":2,"t":2,"kind":"fault-begin","op":1,"fault":"clock","by_s":-5}` + "\n"))
	f.Add([]byte(`{"n":1`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		file := filepath.Join(t.TempDir(), "journal.jsonl")
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := readJournal(file)
		if err == nil && strings.Count(string(raw), "\n") != len(j.lines) {
			t.Errorf("%d lines of %q", len(j.lines), raw)
		}
	})
}

package keystest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/entente-hub/entente/crypto/keys"
	"github.com/go-jose/go-jose/v4"
)

var b64 = base64.RawURLEncoding

const typ = "entente-test+jws"

// testIdentity: the key id is made of owner and thumbprint, and the public key
// survives being written as JWK, which other libraries read too.
func testIdentity(t *testing.T, s keys.Signer, alg keys.Alg) {
	pub := s.Public()
	if pub.Owner() != "XA" || pub.Alg() != alg {
		t.Errorf("owner %q, algorithm %q", pub.Owner(), pub.Alg())
	}
	if want := keys.NewKeyID("XA", pub.Thumbprint()); pub.KeyID() != want {
		t.Errorf("key id %q, want %q", pub.KeyID(), want)
	}
	data, err := json.Marshal(pub)
	if err != nil {
		t.Fatal(err)
	}
	again, err := keys.ParsePublicKey(data)
	if err != nil || !again.Equal(pub) {
		t.Errorf("read back: %v, %v", again, err)
	}
	var jwk jose.JSONWebKey
	if err := json.Unmarshal(data, &jwk); err != nil || !jwk.IsPublic() || jwk.KeyID != pub.KeyID() {
		t.Errorf("go-jose reads %v, %v", jwk.KeyID, err)
	}
	if !s.Public().Equal(pub) {
		t.Error("Public does not answer the same twice")
	}
}

// testJOSE: a batch of documents verifies with package keys and with go-jose.
func testJOSE(t *testing.T, s keys.Signer) {
	payloads := [][]byte{[]byte(`{"n":1}`), {}, []byte("\x00\xff"), bytes.Repeat([]byte("x"), 1<<16)}
	docs, err := keys.SignBatch(context.Background(), s, typ, payloads)
	if err != nil {
		t.Fatal(err)
	}
	for i, doc := range docs {
		payload, kid, err := keys.Verify(doc, typ, lookup(s.Public()))
		if err != nil || kid != s.Public().KeyID() || !bytes.Equal(payload, payloads[i]) {
			t.Errorf("document %d: %d bytes, %q, %v", i, len(payload), kid, err)
		}
		jws, err := jose.ParseSignedCompact(doc, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(s.Public().Alg())})
		if err != nil {
			t.Fatal(err)
		}
		if payload, err := jws.Verify(s.Public().Key()); err != nil || !bytes.Equal(payload, payloads[i]) {
			t.Errorf("go-jose on document %d: %v", i, err)
		}
	}
}

// testGeneral: a statement of two parties, this key and one in memory.
func testGeneral(t *testing.T, s keys.Signer) {
	other, err := keys.Generate("XB", keys.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	ctx, payload := context.Background(), []byte(`{"agreement":1}`)
	doc, err := keys.SignGeneral(ctx, []keys.Signer{other}, typ, payload)
	if err != nil {
		t.Fatal(err)
	}
	doc, err = keys.Countersign(ctx, doc, s)
	if err != nil {
		t.Fatal(err)
	}
	find := func(kid string) (keys.PublicKey, error) {
		if kid == other.Public().KeyID() {
			return other.Public(), nil
		}
		return lookup(s.Public())(kid)
	}
	got, kids, err := keys.VerifyGeneral(doc, typ, find)
	if err != nil || !bytes.Equal(got, payload) {
		t.Fatalf("VerifyGeneral: %s, %v", got, err)
	}
	if want := []string{s.Public().KeyID(), other.Public().KeyID()}; !slices.Equal(kids, want) {
		t.Errorf("signed by %v, want %v", kids, want)
	}
}

// testOwnKeys: two keys of one owner are two keys, and neither verifies the
// other's signatures.
func testOwnKeys(t *testing.T, f Fixture, alg keys.Alg) {
	a, b := create(t, f, "XA", alg), create(t, f, "XA", alg)
	if a.Public().Equal(b.Public()) {
		t.Fatal("the same key twice")
	}
	msgs := messages(a.Public(), 1)
	sigs, err := a.Sign(context.Background(), msgs)
	if err != nil {
		t.Fatal(err)
	}
	if verifyRaw(b.Public(), msgs[0], sigs[0]) == nil {
		t.Error("one key verifies the other's signature")
	}
}

// testRestart: keys survive, are found by id only, and sign as before.
func testRestart(t *testing.T, f Fixture, alg keys.Alg) {
	if f.Reopen == nil {
		t.Skip("this store keeps no keys")
	}
	before := []keys.Signer{create(t, f, "XA", alg), create(t, f, "XB", alg)}
	load, err := f.Reopen()
	if err != nil {
		t.Fatalf("Reopen: %v", err)
	}
	for _, old := range before {
		s, err := load(old.Public().KeyID())
		if err != nil {
			t.Fatalf("Load: %v", err)
		}
		if !s.Public().Equal(old.Public()) {
			t.Errorf("loaded %s, want %s", s.Public(), old.Public())
		}
		doc, err := keys.Sign(context.Background(), s, typ, []byte("after a restart"))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := keys.Verify(doc, typ, lookup(old.Public())); err != nil {
			t.Errorf("signed after a restart: %v", err)
		}
	}
	never, err := keys.Generate("XA", alg)
	if err != nil {
		t.Fatal(err)
	}
	swapped := keys.NewKeyID("XB", before[0].Public().Thumbprint())
	for _, kid := range []string{never.Public().KeyID(), swapped, "", "XA", "../XA/" + never.Public().Thumbprint()} {
		if s, err := load(kid); !errors.Is(err, keys.ErrKeyUnknown) || s != nil {
			t.Errorf("Load(%q): %v, %v; want ErrKeyUnknown", kid, s, err)
		}
	}
}

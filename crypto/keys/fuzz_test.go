package keys_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/entente-hub/entente/crypto/keys"
)

func FuzzParsePublicKey(f *testing.F) {
	for _, alg := range []keys.Alg{keys.EdDSA, keys.ES256} {
		jwk, err := json.Marshal(generate(f, "XA", alg).Public())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(jwk)
	}
	f.Add([]byte(`{"kty":"OKP","crv":"Ed25519","x":"` + rfcX(f) + `","use":"sig","kid":"XA/` + rfcThumbprint + `"}`))
	f.Add([]byte(`{"kty":"EC","crv":"P-256","x":"AA","y":"AA","alg":"ES256","kid":"XA/AA"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		pub, err := keys.ParsePublicKey(data)
		if err != nil {
			return
		}
		out, err := json.Marshal(pub)
		if err != nil {
			t.Fatal(err)
		}
		again, err := keys.ParsePublicKey(out)
		if err != nil || !again.Equal(pub) {
			t.Fatalf("%s reads back as %v, %v", out, again, err)
		}
		if twice, err := json.Marshal(again); err != nil || !bytes.Equal(out, twice) {
			t.Fatalf("%s, then %s", out, twice)
		}
	})
}

func FuzzVerify(f *testing.F) {
	s := generate(f, "XA", keys.EdDSA)
	doc, err := keys.Sign(context.Background(), s, typ, []byte("payload"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(doc)
	f.Add(signed(f, s, `{"alg":"none"}`, ""))
	f.Add("..")
	f.Fuzz(func(t *testing.T, data string) {
		// With one key and a deterministic algorithm, the only document that
		// verifies is the one that was signed.
		payload, kid, err := keys.Verify(data, typ, known(s))
		if err == nil && data != doc {
			t.Fatalf("%q verifies as %q by %s", data, payload, kid)
		}
	})
}

func FuzzVerifyGeneral(f *testing.F) {
	a, b := generate(f, "XA", keys.EdDSA), generate(f, "XB", keys.EdDSA)
	ctx := context.Background()
	one, err := keys.SignGeneral(ctx, []keys.Signer{a}, typ, []byte("payload"))
	if err != nil {
		f.Fatal(err)
	}
	two, err := keys.Countersign(ctx, one, b)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(one)
	f.Add(two)
	f.Add([]byte(`{"payload":"","signatures":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, kids, err := keys.VerifyGeneral(data, typ, known(a, b))
		if err != nil {
			return
		}
		signers := make([]keys.Signer, len(kids))
		for i, kid := range kids {
			signers[i] = map[string]keys.Signer{a.Public().KeyID(): a, b.Public().KeyID(): b}[kid]
		}
		again, err := keys.SignGeneral(ctx, signers, typ, []byte("payload"))
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%s verifies, but signing gives %s, %v", data, again, err)
		}
	})
}

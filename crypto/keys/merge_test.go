package keys_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/entente-hub/entente/crypto/keys"
)

// TestMerge: documents signed apart become the one that all have signed.
func TestMerge(t *testing.T) {
	a, b := generate(t, "XA", keys.EdDSA), generate(t, "XB", keys.ES256)
	sign := func(typ, payload string, by ...keys.Signer) []byte {
		t.Helper()
		doc, err := keys.SignGeneral(t.Context(), by, typ, []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		return doc
	}
	one, other := sign(typ, "payload", a), sign(typ, "payload", b)
	for _, pair := range [][2][]byte{{one, other}, {other, one}} {
		both, err := keys.Merge(pair[0], pair[1])
		if err != nil {
			t.Fatal(err)
		}
		payload, kids, err := keys.VerifyGeneral(both, typ, known(a, b))
		if err != nil || string(payload) != "payload" || len(kids) != 2 {
			t.Errorf("%q %v %v", payload, kids, err)
		}
		if again, err := keys.Merge(both, pair[0]); err != nil || !bytes.Equal(again, both) {
			t.Errorf("joined again: %v", err)
		}
		if kids, err := keys.Signers(both); err != nil || len(kids) != 2 || kids[0] != a.Public().KeyID() {
			t.Errorf("%v, %v", kids, err)
		}
	}
	// ES256 signs anew each time: the signature that was there stays.
	if kept, err := keys.Merge(other, sign(typ, "payload", b)); err != nil || !bytes.Equal(kept, other) {
		t.Errorf("%v", err)
	}
	var many []keys.Signer
	for range keys.MaxSignatures {
		many = append(many, generate(t, "XC", keys.EdDSA))
	}
	for name, tt := range map[string]struct {
		doc  []byte
		want error
	}{
		"another payload":     {sign(typ, "Payload", b), keys.ErrType},
		"another type":        {sign("other+json", "payload", b), keys.ErrType},
		"no document":         {[]byte("{}"), keys.ErrMalformed},
		"too many signatures": {sign(typ, "payload", many...), keys.ErrMalformed},
	} {
		for _, pair := range [][2][]byte{{one, tt.doc}, {tt.doc, one}} {
			if out, err := keys.Merge(pair[0], pair[1]); !errors.Is(err, tt.want) || out != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := keys.Signers([]byte("{}")); !errors.Is(err, keys.ErrMalformed) {
		t.Error(err)
	}
}

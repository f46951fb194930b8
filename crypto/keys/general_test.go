package keys_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/entente-hub/entente/crypto/keys"
	"github.com/go-jose/go-jose/v4"
)

func TestGeneral(t *testing.T) {
	ctx := context.Background()
	a, b, c := generate(t, "XA", keys.EdDSA), generate(t, "XB", keys.ES256), generate(t, "XC", keys.EdDSA)
	payload := []byte(`{"terms":1}`)
	doc, err := keys.SignGeneral(ctx, []keys.Signer{c, a}, typ, payload)
	if err != nil {
		t.Fatal(err)
	}
	full, err := keys.Countersign(ctx, doc, b)
	if err != nil {
		t.Fatal(err)
	}
	got, kids, err := keys.VerifyGeneral(full, typ, known(a, b, c))
	want := []string{a.Public().KeyID(), b.Public().KeyID(), c.Public().KeyID()}
	if err != nil || !bytes.Equal(got, payload) || !slices.Equal(kids, want) {
		t.Fatalf("%s, %v, %v", got, kids, err)
	}
	if _, err := keys.Countersign(ctx, full, b); !errors.Is(err, keys.ErrDuplicate) {
		t.Errorf("signing twice: %v", err)
	}
	if _, err := keys.SignGeneral(ctx, []keys.Signer{a, a}, typ, payload); !errors.Is(err, keys.ErrDuplicate) {
		t.Errorf("one signer twice: %v", err)
	}
	if _, err := keys.SignGeneral(ctx, nil, typ, payload); !errors.Is(err, keys.ErrMalformed) {
		t.Errorf("no signer: %v", err)
	}
	jws, err := jose.ParseSignedJSON(string(full), []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range []keys.Signer{a, b, c} {
		if at, _, _, err := jws.VerifyMulti(s.Public().Key()); err != nil || at != i {
			t.Errorf("go-jose finds %s at %d, %v", s.Public(), at, err)
		}
	}
}

// envelope is the general form, for building bad ones.
type envelope struct {
	Payload    string  `json:"payload"`
	Signatures []sigma `json:"signatures"`
}
type sigma struct {
	Protected string `json:"protected"`
	Signature string `json:"signature"`
}

// changed is a document with something changed, written in canonical order.
func changed(t *testing.T, doc []byte, f func(*envelope)) string {
	t.Helper()
	var e envelope
	if err := json.Unmarshal(doc, &e); err != nil {
		t.Fatal(err)
	}
	f(&e)
	out, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestVerifyGeneralRefuses(t *testing.T) {
	a, b := generate(t, "XA", keys.EdDSA), generate(t, "XB", keys.EdDSA)
	doc, err := keys.SignGeneral(context.Background(), []keys.Signer{a, b}, typ, []byte("terms"))
	if err != nil {
		t.Fatal(err)
	}
	good := string(doc)
	change := func(f func(*envelope)) string { return changed(t, doc, f) }
	otherTyp := strings.Split(signed(t, b, `{"alg":"EdDSA","kid":"`+b.Public().KeyID()+`","typ":"other"}`, "terms"), ".")
	flattened := change(func(e *envelope) { e.Signatures = e.Signatures[:1] })
	flattened = strings.NewReplacer(`"signatures":[{`, ``, `}]}`, `}`).Replace(flattened)
	for name, c := range map[string]struct {
		doc  string
		want error
	}{
		"one of two forged": {change(func(e *envelope) {
			e.Signatures[1].Signature = e.Signatures[0].Signature
		}), keys.ErrSignature},
		"other payload":   {change(func(e *envelope) { e.Payload = b64.EncodeToString([]byte("Terms")) }), keys.ErrSignature},
		"no signatures":   {change(func(e *envelope) { e.Signatures = []sigma{} }), keys.ErrMalformed},
		"null signatures": {change(func(e *envelope) { e.Signatures = nil }), keys.ErrMalformed},
		"other order":     {change(func(e *envelope) { slices.Reverse(e.Signatures) }), keys.ErrMalformed},
		"same key twice":  {change(func(e *envelope) { e.Signatures[1] = e.Signatures[0] }), keys.ErrDuplicate},
		"too many":        {change(func(e *envelope) { e.Signatures = make([]sigma, keys.MaxSignatures+1) }), keys.ErrMalformed},
		"padded payload":  {change(func(e *envelope) { e.Payload += "=" }), keys.ErrMalformed},
		"two types":       {change(func(e *envelope) { e.Signatures[1] = sigma{otherTyp[0], otherTyp[2]} }), keys.ErrType},
		"unprotected":     {strings.Replace(good, `"signature":`, `"header":{"kid":"x"},"signature":`, 1), keys.ErrHeader},
		"null header":     {strings.Replace(good, `"signature":`, `"header":null,"signature":`, 1), keys.ErrHeader},
		"unknown member":  {strings.Replace(good, `{`, `{"x":1,`, 1), keys.ErrMalformed},
		"unknown inside":  {strings.Replace(good, `[{`, `[{"x":1,`, 1), keys.ErrMalformed},
		"payload twice":   {strings.Replace(good, `{`, `{"payload":"AA",`, 1), keys.ErrMalformed},
		"upper case":      {strings.Replace(good, `"payload"`, `"Payload"`, 1), keys.ErrMalformed},
		"white space":     {strings.Replace(good, `{`, `{ `, 1), keys.ErrMalformed},
		"escape":          {strings.Replace(good, `"payload"`, `"p\u0061yload"`, 1), keys.ErrMalformed},
		"line end":        {good + "\n", keys.ErrMalformed},
		"trailing":        {good + good, keys.ErrMalformed},
		"flattened":       {flattened, keys.ErrMalformed},
		"compact":         {signed(t, a, `{}`, ""), keys.ErrMalformed},
		"empty":           {"", keys.ErrMalformed},
		"too large":       {good + strings.Repeat(" ", keys.MaxGeneral), keys.ErrMalformed},
	} {
		payload, kids, err := keys.VerifyGeneral([]byte(c.doc), typ, known(a, b))
		if !errors.Is(err, c.want) || payload != nil || kids != nil {
			t.Errorf("%s: %q, %v, %v; want %v", name, payload, kids, err, c.want)
		}
	}
	if _, _, err := keys.VerifyGeneral(doc, "other", known(a, b)); !errors.Is(err, keys.ErrType) {
		t.Errorf("other type: %v", err)
	}
	if _, _, err := keys.VerifyGeneral(doc, typ, known(a)); !errors.Is(err, keys.ErrKeyUnknown) {
		t.Errorf("one key unknown: %v", err)
	}
}

package keys_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/entente-hub/entente/crypto/keys"
)

const typ = "entente-test+jws"

func generate(t testing.TB, owner string, alg keys.Alg) *keys.SoftwareKey {
	t.Helper()
	k, err := keys.Generate(owner, alg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// known is a lookup in a list.
func known(signers ...keys.Signer) keys.Lookup {
	return func(kid string) (keys.PublicKey, error) {
		for _, s := range signers {
			if s.Public().KeyID() == kid {
				return s.Public(), nil
			}
		}
		return keys.PublicKey{}, fmt.Errorf("%w: %s", keys.ErrKeyUnknown, kid)
	}
}

// signed makes a JWS with any header, properly signed.
func signed(t testing.TB, s keys.Signer, header, payload string) string {
	t.Helper()
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(payload))
	sigs, err := s.Sign(context.Background(), [][]byte{[]byte(input)})
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64.EncodeToString(sigs[0])
}

func TestVerifyRefuses(t *testing.T) {
	ed, ec, mallory := generate(t, "XA", keys.EdDSA), generate(t, "XA", keys.ES256), generate(t, "XM", keys.EdDSA)
	kid := ed.Public().KeyID()
	head := func(extra string) string {
		return `{"alg":"EdDSA","kid":"` + kid + `","typ":"` + typ + `"` + extra + `}`
	}
	good := signed(t, ed, head(""), "payload")
	if payload, by, err := keys.Verify(good, typ, known(ed, ec)); err != nil || string(payload) != "payload" || by != kid {
		t.Fatalf("good one: %q, %q, %v", payload, by, err)
	}
	parts := strings.Split(good, ".")
	h, p, s := parts[0], parts[1], parts[2]
	mk := func(header string) string { return signed(t, ed, header, "payload") }
	for name, c := range map[string]struct {
		doc  string
		want error
	}{
		"alg none":          {mk(strings.Replace(head(""), "EdDSA", "none", 1)), keys.ErrAlgorithm},
		"alg HS256":         {mk(strings.Replace(head(""), "EdDSA", "HS256", 1)), keys.ErrAlgorithm},
		"alg of other kind": {mk(strings.Replace(head(""), "EdDSA", "ES256", 1)), keys.ErrAlgorithm},
		"alg in lower case": {mk(strings.Replace(head(""), "EdDSA", "eddsa", 1)), keys.ErrAlgorithm},
		"jwk":               {mk(head(`,"jwk":{"kty":"OKP"}`)), keys.ErrHeader},
		"jku":               {mk(head(`,"jku":"https://xm.example/"`)), keys.ErrHeader},
		"x5c":               {mk(head(`,"x5c":[]`)), keys.ErrHeader},
		"crit":              {mk(head(`,"crit":["exp"]`)), keys.ErrHeader},
		"b64":               {mk(head(`,"b64":false`)), keys.ErrHeader},
		"nonce":             {mk(head(`,"nonce":"1"`)), keys.ErrHeader},
		"alg twice":         {mk(head(`,"alg":"EdDSA"`)), keys.ErrHeader},
		"Alg besides alg":   {mk(head(`,"Alg":"none"`)), keys.ErrHeader},
		"no typ":            {mk(`{"alg":"EdDSA","kid":"` + kid + `"}`), keys.ErrHeader},
		"no kid":            {mk(`{"alg":"EdDSA","typ":"` + typ + `"}`), keys.ErrHeader},
		"empty kid":         {mk(`{"alg":"EdDSA","kid":"","typ":"` + typ + `"}`), keys.ErrHeader},
		"header not JSON":   {mk(`alg`), keys.ErrHeader},
		"after the header":  {mk(head("") + " {}"), keys.ErrHeader},
		"large header":      {mk(head("") + strings.Repeat(" ", keys.MaxHeader)), keys.ErrHeader},
		"other typ":         {mk(strings.Replace(head(""), typ, "JWT", 1)), keys.ErrType},
		"typ in upper case": {mk(strings.Replace(head(""), typ, strings.ToUpper(typ), 1)), keys.ErrType},
		"unknown key":       {signed(t, mallory, strings.Replace(head(""), kid, mallory.Public().KeyID(), 1), "payload"), keys.ErrKeyUnknown},
		"forged":            {signed(t, mallory, head(""), "payload"), keys.ErrSignature},
		"other payload":     {h + "." + b64.EncodeToString([]byte("Payload")) + "." + s, keys.ErrSignature},
		"empty":             {"", keys.ErrMalformed},
		"two parts":         {h + "." + p, keys.ErrMalformed},
		"four parts":        {good + ".", keys.ErrMalformed},
		"no signature":      {h + "." + p + ".", keys.ErrMalformed},
		"padded":            {h + "." + p + "." + s + "==", keys.ErrMalformed},
		"stray bits":        {h + "." + p + "." + s[:85] + string(nextChar(s[85])), keys.ErrMalformed},
		"line break":        {h + "." + p + "\n." + s, keys.ErrMalformed},
		"space":             {" " + good, keys.ErrHeader},
		"long signature":    {good + "AAAA", keys.ErrMalformed},
		"too large":         {h + "." + strings.Repeat("A", keys.MaxJWS) + "." + s, keys.ErrMalformed},
	} {
		if payload, by, err := keys.Verify(c.doc, typ, known(ed, ec)); !errors.Is(err, c.want) || payload != nil || by != "" {
			t.Errorf("%s: %q, %q, %v; want %v", name, payload, by, err, c.want)
		}
	}
}

func TestVerifyLookup(t *testing.T) {
	ed, mallory := generate(t, "XA", keys.EdDSA), generate(t, "XM", keys.EdDSA)
	good, err := keys.Sign(context.Background(), ed, typ, []byte("payload"))
	if err != nil {
		t.Fatal(err)
	}
	wrongKey := func(string) (keys.PublicKey, error) { return mallory.Public(), nil }
	if _, _, err := keys.Verify(good, typ, wrongKey); !errors.Is(err, keys.ErrKeyUnknown) {
		t.Errorf("lookup with another key: %v", err)
	}
	noKey := func(string) (keys.PublicKey, error) { return keys.PublicKey{}, nil }
	if _, _, err := keys.Verify(good, typ, noKey); !errors.Is(err, keys.ErrKeyUnknown) {
		t.Errorf("lookup with no key: %v", err)
	}
	away := func(string) (keys.PublicKey, error) { return keys.PublicKey{}, keys.ErrUnavailable }
	if _, _, err := keys.Verify(good, typ, away); !errors.Is(err, keys.ErrUnavailable) || errors.Is(err, keys.ErrKeyUnknown) {
		t.Errorf("lookup that is away: %v", err)
	}
}

// brokenSigner does not keep the contract.
type brokenSigner struct {
	keys.Signer
	sigs [][]byte
	err  error
}

func (b brokenSigner) Sign(context.Context, [][]byte) ([][]byte, error) { return b.sigs, b.err }

func TestSignRefuses(t *testing.T) {
	ctx, s := context.Background(), generate(t, "XA", keys.EdDSA)
	for _, bad := range []string{"", "a b", `a"b`, "a\n", "ä", strings.Repeat("a", keys.MaxType+1)} {
		if doc, err := keys.Sign(ctx, s, bad, nil); !errors.Is(err, keys.ErrType) || doc != "" {
			t.Errorf("typ %q: %v", bad, err)
		}
	}
	if _, err := keys.Sign(ctx, s, typ, make([]byte, keys.MaxJWS)); !errors.Is(err, keys.ErrMalformed) {
		t.Errorf("large payload: %v", err)
	}
	for name, sigs := range map[string][][]byte{"none": nil, "two": {make([]byte, 64), make([]byte, 64)}, "short": {{1}}} {
		if doc, err := keys.Sign(ctx, brokenSigner{Signer: s, sigs: sigs}, typ, nil); !errors.Is(err, keys.ErrSignature) || doc != "" {
			t.Errorf("signer with %s: %q, %v", name, doc, err)
		}
	}
	if _, err := keys.Sign(ctx, brokenSigner{Signer: s, err: keys.ErrUnavailable}, typ, nil); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("signer that is away: %v", err)
	}
	var none keys.PublicKey
	if _, _, err := keys.Verify("..", typ, func(string) (keys.PublicKey, error) { return none, nil }); err == nil {
		t.Error("an empty document verifies")
	}
}

// TestLargestPayload: what Sign makes, Verify takes, at the very limit.
func TestLargestPayload(t *testing.T) {
	s := generate(t, "XA", keys.EdDSA)
	empty, err := keys.Sign(context.Background(), s, typ, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := b64.DecodedLen(keys.MaxJWS - len(empty))
	doc, err := keys.Sign(context.Background(), s, typ, make([]byte, n))
	if err != nil {
		t.Fatal(err)
	}
	if payload, _, err := keys.Verify(doc, typ, known(s)); err != nil || len(payload) != n {
		t.Errorf("%d bytes, %v", len(payload), err)
	}
	if _, err := keys.Sign(context.Background(), s, typ, make([]byte, n+1)); !errors.Is(err, keys.ErrMalformed) {
		t.Errorf("one byte more: %v", err)
	}
}

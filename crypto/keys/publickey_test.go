package keys_test

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	"github.com/entente-hub/entente/crypto/keys"
)

// The key of RFC 8037 appendix A (of RFC 8032 section 7.1 test 1), and its
// thumbprint from RFC 8037 appendix A.3.
const (
	rfcKeyHex     = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
	rfcThumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
)

var b64 = base64.RawURLEncoding

// rfcX is the key as a JWK member.
func rfcX(t testing.TB) string {
	raw, err := hex.DecodeString(rfcKeyHex)
	if err != nil {
		t.Fatal(err)
	}
	return b64.EncodeToString(raw)
}

func TestPublicKeyFrozen(t *testing.T) {
	raw, _ := hex.DecodeString(rfcKeyHex)
	pub, err := keys.NewPublicKey("XA", ed25519.PublicKey(raw))
	if err != nil {
		t.Fatal(err)
	}
	if pub.Thumbprint() != rfcThumbprint {
		t.Errorf("thumbprint %s, want %s", pub.Thumbprint(), rfcThumbprint)
	}
	got, err := json.Marshal(pub)
	want := `{"kty":"OKP","crv":"Ed25519","x":"` + rfcX(t) + `","alg":"EdDSA","kid":"XA/` + rfcThumbprint + `"}`
	if err != nil || string(got) != want {
		t.Errorf("JWK %s, %v, want %s", got, err, want)
	}
}

func TestParsePublicKeyRefuses(t *testing.T) {
	x := rfcX(t)
	good := `{"kty":"OKP","crv":"Ed25519","x":"` + x + `","alg":"EdDSA","kid":"XA/` + rfcThumbprint + `"}`
	with := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the key", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for _, ok := range []string{good, with(`,"alg":"EdDSA"`, ""), with(`{`, `{ "use":"sig",`)} {
		if _, err := keys.ParsePublicKey([]byte(ok)); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	stray := x[:42] + string(nextChar(x[42]))
	for name, c := range map[string]struct {
		jwk  string
		want error
	}{
		"empty":             {"", keys.ErrMalformed},
		"no object":         {"[]", keys.ErrMalformed},
		"truncated":         {good[:len(good)-1], keys.ErrMalformed},
		"trailing data":     {good + "{}", keys.ErrMalformed},
		"too large":         {good + strings.Repeat(" ", keys.MaxJWK), keys.ErrMalformed},
		"private":           {with(`{`, `{"d":"`+x+`",`), keys.ErrMalformed},
		"unknown member":    {with(`{`, `{"x5u":"https://xa.example/",`), keys.ErrMalformed},
		"member not string": {with(`{`, `{"key_ops":["verify"],`), keys.ErrMalformed},
		"duplicate":         {with(`{`, `{"kid":"XB/`+rfcThumbprint+`",`), keys.ErrMalformed},
		"for encryption":    {with(`{`, `{"use":"enc",`), keys.ErrMalformed},
		"empty use":         {with(`{`, `{"use":"",`), keys.ErrMalformed},
		"y":                 {with(`{`, `{"y":"`+x+`",`), keys.ErrMalformed},
		"RSA":               {with(`OKP`, `RSA`), keys.ErrAlgorithm},
		"symmetric":         {with(`OKP`, `oct`), keys.ErrAlgorithm},
		"X25519":            {with(`Ed25519`, `X25519`), keys.ErrAlgorithm},
		"P-384":             {with(`OKP","crv":"Ed25519`, `EC","crv":"P-384`), keys.ErrAlgorithm},
		"other alg":         {with(`EdDSA`, `ES256`), keys.ErrAlgorithm},
		"empty alg":         {with(`EdDSA`, ``), keys.ErrAlgorithm},
		"no kid":            {with(`"kid"`, `"use"`), keys.ErrMalformed},
		"no owner":          {with(`XA/`, ``), keys.ErrMalformed},
		"empty owner":       {with(`XA/`, `/`), keys.ErrMalformed},
		"other thumbprint":  {with(rfcThumbprint, strings.Repeat("A", 43)), keys.ErrMalformed},
		"padded x":          {with(x, x+"="), keys.ErrMalformed},
		"stray bits in x":   {with(x, stray), keys.ErrMalformed},
		"line break in x":   {with(x, x[:4]+`\n`+x[4:]), keys.ErrMalformed},
		"short x":           {with(x, x[:40]), keys.ErrMalformed},
		"not UTF-8":         {with("XA", "X\xff"), keys.ErrMalformed},
		"point off curve": {`{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + x + `","kid":"XA/` + rfcThumbprint + `"}`,
			keys.ErrMalformed},
	} {
		if pub, err := keys.ParsePublicKey([]byte(c.jwk)); !errors.Is(err, c.want) || !pub.IsZero() {
			t.Errorf("%s: %v, %v; want %v", name, pub, err, c.want)
		}
	}
}

// nextChar differs from c, a last character with two stray bits that are zero, in
// those only.
func nextChar(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, c)|1]
}

// TestSmallOrder looks for Ed25519 keys of small order by asking X25519, which
// fails on exactly those, about the same points on the birationally equivalent
// curve (RFC 7748 section 4.1: u = (1+y)/(1-y)).
func TestSmallOrder(t *testing.T) {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	priv, err := ecdh.X25519().NewPrivateKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	weak := []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	}
	for _, h := range weak {
		raw, _ := hex.DecodeString(h)
		y := new(big.Int).SetBytes(reverse(raw))
		u := new(big.Int).ModInverse(new(big.Int).Mod(new(big.Int).Sub(big.NewInt(1), y), p), p)
		u.Mul(u, new(big.Int).Add(big.NewInt(1), y)).Mod(u, p)
		other, err := ecdh.X25519().NewPublicKey(reverse(u.FillBytes(make([]byte, 32))))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := priv.ECDH(other); err == nil {
			t.Errorf("%s is not of small order: the test is wrong", h)
		}
	}
	one := "0100000000000000000000000000000000000000000000000000000000000000"
	beyond := []string{ // second encodings of 0 and 1
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	}
	for _, h := range append(append(weak, one), beyond...) {
		for _, sign := range []byte{0, 0x80} {
			raw, _ := hex.DecodeString(h)
			raw[31] |= sign
			if _, err := keys.NewPublicKey("XA", ed25519.PublicKey(raw)); !errors.Is(err, keys.ErrMalformed) {
				t.Errorf("%x: %v, want ErrMalformed", raw, err)
			}
		}
	}
}

func reverse(b []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[len(b)-1-i] = b[i]
	}
	return out
}

func TestZeroPublicKey(t *testing.T) {
	var zero keys.PublicKey
	if _, err := json.Marshal(zero); err == nil {
		t.Error("a zero key is written")
	}
	if zero.KeyID() != "" || !zero.IsZero() || zero.Key() != nil {
		t.Error("a zero key is something")
	}
}

// TestPrivateKeyIsNotShown prints a key in every way and looks for its secret.
func TestPrivateKeyIsNotShown(t *testing.T) {
	for _, alg := range []keys.Alg{keys.EdDSA, keys.ES256} {
		k, err := keys.Generate("XA", alg)
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "k", k, "v", *k, "s", struct{ K *keys.SoftwareKey }{k})
		data, err := json.Marshal([]any{k, *k, struct{ K keys.SoftwareKey }{*k}})
		if err != nil {
			t.Fatal(err)
		}
		shown := []string{log.String(), string(data)}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
			shown = append(shown, fmt.Sprintf(verb, k), fmt.Sprintf(verb, *k), fmt.Sprintf(verb, struct{ K keys.SoftwareKey }{*k}))
		}
		want := "private key " + k.Public().KeyID()
		for _, s := range shown {
			rest := strings.ReplaceAll(s, want, "")
			if rest == s || len(rest) > 160 || strings.Contains(rest, "priv") {
				t.Errorf("shown: %s", s)
			}
		}
	}
}

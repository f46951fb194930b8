package sdjwt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/entente-hub/entente/crypto/keys"
)

const testTyp = "example+sd-jwt"

// fixedKey is a keys.Signer whose signatures are the same every time: Ed25519
// is deterministic, and ECDSA is used as in RFC 6979.
type fixedKey struct {
	private crypto.Signer
	public  keys.PublicKey
}

func (k fixedKey) Public() keys.PublicKey { return k.public }

func (k fixedKey) Sign(_ context.Context, messages [][]byte) ([][]byte, error) {
	var signatures [][]byte
	for _, m := range messages {
		s, err := k.sign(m)
		if err != nil {
			return nil, err
		}
		signatures = append(signatures, s)
	}
	return signatures, nil
}

func (k fixedKey) sign(message []byte) ([]byte, error) {
	if _, ok := k.private.(ed25519.PrivateKey); ok {
		return k.private.Sign(nil, message, crypto.Hash(0))
	}
	digest := sha256.Sum256(message)
	der, err := k.private.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		return nil, err
	}
	signature := make([]byte, 64)
	rs.R.FillBytes(signature[:32])
	rs.S.FillBytes(signature[32:])
	return signature, nil
}

// seed is 32 bytes of no secrecy whatever.
func seed(name string) []byte {
	sum := sha256.Sum256([]byte("entente test key " + name))
	return sum[:]
}

func fixedEd25519(t testing.TB, owner string) fixedKey {
	t.Helper()
	return fixed(t, owner, ed25519.NewKeyFromSeed(seed(owner)))
}

func fixedP256(t testing.TB, owner string) fixedKey {
	t.Helper()
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed(owner))
	if err != nil {
		t.Fatal(err)
	}
	return fixed(t, owner, private)
}

func fixed(t testing.TB, owner string, private crypto.Signer) fixedKey {
	t.Helper()
	public, err := keys.NewPublicKey(owner, private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return fixedKey{private, public}
}

// lookup finds the given keys and no others.
func lookup(known ...keys.PublicKey) keys.Lookup {
	return func(kid string) (keys.PublicKey, error) {
		for _, k := range known {
			if k.KeyID() == kid {
				return k, nil
			}
		}
		return keys.PublicKey{}, fmt.Errorf("%w: %s", keys.ErrKeyUnknown, kid)
	}
}

// seeded is a reproducible source of bytes for Options.Random.
func seeded(name string) *rand.ChaCha8 { return rand.NewChaCha8([32]byte(seed(name))) }

func mustIssue(t testing.TB, key fixedKey, claims map[string]any, opts Options) string {
	t.Helper()
	token, err := Issue(context.Background(), key, testTyp, claims, opts)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func mustVerify(t testing.TB, key fixedKey, token string) *Verified {
	t.Helper()
	v, err := Verify(token, testTyp, lookup(key.public))
	if err != nil {
		t.Fatalf("%v\n%s", err, token)
	}
	return v
}

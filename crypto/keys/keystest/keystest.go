// Package keystest is what every key store must pass, wherever it keeps its keys.
package keystest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/entente-hub/entente/crypto/keys"
	"github.com/go-jose/go-jose/v4"
)

// Fixture is one key store, empty or not, for one test.
type Fixture struct {
	// Create makes a new key.
	Create func(owner string, alg keys.Alg) (keys.Signer, error)
	// Reopen closes the store, opens it anew and returns how to load keys from
	// it, as after a restart. Nil for what keeps no keys.
	Reopen func() (load func(kid string) (keys.Signer, error), err error)
	// OpenWrong opens the store with a wrong secret and returns the error, which
	// must wrap keys.ErrWrongSecret. Nil for what has no secret.
	OpenWrong func() error
}

// Run holds the stores that open makes to the contract of keys.Signer.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	for _, alg := range []keys.Alg{keys.EdDSA, keys.ES256} {
		t.Run(string(alg), func(t *testing.T) {
			run := func(name string, test func(*testing.T, keys.Signer)) {
				t.Run(name, func(t *testing.T) { test(t, create(t, open(t), "XA", alg)) })
			}
			run("identity", func(t *testing.T, s keys.Signer) { testIdentity(t, s, alg) })
			run("order", testOrder)
			run("empty batch", testEmpty)
			run("thousand", testThousand)
			run("concurrent", testConcurrent)
			run("cancelled", testCancelled)
			run("buffers", testBuffers)
			run("jose", testJOSE)
			run("statements", testGeneral)
			t.Run("own keys", func(t *testing.T) { testOwnKeys(t, open(t), alg) })
			t.Run("restart", func(t *testing.T) { testRestart(t, open(t), alg) })
		})
	}
	t.Run("unknown algorithm", func(t *testing.T) {
		for _, alg := range []keys.Alg{"", "none", "HS256", "RS256", "ES384", "eddsa"} {
			if s, err := open(t).Create("XA", alg); !errors.Is(err, keys.ErrAlgorithm) || s != nil {
				t.Errorf("Create with %q: %v, %v; want ErrAlgorithm", alg, s, err)
			}
		}
	})
	t.Run("unusable owner", func(t *testing.T) {
		f := open(t)
		for _, owner := range []string{"", "../XA", "X/A", "XA@", ".XA", "X A", "Ä"} {
			if s, err := f.Create(owner, keys.EdDSA); !errors.Is(err, keys.ErrMalformed) || s != nil {
				t.Errorf("Create for %q: %v, %v; want ErrMalformed", owner, s, err)
			}
		}
	})
	t.Run("wrong secret", func(t *testing.T) {
		f := open(t)
		if f.OpenWrong == nil {
			t.Skip("this store has no secret")
		}
		if err := f.OpenWrong(); !errors.Is(err, keys.ErrWrongSecret) {
			t.Errorf("opened with a wrong secret: %v; want ErrWrongSecret", err)
		}
	})
}

func create(t *testing.T, f Fixture, owner string, alg keys.Alg) keys.Signer {
	t.Helper()
	s, err := f.Create(owner, alg)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	return s
}

// lookup finds the one key.
func lookup(pub keys.PublicKey) keys.Lookup {
	return func(kid string) (keys.PublicKey, error) {
		if kid != pub.KeyID() {
			return keys.PublicKey{}, keys.ErrKeyUnknown
		}
		return pub, nil
	}
}

// verifyRaw checks a raw signature apart from package keys: Ed25519 with the
// standard library, ES256 with go-jose.
func verifyRaw(pub keys.PublicKey, message, sig []byte) error {
	if len(sig) != keys.SignatureSize {
		return fmt.Errorf("signature of %d bytes", len(sig))
	}
	if key, ok := pub.Key().(ed25519.PublicKey); ok {
		if !ed25519.Verify(key, message, sig) {
			return errors.New("crypto/ed25519 refuses the signature")
		}
		return nil
	}
	// The message is made a JWS signing input by the caller.
	head, payload, ok := bytes.Cut(message, []byte("."))
	if !ok {
		return errors.New("message is no JWS signing input")
	}
	compact := fmt.Sprintf("%s.%s.%s", head, payload, b64.EncodeToString(sig))
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return err
	}
	_, err = jws.Verify(pub.Key())
	return err
}

// messages makes n different JWS signing inputs.
func messages(pub keys.PublicKey, n int) [][]byte {
	head := b64.EncodeToString([]byte(`{"alg":"` + string(pub.Alg()) + `"}`))
	out := make([][]byte, n)
	for i := range out {
		out[i] = []byte(head + "." + b64.EncodeToString(fmt.Appendf(nil, "message %d", i)))
	}
	return out
}

// signAndCheck signs msgs and checks each signature in its place.
func signAndCheck(s keys.Signer, msgs [][]byte) error {
	sigs, err := s.Sign(context.Background(), msgs)
	if err != nil {
		return err
	}
	if len(sigs) != len(msgs) {
		return fmt.Errorf("%d signatures for %d messages", len(sigs), len(msgs))
	}
	for i := range msgs {
		if err := verifyRaw(s.Public(), msgs[i], sigs[i]); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
	}
	return nil
}

func testOrder(t *testing.T, s keys.Signer) {
	if err := signAndCheck(s, messages(s.Public(), 7)); err != nil {
		t.Fatal(err)
	}
}

func testThousand(t *testing.T, s keys.Signer) {
	if err := signAndCheck(s, messages(s.Public(), 1000)); err != nil {
		t.Fatal(err)
	}
}

func testEmpty(t *testing.T, s keys.Signer) {
	for _, msgs := range [][][]byte{nil, {}} {
		sigs, err := s.Sign(context.Background(), msgs)
		if err != nil || len(sigs) != 0 {
			t.Errorf("empty batch: %d signatures, %v", len(sigs), err)
		}
	}
}

func testConcurrent(t *testing.T, s keys.Signer) {
	all := messages(s.Public(), 64)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if err := signAndCheck(s, all[4*i:4*i+4]); err != nil {
				t.Errorf("caller %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

func testCancelled(t *testing.T, s keys.Signer) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	sigs, err := s.Sign(ctx, messages(s.Public(), 3))
	if !errors.Is(err, context.Canceled) || sigs != nil {
		t.Errorf("Sign with a cancelled context: %d signatures, %v", len(sigs), err)
	}
	if err := signAndCheck(s, messages(s.Public(), 1)); err != nil {
		t.Errorf("after a cancelled call: %v", err)
	}
}

// testBuffers: a signature stays what it is while its message and other
// signatures are overwritten.
func testBuffers(t *testing.T, s keys.Signer) {
	msgs := messages(s.Public(), 2)
	kept := bytes.Clone(msgs[0])
	sigs, err := s.Sign(context.Background(), msgs)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(msgs[0], kept) {
		t.Error("Sign changed its message")
	}
	clear(msgs[0])
	clear(sigs[1])
	_ = append(sigs[1], 1, 2, 3)
	if _, err := s.Sign(context.Background(), messages(s.Public(), 2)); err != nil {
		t.Fatal(err)
	}
	if err := verifyRaw(s.Public(), kept, sigs[0]); err != nil {
		t.Errorf("signature changed: %v", err)
	}
}

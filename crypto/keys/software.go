package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
)

// SoftwareKey is a Signer whose private key lies in this process's memory. It
// shows its public key only: however it is printed, logged or marshalled, the
// private key stays out; and it can not be compared.
type SoftwareKey struct {
	_    [0]func() // not comparable
	priv crypto.Signer
	pub  PublicKey
}

// Generate makes a new key for owner. Errors wrap ErrAlgorithm for an unknown
// algorithm and ErrMalformed for an unusable owner.
func Generate(owner string, alg Alg) (*SoftwareKey, error) {
	var priv crypto.Signer
	var err error
	switch alg {
	case EdDSA:
		_, priv, err = ed25519.GenerateKey(rand.Reader)
	case ES256:
		priv, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return nil, fmt.Errorf("%w: %.16q", ErrAlgorithm, string(alg))
	}
	if err != nil {
		return nil, fmt.Errorf("generating a key: %w", err)
	}
	return newSoftwareKey(owner, priv)
}

func newSoftwareKey(owner string, priv crypto.Signer) (*SoftwareKey, error) {
	pub, err := NewPublicKey(owner, priv.Public())
	if err != nil {
		return nil, err
	}
	return &SoftwareKey{priv: priv, pub: pub}, nil
}

// Public returns the verification key.
func (k *SoftwareKey) Public() PublicKey { return k.pub }

// Sign implements Signer. It looks at ctx before each message.
func (k *SoftwareKey) Sign(ctx context.Context, messages [][]byte) ([][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sigs := make([][]byte, len(messages))
	for i, m := range messages {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		sig, err := signRaw(k.priv, m)
		if err != nil {
			return nil, fmt.Errorf("signing with %s: %w", k.pub, err)
		}
		sigs[i] = sig
	}
	return sigs, nil
}

// signRaw makes a JWS signature value: RFC 8037 section 3.1 or RFC 7518
// section 3.4.
func signRaw(priv crypto.Signer, message []byte) ([]byte, error) {
	switch priv := priv.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(priv, message), nil
	case *ecdsa.PrivateKey:
		digest := sha256.Sum256(message)
		r, s, err := ecdsa.Sign(rand.Reader, priv, digest[:])
		if err != nil {
			return nil, err
		}
		sig := make([]byte, SignatureSize)
		r.FillBytes(sig[:SignatureSize/2])
		s.FillBytes(sig[SignatureSize/2:])
		return sig, nil
	default:
		return nil, fmt.Errorf("%w: private key of type %T", ErrAlgorithm, priv)
	}
}

// String shows the key id only.
func (k SoftwareKey) String() string { return "private key " + k.pub.KeyID() }

// GoString shows the key id only.
func (k SoftwareKey) GoString() string { return k.String() }

// Format shows the key id only, whatever the verb.
func (k SoftwareKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// LogValue shows the key id only.
func (k SoftwareKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalJSON shows the key id only.
func (k SoftwareKey) MarshalJSON() ([]byte, error) { return []byte(`"` + k.String() + `"`), nil }

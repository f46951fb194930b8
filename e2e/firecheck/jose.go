package firecheck

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

var b64 = base64.RawURLEncoding

// digestOf is the SHA-256 of a text in base64url, as documents name one another.
func digestOf[T string | []byte](text T) string {
	sum := sha256.Sum256([]byte(text))
	return b64.EncodeToString(sum[:])
}

// jwk is a public key (RFC 7517, RFC 8037).
type jwk struct {
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y"`
	Kid string `json:"kid"`
}

// verify checks a signature of JWS: EdDSA with Ed25519 (RFC 8037), or ES256 (RFC 7518
// section 3.4).
func (k jwk) verify(alg string, message, sig []byte) bool {
	x, err := b64.DecodeString(k.X)
	if err != nil {
		return false
	}
	switch {
	case alg == "EdDSA" && k.Kty == "OKP" && k.Crv == "Ed25519":
		return len(x) == ed25519.PublicKeySize && ed25519.Verify(x, message, sig)
	case alg == "ES256" && k.Kty == "EC" && k.Crv == "P-256" && len(sig) == 64:
		y, err := b64.DecodeString(k.Y)
		if err != nil {
			return false
		}
		pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y)) // SEC 1 section 2.3.3
		if err != nil {
			return false
		}
		sum := sha256.Sum256(message)
		return ecdsa.Verify(pub, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	}
	return false
}

type joseHeader struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Typ string `json:"typ"`
}

// signed is a compact JWS taken apart, of which nothing is proven yet.
type signed struct {
	joseHeader
	payload []byte
	input   []byte // what is signed
	sig     []byte
}

func parseJWS(compact string) (signed, error) {
	var s signed
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return s, fmt.Errorf("a JWS of %d parts", len(parts))
	}
	header, err := b64.DecodeString(parts[0])
	if err == nil {
		err = json.Unmarshal(header, &s.joseHeader)
	}
	if err != nil {
		return s, fmt.Errorf("JWS header: %w", err)
	}
	if s.payload, err = b64.DecodeString(parts[1]); err != nil {
		return s, fmt.Errorf("JWS payload: %w", err)
	}
	if s.sig, err = b64.DecodeString(parts[2]); err != nil {
		return s, fmt.Errorf("JWS signature: %w", err)
	}
	s.input = []byte(parts[0] + "." + parts[1])
	return s, nil
}

var errSignature = errors.New("the signature does not hold")

// openJWS verifies a compact JWS of a type with the key that find gives for its id, and
// reads its payload.
func openJWS[T any](compact, typ string, find func(kid string, payload T) (jwk, bool)) (T, error) {
	var v T
	s, err := parseJWS(compact)
	if err != nil {
		return v, err
	}
	if s.Typ != typ {
		return v, fmt.Errorf("of type %q, not %q", s.Typ, typ)
	}
	if err := json.Unmarshal(s.payload, &v); err != nil {
		return v, err
	}
	k, ok := find(s.Kid, v)
	if !ok {
		return v, fmt.Errorf("%q is no key that may sign this", s.Kid)
	}
	if k.Kid != s.Kid || !k.verify(s.Alg, s.input, s.sig) {
		return v, errSignature
	}
	return v, nil
}

// openGeneral verifies a general JWS (RFC 7515 section 7.2.1), with each of its
// signatures, and returns the payload and whose keys have signed.
func openGeneral(raw []byte, typ string, find func(kid string) (jwk, bool)) (payload []byte, kids []string, err error) {
	var g struct {
		Payload    string `json:"payload"`
		Signatures []struct {
			Protected string `json:"protected"`
			Signature string `json:"signature"`
		} `json:"signatures"`
	}
	if err := json.Unmarshal(raw, &g); err != nil {
		return nil, nil, err
	}
	if payload, err = b64.DecodeString(g.Payload); err != nil {
		return nil, nil, err
	}
	for _, one := range g.Signatures {
		s, err := parseJWS(one.Protected + "." + g.Payload + "." + one.Signature)
		if err != nil {
			return nil, nil, err
		}
		k, ok := find(s.Kid)
		if !ok || s.Typ != typ || k.Kid != s.Kid || !k.verify(s.Alg, s.input, s.sig) {
			return nil, nil, fmt.Errorf("by %q: %w", s.Kid, errSignature)
		}
		kids = append(kids, s.Kid)
	}
	if len(kids) == 0 {
		return nil, nil, errSignature
	}
	return payload, kids, nil
}

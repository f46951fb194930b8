package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// b64 is base64url without padding (RFC 7515 section 2) that refuses non-zero
// trailing bits, so that each value has one encoding.
var b64 = base64.RawURLEncoding.Strict()

// PublicKey is a verification key and the name of who signs with it. It is
// immutable; the zero value is no key: it has no id and verifies nothing.
type PublicKey struct {
	jwk        jose.JSONWebKey // Key is ed25519.PublicKey or *ecdsa.PublicKey on P-256
	owner      string
	thumbprint string
}

// NewPublicKey names an ed25519.PublicKey or a P-256 *ecdsa.PublicKey as
// owner's. Errors wrap ErrAlgorithm or ErrMalformed.
func NewPublicKey(owner string, key crypto.PublicKey) (PublicKey, error) {
	if err := checkOwner(owner); err != nil {
		return PublicKey{}, err
	}
	var alg Alg
	switch k := key.(type) {
	case ed25519.PublicKey:
		if err := checkEd25519(k); err != nil {
			return PublicKey{}, err
		}
		alg, key = EdDSA, ed25519.PublicKey(append([]byte(nil), k...))
	case *ecdsa.PublicKey:
		if k == nil || k.Curve != elliptic.P256() {
			return PublicKey{}, fmt.Errorf("%w: elliptic curve keys must be on P-256", ErrAlgorithm)
		}
		if _, err := k.Bytes(); err != nil {
			return PublicKey{}, fmt.Errorf("%w: the point is not on P-256", ErrMalformed)
		}
		alg = ES256
	default:
		return PublicKey{}, fmt.Errorf("%w: key of type %T", ErrAlgorithm, key)
	}
	jwk := jose.JSONWebKey{Key: key, Algorithm: string(alg), Use: "sig"}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return PublicKey{}, fmt.Errorf("%w: thumbprint: %v", ErrMalformed, err)
	}
	thumbprint := b64.EncodeToString(sum)
	jwk.KeyID = NewKeyID(owner, thumbprint)
	return PublicKey{jwk: jwk, owner: owner, thumbprint: thumbprint}, nil
}

// jwkJSON is the JWK of a public key (RFC 7517, RFC 8037), with its members
// in the order in which they are written.
type jwkJSON struct {
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y,omitempty"`
	Alg Alg    `json:"alg"`
	Kid string `json:"kid"`
}

// ParsePublicKey reads a public JWK: OKP with Ed25519 or EC with P-256, with a
// kid that names the owner and this very key. The members use ("sig") and
// alg (the key's own) may be left out; private or unknown members, duplicates
// and other encodings of the same number are refused. At most MaxJWK bytes.
// Errors wrap ErrAlgorithm or ErrMalformed.
func ParsePublicKey(jwk []byte) (PublicKey, error) {
	if len(jwk) > MaxJWK {
		return PublicKey{}, fmt.Errorf("%w: JWK of more than %d bytes", ErrMalformed, MaxJWK)
	}
	m, err := parseStrings(jwk)
	if err != nil {
		return PublicKey{}, fmt.Errorf("%w: JWK: %v", ErrMalformed, err)
	}
	for name := range m {
		switch name {
		case "kty", "crv", "x", "y", "alg", "kid", "use":
		case "d", "p", "q", "dp", "dq", "qi", "oth", "k":
			return PublicKey{}, fmt.Errorf("%w: JWK holds private key material", ErrMalformed)
		default:
			return PublicKey{}, fmt.Errorf("%w: JWK member %.32q is not accepted", ErrMalformed, name)
		}
	}
	if use, ok := m["use"]; ok && use != "sig" {
		return PublicKey{}, fmt.Errorf("%w: JWK is for use %.16q, not sig", ErrMalformed, use)
	}
	owner, thumbprint, err := SplitKeyID(m["kid"])
	if err != nil {
		return PublicKey{}, err
	}
	key, err := decodeKey(m)
	if err != nil {
		return PublicKey{}, err
	}
	pub, err := NewPublicKey(owner, key)
	if err != nil {
		return PublicKey{}, err
	}
	if pub.thumbprint != thumbprint {
		return PublicKey{}, fmt.Errorf("%w: kid is not the key's thumbprint", ErrMalformed)
	}
	if alg, ok := m["alg"]; ok && Alg(alg) != pub.Alg() {
		return PublicKey{}, fmt.Errorf("%w: alg %.16q for a key of %s", ErrAlgorithm, alg, pub.Alg())
	}
	return pub, nil
}

// decodeKey reads the key itself out of a JWK's members.
func decodeKey(m map[string]string) (crypto.PublicKey, error) {
	y, hasY := m["y"]
	switch kind := m["kty"] + "/" + m["crv"]; kind {
	case "OKP/Ed25519":
		x, err := decodeCoordinate("x", m["x"])
		if err != nil {
			return nil, err
		}
		if hasY {
			return nil, fmt.Errorf("%w: JWK of an Ed25519 key has no y", ErrMalformed)
		}
		return ed25519.PublicKey(x), nil
	case "EC/P-256":
		xb, err := decodeCoordinate("x", m["x"])
		if err != nil {
			return nil, err
		}
		yb, err := decodeCoordinate("y", y)
		if err != nil {
			return nil, err
		}
		point := append(append([]byte{4}, xb...), yb...) // SEC 1 uncompressed
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			return nil, fmt.Errorf("%w: JWK: the point is not on P-256", ErrMalformed)
		}
		return key, nil
	default:
		return nil, fmt.Errorf("%w: key type %.32q; want OKP/Ed25519 or EC/P-256", ErrAlgorithm, kind)
	}
}

// decodeCoordinate reads a 32-byte value; both curves have that size.
func decodeCoordinate(name, value string) ([]byte, error) {
	b, err := b64.DecodeString(value)
	// The decoder skips line breaks, which JWK does not allow.
	if err != nil || len(b) != 32 || len(value) != 43 {
		return nil, fmt.Errorf("%w: JWK member %s is not 32 bytes in base64url", ErrMalformed, name)
	}
	return b, nil
}

// Ed25519's field prime, and the y coordinates of its eight points of small
// order. Under such a key one signature verifies for many messages, so its
// owner could deny what was signed (RFC 8032 does not rule it out).
var (
	p25519     = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	y8, _      = new(big.Int).SetString("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826", 16)
	smallOrder = []*big.Int{
		big.NewInt(0), big.NewInt(1), new(big.Int).Sub(p25519, big.NewInt(1)),
		y8, new(big.Int).Sub(p25519, y8),
	}
)

// checkEd25519 refuses keys of the wrong size, in a second encoding of the same
// point, or of small order.
func checkEd25519(k ed25519.PublicKey) error {
	if len(k) != ed25519.PublicKeySize {
		return fmt.Errorf("%w: Ed25519 key of %d bytes", ErrMalformed, len(k))
	}
	le := [ed25519.PublicKeySize]byte{}
	for i, b := range k {
		le[len(le)-1-i] = b
	}
	le[0] &= 0x7f // the sign of x
	y := new(big.Int).SetBytes(le[:])
	if y.Cmp(p25519) >= 0 {
		return fmt.Errorf("%w: Ed25519 key is not canonical", ErrMalformed)
	}
	for _, weak := range smallOrder {
		if y.Cmp(weak) == 0 {
			return fmt.Errorf("%w: Ed25519 key of small order", ErrMalformed)
		}
	}
	return nil
}

// MarshalJSON writes the public JWK: kty, crv, x, y (P-256 only), alg, kid, in
// that order.
func (p PublicKey) MarshalJSON() ([]byte, error) {
	out := jwkJSON{Alg: p.Alg(), Kid: p.KeyID()}
	switch k := p.jwk.Key.(type) {
	case ed25519.PublicKey:
		out.Kty, out.Crv, out.X = "OKP", "Ed25519", b64.EncodeToString(k)
	case *ecdsa.PublicKey:
		point, err := k.Bytes() // 4, x, y
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
		}
		out.Kty, out.Crv = "EC", "P-256"
		out.X, out.Y = b64.EncodeToString(point[1:33]), b64.EncodeToString(point[33:])
	default:
		return nil, fmt.Errorf("%w: no key to write", ErrMalformed)
	}
	return json.Marshal(out)
}

// UnmarshalJSON is ParsePublicKey.
func (p *PublicKey) UnmarshalJSON(jwk []byte) error {
	parsed, err := ParsePublicKey(jwk)
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}

// KeyID is "<owner>/<thumbprint>"; empty for the zero value.
func (p PublicKey) KeyID() string { return p.jwk.KeyID }

// Owner is who signs with the key: a member id, "authority" or a hub id.
func (p PublicKey) Owner() string { return p.owner }

// Thumbprint is the RFC 7638 SHA-256 thumbprint, 43 characters of base64url.
func (p PublicKey) Thumbprint() string { return p.thumbprint }

// Alg is the only algorithm that the key is used with.
func (p PublicKey) Alg() Alg { return Alg(p.jwk.Algorithm) }

// IsZero tells whether there is no key in p.
func (p PublicKey) IsZero() bool { return p.jwk.Key == nil }

// String is the KeyID.
func (p PublicKey) String() string { return p.KeyID() }

// Key is the key for use with other libraries: an ed25519.PublicKey, a P-256
// *ecdsa.PublicKey, or nil for the zero value. It must not be changed.
func (p PublicKey) Key() crypto.PublicKey { return p.jwk.Key }

// Equal tells whether both are the same key of the same owner.
func (p PublicKey) Equal(q PublicKey) bool {
	return p.jwk.KeyID == q.jwk.KeyID && p.IsZero() == q.IsZero()
}

// NewKeyID joins an owner and a thumbprint.
func NewKeyID(owner, thumbprint string) string { return owner + "/" + thumbprint }

// SplitKeyID takes a key id apart and checks the form of both parts; errors wrap
// ErrMalformed.
func SplitKeyID(kid string) (owner, thumbprint string, err error) {
	owner, thumbprint, ok := strings.Cut(kid, "/")
	if !ok {
		return "", "", fmt.Errorf("%w: key id %.128q is not <owner>/<thumbprint>", ErrMalformed, kid)
	}
	if err := checkOwner(owner); err != nil {
		return "", "", err
	}
	sum, err := b64.DecodeString(thumbprint)
	if err != nil || len(sum) != 32 || len(thumbprint) != thumbprintSize {
		return "", "", fmt.Errorf("%w: key id %.128q has no SHA-256 thumbprint", ErrMalformed, kid)
	}
	return owner, thumbprint, nil
}

// checkOwner holds owners to names that are safe in headers and file names:
// letters, digits, '-', '_' and '.', the first a letter or digit.
func checkOwner(owner string) error {
	if owner == "" || len(owner) > MaxOwner {
		return fmt.Errorf("%w: key owner must have 1 to %d characters", ErrMalformed, MaxOwner)
	}
	for i, c := range []byte(owner) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '-' || c == '_' || c == '.'):
		default:
			return fmt.Errorf("%w: key owner %q", ErrMalformed, owner)
		}
	}
	return nil
}

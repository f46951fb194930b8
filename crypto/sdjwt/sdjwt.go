// Package sdjwt issues, reduces and verifies SD-JWTs (RFC 9901): signed JSON
// of which parts are concealed behind salted digests, so that whoever relays
// a token can leave out disclosures while the signature stays valid.
//
// It is a strict profile of the RFC: SHA-256 only, compact form only, no key
// binding JWT, canonical base64url, unique member names, and limits on size
// and nesting. What it parses encodes back to the same bytes. It knows
// nothing of what the claims mean, and does not check exp, nbf or aud.
package sdjwt

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	"github.com/entente-hub/entente/crypto/keys"
)

// A Disclosure reveals one concealed claim or array element (RFC 9901
// section 4.2).
type Disclosure struct {
	Encoded string // as it stands in the token: base64url of the JSON array
	Digest  string // of Encoded: base64url of its SHA-256
	Salt    string // as the issuer chose it

	// Name of the claim, or "" when Element is set. A claim's name may be
	// empty too.
	Name string

	// Element: an array element rather than an object's member.
	Element bool

	// Value is the JSON as it was disclosed, byte for byte. Concealed parts
	// of it are still digests.
	Value json.RawMessage

	// Parent is the index of the disclosure whose value refers to this one;
	// -1 where the signed payload does.
	Parent int

	// Pointer is the place in the parent's value (or the payload) as an RFC
	// 6901 JSON pointer, e.g. "/portions/3" for an element or "/label" for a
	// member. Array indices count every element as signed, withheld or not.
	Pointer string
}

// A Token is an SD-JWT whose form has been checked, but not its signature.
// Only Parse makes one; it must not be changed.
type Token struct {
	JWS         string       // issuer-signed JWT, compact serialization
	Payload     []byte       // signed payload as is: JSON
	Disclosures []Disclosure // in the token's order

	resolved *resolver
}

// String returns the token: the very bytes that were parsed.
func (t *Token) String() string {
	encoded := make([]string, len(t.Disclosures))
	for i, d := range t.Disclosures {
		encoded[i] = d.Encoded
	}
	return Assemble(t.JWS, encoded)
}

// Verified is what a token says, once its signature has been verified.
type Verified struct {
	KeyID       string       // key that signed: "<owner>/<thumbprint>"
	Payload     []byte       // signed payload as is: JSON
	Disclosures []Disclosure // in the token's order

	resolved *resolver
}

// Claims returns the claims with the disclosures merged, without _sd, _sd_alg
// and withheld elements.
func (v *Verified) Claims() json.RawMessage { return v.resolved.merged() }

// An Element is one place of an array in the signed payload.
type Element struct {
	Index      int             // position as signed
	Digest     string          // "" for an element in the clear
	Disclosure int             // index in Disclosures; -1 when in the clear, withheld or a decoy
	Value      json.RawMessage // as signed or disclosed; nil when withheld or a decoy
}

// Elements returns each place of the array that the signed payload has under
// the top-level name, withheld ones included: nothing distinguishes those
// from decoys. It is nil when there is no such array in the clear.
func (v *Verified) Elements(name string) []Element {
	array := v.resolved.payload.member(name)
	if array == nil {
		return nil
	}
	byDigest := make(map[string]int, len(v.Disclosures))
	for i, d := range v.Disclosures {
		byDigest[d.Digest] = i
	}
	var elements []Element
	for i, n := range array.elements {
		e := Element{Index: i, Disclosure: -1}
		if digest, ok := n.member(nameElement).text(); ok {
			e.Digest = digest
			if at, ok := byDigest[digest]; ok {
				e.Disclosure, e.Value = at, v.Disclosures[at].Value
			}
		} else {
			e.Value = n.raw
		}
		elements = append(elements, e)
	}
	return elements
}

// Children yields index and disclosure of those that the disclosure with
// index parent refers to, in the token's order; -1 stands for the payload.
func (v *Verified) Children(parent int) iter.Seq2[int, Disclosure] {
	return func(yield func(int, Disclosure) bool) {
		for i, d := range v.Disclosures {
			if d.Parent == parent && !yield(i, d) {
				return
			}
		}
	}
}

// Parse checks all of a token but its signature: form, limits, and that each
// disclosure is referred to exactly once. Nothing in the result is proven.
func Parse(token string) (*Token, error) {
	jws, encoded, err := split(token)
	if err != nil {
		return nil, err
	}
	payload, err := jwsPayload(jws)
	if err != nil {
		return nil, err
	}
	r, err := resolve(payload, encoded)
	if err != nil {
		return nil, err
	}
	return &Token{JWS: jws, Payload: payload, Disclosures: r.disclosures, resolved: r}, nil
}

// Verify checks a token: the signature and the typ of its header with
// keys.Verify, then all that Parse checks (RFC 9901 section 7.1). lookup returns
// the key that a kid stands for.
func Verify(token, typ string, lookup func(kid string) (keys.PublicKey, error)) (*Verified, error) {
	jws, encoded, err := split(token)
	if err != nil {
		return nil, err
	}
	if _, err := jwsPayload(jws); err != nil {
		return nil, err
	}
	payload, kid, err := keys.Verify(jws, typ, lookup)
	if err != nil {
		return nil, fmt.Errorf("sdjwt: %w", err)
	}
	r, err := resolve(payload, encoded)
	if err != nil {
		return nil, err
	}
	return &Verified{KeyID: kid, Payload: payload, Disclosures: r.disclosures, resolved: r}, nil
}

// Verify checks what Parse has not, for who must read a token to know whose
// keys to look up: the signature and the typ of its header, as the function
// Verify does.
func (t *Token) Verify(typ string, lookup func(kid string) (keys.PublicKey, error)) (*Verified, error) {
	payload, kid, err := keys.Verify(t.JWS, typ, lookup)
	if err != nil {
		return nil, fmt.Errorf("sdjwt: %w", err)
	}
	// What was parsed must be what is signed, whatever was done to the Token.
	if t.resolved == nil || !bytes.Equal(payload, t.Payload) {
		return nil, fmt.Errorf("%w: the signed payload is not the parsed one", ErrMalformed)
	}
	return &Verified{KeyID: kid, Payload: payload, Disclosures: t.resolved.disclosures, resolved: t.resolved}, nil
}

// Assemble joins an issuer-signed JWT and encoded disclosures into a token
// (RFC 9901 section 4).
func Assemble(jws string, disclosures []string) string {
	size := len(jws) + 1
	for _, d := range disclosures {
		size += len(d) + 1
	}
	var b strings.Builder
	b.Grow(size)
	b.WriteString(jws)
	b.WriteByte('~')
	for _, d := range disclosures {
		b.WriteString(d)
		b.WriteByte('~')
	}
	return b.String()
}

// Digest returns the digest by which a payload or a disclosure refers to the
// given encoded disclosure: base64url of its SHA-256 (RFC 9901 section 4.2.3).
func Digest(disclosure string) string {
	sum := sha256.Sum256([]byte(disclosure))
	return encode(sum[:])
}

// SignedDigest returns the SHA-256 of what the issuer signed: header and
// payload of the JWS as they stand in the token, with the dot between them
// (the JWS signing input, RFC 7515 section 5.1). It is the same whatever
// disclosures the token carries. The signature is left out because anybody
// can turn an ES256 signature into a second valid one, which must not make a
// second identity. It does not check the token.
func SignedDigest(token string) [sha256.Size]byte {
	jws, _, _ := strings.Cut(token, "~")
	if end := strings.LastIndexByte(jws, '.'); end >= 0 {
		jws = jws[:end]
	}
	return sha256.Sum256([]byte(jws))
}

// split takes a token apart at its tildes.
func split(token string) (jws string, disclosures []string, err error) {
	if len(token) > MaxTokenSize {
		return "", nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(token), MaxTokenSize)
	}
	if n := strings.Count(token, "~"); n > MaxDisclosures+1 {
		return "", nil, fmt.Errorf("%w: %d disclosures, at most %d", ErrTooLarge, n-1, MaxDisclosures)
	}
	parts := strings.Split(token, "~")
	last := len(parts) - 1
	if last == 0 {
		return "", nil, fmt.Errorf("%w: no tilde after the JWS", ErrMalformed)
	}
	if parts[last] != "" {
		if strings.Count(parts[last], ".") == 2 {
			return "", nil, ErrKeyBinding
		}
		return "", nil, fmt.Errorf("%w: no tilde at the end", ErrMalformed)
	}
	return parts[0], parts[1:last], nil
}

// jwsPayload checks the form of a compact JWS, and returns its payload.
func jwsPayload(jws string) ([]byte, error) {
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%w: JWS of %d parts", ErrMalformed, len(parts))
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if decoded[i], err = decode(part); err != nil {
			return nil, fmt.Errorf("JWS part %d: %w", i+1, err)
		}
	}
	if _, err := parseObject(decoded[0]); err != nil {
		return nil, fmt.Errorf("JWS header: %w", err)
	}
	return decoded[1], nil
}

// decode reads base64url without padding, in the one canonical form.
func decode(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	// The decoder skips line breaks even when it is strict.
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, fmt.Errorf("%w: not canonical base64url", ErrMalformed)
	}
	return b, nil
}

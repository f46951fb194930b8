package keys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Lookup finds the verification key with a key id. It answers with an error that
// wraps ErrKeyUnknown where there is none; its errors reach the caller.
type Lookup = func(kid string) (PublicKey, error)

// algorithms is the closed set, for go-jose.
var algorithms = []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256}

// header is the whole protected header. There is no jwk, jku, x5c, crit or b64:
// a document never brings the key or the rules by which it is checked.
type header struct {
	Alg Alg    `json:"alg"`
	Kid string `json:"kid"`
	Typ string `json:"typ"`
}

// encode writes the header in base64url. Its values hold no character that
// JSON could write in two ways.
func (h header) encode() (string, error) {
	data, err := json.Marshal(h)
	if err != nil {
		return "", fmt.Errorf("%w: %v", ErrHeader, err)
	}
	return b64.EncodeToString(data), nil
}

// headerFor is the header with which s signs documents of a type.
func headerFor(s Signer, typ string) (string, error) {
	pub := s.Public()
	if err := checkType(typ); err != nil {
		return "", err
	}
	if _, _, err := SplitKeyID(pub.KeyID()); err != nil {
		return "", err
	}
	return header{Alg: pub.Alg(), Kid: pub.KeyID(), Typ: typ}.encode()
}

// checkType holds typ to the characters of a media type's name (RFC 6838
// section 4.2) and '/'.
func checkType(typ string) error {
	if typ == "" || len(typ) > MaxType {
		return fmt.Errorf("%w: typ must have 1 to %d characters", ErrType, MaxType)
	}
	for _, c := range []byte(typ) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$^_.+-/", c) >= 0:
		default:
			return fmt.Errorf("%w: typ %q", ErrType, typ)
		}
	}
	return nil
}

// Sign returns payload as a compact JWS (RFC 7515 section 7.1) signed by s, with
// the protected header {"alg","kid","typ"}. Errors are the Signer's, or wrap
// ErrType or ErrMalformed (larger than MaxJWS).
func Sign(ctx context.Context, s Signer, typ string, payload []byte) (string, error) {
	out, err := SignBatch(ctx, s, typ, [][]byte{payload})
	if err != nil {
		return "", err
	}
	return out[0], nil
}

// SignBatch is Sign for several payloads in one call of the Signer: all or
// none.
func SignBatch(ctx context.Context, s Signer, typ string, payloads [][]byte) ([]string, error) {
	protected, err := headerFor(s, typ)
	if err != nil {
		return nil, err
	}
	messages := make([][]byte, len(payloads))
	for i, payload := range payloads {
		size := len(protected) + 1 + b64.EncodedLen(len(payload))
		if size+1+b64.EncodedLen(SignatureSize) > MaxJWS {
			return nil, fmt.Errorf("%w: signed document of more than %d bytes", ErrMalformed, MaxJWS)
		}
		messages[i] = signingInput(protected, b64.EncodeToString(payload))
	}
	sigs, err := signAll(ctx, s, messages)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(sigs))
	for i, sig := range sigs {
		out[i] = string(messages[i]) + "." + b64.EncodeToString(sig)
	}
	return out, nil
}

// signingInput is what is signed: RFC 7515 section 5.1 step 8.
func signingInput(protected, payload string) []byte {
	return append(append(append(make([]byte, 0, len(protected)+1+len(payload)), protected...), '.'), payload...)
}

// signAll calls the Signer once and holds it to its contract on numbers and
// sizes.
func signAll(ctx context.Context, s Signer, messages [][]byte) ([][]byte, error) {
	sigs, err := s.Sign(ctx, messages)
	if err != nil {
		return nil, err
	}
	if len(sigs) != len(messages) {
		return nil, fmt.Errorf("%w: signer gave %d signatures for %d messages", ErrSignature, len(sigs), len(messages))
	}
	for _, sig := range sigs {
		if len(sig) != SignatureSize {
			return nil, fmt.Errorf("%w: signer gave a signature of %d bytes", ErrSignature, len(sig))
		}
	}
	return sigs, nil
}

// Verify checks a compact JWS of type typ with the key that lookup finds for
// its kid, and returns the payload and the kid. The algorithm must be the key's
// own. Errors are the lookup's, or wrap ErrMalformed, ErrHeader, ErrAlgorithm,
// ErrType, ErrKeyUnknown or ErrSignature.
//
// An ES256 signature can be turned into another valid one by anybody (s and
// n-s), so that the identity of a document is its payload's digest, never that
// of the JWS.
func Verify(compact, typ string, lookup Lookup) (payload []byte, kid string, err error) {
	h, err := parseCompact(compact)
	if err != nil {
		return nil, "", err
	}
	if h.Typ != typ {
		return nil, "", fmt.Errorf("%w: %.128q, want %q", ErrType, h.Typ, typ)
	}
	key, err := lookup(h.Kid)
	if err != nil {
		return nil, "", fmt.Errorf("looking up key %s: %w", h.Kid, err)
	}
	if key.IsZero() || key.KeyID() != h.Kid {
		return nil, "", fmt.Errorf("%w: %s", ErrKeyUnknown, h.Kid)
	}
	if key.Alg() != h.Alg {
		return nil, "", fmt.Errorf("%w: %s with a key for %s", ErrAlgorithm, h.Alg, key.Alg())
	}
	jws, err := jose.ParseSignedCompact(compact, algorithms)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	payload, err = jws.Verify(key.Key())
	if err != nil {
		return nil, "", fmt.Errorf("%w: by %s", ErrSignature, h.Kid)
	}
	return payload, h.Kid, nil
}

// VerifyParsed is Verify where the payload itself says at what time its key must
// have been good: choose reads it, unverified, and returns the lookup to verify
// it with. Its error is returned as it is.
func VerifyParsed(compact, typ string, choose func(payload []byte) (Lookup, error)) (payload []byte, kid string, err error) {
	if _, err := parseCompact(compact); err != nil {
		return nil, "", err
	}
	unverified, err := b64.DecodeString(strings.Split(compact, ".")[1])
	if err != nil {
		return nil, "", fmt.Errorf("%w: JWS payload: %v", ErrMalformed, err)
	}
	lookup, err := choose(unverified)
	if err != nil {
		return nil, "", err
	}
	return Verify(compact, typ, lookup)
}

// UnverifiedKeyID returns the kid of a compact JWS of which only the form is
// checked: for documents that were verified before, to see whether the key that
// they rested on still stands. Errors are as Verify's.
func UnverifiedKeyID(compact string) (string, error) {
	h, err := parseCompact(compact)
	return h.Kid, err
}

// parseCompact checks the form of a compact JWS and returns its header.
func parseCompact(compact string) (header, error) {
	if len(compact) > MaxJWS {
		return header{}, fmt.Errorf("%w: JWS of more than %d bytes", ErrMalformed, MaxJWS)
	}
	protected, rest, ok := strings.Cut(compact, ".")
	payload, sig, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || strings.Contains(sig, ".") {
		return header{}, fmt.Errorf("%w: JWS has not three parts", ErrMalformed)
	}
	if err := checkBase64(payload); err != nil {
		return header{}, fmt.Errorf("%w: JWS payload: %v", ErrMalformed, err)
	}
	if err := checkSignature(sig); err != nil {
		return header{}, err
	}
	return parseHeader(protected)
}

// parseHeader reads a protected header, given in base64url.
func parseHeader(protected string) (header, error) {
	if len(protected) > MaxHeader {
		return header{}, fmt.Errorf("%w: header of more than %d bytes", ErrHeader, MaxHeader)
	}
	if err := checkBase64(protected); err != nil {
		return header{}, fmt.Errorf("%w: %v", ErrHeader, err)
	}
	data, err := b64.DecodeString(protected)
	if err != nil {
		return header{}, fmt.Errorf("%w: %v", ErrHeader, err)
	}
	m, err := parseStrings(data)
	if err != nil {
		return header{}, fmt.Errorf("%w: %v", ErrHeader, err)
	}
	for name := range m {
		if name != "alg" && name != "kid" && name != "typ" {
			return header{}, fmt.Errorf("%w: parameter %.32q", ErrHeader, name)
		}
	}
	if len(m) != 3 {
		return header{}, fmt.Errorf("%w: alg, kid and typ are needed", ErrHeader)
	}
	h := header{Alg: Alg(m["alg"]), Kid: m["kid"], Typ: m["typ"]}
	if h.Alg != EdDSA && h.Alg != ES256 {
		return header{}, fmt.Errorf("%w: %.32q", ErrAlgorithm, string(h.Alg))
	}
	if _, _, err := SplitKeyID(h.Kid); err != nil {
		return header{}, fmt.Errorf("%w: kid is not <owner>/<thumbprint>", ErrHeader)
	}
	return h, nil
}

// checkSignature checks the form of a signature value.
func checkSignature(sig string) error {
	if err := checkBase64(sig); err != nil || b64.DecodedLen(len(sig)) != SignatureSize {
		return fmt.Errorf("%w: signature is not %d bytes in base64url", ErrMalformed, SignatureSize)
	}
	return nil
}

// checkBase64 accepts base64url without padding, line breaks or stray bits in
// the last character: one encoding for each value.
func checkBase64(s string) error {
	if strings.ContainsAny(s, "\r\n") { // which the decoder would skip
		return errors.New("line break in base64url")
	}
	if _, err := b64.DecodeString(s); err != nil {
		return errors.New("not base64url without padding")
	}
	return nil
}

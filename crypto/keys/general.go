package keys

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// general is a JWS in general JSON serialization (RFC 7515 section 7.2.1).
// Its only accepted form is what encode writes: members in this order, no
// white space, signatures in strictly ascending order of kid. So signers and
// order of signing do not show, and nobody can change a byte of the envelope
// but by adding or removing whole signatures.
type general struct {
	Payload    string             `json:"payload"`
	Signatures []generalSignature `json:"signatures"`
}

type generalSignature struct {
	Protected string          `json:"protected"`
	Header    json.RawMessage `json:"header,omitempty"` // read only to be refused
	Signature string          `json:"signature"`

	header header // what Protected says
}

// SignGeneral returns payload as a JWS in general JSON serialization, signed by
// each of signers, with signatures[] even for one. Errors are the Signers', or
// wrap ErrDuplicate, ErrType or ErrMalformed (no signer, more than
// MaxSignatures or larger than MaxGeneral).
func SignGeneral(ctx context.Context, signers []Signer, typ string, payload []byte) ([]byte, error) {
	if len(signers) == 0 {
		return nil, fmt.Errorf("%w: nobody signs", ErrMalformed)
	}
	g := general{Payload: b64.EncodeToString(payload)}
	for _, s := range signers {
		if err := g.sign(ctx, s, typ); err != nil {
			return nil, err
		}
	}
	return g.encode()
}

// Countersign adds one signature over the payload and type that a document
// has; whoever countersigns has verified and read it before (VerifyGeneral),
// for this does neither. Errors are the Signer's, or wrap ErrDuplicate if the
// key has signed already, ErrMalformed, ErrHeader or ErrAlgorithm.
func Countersign(ctx context.Context, document []byte, s Signer) ([]byte, error) {
	g, err := parseGeneral(document)
	if err != nil {
		return nil, err
	}
	if err := g.sign(ctx, s, g.Signatures[0].header.Typ); err != nil {
		return nil, err
	}
	return g.encode()
}

// VerifyGeneral checks a document of type typ in general JSON serialization.
// Every signature must verify, each with the key that lookup finds for its kid,
// as in Verify; there is at least one and none by the same key twice. It returns
// the payload and the key ids in ascending order. Whether these are the parties
// who must have signed is for the caller to say. Errors are those of Verify;
// any other form than the canonical one wraps ErrMalformed.
func VerifyGeneral(document []byte, typ string, lookup Lookup) (payload []byte, kids []string, err error) {
	g, err := parseGeneral(document)
	if err != nil {
		return nil, nil, err
	}
	for _, sig := range g.Signatures {
		// One at a time and against its own key. A library's "verify multi"
		// is content with any one signature.
		compact := sig.Protected + "." + g.Payload + "." + sig.Signature
		verified, kid, err := Verify(compact, typ, lookup)
		if err != nil {
			return nil, nil, err
		}
		payload, kids = verified, append(kids, kid)
	}
	return payload, kids, nil
}

// sign adds the signature of s in its place.
func (g *general) sign(ctx context.Context, s Signer, typ string) error {
	protected, err := headerFor(s, typ)
	if err != nil {
		return err
	}
	pub := s.Public()
	at, found := slices.BinarySearchFunc(g.Signatures, pub.KeyID(), func(sig generalSignature, kid string) int {
		return strings.Compare(sig.header.Kid, kid)
	})
	if found {
		return fmt.Errorf("%w: %s", ErrDuplicate, pub.KeyID())
	}
	if len(g.Signatures) == MaxSignatures {
		return fmt.Errorf("%w: more than %d signatures", ErrMalformed, MaxSignatures)
	}
	sigs, err := signAll(ctx, s, [][]byte{signingInput(protected, g.Payload)})
	if err != nil {
		return err
	}
	g.Signatures = slices.Insert(g.Signatures, at, generalSignature{
		Protected: protected,
		Signature: b64.EncodeToString(sigs[0]),
		header:    header{Alg: pub.Alg(), Kid: pub.KeyID(), Typ: typ},
	})
	return nil
}

// encode writes the canonical form.
func (g *general) encode() ([]byte, error) {
	data, err := json.Marshal(g)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if len(data) > MaxGeneral {
		return nil, fmt.Errorf("%w: signed document of more than %d bytes", ErrMalformed, MaxGeneral)
	}
	return data, nil
}

// parseGeneral reads the canonical form and checks everything but the
// signatures themselves.
func parseGeneral(document []byte) (*general, error) {
	if len(document) > MaxGeneral {
		return nil, fmt.Errorf("%w: JWS of more than %d bytes", ErrMalformed, MaxGeneral)
	}
	if !utf8.Valid(document) {
		return nil, fmt.Errorf("%w: JWS is not UTF-8", ErrMalformed)
	}
	g := new(general)
	dec := json.NewDecoder(bytes.NewReader(document))
	dec.DisallowUnknownFields()
	if err := dec.Decode(g); err != nil {
		return nil, fmt.Errorf("%w: JWS in general JSON serialization: %v", ErrMalformed, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows the JWS", ErrMalformed)
	}
	if n := len(g.Signatures); n == 0 || n > MaxSignatures {
		return nil, fmt.Errorf("%w: JWS with %d signatures", ErrMalformed, n)
	}
	if err := checkBase64(g.Payload); err != nil {
		return nil, fmt.Errorf("%w: JWS payload: %v", ErrMalformed, err)
	}
	if err := g.checkSignatures(); err != nil {
		return nil, err
	}
	canonical, err := g.encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(canonical, document) {
		return nil, fmt.Errorf("%w: JWS is not in canonical form", ErrMalformed)
	}
	return g, nil
}

// checkSignatures reads the headers, and checks form, order and that all are
// of one type.
func (g *general) checkSignatures() error {
	for i := range g.Signatures {
		sig := &g.Signatures[i]
		if sig.Header != nil {
			return fmt.Errorf("%w: unprotected header", ErrHeader)
		}
		if err := checkSignature(sig.Signature); err != nil {
			return err
		}
		h, err := parseHeader(sig.Protected)
		if err != nil {
			return err
		}
		sig.header = h
		if i == 0 {
			continue
		}
		before := g.Signatures[i-1].header
		if h.Kid == before.Kid {
			return fmt.Errorf("%w: %s", ErrDuplicate, h.Kid)
		}
		if h.Kid < before.Kid {
			return fmt.Errorf("%w: signatures are not in order of kid", ErrMalformed)
		}
		if h.Typ != before.Typ {
			return fmt.Errorf("%w: signatures of different types", ErrType)
		}
	}
	return nil
}

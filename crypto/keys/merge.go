package keys

import (
	"fmt"
	"slices"
	"strings"
)

// Merge joins the signatures of two documents in general JSON serialization that
// sign the very same payload as the same type: each key's once, that of a if both
// have one. It verifies none of them. Errors wrap ErrMalformed, ErrHeader,
// ErrAlgorithm, ErrDuplicate or ErrType (of different types, or payloads).
func Merge(a, b []byte) ([]byte, error) {
	into, err := parseGeneral(a)
	if err != nil {
		return nil, err
	}
	from, err := parseGeneral(b)
	if err != nil {
		return nil, err
	}
	if into.Payload != from.Payload || into.Signatures[0].header.Typ != from.Signatures[0].header.Typ {
		return nil, fmt.Errorf("%w: two documents that do not say the same", ErrType)
	}
	for _, sig := range from.Signatures {
		at, found := slices.BinarySearchFunc(into.Signatures, sig.header.Kid, func(have generalSignature, kid string) int {
			return strings.Compare(have.header.Kid, kid)
		})
		if !found {
			into.Signatures = slices.Insert(into.Signatures, at, sig)
		}
	}
	if len(into.Signatures) > MaxSignatures {
		return nil, fmt.Errorf("%w: more than %d signatures", ErrMalformed, MaxSignatures)
	}
	return into.encode()
}

// Signers returns the key ids in a document in general JSON serialization, in
// ascending order. It verifies nothing but the form. Errors are those of
// VerifyGeneral that do not tell of a key.
func Signers(document []byte) ([]string, error) {
	g, err := parseGeneral(document)
	if err != nil {
		return nil, err
	}
	kids := make([]string, len(g.Signatures))
	for i, sig := range g.Signatures {
		kids[i] = sig.header.Kid
	}
	return kids, nil
}

package sdjwt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/entente-hub/entente/crypto/keys"
)

// Conceal marks a value that the token conceals: as a member of a
// map[string]any it becomes a digest in that object's _sd, as an element of
// a []any a digest of its own ({"...": digest}). Its value may hold further
// Conceal and Padded.
type Conceal struct{ Value any }

// Padded is an array of which every element is concealed, whether or not it
// is a Conceal itself. Decoy digests fill it up to a multiple of Multiple
// (at least one multiple, so that an empty array hides that it is empty),
// and all positions are shuffled: neither the number of elements, within a
// multiple, nor their order can be told from the token.
type Padded struct {
	Elements []any
	Multiple int // 1 to MaxPaddedMultiple
}

// errInTheClear: encoding/json came upon a mark, which it would have
// written in the clear.
var errInTheClear = errors.New("a mark must stand in a map[string]any, a []any, a Conceal or a Padded")

// MarshalJSON always fails: it is only reached where Prepare can not conceal
// the value, such as in a field of a struct.
func (Conceal) MarshalJSON() ([]byte, error) { return nil, errInTheClear }

// MarshalJSON always fails: see Conceal.
func (Padded) MarshalJSON() ([]byte, error) { return nil, errInTheClear }

// Options for issuing. The zero value is what to use.
type Options struct {
	// Random is the source of salts, decoys and positions; nil stands for
	// crypto/rand. Anything else makes tokens that conceal nothing, and is
	// meant for tests that freeze bytes.
	Random io.Reader
}

// Issue conceals what claims mark, signs the result, and returns a token with
// all disclosures. typ goes into the JWS header.
func Issue(ctx context.Context, signer keys.Signer, typ string, claims map[string]any, opts Options) (string, error) {
	payload, disclosures, err := Prepare(claims, opts)
	if err != nil {
		return "", err
	}
	jws, err := keys.Sign(ctx, signer, typ, payload)
	if err != nil {
		return "", fmt.Errorf("sdjwt: %w", err)
	}
	token := Assemble(jws, disclosures)
	if len(token) > MaxTokenSize {
		return "", fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(token), MaxTokenSize)
	}
	return token, nil
}

// Prepare conceals what claims mark, and returns the payload to be signed and
// the encoded disclosures: a parent before its children, in the order of the
// claims sorted by name, and of the elements as given. With Assemble it makes
// up Issue, for callers that sign in batches.
//
// Values are map[string]any, []any, Conceal, Padded, json.RawMessage (kept
// byte for byte, but for surrounding white space), and whatever encoding/json
// can marshal, such as structs. What Prepare returns has passed the checks of
// Parse; the size with the signature is left to Issue, or to the caller.
func Prepare(claims map[string]any, opts Options) (payload []byte, disclosures []string, err error) {
	p := preparer{random: newRandom(opts.Random)}
	if payload, err = p.object(claims, 0); err != nil {
		return nil, nil, err
	}
	size := len(payload)
	for _, d := range p.disclosures {
		size += len(d) + 1
	}
	if size > MaxTokenSize {
		return nil, nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, MaxTokenSize)
	}
	if len(p.disclosures) > MaxDisclosures {
		return nil, nil, fmt.Errorf("%w: %d disclosures, at most %d", ErrTooLarge, len(p.disclosures), MaxDisclosures)
	}
	if _, err := resolve(payload, p.disclosures); err != nil {
		return nil, nil, err
	}
	return payload, p.disclosures, nil
}

// A preparer turns claims into a payload and gathers the disclosures.
type preparer struct {
	random      random
	disclosures []string
}

// value returns the JSON of v, as the payload or its disclosure holds it.
func (p *preparer) value(v any, depth int) ([]byte, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("%w: more than %d levels", ErrTooDeep, MaxDepth)
	}
	switch v := v.(type) {
	case map[string]any:
		return p.object(v, depth)
	case []any:
		return p.array(v, depth)
	case Padded:
		return p.padded(v, depth)
	case Conceal:
		return nil, fmt.Errorf("%w: a Conceal directly inside another", ErrMalformed)
	case json.RawMessage:
		return plain(v, true)
	}
	raw, err := marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return plain(raw, false)
}

// plain checks JSON that holds no marks, and so must not look as if it did.
// Where encoding/json has written it, text that was not UTF-8 is refused.
func plain(raw []byte, asGiven bool) ([]byte, error) {
	n, replacement, err := scanJSON(raw, 0)
	if err != nil {
		return nil, err
	}
	if replacement && !asGiven {
		return nil, fmt.Errorf("%w: text that is not UTF-8", ErrEncoding)
	}
	if n.marked {
		return nil, fmt.Errorf("%w within a value", ErrReservedName)
	}
	return n.raw, nil
}

func (p *preparer) object(claims map[string]any, depth int) ([]byte, error) {
	if claims == nil && depth > 0 {
		return []byte("null"), nil
	}
	names := make([]string, 0, len(claims))
	for name := range claims {
		if reserved(name) {
			return nil, fmt.Errorf("%w %.64q", ErrReservedName, name)
		}
		if !utf8.ValidString(name) {
			return nil, fmt.Errorf("%w: claim name %.64q is not UTF-8", ErrEncoding, name)
		}
		names = append(names, name)
	}
	slices.Sort(names)

	var members [][]byte
	var digests []string
	for _, name := range names {
		if c, ok := claims[name].(Conceal); ok {
			digest, err := p.conceal(quote(name), c.Value, depth)
			if err != nil {
				return nil, fmt.Errorf("claim %.64q: %w", name, err)
			}
			digests = append(digests, digest)
			continue
		}
		value, err := p.value(claims[name], depth+1)
		if err != nil {
			return nil, fmt.Errorf("claim %.64q: %w", name, err)
		}
		members = append(members, nameValue(name, value))
	}
	if digests != nil {
		// In the order of the digests, which says nothing of the claims
		// (RFC 9901 section 4.2.4.1).
		slices.Sort(digests)
		list, err := marshal(digests)
		if err != nil {
			return nil, err
		}
		members = append(members, nameValue(nameDigests, list))
	}
	if depth == 0 {
		members = append(members, nameValue(nameHashAlg, []byte(`"sha-256"`)))
	}
	return enclose('{', members, '}'), nil
}

func (p *preparer) array(elements []any, depth int) ([]byte, error) {
	if elements == nil {
		return []byte("null"), nil
	}
	values := make([][]byte, len(elements))
	for i, e := range elements {
		var err error
		if c, ok := e.(Conceal); ok {
			values[i], err = p.element(c.Value, depth)
		} else {
			values[i], err = p.value(e, depth+1)
		}
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
	}
	return enclose('[', values, ']'), nil
}

func (p *preparer) padded(array Padded, depth int) ([]byte, error) {
	if array.Multiple < 1 || array.Multiple > MaxPaddedMultiple {
		return nil, fmt.Errorf("%w: padding to a multiple of %d", ErrMalformed, array.Multiple)
	}
	var values [][]byte
	for i, e := range array.Elements {
		if c, ok := e.(Conceal); ok {
			e = c.Value
		}
		value, err := p.element(e, depth)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		values = append(values, value)
	}
	for len(values) == 0 || len(values)%array.Multiple != 0 {
		decoy, err := p.random.text(decoySize)
		if err != nil {
			return nil, err
		}
		values = append(values, placeholder(Digest(decoy)))
	}
	if err := p.random.shuffle(values); err != nil {
		return nil, err
	}
	return enclose('[', values, ']'), nil
}

// element conceals an array element, and returns what stands for it.
func (p *preparer) element(v any, depth int) ([]byte, error) {
	digest, err := p.conceal(nil, v, depth)
	if err != nil {
		return nil, err
	}
	return placeholder(digest), nil
}

// conceal makes the disclosure of a member, or without a name of an element,
// and returns its digest (RFC 9901 sections 4.2.1 to 4.2.3).
func (p *preparer) conceal(quotedName []byte, v any, depth int) (string, error) {
	salt, err := p.random.text(saltSize)
	if err != nil {
		return "", err
	}
	at := len(p.disclosures)
	p.disclosures = append(p.disclosures, "") // the parent goes before its children
	value, err := p.value(v, depth+1)
	if err != nil {
		return "", err
	}
	parts := [][]byte{quote(salt)}
	if quotedName != nil {
		parts = append(parts, quotedName)
	}
	encoded := encode(enclose('[', append(parts, value), ']'))
	p.disclosures[at] = encoded
	return Digest(encoded), nil
}

func placeholder(digest string) []byte {
	return enclose('{', [][]byte{nameValue(nameElement, quote(digest))}, '}')
}

func nameValue(name string, value []byte) []byte {
	return append(append(quote(name), ':'), value...)
}

func enclose(open byte, parts [][]byte, end byte) []byte {
	return append(append([]byte{open}, bytes.Join(parts, []byte{','})...), end)
}

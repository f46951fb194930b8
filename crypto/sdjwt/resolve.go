package sdjwt

import (
	"fmt"
	"strconv"
	"strings"
)

// A resolver follows the digests from the payload through the disclosures
// (RFC 9901 section 7.1, step 3).
type resolver struct {
	payload     *node
	disclosures []Disclosure
	values      []*node // of each disclosure, parsed

	byDigest   map[string]int      // index of a disclosure
	seen       map[string]struct{} // digests met, of whatever kind
	referenced int                 // disclosures met
}

// A place is where a value stands that the resolver looks at.
type place struct {
	parent  int    // disclosure that the value belongs to, -1 for the payload
	pointer string // JSON pointer within it
	depth   int    // objects and arrays around it in the merged claims
}

func (p place) inside(token string) place {
	return place{parent: p.parent, pointer: p.pointer + "/" + pointerEscape.Replace(token), depth: p.depth + 1}
}

// pointerEscape is RFC 6901 section 3.
var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")

// resolve checks payload and disclosures against each other.
func resolve(payload []byte, encoded []string) (*resolver, error) {
	root, err := parseObject(payload)
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	if alg := root.member(nameHashAlg); alg != nil {
		if s, ok := alg.text(); !ok || s != "sha-256" {
			return nil, fmt.Errorf("%w: %.64q", ErrHashAlg, alg.raw)
		}
	}
	r := &resolver{
		payload:  root,
		byDigest: make(map[string]int, len(encoded)),
		seen:     make(map[string]struct{}),
	}
	for i, e := range encoded {
		if err := r.add(e); err != nil {
			return nil, fmt.Errorf("disclosure %d: %w", i, err)
		}
	}
	if err := r.value(root, place{parent: -1}); err != nil {
		return nil, err
	}
	if r.referenced != len(encoded) {
		for i, d := range r.disclosures {
			if _, ok := r.seen[d.Digest]; !ok {
				return nil, fmt.Errorf("disclosure %d: %w", i, ErrUnreferenced)
			}
		}
	}
	return r, nil
}

// add parses one disclosure: [salt, value] or [salt, name, value].
func (r *resolver) add(encoded string) error {
	data, err := decode(encoded)
	if err != nil {
		return err
	}
	array, err := parseDisclosure(data)
	if err != nil {
		return err
	}
	d := Disclosure{Encoded: encoded, Digest: Digest(encoded), Parent: -1}
	if _, ok := r.byDigest[d.Digest]; ok {
		return fmt.Errorf("%w: given twice", ErrDuplicateDigest)
	}
	var ok bool
	if d.Salt, ok = array[0].text(); !ok {
		return fmt.Errorf("%w: the salt is not a string", ErrMalformed)
	}
	d.Element = len(array) == 2
	if !d.Element {
		if d.Name, ok = array[1].text(); !ok {
			return fmt.Errorf("%w: the claim name is not a string", ErrMalformed)
		}
		if reserved(d.Name) {
			return fmt.Errorf("%w %.64q", ErrReservedName, d.Name)
		}
	}
	value := array[len(array)-1]
	d.Value = value.raw
	r.byDigest[d.Digest] = len(r.disclosures)
	r.disclosures = append(r.disclosures, d)
	r.values = append(r.values, value)
	return nil
}

// parseDisclosure reads the array that a disclosure encodes. The array itself
// is not a level of the claims, hence not one of MaxDepth.
func parseDisclosure(data []byte) ([]*node, error) {
	n, err := parseJSON(data, -1)
	if err != nil {
		return nil, err
	}
	if n.kind != '[' || len(n.elements) < 2 || len(n.elements) > 3 {
		return nil, fmt.Errorf("%w: not an array of 2 or 3", ErrMalformed)
	}
	return n.elements, nil
}

// value checks n, which stands at a place, and all that it refers to.
func (r *resolver) value(n *node, at place) error {
	levels := n.height
	if n.marked {
		levels = 1 // placeholders and _sd will go; what is inside comes later
	}
	switch {
	case at.depth+levels > MaxDepth:
		return fmt.Errorf("%w: more than %d levels once merged", ErrTooDeep, MaxDepth)
	case !n.marked:
		return nil
	case n.kind == '[':
		return r.array(n, at)
	default:
		return r.object(n, at)
	}
}

func (r *resolver) object(n *node, at place) error {
	names := make(map[string]struct{}, len(n.members))
	for _, m := range n.members {
		name := string(m.name)
		names[name] = struct{}{}
		switch {
		case name == nameDigests, name == nameHashAlg && at == place{parent: -1}:
			continue
		case reserved(name):
			return fmt.Errorf("%w: %.64q at %.200q", ErrReservedName, name, at.pointer)
		}
		if err := r.value(m.value, at.inside(name)); err != nil {
			return err
		}
	}
	digests := n.member(nameDigests)
	if digests == nil {
		return nil
	}
	if digests.kind != '[' {
		return fmt.Errorf("%w: _sd at %.200q is not an array", ErrMalformed, at.pointer)
	}
	for _, digest := range digests.elements {
		i, err := r.refer(digest, at)
		if err != nil {
			return err
		}
		if i < 0 {
			continue
		}
		if err := r.claim(i, names, at); err != nil {
			return err
		}
	}
	return nil
}

// claim adds a disclosed member to the object at a place, whose names so far
// are given.
func (r *resolver) claim(i int, names map[string]struct{}, at place) error {
	d := &r.disclosures[i]
	if d.Element {
		return fmt.Errorf("disclosure %d: %w: an array element in an object", i, ErrMisplaced)
	}
	if _, ok := names[d.Name]; ok {
		return fmt.Errorf("disclosure %d: %w %.64q", i, ErrClaimConflict, d.Name)
	}
	names[d.Name] = struct{}{}
	d.Parent, d.Pointer = at.parent, at.inside(d.Name).pointer
	return r.value(r.values[i], place{parent: i, depth: at.depth + 1})
}

func (r *resolver) array(n *node, at place) error {
	for index, element := range n.elements {
		value, inside := element, at.inside(strconv.Itoa(index))
		if digest := element.member(nameElement); digest != nil {
			if len(element.members) != 1 {
				return fmt.Errorf("%w: %q is not alone at %.200q", ErrMalformed, nameElement, inside.pointer)
			}
			i, err := r.refer(digest, inside)
			if err != nil {
				return err
			}
			if i < 0 {
				continue
			}
			d := &r.disclosures[i]
			if !d.Element {
				return fmt.Errorf("disclosure %d: %w: an object's member in an array", i, ErrMisplaced)
			}
			d.Parent, d.Pointer = inside.parent, inside.pointer
			value, inside = r.values[i], place{parent: i, depth: inside.depth}
		}
		if err := r.value(value, inside); err != nil {
			return err
		}
	}
	return nil
}

// refer notes an embedded digest, and returns the index of the disclosure
// that it refers to: -1 when that is withheld or the digest a decoy.
func (r *resolver) refer(n *node, at place) (int, error) {
	digest, ok := n.text()
	if !ok || len(digest) != digestLength {
		return -1, fmt.Errorf("%w: no SHA-256 digest at %.200q", ErrMalformed, at.pointer)
	}
	if _, err := decode(digest); err != nil {
		return -1, fmt.Errorf("digest at %.200q: %w", at.pointer, err)
	}
	if _, ok := r.seen[digest]; ok {
		return -1, fmt.Errorf("%w %s at %.200q", ErrDuplicateDigest, digest, at.pointer)
	}
	r.seen[digest] = struct{}{}
	i, ok := r.byDigest[digest]
	if !ok {
		return -1, nil
	}
	r.referenced++
	return i, nil
}

package sdjwt

import "encoding/json"

// merged returns the claims with the disclosures in their places (RFC 9901
// section 7.1, step 3), once resolve has found nothing wrong with them.
func (r *resolver) merged() json.RawMessage { return r.appendMerged(nil, r.payload) }

func (r *resolver) appendMerged(b []byte, n *node) []byte {
	switch {
	case !n.marked:
		return append(b, n.raw...)
	case n.kind == '[':
		return r.appendArray(b, n)
	default:
		return r.appendObject(b, n)
	}
}

// appendObject writes what is in the clear first, then what is disclosed.
func (r *resolver) appendObject(b []byte, n *node) []byte {
	b = append(b, '{')
	start := len(b)
	add := func(name []byte, value *node) {
		if len(b) > start {
			b = append(b, ',')
		}
		b = r.appendMerged(append(append(b, name...), ':'), value)
	}
	for _, m := range n.members {
		if !reserved(string(m.name)) {
			add(m.rawName, m.value)
		}
	}
	if digests := n.member(nameDigests); digests != nil {
		for _, digest := range digests.elements {
			if i, ok := r.disclosed(digest); ok {
				add(quote(r.disclosures[i].Name), r.values[i])
			}
		}
	}
	return append(b, '}')
}

func (r *resolver) appendArray(b []byte, n *node) []byte {
	b = append(b, '[')
	start := len(b)
	for _, element := range n.elements {
		if digest := element.member(nameElement); digest != nil {
			i, ok := r.disclosed(digest)
			if !ok {
				continue
			}
			element = r.values[i]
		}
		if len(b) > start {
			b = append(b, ',')
		}
		b = r.appendMerged(b, element)
	}
	return append(b, ']')
}

// disclosed returns the index of the disclosure that a digest refers to, and
// false where it is withheld or the digest a decoy.
func (r *resolver) disclosed(digest *node) (int, bool) {
	text, _ := digest.text()
	i, ok := r.byDigest[text]
	return i, ok
}

package sdjwt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// The names that RFC 9901 section 4 gives a meaning.
const (
	nameDigests = "_sd"     // digests of an object's concealed members
	nameElement = "..."     // digest of a concealed array element
	nameHashAlg = "_sd_alg" // hash algorithm, in the payload only
)

// A node is one JSON value, with its bytes as they were received.
type node struct {
	kind   byte   // first byte of the value: '{', '[', '"', or that of a literal
	raw    []byte // exact bytes, without surrounding white space
	height int    // levels of objects and arrays: 0 for a scalar

	// marked: a reserved name occurs at any depth. An unmarked value means
	// just what it says, so that it can be copied as it stands.
	marked bool

	members  []member // of an object, in order
	elements []*node  // of an array, in order
}

type member struct {
	name    []byte // decoded
	rawName []byte // as received, with its quotes
	value   *node
}

// member returns the value of an object's member, or nil.
func (n *node) member(name string) *node {
	for _, m := range n.members {
		if string(m.name) == name {
			return m.value
		}
	}
	return nil
}

// text returns the decoded value of a string.
func (n *node) text() (string, bool) {
	if n == nil || n.kind != '"' {
		return "", false
	}
	return string(unquote(n.raw)), true
}

// parseJSON reads one JSON value more strictly than encoding/json: text must
// be valid Unicode, names unique, nesting within MaxDepth, of which outer
// levels are taken already. The node shares data's memory.
func parseJSON(data []byte, outer int) (*node, error) {
	n, _, err := scanJSON(data, outer)
	return n, err
}

// scanJSON is parseJSON, and reports whether a string has U+FFFD as an escape:
// that is how encoding/json writes, without an error, what was not UTF-8.
func scanJSON(data []byte, outer int) (n *node, replacement bool, err error) {
	if !utf8.Valid(data) {
		return nil, false, fmt.Errorf("%w: not UTF-8", ErrEncoding)
	}
	if !json.Valid(data) {
		return nil, false, fmt.Errorf("%w: not JSON", ErrMalformed)
	}
	r := reader{data: data}
	n, err = r.value(outer)
	return n, r.replacement, err
}

// parseObject is parseJSON for what has to be an object.
func parseObject(data []byte) (*node, error) {
	n, err := parseJSON(data, 0)
	if err != nil {
		return nil, err
	}
	if n.kind != '{' {
		return nil, fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	return n, nil
}

// A reader walks over data that is known to be valid JSON, and so need not
// check the grammar a second time.
type reader struct {
	data []byte
	pos  int

	spare       []node // nodes are many, and made several at a time
	replacement bool   // \ufffd was met, written as an escape
}

// space skips white space, and the separators, which valid JSON has just
// where they belong.
func (r *reader) space() byte {
	for {
		switch c := r.data[r.pos]; c {
		case ' ', '\t', '\r', '\n', ',', ':':
			r.pos++
		default:
			return c
		}
	}
}

func (r *reader) value(depth int) (*node, error) {
	n := r.node()
	n.kind = r.space()
	start := r.pos
	var err error
	switch n.kind {
	case '{', '[':
		if depth == MaxDepth {
			return nil, fmt.Errorf("%w: more than %d levels", ErrTooDeep, MaxDepth)
		}
		r.pos++
		if n.kind == '{' {
			err = r.object(n, depth)
		} else {
			err = r.array(n, depth)
		}
		r.pos++
	case '"':
		err = r.text()
	default:
		r.literal()
	}
	n.raw = r.data[start:r.pos:r.pos]
	return n, err
}

// node returns a fresh one.
func (r *reader) node() *node {
	if len(r.spare) == 0 {
		r.spare = make([]node, 8)
	}
	n := &r.spare[0]
	r.spare = r.spare[1:]
	return n
}

func (r *reader) object(n *node, depth int) error {
	var names nameSet
	for r.space() != '}' {
		start := r.pos
		if err := r.text(); err != nil {
			return err
		}
		m := member{rawName: r.data[start:r.pos:r.pos]}
		m.name = unquote(m.rawName)
		if !names.add(n.members, m.name) {
			return fmt.Errorf("%w %.64q", ErrDuplicateName, m.name)
		}
		var err error
		if m.value, err = r.value(depth + 1); err != nil {
			return err
		}
		n.add(m.value)
		n.marked = n.marked || reserved(string(m.name))
		n.members = append(n.members, m)
	}
	n.height++
	return nil
}

func (r *reader) array(n *node, depth int) error {
	for r.space() != ']' {
		element, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.add(element)
		n.elements = append(n.elements, element)
	}
	n.height++
	return nil
}

// A nameSet finds duplicate names: by comparing while there are few, so that
// most objects cost no map, and in constant time once there are many.
type nameSet map[string]struct{}

// add reports whether name is new; earlier are the members before it.
func (s *nameSet) add(earlier []member, name []byte) bool {
	const few = 16
	if len(earlier) < few {
		for _, m := range earlier {
			if bytes.Equal(m.name, name) {
				return false
			}
		}
		return true
	}
	if *s == nil {
		*s = make(nameSet)
		for _, m := range earlier {
			(*s)[string(m.name)] = struct{}{}
		}
	}
	if _, ok := (*s)[string(name)]; ok {
		return false
	}
	(*s)[string(name)] = struct{}{}
	return true
}

// add takes over what a child says about its parent.
func (n *node) add(child *node) {
	n.height = max(n.height, child.height)
	n.marked = n.marked || child.marked
}

func (r *reader) literal() {
	for r.pos < len(r.data) {
		switch r.data[r.pos] {
		case ' ', '\t', '\r', '\n', ',', ':', ']', '}':
			return
		}
		r.pos++
	}
}

// text skips a string. Half a surrogate pair is refused: decoders replace it
// by U+FFFD, so that names which differ here would be equal elsewhere.
func (r *reader) text() error {
	for r.pos++; r.data[r.pos] != '"'; r.pos++ {
		if r.data[r.pos] != '\\' {
			continue
		}
		r.pos++
		if r.data[r.pos] != 'u' {
			continue
		}
		first := r.escape()
		r.pos += 4
		r.replacement = r.replacement || first == utf8.RuneError
		if !utf16.IsSurrogate(first) {
			continue
		}
		if r.data[r.pos+1] != '\\' || r.data[r.pos+2] != 'u' {
			return fmt.Errorf("%w: half a surrogate pair", ErrEncoding)
		}
		r.pos += 2
		if utf16.DecodeRune(first, r.escape()) == utf8.RuneError {
			return fmt.Errorf("%w: half a surrogate pair", ErrEncoding)
		}
		r.pos += 4
	}
	r.pos++
	return nil
}

// escape reads the four hexadecimal digits that follow the "u" at pos.
func (r *reader) escape() rune {
	// The digits are there: the grammar has been checked.
	v, _ := strconv.ParseUint(string(r.data[r.pos+1:r.pos+5]), 16, 16)
	return rune(v)
}

// unquote decodes a string that is known to be valid.
func unquote(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	var s string
	// A valid JSON string always decodes into a string.
	_ = json.Unmarshal(raw, &s)
	return []byte(s)
}

func reserved(name string) bool {
	return name == nameDigests || name == nameElement || name == nameHashAlg
}

// marshal is json.Marshal without escapes for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// quote returns s as a JSON string.
func quote(s string) []byte {
	// A string can always be marshalled.
	b, _ := marshal(s)
	return b
}

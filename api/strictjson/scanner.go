package strictjson

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A scanner goes over a text once, which is known to be UTF-8, and checks it
// against the grammar of RFC 8259, this package's rules and a type's shape.
type scanner struct {
	data  []byte
	pos   int
	names [][]byte     // decoded, of the objects that are open, the innermost's last
	visit func(Member) // may be nil
}

// space skips white space and returns the byte after it, 0 at the end.
func (s *scanner) space() byte {
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// unexpected refuses what stands at pos.
func (s *scanner) unexpected(wanted string) error {
	if s.pos >= len(s.data) {
		return refuse("%w", io.ErrUnexpectedEOF)
	}
	r, _ := utf8.DecodeRune(s.data[s.pos:])
	return refuse("%q where %s is wanted", r, wanted)
}

func (s *scanner) value(t *shape, depth int) error {
	switch c := s.space(); c {
	case '{':
		return s.object(t, depth+1)
	case '[':
		return s.array(t, depth+1)
	case '"':
		raw, err := s.text()
		if err == nil && t != nil && t.bytes {
			err = checkBase64(raw)
		}
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		err := s.literal("null")
		if err == nil && t != nil {
			err = refuse("null")
		}
		return err
	default:
		return s.number()
	}
}

// more goes to the element n, counted from 0, of a list or object that ends
// with end, or past that end.
func (s *scanner) more(n int, end byte) (bool, error) {
	switch c := s.space(); {
	case c == end:
		s.pos++
		return false, nil
	case n == 0:
		return true, nil
	case c == ',':
		s.pos++
		return true, nil
	default:
		return false, s.unexpected("a comma or " + string(end))
	}
}

func (s *scanner) array(t *shape, depth int) error {
	if depth > MaxDepth {
		return refuse("nested deeper than %d levels", MaxDepth)
	}
	var elem *shape
	if t != nil {
		elem = t.elem
	}
	s.pos++
	for n := 0; ; n++ {
		more, err := s.more(n, ']')
		if err != nil {
			return err
		}
		if !more {
			// encoding/json would drop what is too much and fill up what is too little.
			if t != nil && t.length >= 0 && n != t.length {
				return refuse("%d elements where %d are wanted", n, t.length)
			}
			return nil
		}
		if err := s.value(elem, depth); err != nil {
			return under(fmt.Sprintf("[%d]", n), err)
		}
	}
}

func (s *scanner) object(t *shape, depth int) error {
	if depth > MaxDepth {
		return refuse("nested deeper than %d levels", MaxDepth)
	}
	s.pos++
	names := nameSet{first: len(s.names)}
	for n := 0; ; n++ {
		more, err := s.more(n, '}')
		if err != nil {
			return err
		}
		if !more {
			s.names = s.names[:names.first]
			return nil
		}
		name, err := s.name()
		if err != nil {
			return err
		}
		if !s.add(&names, name) {
			return under(show(string(name)), refuse("name given twice"))
		}
		if err := s.member(name, t, depth); err != nil {
			return under(show(string(name)), err)
		}
	}
}

// name reads a member's name, and decodes it.
func (s *scanner) name() ([]byte, error) {
	if s.space() != '"' {
		return nil, s.unexpected("a name")
	}
	raw, err := s.text()
	if err != nil {
		return nil, err
	}
	return unquote(raw)
}

// member reads the rest of a member, after its name.
func (s *scanner) member(name []byte, t *shape, depth int) error {
	var value *shape
	if t != nil {
		value = t.elem
	}
	if t != nil && t.fields != nil {
		var known bool
		if value, known = t.fields[string(name)]; !known {
			return refuse("unknown field")
		}
	}
	if s.space() != ':' {
		return s.unexpected("a colon")
	}
	s.pos++
	s.space()
	start := s.pos
	if err := s.value(value, depth); err != nil {
		return err
	}
	if s.visit != nil {
		s.visit(Member{depth, name, s.data[start:s.pos:s.pos]})
	}
	return nil
}

// A nameSet finds names given twice in one object: by comparing while there are
// few, so that most objects cost no map, and in constant time once there are many.
type nameSet struct {
	first int // of the object's names among the scanner's
	many  map[string]struct{}
}

// add reports whether a name is new to the innermost object.
func (s *scanner) add(set *nameSet, name []byte) bool {
	const few = 16
	if set.many != nil {
		if _, dup := set.many[string(name)]; dup {
			return false
		}
		set.many[string(name)] = struct{}{}
		return true
	}
	for _, earlier := range s.names[set.first:] {
		if bytes.Equal(earlier, name) {
			return false
		}
	}
	s.names = append(s.names, name)
	if len(s.names)-set.first == few {
		set.many = make(map[string]struct{})
		for _, n := range s.names[set.first:] {
			set.many[string(n)] = struct{}{}
		}
	}
	return true
}

func (s *scanner) literal(word string) error {
	for i := range len(word) {
		if s.pos >= len(s.data) || s.data[s.pos] != word[i] {
			return s.unexpected(word)
		}
		s.pos++
	}
	return nil
}

// number is RFC 8259 section 6.
func (s *scanner) number() error {
	s.skip("-")
	if !s.skip("0") && !s.digits() {
		return s.unexpected("a value")
	}
	if s.skip(".") && !s.digits() {
		return s.unexpected("a digit")
	}
	if s.skip("eE") {
		s.skip("+-")
		if !s.digits() {
			return s.unexpected("a digit")
		}
	}
	return nil
}

// skip goes past one byte of a set, if it is there.
func (s *scanner) skip(set string) bool {
	if s.pos < len(s.data) && strings.IndexByte(set, s.data[s.pos]) >= 0 {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.data) && '0' <= s.data[s.pos] && s.data[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > start
}

// text reads a string and returns it as it stands, with its quotes.
func (s *scanner) text() ([]byte, error) {
	start := s.pos
	for s.pos++; s.pos < len(s.data); {
		switch c := s.data[s.pos]; {
		case c == '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		case c == '"':
			s.pos++
			return s.data[start:s.pos:s.pos], nil
		case c < ' ':
			return nil, s.unexpected("a character of a string")
		default:
			s.pos++
		}
	}
	return nil, s.unexpected("a quote")
}

// escape goes past one escape, or the two of a surrogate pair. Half a pair is
// refused: encoding/json would silently replace it, so that two readers of the
// same signed bytes could see different text.
func (s *scanner) escape() error {
	s.pos++
	if s.skip(`"\/bfnrt`) {
		return nil
	}
	if s.pos >= len(s.data) || s.data[s.pos] != 'u' {
		return s.unexpected("an escape")
	}
	u, ok := hex4(s.data[s.pos+1:])
	if !ok {
		return refuse(`\u without four hexadecimal digits`)
	}
	s.pos += 5
	if u < 0xD800 || u > 0xDFFF {
		return nil
	}
	rest, ok := bytes.CutPrefix(s.data[s.pos:], []byte(`\u`))
	low, isHex := hex4(rest)
	if !ok || !isHex || u >= 0xDC00 || low < 0xDC00 || low > 0xDFFF {
		return refuse("a lone surrogate in a string")
	}
	s.pos += 6
	return nil
}

// hex4 reads the four hexadecimal digits at the head of b.
func hex4(b []byte) (u uint32, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		u = u<<4 | uint32(c)
	}
	return u, true
}

// unquote decodes a string that text has read.
func unquote(raw []byte) ([]byte, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, refuse("%w", err)
	}
	return []byte(text), nil
}

// checkBase64 refuses the line breaks and loose trailing bits that encoding/json
// lets pass in the base64 of a []byte (RFC 4648 sections 3.1 and 3.5).
func checkBase64(raw []byte) error {
	text, err := unquote(raw)
	if err != nil {
		return err
	}
	b, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil || base64.StdEncoding.EncodeToString(b) != string(text) {
		return refuse("not base64")
	}
	return nil
}

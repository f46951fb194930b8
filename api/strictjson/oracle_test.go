package strictjson

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"unicode/utf8"
)

// The oracle states the rules a second time, over the tokens of encoding/json
// and the types themselves. It is slow; the scanner must agree with it.

// accepts reports what the oracle says of a text for the type of v, or for none
// where v is nil.
func accepts(data []byte, v any) bool {
	if v == nil {
		return oracle(data, nil) == nil
	}
	t := reflect.TypeOf(v).Elem()
	return oracle(data, t) == nil && json.Unmarshal(data, reflect.New(t).Interface()) == nil
}

func oracle(data []byte, t reflect.Type) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("%w: invalid UTF-8", ErrStrict)
	}
	if err := checkSurrogates(data); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := (walker{dec}).value(t, 0); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("%w: data after the value", ErrStrict)
	}
	// The decoder's tokens and the parser proper are two readers of the
	// grammar; what only one of them accepts is refused.
	if !json.Valid(data) {
		return fmt.Errorf("%w: not JSON", ErrStrict)
	}
	return nil
}

type walker struct{ dec *json.Decoder }

// token returns the next token; the input's end is never expected where it
// is called.
func (w walker) token() (json.Token, error) {
	tok, err := w.dec.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, refuse("%w", err)
	}
	return tok, nil
}

func (w walker) value(t reflect.Type, depth int) error {
	tok, err := w.token()
	if err != nil {
		return err
	}
	switch tok {
	case nil:
		if t != nil && t.Kind() != reflect.Interface {
			return refuse("null")
		}
	case json.Delim('['):
		return w.array(t, depth+1)
	case json.Delim('{'):
		return w.object(t, depth+1)
	}
	if s, ok := tok.(string); ok {
		return checkBytes(s, t)
	}
	return nil
}

// checkBytes refuses the line breaks and loose trailing bits that encoding/json
// lets pass in the base64 of a []byte (RFC 4648 sections 3.1 and 3.5).
func checkBytes(s string, t reflect.Type) error {
	t = plain(t)
	if t == nil || t.Kind() != reflect.Slice || t.Elem().Kind() != reflect.Uint8 {
		return nil
	}
	if b, err := base64.StdEncoding.DecodeString(s); err != nil || base64.StdEncoding.EncodeToString(b) != s {
		return refuse("not base64")
	}
	return nil
}

func (w walker) array(t reflect.Type, depth int) error {
	if depth > MaxDepth {
		return refuse("nested deeper than %d levels", MaxDepth)
	}
	t = plain(t)
	var elem reflect.Type
	if t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
		elem = t.Elem()
	}
	n := 0
	for ; w.dec.More(); n++ {
		if err := w.value(elem, depth); err != nil {
			return err
		}
	}
	// encoding/json would drop what is too much and fill up what is too little.
	if t != nil && t.Kind() == reflect.Array && n != t.Len() {
		return refuse("%d elements where %d are wanted", n, t.Len())
	}
	_, err := w.token()
	return err
}

func (w walker) object(t reflect.Type, depth int) error {
	if depth > MaxDepth {
		return refuse("nested deeper than %d levels", MaxDepth)
	}
	t = plain(t)
	var fields map[string]reflect.Type
	var elem reflect.Type
	if t != nil {
		switch t.Kind() {
		case reflect.Struct:
			fields = fieldsOf(t)
		case reflect.Map:
			elem = t.Elem()
		}
	}
	seen := make(map[string]struct{})
	for w.dec.More() {
		tok, err := w.token()
		if err != nil {
			return err
		}
		name, _ := tok.(string) // the decoder only gives strings here
		if _, dup := seen[name]; dup {
			return errors.New("name given twice")
		}
		seen[name] = struct{}{}
		ft := elem
		if fields != nil {
			var known bool
			if ft, known = fields[name]; !known {
				return errors.New("unknown field")
			}
		}
		if err := w.value(ft, depth); err != nil {
			return err
		}
	}
	_, err := w.token()
	return err
}

// plain strips pointers. A type that decodes itself is opaque here: it answers
// for its own members.
func plain(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || reflect.PointerTo(t).Implements(unmarshaler) || reflect.PointerTo(t).Implements(textUnmarshaler) {
		return nil
	}
	return t
}

func fieldsOf(t reflect.Type) map[string]reflect.Type {
	m := make(map[string]reflect.Type)
	for f := range fieldsIn(t) {
		if name := nameOf(f); name != "" {
			m[name] = f.Type
		}
	}
	return m
}

// checkSurrogates refuses \uD800–\uDFFF escapes that do not form a pair:
// encoding/json would silently replace them, so that two readers of the same
// signed bytes could see different text.
func checkSurrogates(data []byte) error {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		u, ok := escape(data[i:])
		if !ok {
			i++ // a two-byte escape, or one that the decoder will refuse
			continue
		}
		i += 5
		if u < 0xD800 || u > 0xDFFF {
			continue
		}
		low, ok := escape(data[i+1:])
		if u >= 0xDC00 || !ok || low < 0xDC00 || low > 0xDFFF {
			return fmt.Errorf("%w: a lone surrogate in a string", ErrStrict)
		}
		i += 6
	}
	return nil
}

// escape reads a \uXXXX at the head of b.
func escape(b []byte) (uint32, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var u uint32
	for _, c := range b[2:6] {
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

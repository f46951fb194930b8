// Package strictjson reads JSON the way a security boundary must: one meaning
// for each text. It refuses what encoding/json lets pass: duplicate names, names
// that differ from the type's only in case, unknown members, null in
// place of a value, trailing data, invalid UTF-8, lone surrogates and unbounded
// nesting (RFC 8259 sections 4, 8 and 9; RFC 7493, I-JSON).
package strictjson

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// MaxDepth is the deepest nesting of arrays and objects accepted, the outermost
// counted as one.
const MaxDepth = 32

// ErrStrict is wrapped by every refusal of this package.
var ErrStrict = errors.New("not acceptable JSON")

// Unmarshal decodes data into v, which must be a non-nil pointer. What v pointed
// to is replaced whole, and only where no error is returned. null is refused
// for everything that has a type: absence has one spelling, which is to leave
// the member out. The error names the place, as in "portions[2].label.tlp".
func Unmarshal(data []byte, v any) error {
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Pointer || rv.IsNil() {
		return fmt.Errorf("strictjson: Unmarshal into %T, not a non-nil pointer", v)
	}
	if err := check(data, rv.Type().Elem()); err != nil {
		return err
	}
	fresh := reflect.New(rv.Type().Elem())
	if err := json.Unmarshal(data, fresh.Interface()); err != nil {
		var te *json.UnmarshalTypeError
		if errors.As(err, &te) {
			kind, _, _ := strings.Cut(te.Value, " ") // of a number, without its digits
			return fmt.Errorf("%w: %s: a %s where %s is wanted", ErrStrict, orTop(te.Field), kind, te.Type)
		}
		return fmt.Errorf("%w: %w", ErrStrict, err)
	}
	rv.Elem().Set(fresh.Elem())
	return nil
}

// Check makes the same checks without a type, null allowed: for values that
// are kept as they came, such as STIX objects.
func Check(data []byte) error { return check(data, nil) }

func check(data []byte, t reflect.Type) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("%w: invalid UTF-8", ErrStrict)
	}
	if err := checkSurrogates(data); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := (walker{dec}).value(t, 0); err != nil {
		var f *fault
		if errors.As(err, &f) {
			return fmt.Errorf("%w: %s: %w", ErrStrict, orTop(f.path), f.why)
		}
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

// A fault is a refusal on its way up to check. The path is put together on that
// way alone, so that good input costs none and long names are not multiplied.
type fault struct {
	path string
	why  error
}

func (f *fault) Error() string { return f.why.Error() }

func refuse(format string, args ...any) error { return &fault{why: fmt.Errorf(format, args...)} }

// under puts a step in front of a fault's path.
func under(step string, err error) error {
	var f *fault
	if errors.As(err, &f) {
		if f.path != "" && f.path[0] != '[' {
			step += "."
		}
		f.path = step + f.path
	}
	return err
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
			return under(fmt.Sprintf("[%d]", n), err)
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
			return under(show(name), refuse("name given twice"))
		}
		seen[name] = struct{}{}
		ft := elem
		if fields != nil {
			var known bool
			if ft, known = fields[name]; !known {
				return under(show(name), refuse("unknown field"))
			}
		}
		if err := w.value(ft, depth); err != nil {
			return under(show(name), err)
		}
	}
	_, err := w.token()
	return err
}

var (
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

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

var fieldCache sync.Map // reflect.Type → map[string]reflect.Type

func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if m, ok := fieldCache.Load(t); ok {
		return m.(map[string]reflect.Type)
	}
	m := make(map[string]reflect.Type)
	for f := range fieldsIn(t) {
		tag := f.Tag.Get("json")
		if tag == "-" {
			continue
		}
		name, _, _ := strings.Cut(tag, ",")
		if name == "" {
			name = f.Name
		}
		m[name] = f.Type
	}
	fieldCache.Store(t, m)
	return m
}

// fieldsIn yields the exported fields, those of embedded structs included.
func fieldsIn(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for _, f := range reflect.VisibleFields(t) {
			if !f.IsExported() || (f.Anonymous && f.Tag.Get("json") == "") {
				continue
			}
			if !yield(f) {
				return
			}
		}
	}
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

// show returns a member's name fit for an error text: short, and without
// characters that could garble a log or terminal.
func show(name string) string {
	if len(name) > 64 {
		name = strings.ToValidUTF8(name[:64], "") + "…"
	}
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return strconv.QuoteToGraphic(name)
	}
	return name
}

func orTop(path string) string {
	if path == "" {
		return "the value"
	}
	return path
}

// Package strictjson reads JSON the way a security boundary must: one meaning
// for each text. It refuses what encoding/json lets pass: duplicate names, names
// that differ from the type's only in case, unknown members, null in
// place of a value, trailing data, invalid UTF-8, lone surrogates and unbounded
// nesting (RFC 8259 sections 4, 8 and 9; RFC 7493, I-JSON).
package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
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
	if err := check(data, shapeOf(rv.Type().Elem()), nil); err != nil {
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
func Check(data []byte) error { return check(data, nil, nil) }

// A Member is one member of an object, on the way through a value.
type Member struct {
	Depth int    // 1 for a member of the outermost value
	Name  []byte // decoded
	Value []byte // as it stands, without white space around it
}

// Text returns the decoded value of a member that is a string.
func (m Member) Text() (string, bool) {
	if m.Value[0] != '"' {
		return "", false
	}
	text, err := unquote(m.Value)
	return string(text), err == nil
}

// Walk makes Check's checks and shows each member on the way, those inside
// before those around them; what visit saw counts only where no error is returned.
// visit must neither change nor keep the bytes.
func Walk(data []byte, visit func(Member)) error { return check(data, nil, visit) }

func check(data []byte, t *shape, visit func(Member)) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("%w: invalid UTF-8", ErrStrict)
	}
	s := scanner{data: data, visit: visit, names: make([][]byte, 0, 32)}
	if err := s.value(t, 0); err != nil {
		var f *fault
		if errors.As(err, &f) {
			return fmt.Errorf("%w: %s: %w", ErrStrict, orTop(f.path), f.why)
		}
		return err
	}
	if s.space(); s.pos < len(data) {
		return fmt.Errorf("%w: data after the value", ErrStrict)
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

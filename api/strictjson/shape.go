package strictjson

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
)

// A shape is what a Go type demands of its JSON, as far as encoding/json would
// not see to it. A nil shape demands nothing; every other one refuses null.
type shape struct {
	fields map[string]*shape // of a struct; nil for all else
	elem   *shape            // of a list's elements or a map's members
	length int               // of an array; -1 for all else
	bytes  bool              // a []byte, in base64
}

var (
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

var shapes sync.Map // reflect.Type → *shape, complete

func shapeOf(t reflect.Type) *shape {
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s := newShape(t, make(map[reflect.Type]*shape))
	shapes.Store(t, s)
	return s
}

// newShape makes the shape of a type. A type may contain itself: made holds
// those that are begun.
func newShape(t reflect.Type, made map[reflect.Type]*shape) *shape {
	if t.Kind() == reflect.Interface {
		return nil
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s, ok := made[t]; ok {
		return s
	}
	s := &shape{length: -1}
	made[t] = s
	// A type that decodes itself is opaque here: it answers for its members.
	if reflect.PointerTo(t).Implements(unmarshaler) || reflect.PointerTo(t).Implements(textUnmarshaler) {
		return s
	}
	switch t.Kind() {
	case reflect.Struct:
		s.fields = make(map[string]*shape)
		for f := range fieldsIn(t) {
			if name := nameOf(f); name != "" {
				s.fields[name] = newShape(f.Type, made)
			}
		}
	case reflect.Array:
		s.length = t.Len()
		s.elem = newShape(t.Elem(), made)
	case reflect.Slice:
		s.bytes = t.Elem().Kind() == reflect.Uint8
		s.elem = newShape(t.Elem(), made)
	case reflect.Map:
		s.elem = newShape(t.Elem(), made)
	}
	return s
}

// nameOf returns the name of a field's member, "" where it has none.
func nameOf(f reflect.StructField) string {
	tag := f.Tag.Get("json")
	if tag == "-" {
		return ""
	}
	if name, _, _ := strings.Cut(tag, ","); name != "" {
		return name
	}
	return f.Name
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

// Package strictyaml reads YAML that means what it seems to mean, by making JSON
// of it for api/strictjson: one document, names in plain text, no aliases, no
// merge keys, no tags but that of text, no numbers but plain decimals. What JSON may
// not say (a name twice, an unknown one) is for the reader of the JSON to refuse,
// which therefore sees it.
package strictyaml

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// MaxDepth bounds nesting, and with the refusal of aliases the size of the result.
const MaxDepth = 32

// ToJSON returns one YAML document as JSON. Names come in their order and as often
// as they stand; dates and other plain words stay text. Errors name the line.
func ToJSON(raw []byte) ([]byte, error) {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty")
	} else if err != nil {
		return nil, err
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document")
	}
	var b bytes.Buffer
	if err := write(&b, &doc, 0); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// number is one that all readers of YAML take for the same. To some 030 is 24, to
// others thirty; 0x1F, 1_000 and 1e3 are numbers to some and text to others.
var number = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

func write(b *bytes.Buffer, n *yaml.Node, depth int) error {
	if depth > MaxDepth {
		return fmt.Errorf("line %d: nested deeper than %d levels", n.Line, MaxDepth)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return write(b, n.Content[0], depth)
	case yaml.MappingNode:
		if n.ShortTag() != "!!map" {
			return fmt.Errorf("line %d: %s values are not taken", n.Line, n.ShortTag())
		}
		return list(b, n, '{', '}', depth)
	case yaml.SequenceNode:
		if n.ShortTag() != "!!seq" {
			return fmt.Errorf("line %d: %s values are not taken", n.Line, n.ShortTag())
		}
		return list(b, n, '[', ']', depth)
	case yaml.ScalarNode:
		return scalar(b, n)
	}
	return fmt.Errorf("line %d: aliases are not taken", n.Line)
}

func list(b *bytes.Buffer, n *yaml.Node, open, end byte, depth int) error {
	b.WriteByte(open)
	for i, c := range n.Content {
		isValue := n.Kind == yaml.MappingNode && i%2 == 1
		switch {
		case isValue:
			b.WriteByte(':')
		case i > 0:
			b.WriteByte(',')
		}
		if n.Kind == yaml.MappingNode && !isValue {
			if c.Kind != yaml.ScalarNode || c.ShortTag() != "!!str" {
				return fmt.Errorf("line %d: a name must be plain text", c.Line)
			}
			text(b, c.Value)
			continue
		}
		if err := write(b, c, depth+1); err != nil {
			return err
		}
	}
	b.WriteByte(end)
	return nil
}

func scalar(b *bytes.Buffer, n *yaml.Node) error {
	tag := n.ShortTag()
	if tag != "!!str" && n.Style&yaml.TaggedStyle != 0 {
		return fmt.Errorf("line %d: values tagged %s are not taken", n.Line, tag)
	}
	switch tag {
	case "!!str", "!!timestamp":
		text(b, n.Value)
	case "!!int", "!!float":
		if !number.MatchString(n.Value) {
			return fmt.Errorf("line %d: number %.40q: only plain decimals are taken, like 30 or 0.5; put text in quotes", n.Line, n.Value)
		}
		b.WriteString(n.Value)
	case "!!bool", "!!null":
		var v any
		if err := n.Decode(&v); err != nil {
			return fmt.Errorf("line %d: %w", n.Line, err)
		}
		raw, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("line %d: %w", n.Line, err)
		}
		b.Write(raw)
	default:
		return fmt.Errorf("line %d: %s values are not taken", n.Line, n.ShortTag())
	}
	return nil
}

func text(b *bytes.Buffer, s string) {
	raw, err := json.Marshal(s)
	if err != nil {
		panic("strictyaml: text does not encode: " + err.Error())
	}
	b.Write(raw)
}
